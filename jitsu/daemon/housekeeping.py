"""Services that come, change and go while the daemon runs: by hand, or because jitsu.toml was read again.

One change at a time. Whatever stands against it is found before anything is done, and then nothing is. The store is
written before the world changes: a daemon that is killed in between finds the service, or finds it gone, when it starts
again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

from jitsu.config import Config, ServiceConfig, load
from jitsu.daemon.roster import Difference, Roster, check_changeable
from jitsu.daemon.store import Keys, SqliteStore, Store
from jitsu.daemon.zones import BoardZones
from jitsu.directory.server import DirectoryServer
from jitsu.errors import ConfigError, HostError, JitsuError
from jitsu.events import Kind
from jitsu.summon.summoner import Summoner

log = logging.getLogger(__name__)


class ServiceRow(TypedDict):
    """A service as `jitsu service ls` shows it. `pending`: changes wait for its next start. `problem`: why a service
    that was added is not served."""

    service: str
    origin: str
    addresses: list[str]
    names: list[str]
    kernel: str
    memory: int
    pending: bool
    problem: str


Check = Callable[[ServiceConfig], None]
"""What a driver has against a service: raises JitsuError."""


def first_roster(config: Config, store: SqliteStore, check: Check) -> Roster:
    """Whom a daemon serves when it starts. Raises JitsuError for what is wrong with a service of the file; added ones
    that cannot be served, or be read, are said aloud, and keep nobody else from being served."""
    for service in config.services.values():
        check(service)
    try:
        stored = store.services()
    except HostError as error:
        log.error("services that were added are not served: %s", error)
        stored = {}
    roster = Roster(config, stored, store.path)
    set_aside(roster, [name for name in stored if roster.origin(name) == "added"], check)
    for name, misfit in roster.misfits.items():
        log.error("%s was added, and is not served: %s", name, misfit)
    return roster


def set_aside(roster: Roster, names: Iterable[str], check: Check) -> None:
    """Those of the added services that the driver cannot have."""
    for name in names:
        try:
            check(roster.services[name])
        except JitsuError as error:
            roster.set_aside(name, error)


class Housekeeping:
    """Carries out what people want of `roster`. `check` says, in a thread, what a driver has against a service, and
    `erase` removes what is kept of one that is no more."""

    def __init__(
        self,
        roster: Roster,
        store: Store,
        summoner: Summoner,
        zones: BoardZones,
        directory: DirectoryServer,
        *,
        check: Check,
        erase: Callable[[str], Awaitable[None]],
    ) -> None:
        self._roster = roster
        self._store = store
        self._summoner = summoner
        self._events = summoner.events
        self._zones = zones
        self._directory = directory
        self._check = check
        self._erase = erase
        self._turn = asyncio.Lock()
        summoner.redefined = lambda before, after: self._update_zones([before], [after])

    @property
    def config(self) -> Config:
        """What is in effect, and of the services those of the file."""
        return self._roster.config

    def rows(self) -> list[ServiceRow]:
        """All services, and those that were added and do not fit beside the file."""
        pending = self._summoner.register.pending()
        rows = [self._row(service, service.name in pending) for service in self._roster.services.values()]
        return rows + [_misfit(name, error) for name, error in self._roster.misfits.items()]

    async def add(self, sections: Mapping[str, Keys], source: Path, by: str) -> None:
        """Take on new services, all or none. Raises JitsuError."""
        async with self._turn:
            added = self._roster.add(sections, source)
            try:
                await self._consider(added)
                await asyncio.to_thread(self._store.put_services, sections)
            except JitsuError:
                for service in added:
                    self._roster.remove(service.name)
                raise
            self._bring_in(added, by)
            self._update_zones([], added)

    async def edit(self, name: str, changes: Mapping[str, Any], source: Path, by: str) -> bool:
        """Change keys of an added service; None takes one away. False: the guest that runs keeps its definition but
        for the policy, and the next one gets the rest. Raises JitsuError."""
        async with self._turn:
            before = self._roster.keys(name)
            keys = {key: value for key, value in {**before, **changes}.items() if value is not None}
            service = self._roster.replace(name, keys, source)
            try:
                await self._consider([service])
                await asyncio.to_thread(self._store.put_services, {name: keys})
            except JitsuError:
                self._roster.replace(name, before, source)
                raise
            at_once = self._summoner.redefine(service)
            self._tell(Kind.EDITED, name, by, ", ".join(changes))
            return at_once

    async def remove(self, name: str, by: str) -> None:
        """Dismiss an added service, whatever it does, and forget it and what its guests printed. Raises JitsuError."""
        async with self._turn:
            self._roster.check_removable(name)
            await asyncio.to_thread(self._store.drop_service, name)
            served = name in self._roster.services
            self._roster.remove(name)
            if served:
                self._update_zones([self._summoner.tenant(name).service], [])
                await self._let_go(name, by)
            await self._erase(name)

    async def reload(self, by: str) -> dict[str, int]:
        """Read the file again and take on what changed; gives how many services came, changed and went. Raises
        JitsuError, and all is as it was then."""
        async with self._turn:
            try:
                roster, changes = await asyncio.to_thread(self._read_again)
                await self._consider([*changes.added, *changes.changed], leaving=changes.removed)
            except JitsuError as error:
                self._tell(Kind.RELOADED, "", by, f"failed, and nothing changed: {error}")
                raise
            before, self._roster = self._roster.config, roster
            await self._take_on(changes, by, fresh_zones=before.dns != roster.config.dns)
            self._summoner.limit(roster.config.limits)
            counts = {
                "added": len(changes.added),
                "changed": len(changes.changed),
                "removed": len(changes.removed),
                "services": len(roster.services),
            }
            self._tell(Kind.RELOADED, "", by, ", ".join(f"{count} {what}" for what, count in counts.items()))
            return counts

    def _read_again(self) -> tuple[Roster, Difference]:
        config = load(self._roster.config.path)
        check_changeable(self._roster.config, config)
        roster = self._roster.successor(config, self._store.services())
        set_aside(roster, [name for name in self._roster.misfits if roster.origin(name) == "added"], self._check)
        return roster, self._roster.difference(roster)

    async def _consider(self, services: Sequence[ServiceConfig], leaving: Sequence[str] = ()) -> None:
        """Raises JitsuError for what stands against services, those aside that are `leaving`."""
        in_use = self._summoner.register.in_use()
        for service in services:
            for own in (*map(str, service.addresses), service.mac):
                holder = in_use.get(own, service.name)
                if holder != service.name and holder not in leaving:
                    raise ConfigError(
                        f"the guest of {holder} has {own} until it ends, and {service.name} cannot have it now",
                        hint=f"end it: jitsu stop {holder}",
                    )
        await asyncio.to_thread(lambda: [self._check(service) for service in services])

    async def _take_on(self, changes: Difference, by: str, *, fresh_zones: bool) -> None:
        """From one roster to the next. Names may wander from one service to another: zones change in one go."""
        out = [self._summoner.tenant(name).service for name in changes.removed]
        into = list(changes.added)
        self._update_zones(out, [])
        await asyncio.gather(*(self._let_go(name, by) for name in changes.removed))
        redefined: list[tuple[ServiceConfig, ServiceConfig]] = []
        usual = self._summoner.redefined
        self._summoner.redefined = lambda before, after: redefined.append((before, after))
        for service in changes.changed:
            self._summoner.redefine(service)
            self._tell(Kind.EDITED, service.name, by, "")
        self._summoner.redefined = usual
        self._bring_in(changes.added, by)
        if fresh_zones:
            everybody = replace(self._roster.config, services=self._summoner.register.services())
            self._zones = BoardZones(everybody)
            self._directory.zones = self._zones.all
        else:
            self._update_zones([before for before, _ in redefined], [*(after for _, after in redefined), *into])

    def _bring_in(self, services: Iterable[ServiceConfig], by: str) -> None:
        for service in services:
            self._summoner.add(service)
            self._tell(Kind.ADDED, service.name, by, ", ".join(map(str, service.addresses)))

    async def _let_go(self, name: str, by: str) -> None:
        await self._summoner.remove(name, f"removed by {by}")
        self._tell(Kind.REMOVED, name, by, "")

    def _update_zones(self, out: Iterable[ServiceConfig], into: Iterable[ServiceConfig]) -> None:
        for service in out:
            self._zones.remove(service)
        for service in into:
            self._zones.add(service)
        self._directory.zones = self._zones.all

    def _tell(self, kind: Kind, name: str, by: str, detail: str) -> None:
        log.info("%s%s by %s%s", f"{name}: " if name else "", kind.value, by, f": {detail}" if detail else "")
        self._events.add(kind, name, by=by, detail=detail)

    def _row(self, service: ServiceConfig, pending: bool) -> ServiceRow:
        return {
            "service": service.name,
            "origin": self._roster.origin(service.name),
            "addresses": [str(address) for address in service.addresses],
            "names": list(service.names),
            "kernel": str(service.kernel),
            "memory": service.memory,
            "pending": pending,
            "problem": "",
        }


def _misfit(name: str, error: JitsuError) -> ServiceRow:
    unknown: ServiceRow = {
        "service": name,
        "origin": "added",
        "addresses": [],
        "names": [],
        "kernel": "",
        "memory": 0,
        "pending": False,
        "problem": error.message,
    }
    return unknown
