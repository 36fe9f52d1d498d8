"""Fills the pools, and saves states: in the background, one thing at a time, and while nobody is being summoned.

What is to be done is decided in warmth.py; here it is done.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from jitsu.domains.driver import DomainEvent, Happening
from jitsu.errors import DomainError, JitsuError
from jitsu.summon import warmth
from jitsu.summon.builder import Builder
from jitsu.summon.pools import Making, Pools, Spare, Warm
from jitsu.trace import Trace

log = logging.getLogger(__name__)

QUIET_LOOK = 0.02
"""Seconds between two looks whether anybody is being summoned."""

QUIET_LIMIT = 2.0
"""Seconds after which a spare is made although somebody always is."""

TICK = 5.0
"""Seconds after which the pools are looked at without a reason."""

SETTLE = 0.05
"""Seconds that a guest has, after it became ready, for what it does at its leisure: done once, before it is saved, that
need not be done by every copy."""


class Refill:
    """Keeps the pools as they should be. `busy` says whether anybody is being summoned just now."""

    def __init__(self, pools: Pools, builder: Builder, *, boot_limit: float, busy: Callable[[], bool]) -> None:
        self._pools = pools
        self._builder = builder
        self._boot_limit = boot_limit
        self._busy = busy

    async def run(self) -> None:
        """For ever."""
        self._builder.prune(warm.service for warm in self._pools.warm.values() if warm.service.mode == "snapshot")
        while True:
            while await self._work():
                pass
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self._pools.news.wait()
            self._pools.news.clear()

    async def _work(self) -> bool:
        """Do the one thing that is to be done next. False: there is none."""
        pools = self._pools
        for warm in list(pools.warm.values()):
            if warm.service.mode == "snapshot" and not warm.examined:
                warm.examined = True
                warm.saved = await self._builder.examine(warm.service)
        now = time.monotonic()
        unsaved = self._unsaved(now)
        if unsaved is not None:
            await self._make(unsaved, unsaved.name, self._save)
            return True
        match self._next_step(now):
            case warmth.EndResting(name):
                log.info("%s: not asked for in %g s, its guest rests no longer", name, pools.settings.keep)
                pools.drop(pools.resting[name])
            case warmth.EndBlank(shape):
                pools.drop(next(spare for spare in pools.blanks if spare.name == shape))
            case warmth.Boot(name):
                await self._make(pools.warm[name], name, self._boot)
            case warmth.AddBlank(shape):
                warm = next(warm for warm in pools.warm.values() if warm.shape == shape)
                await self._make(warm, shape, self._add_blank)
            case None:
                return False
        return True

    def _unsaved(self, now: float) -> Warm | None:
        """The service, lately asked for, whose state is to be saved next."""
        waiting = [
            warm
            for warm in self._pools.warm.values()
            if warm.service.mode == "snapshot"
            and self._pools.guests.wanted(warm.name, now)
            and not self._pools.failures.hold(warm.name, now)
            and not warm.saved
            and self._builder.refuses(warm.service) is None
        ]
        return max(waiting, key=lambda warm: self._pools.guests.last(warm.name), default=None)

    def _next_step(self, now: float) -> warmth.Step | None:
        pools = self._pools
        services, shapes = [], {}
        for warm in pools.warm.values():
            fits = self._builder.refuses(warm.service) is None
            if warm.shape and not pools.failures.hold(warm.shape, now):
                there = sum(spare.name == warm.shape for spare in pools.blanks)
                shapes[warm.shape] = warmth.Shape(warm.shape, warm.cost, there, fits)
            if warm.service.mode == "paused" and not pools.failures.hold(warm.name, now):
                there_rests = warm.name in pools.resting
                services.append(warmth.Resting(warm.name, warm.cost, there_rests, warm.away(), fits))
        room = warmth.Room(pools.settings.memory, pools.memory, pools.settings.blanks)
        return warmth.next_step(services, shapes.values(), pools.guests, pools.monitors, room, now)

    async def _make(self, warm: Warm, name: str, work: Callable[[Warm, Making], Awaitable[None]]) -> None:
        """Make one thing, unless its room is taken or it is stopped meanwhile."""
        await self._quiet()
        try:
            spare = Spare(name, warm.cost, self._builder.admit(warm.service))
        except DomainError:
            # Somebody was summoned, and has the room now.
            return
        said = asyncio.get_running_loop().create_future()

        async def make() -> None:
            try:
                await work(warm, making)
            except BaseException:
                await self._builder.end(spare.holding)
                raise
            finally:
                self._pools.making = None

        making = Making(spare, asyncio.create_task(make()), said)
        self._pools.making = making
        try:
            await asyncio.wait([making.task])
        finally:
            making.task.cancel()
        self._judge(warm, making)

    def _judge(self, warm: Warm, making: Making) -> None:
        """See what became of it. Raises what nobody expected."""
        if making.task.cancelled():
            return
        match making.task.exception():
            case None:
                self._pools.failures.forget(making.spare.name)
            case JitsuError() | OSError() as error:
                pause = self._pools.failures.note(making.spare.name, time.monotonic())
                log.warning("%s: cannot be kept warm: %s; next try in %g s", warm.name, error, pause)
            case error:
                raise error

    async def _quiet(self) -> None:
        """Wait until nobody is being summoned, but not for ever."""
        give_up = time.monotonic() + QUIET_LIMIT
        while self._busy() and time.monotonic() < give_up:  # noqa: ASYNC110 - many things end it, none of them matters
            await asyncio.sleep(QUIET_LOOK)

    async def _boot(self, warm: Warm, making: Making) -> None:
        """A guest that rests."""
        await self._boot_up(warm, making, template=False)
        await self._builder.rest(making.spare.holding)
        self._pools.add(making.spare, blank=False)

    async def _save(self, warm: Warm, making: Making) -> None:
        """The state of a guest that never had traffic."""
        begin = time.monotonic()
        await self._boot_up(warm, making, template=True)
        await asyncio.sleep(SETTLE)
        await self._builder.save(warm.service, making.spare.holding)
        await self._builder.end(making.spare.holding)
        warm.saved = True
        log.info("%s: its state was saved in %.0f ms", warm.name, (time.monotonic() - begin) * 1000)

    async def _add_blank(self, warm: Warm, making: Making) -> None:
        await self._builder.blank(warm.service, making.spare.holding, Trace(warm.name, "blank"))
        self._pools.add(making.spare, blank=True)

    async def _boot_up(self, warm: Warm, making: Making, *, template: bool) -> None:
        """Boot the service's guest behind its closed gate. Raises JitsuError or OSError."""
        holding = making.spare.holding
        await self._builder.boot(warm.service, holding, Trace(warm.name, "spare"), quiet=True, template=template)
        holding.hear = lambda frame, to_guest: None if to_guest or not holding.probe else holding.probe.heard(frame)
        if warm.service.ready == "probe" and holding.domain is not None:
            ready = DomainEvent(Happening.READY, holding.domain)
            self._builder.probe(warm.service, holding, lambda: making.heard(ready))
        try:
            async with asyncio.timeout(self._boot_limit):
                event = await asyncio.shield(making.said)
        except TimeoutError:
            raise DomainError(f"its spare was not ready within {self._boot_limit:g} s") from None
        if event.happening is not Happening.READY:
            raise DomainError(f"its spare ended: {event.detail}")
