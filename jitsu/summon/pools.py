"""What is kept warm: guests that rest, and blank monitors. A summon takes from here; when it needs the room instead,
what was asked for the longest ago gives way. The pools are filled by refill.py.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from jitsu.config import ServiceConfig, WarmConfig
from jitsu.domains.driver import Domain, DomainEvent
from jitsu.errors import DomainError, JitsuError
from jitsu.summon.builder import Builder
from jitsu.summon.tasks import Tasks
from jitsu.summon.tenant import Holding
from jitsu.summon.warmth import Demand, Failures

log = logging.getLogger(__name__)

FIRST_RETRY, LAST_RETRY = 5.0, 300.0
"""Seconds until a spare that could not be made is tried again; they double."""


@dataclass(slots=True, eq=False)
class Spare:
    """A guest that rests, or a blank monitor. `name` is its service, or its shape; `cost` is in bytes."""

    name: str
    cost: int
    holding: Holding


@dataclass(slots=True, eq=False)
class Making:
    """A spare that is being made. `said` is what its domain has done."""

    spare: Spare
    task: asyncio.Task[None]
    said: asyncio.Future[DomainEvent]

    def heard(self, event: DomainEvent) -> None:
        """Its domain did something; the first thing tells."""
        if not self.said.done():
            self.said.set_result(event)


@dataclass(slots=True, eq=False)
class Warm:
    """A service that is kept warm. `cost` is in bytes; `away` says whether it is asleep; `examined`: its saved state
    was looked for; `saved`: it was there and good then, and no summon has found otherwise."""

    service: ServiceConfig
    cost: int
    away: Callable[[], bool]
    shape: str = ""
    examined: bool = False
    saved: bool = False

    @property
    def name(self) -> str:
        return self.service.name


class Pools:
    """The spares of one daemon."""

    def __init__(self, builder: Builder, tasks: Tasks, settings: WarmConfig) -> None:
        self.settings = settings
        self.warm: dict[str, Warm] = {}
        self.resting: dict[str, Spare] = {}
        self.blanks: list[Spare] = []
        self.making: Making | None = None
        self.guests = Demand(settings.keep)
        self.monitors = Demand(settings.keep)
        self.failures = Failures(FIRST_RETRY, LAST_RETRY)
        self.news = asyncio.Event()
        """Set when there may be something to make."""
        self._builder = builder
        self._tasks = tasks
        self._closed = False

    # Which services are kept warm.

    def know(self, service: ServiceConfig, away: Callable[[], bool]) -> None:
        """A service is there, or has changed. `away` says whether it is asleep. Raises JitsuError."""
        if service.mode not in ("paused", "snapshot"):
            self.forget(service.name)
            return
        warm = Warm(service, self._builder.cost(service), away)
        if service.mode == "snapshot":
            warm.shape = self._builder.shape(service)
            if warm.shape:
                self.monitors.expect(warm.shape, time.monotonic())
        self.guests.expect(service.name, time.monotonic())
        self.warm[service.name] = warm
        spare = self.resting.get(service.name)
        if spare is not None and not _fits(spare, service):
            self.drop(spare)
        self.news.set()

    def forget(self, name: str) -> None:
        """A service is no more, or is not to be kept warm."""
        self.warm.pop(name, None)
        self.dismiss(name)

    def dismiss(self, name: str) -> None:
        """Let go of what is kept for a service, and keep nothing until it is summoned again."""
        self.guests.forget(name)
        self.failures.forget(name)
        self._cancel(name)
        if (spare := self.resting.get(name)) is not None:
            self.drop(spare)

    # What a summon takes.

    def summoned(self, service: ServiceConfig) -> None:
        """Somebody summons the service: so may others."""
        warm = self.warm.get(service.name)
        if warm is None:
            return
        now = time.monotonic()
        self.guests.asked(service.name, now)
        if warm.shape:
            self.monitors.asked(warm.shape, now)
        self._cancel(service.name)
        self.news.set()

    def take_resting(self, service: ServiceConfig) -> Holding | None:
        """The service's guest that rests, if there is one that still fits the service."""
        spare = self.resting.get(service.name)
        if spare is None:
            return None
        if not _fits(spare, service):
            self.drop(spare)
            return None
        del self.resting[service.name]
        return spare.holding

    def take_blank(self, service: ServiceConfig) -> Holding | None:
        """A blank monitor for the service, if there is one."""
        shape = self.warm[service.name].shape if service.name in self.warm else ""
        for spare in self.blanks:
            if shape and spare.name == shape:
                self.blanks.remove(spare)
                return spare.holding
        return None

    def found_unsaved(self, service: ServiceConfig) -> None:
        """A summon found no good state of the service."""
        if (warm := self.warm.get(service.name)) is not None:
            warm.saved = False
            self.news.set()

    def give_way(self) -> bool:
        """Let go of the one spare that was asked for the longest ago. False: there is none."""
        if self._cancel():
            return True
        spare = min((*self.resting.values(), *self.blanks), key=self._last, default=None)
        if spare is None:
            return False
        log.info("%s: its spare domain %d gives way", spare.name, spare.holding.domid)
        self.drop(spare)
        return True

    # What comes back, and what is found.

    async def park(self, service: ServiceConfig, holding: Holding) -> bool:
        """Let a guest that nobody wants just now rest, its gate closed.

        False: there is no room for it, or it does not rest; it is still the caller's then.
        """
        warm = self.warm.get(service.name)
        if warm is None or service.mode != "paused" or not self._room_for(warm):
            return False
        try:
            await self._builder.rest(holding)
        except (JitsuError, OSError) as error:
            log.warning("%s: domain %d does not rest: %s", service.name, holding.domid, error)
            return False
        now = time.monotonic()
        if self.warm.get(service.name) is not warm or self._closed or not self.guests.wanted_ever(service.name):
            # It was stopped meanwhile, or is another service now.
            return False
        self.guests.renew(service.name, now)
        self.resting[service.name] = Spare(service.name, warm.cost, holding)
        return True

    def adopt(self, service: ServiceConfig, domain: Domain) -> None:
        """Take over a guest that rests, of an earlier daemon. Raises JitsuError or OSError."""
        warm = self.warm.get(service.name)
        if warm is None or service.mode != "paused" or service.name in self.resting:
            raise DomainError(f"service {service.name}: nobody is to rest for it")
        holding = self._builder.adopt(service, domain)
        try:
            self._builder.connect(service, holding, quiet=True)
        except (JitsuError, OSError):
            self._builder.let_go(holding)
            raise
        self.guests.expect(service.name, time.monotonic())
        self.resting[service.name] = Spare(service.name, warm.cost, holding)

    def happened(self, event: DomainEvent) -> bool:
        """What a domain did. False: it is none of ours."""
        making = self.making
        if making is not None and making.spare.holding.domid == event.domain.domid:
            making.heard(event)
            return True
        for spare in (*self.resting.values(), *self.blanks):
            if spare.holding.domid == event.domain.domid:
                log.warning("%s: the spare domain %d ended: %s", spare.name, event.domain.domid, event.detail)
                self.drop(spare)
                self.news.set()
                return True
        return False

    def warmth(self, service: ServiceConfig) -> str:
        """What is kept for the service, as in `Row`."""
        if service.name in self.resting:
            return "paused"
        warm = self.warm.get(service.name)
        if warm is None or not warm.saved:
            return ""
        return "blank" if any(spare.name == warm.shape for spare in self.blanks) else "snapshot"

    @property
    def memory(self) -> int:
        """Bytes that all spares take."""
        making = () if self.making is None or self.making.task.cancelling() else (self.making.spare,)
        return sum(spare.cost for spare in (*self.resting.values(), *self.blanks, *making))

    async def close(self) -> None:
        """End all spares, and keep none from now on."""
        self._closed = True
        self._cancel()
        for spare in (*self.resting.values(), *self.blanks):
            self.drop(spare)
        if self.making is not None:
            await asyncio.wait([self.making.task])

    def drop(self, spare: Spare) -> None:
        """Let go of a spare. Its room is free at once, its monitor is gone a moment later."""
        if spare in self.blanks:
            self.blanks.remove(spare)
        else:
            self.resting.pop(spare.name, None)
        self._builder.let_go(spare.holding)
        self._tasks.spawn(self._builder.end(spare.holding))

    def add(self, spare: Spare, *, blank: bool) -> None:
        """A spare was made."""
        if self._closed:
            self.drop(spare)
        elif blank:
            self.blanks.append(spare)
        else:
            self.resting[spare.name] = spare

    def _cancel(self, name: str = "") -> bool:
        """Stop making what is being made, of this name or any; its room is free at once."""
        making = self.making
        if making is None or making.task.cancelling() or (name and making.spare.name != name):
            return False
        self._builder.let_go(making.spare.holding)
        making.task.cancel()
        return True

    def _room_for(self, warm: Warm) -> bool:
        """Make room for a guest that is to rest, at the cost of spares that were wanted before it."""
        if self._closed or warm.cost > self.settings.memory:
            return False
        while self.memory + warm.cost > self.settings.memory and self.give_way():
            pass
        return True

    def _last(self, spare: Spare) -> float:
        """When a spare was last asked for."""
        return (self.monitors if spare in self.blanks else self.guests).last(spare.name)


def _fits(spare: Spare, service: ServiceConfig) -> bool:
    """Is this still a guest of the service as it is now?"""
    domain = spare.holding.domain
    return domain is not None and domain.fingerprint == service.fingerprint
