"""What can be asked on the control socket, beside what a daemon is about: each request by its word.

ps, top, status             what is
trace, events               what was; events with `follow` is a stream
start, stop                 one service
service-add, -edit, -rm, -ls, reload
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypedDict

from jitsu.daemon.console_link import ConsoleLink
from jitsu.daemon.control import Handler, Request
from jitsu.daemon.housekeeping import Housekeeping
from jitsu.daemon.xenstore_link import XenstoreLink
from jitsu.domains.driver import Driver, Verdict
from jitsu.errors import DaemonError
from jitsu.events import Event, EventRecord, Events
from jitsu.summon.summoner import Summoner
from jitsu.summon.tenant import Row

MOST_UNREAD = 1024
"""Events that wait for somebody who follows them; who lets more of them wait is left behind."""


class GuestRow(TypedDict):
    """A service that is not asleep as `jitsu top` shows it. `pid` is the process of its monitor; on Xen there is none.
    `cpu` is seconds of processor time that it took so far, its monitor included, `resident` bytes that it has in
    memory, `memory` bytes that its guest may have."""

    service: str
    state: str
    address: str
    domid: int | None
    pid: int | None
    up: float | None
    memory: int
    resident: int | None
    cpu: float | None
    connections: int
    held: int
    summons: int


class TopRecord(TypedDict):
    """One look at a daemon. `time` is in seconds, of a clock that only goes forward; `memory` are the bytes that are
    granted, monitors included."""

    time: float
    zone: str
    accelerator: str
    services: int
    memory: int
    memory_limit: int
    guests: list[GuestRow]
    events: list[EventRecord]


class Requests:
    """Answers requests about a daemon's services. `reload` reads the configuration again, on behalf of somebody."""

    def __init__(
        self,
        summoner: Summoner,
        driver: Driver,
        housekeeping: Housekeeping,
        consoles: ConsoleLink,
        xenstore: XenstoreLink,
        verdict: Verdict,
        reload: Callable[[str], Awaitable[Any]],
    ) -> None:
        self._summoner = summoner
        self._driver = driver
        self._housekeeping = housekeeping
        self._consoles = consoles
        self._xenstore = xenstore
        self._verdict = verdict
        self._reread = reload

    def handlers(self) -> dict[str, Handler]:
        """Who answers which request."""
        return {
            "ps": self._ps,
            "top": self._top,
            "trace": self._trace,
            "status": self._status,
            "events": self._events,
            "start": self._start,
            "stop": self._stop,
            "reload": self._reload,
            "service-add": self._add,
            "service-edit": self._edit,
            "service-rm": self._remove,
            "service-ls": self._list,
        }

    async def _ps(self, request: Request) -> Any:
        return await self._summoner.register.rows()

    async def _trace(self, request: Request) -> Any:
        service = str(request.get("service") or "")
        if service:
            self._summoner.tenant(service)
        return [trace.record() for trace in self._summoner.traces.last(int(request.get("last", 1)), service)]

    async def _status(self, request: Request) -> Any:
        return {
            "pid": os.getpid(),
            "consoled": self._consoles.pid,
            "xenstored": self._xenstore.pid,
            "xenstore": str(self._xenstore.path),
            "driver": self._housekeeping.config.daemon.driver,
            "accelerator": self._verdict.accelerator,
            "accelerator_reason": self._verdict.reason,
            "zone": self._housekeeping.config.dns.zone,
        }

    async def _top(self, request: Request) -> TopRecord:
        rows = self._summoner.register.awake_rows()
        return {
            "time": time.monotonic(),
            "zone": self._housekeeping.config.dns.zone,
            "accelerator": self._verdict.accelerator,
            "services": len(self._summoner.register),
            "memory": self._summoner.budget.memory_used,
            "memory_limit": self._housekeeping.config.limits.memory,
            "guests": [self._guest(row) for row in rows],
            "events": [event.record() for event in self._summoner.events.last(int(request.get("events", 0)))],
        }

    async def _events(self, request: Request) -> Any:
        since = float(request.get("since", 0))
        if request.get("follow"):
            return follow(self._summoner.events, since)
        return [event.record() for event in self._summoner.events.since(since)]

    async def _start(self, request: Request) -> None:
        await self._summoner.start(str(request["service"]))

    async def _stop(self, request: Request) -> None:
        await self._summoner.stop(str(request["service"]))

    async def _reload(self, request: Request) -> Any:
        return await self._reread(request["by"])

    async def _add(self, request: Request) -> None:
        sections = request["services"]
        if not isinstance(sections, dict) or not all(isinstance(keys, dict) for keys in sections.values()):
            raise TypeError("services")
        await self._housekeeping.add(sections, Path(str(request["source"])), request["by"])

    async def _edit(self, request: Request) -> Any:
        name, changes = str(request["service"]), request["changes"]
        if not isinstance(changes, dict):
            raise TypeError("changes")
        at_once = await self._housekeeping.edit(name, changes, Path(str(request["source"])), request["by"])
        if not at_once and request.get("now"):
            await self._summoner.stop(name, f"its definition was changed by {request['by']}")
            at_once = True
        return {"at_once": at_once}

    async def _remove(self, request: Request) -> None:
        await self._housekeeping.remove(str(request["service"]), request["by"])

    async def _list(self, request: Request) -> Any:
        return self._housekeeping.rows()

    def _guest(self, row: Row) -> GuestRow:
        usage = self._driver.usage(row["domid"]) if row["domid"] is not None else None
        return {
            "service": row["service"],
            "state": row["state"],
            "address": row["address"],
            "domid": row["domid"],
            "pid": row["pid"],
            "up": row["up"],
            "memory": row["memory"],
            "resident": usage.resident if usage is not None else None,
            "cpu": usage.cpu if usage is not None else None,
            "connections": row["connections"],
            "held": row["held"],
            "summons": row["summons"],
        }


async def follow(events: Events, since: float) -> AsyncGenerator[EventRecord, None]:
    """The events since then, and those to come. Raises DaemonError for a reader that is too slow."""
    unread: asyncio.Queue[Event] = asyncio.Queue(MOST_UNREAD)
    lost = 0

    def heard(event: Event) -> None:
        nonlocal lost
        if lost or unread.full():
            lost += 1
        else:
            unread.put_nowait(event)

    kept = events.since(since)
    unlisten = events.listen(heard)
    try:
        for event in kept:
            yield event.record()
        while not (lost and unread.empty()):
            yield (await unread.get()).record()
        raise DaemonError(
            f"{lost} events or more were left out: they came faster than they were read",
            hint="go on with: jitsu events -f --since 1m",
        )
    finally:
        unlisten()
