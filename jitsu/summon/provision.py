"""Where the domain of a summon comes from: a guest that rests, a saved state, or else a cold boot. The way is chosen
here, and room is made for it; each way itself is in builder.py.
"""

import logging
from collections.abc import Callable

from jitsu.config import ServiceConfig
from jitsu.errors import JitsuError
from jitsu.summon.builder import Builder
from jitsu.summon.pools import Pools
from jitsu.summon.tenant import Holding
from jitsu.trace import Trace

log = logging.getLogger(__name__)

Held = Callable[[Holding], None]
"""Told what the summon holds from now on; when a way fails and another is taken, that is something else."""


class Provision:
    """Obtains domains."""

    def __init__(self, builder: Builder, pools: Pools) -> None:
        self._builder = builder
        self._pools = pools

    async def obtain(self, service: ServiceConfig, trace: Trace, held: Held) -> None:
        """A domain of the service that runs. Raises JitsuError or OSError; what was held last is to be ended then.

        A way that fails is told in the trace, and the next one is taken.
        """
        self._pools.summoned(service)
        resting = self._pools.take_resting(service)
        if resting is not None:
            held(resting)
            try:
                await self._builder.resume(resting, trace)
                return
            except (JitsuError, OSError) as error:
                await self._give_up(resting, trace, error)
        elif service.mode == "paused":
            trace.note("no guest of it rests: a cold boot")
        if service.mode == "snapshot" and await self._restored(service, trace, held):
            return
        holding = self._admit(service)
        held(holding)
        await self._builder.boot(service, holding, trace)

    async def _restored(self, service: ServiceConfig, trace: Trace, held: Held) -> bool:
        """Take the way by the saved state. False: that could not be."""
        if not self._builder.restorable(service):
            self._pools.found_unsaved(service)
            trace.note("no state of it is saved: a cold boot")
            return False
        holding = self._pools.take_blank(service)
        try:
            if holding is None:
                trace.note("no blank monitor is at hand")
                holding = self._admit(service)
                held(holding)
                await self._builder.blank(service, holding, trace)
            else:
                held(holding)
            await self._builder.restore(service, holding, trace)
        except (JitsuError, OSError) as error:
            if holding is None:
                raise
            self._pools.found_unsaved(service)
            await self._give_up(holding, trace, error)
            return False
        return True

    async def _give_up(self, holding: Holding, trace: Trace, error: JitsuError | OSError) -> None:
        log.warning("%s: %s; a cold boot", trace.service, error)
        trace.note(f"{error}: a cold boot")
        await self._builder.end(holding)

    def _admit(self, service: ServiceConfig) -> Holding:
        """Book room for a guest, which spares may have to give. Raises DomainError."""
        while self._builder.refuses(service) is not None and self._pools.give_way():
            pass
        return self._builder.admit(service)
