"""The native driver of Xen: domains built by our own code, with no other toolstack between.

A domain's domid is Xen's own. Whose it is stands beside its nodes in the XenStore, and its uuid begins with a
mark of the instance: so a daemon that comes after one that was killed finds all of them, also those that were not
finished. That a domain ended is told by the store's daemon (@releaseDomain), and Xen says why.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from jitsu.domains.console_keeper import Consoles
from jitsu.domains.driver import Capabilities, Domain, DomainEvent, DomainSpec, Ending, Happening, Listener, Usage
from jitsu.domains.guest_text import printable
from jitsu.domains.readiness import LONGEST_WORD, Wake
from jitsu.domains.ready_watches import ReadyWatches
from jitsu.domains.xen_bindings import Xen, load
from jitsu.domains.xen_build import Ports, XenBuilder
from jitsu.domains.xen_consoles import XenConsoles
from jitsu.domains.xen_keys import (
    BACKENDS,
    HOMES,
    Identity,
    backend_identity_of,
    identity_of,
    places,
    resting_of,
    shutdown_of,
    told_of,
    vif_of,
)
from jitsu.domains.xen_shell import Seen, State, everything, exists, kind_of, look, mark_of
from jitsu.errors import DomainError, HostError, JitsuError
from jitsu.network.arrivals import Arrivals, is_there
from jitsu.trace import Trace, Traces
from jitsu.xenstore import request
from jitsu.xenstore.client import StoreClient
from jitsu.xenstore.link import StoreUnreachable
from jitsu.xenstore.subscription import Subscription
from jitsu.xenstore.wire import StoreError, Type

log = logging.getLogger(__name__)

OVERHEAD = 4 << 20
"""Bytes that a domain takes beside its guest's memory: page tables, and the pages that it shares."""

LOOK_AGAIN = 1.0
"""Seconds between two attempts to find a XenStore that went away."""

SHUT_DOWN = "the guest shut down"
DISMISSED = "it was dismissed"


@dataclass(slots=True)
class _Guest:
    """A domain that is ours. `over` is done when it has ended by itself."""

    domain: Domain
    uuid: str
    over: "asyncio.Future[None]"
    ready: bool = False
    clock: bytes = b""
    """Of the wake whose answer is waited for."""
    dismissed: bool = False

    @property
    def number(self) -> int:
        return self.domain.domid


class XenDriver:
    """Builds domains on Xen. Implements `Driver`; made by `open`, on the event loop.

    `instance` tells this host's daemons apart. `runtime_dir` has the files of domains; `consoles` is told of every
    console. `ports` plugs dom0's ends of guests' interfaces in. `traces` takes how long each domain took to build,
    stage by stage. `store` is where the machine's XenStore listens, if that is not the usual place.
    """

    def __init__(
        self,
        instance: str,
        runtime_dir: Path,
        consoles: Consoles,
        listener: Listener,
        ports: Ports,
        traces: Traces,
        *,
        store: Path | None = None,
    ) -> None:
        """Raises `HostError` where the libraries are missing, or when the directory cannot be made."""
        load()
        self._instance = instance
        self._listener = listener
        self._ports = ports
        self._traces = traces
        self._path = store
        self._machine = os.uname().machine
        self._guests: dict[int, _Guest] = {}
        self._ending: set[int] = set()
        self._ready = ReadyWatches()
        self._consoles = XenConsoles(runtime_dir, consoles)
        try:
            runtime_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise HostError(f"directory {runtime_dir}: {error.strerror or error}") from None
        self._listening: asyncio.Task[None] | None = None
        self._reports: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Connect to Xen and to the XenStore. Raises `HostError`."""
        self._xen = Xen()
        try:
            store = await StoreClient.connect(self._path)
        except StoreUnreachable as error:
            self._xen.close()
            raise HostError(error.message, hint="is xenstored running? (systemctl status xenstored)") from None
        self._arrivals = Arrivals()
        self._builder = XenBuilder(self._instance, store, self._arrivals, self._ports)
        try:
            releases = await self._join(store)
        except JitsuError as error:
            await self.close()
            raise HostError(error.message, hint=error.hint) from None
        self._listening = asyncio.create_task(self._hear_ends(releases))

    def capabilities(self) -> Capabilities:
        return Capabilities(name="xen", accelerator="xen", pause=True, snapshot=False, overhead=OVERHEAD)

    def is_taken(self, domid: int) -> bool:
        try:
            # One hypercall, of microseconds. An interface may be left of another toolstack's domain.
            return exists(self._xen, domid) or is_there(vif_of(domid))
        except (DomainError, OSError):
            # Whoever builds the domain hears of it.
            return False

    def check(self, spec: DomainSpec) -> None:
        kind_of(spec, self._machine)

    async def prepare(self, spec: DomainSpec, taps: Sequence[int]) -> Domain:
        return await self._build(spec, run=False)

    async def launch(self, spec: DomainSpec, taps: Sequence[int]) -> Domain:
        return await self._build(spec, run=True)

    async def resume(self, domain: Domain) -> None:
        guest = self._guest(domain)
        with suppress(StoreError):
            await self._store.rm(resting_of(guest.number))
        if guest.ready:
            await self._wake(guest)
        await self._builder.xen(lambda xen: xen.call("xc_domain_unpause", guest.number))

    async def pause(self, domain: Domain) -> None:
        guest = self._guest(domain)
        await self._store.write(resting_of(guest.number), b"")
        await self._builder.xen(lambda xen: xen.call("xc_domain_pause", guest.number))

    def saver(self) -> None:
        """None: Xen's saved states belong to one domain."""

    async def destroy(self, domain: Domain, patience: float = 0.0) -> Ending:
        guest = self._guests.get(domain.domid)
        if guest is None:
            return Ending.ENDED
        guest.dismissed = True
        asked = patience > 0 and await self._asked(guest, patience)
        if asked:
            await self._consoles.last_words(guest.number, guest.domain.service)
        await self._finish(guest, SHUT_DOWN if asked else DISMISSED)
        return Ending.SHUT_DOWN if asked else Ending.ENDED

    def is_ending(self, domid: int) -> bool:
        return domid in self._ending

    def usage(self, domid: int) -> Usage | None:
        guest = self._guests.get(domid)
        with suppress(DomainError):
            # One hypercall.
            if guest is not None and (now := look(self._xen, domid, guest.uuid)) is not None:
                return Usage(now.cpu, now.memory)
        return None

    async def adopt(self) -> list[Domain]:
        there = await self._builder.xen(everything)
        mark = mark_of(self._instance).hex()
        ours = {each.number: each for each in there if each.uuid.startswith(mark)}
        identities = await self._identities(HOMES, identity_of)
        known = {guest.uuid for guest in self._guests.values()}
        adopted = []
        for number, each in ours.items():
            identity = identities.get(number)
            if each.uuid in known:
                continue
            if identity is not None and identity.uuid == each.uuid and await self._may_go_on(each):
                domain = Domain(identity.service, number, 0, identity.fingerprint, each.paused)
                adopted.append(self._keep(domain, each.uuid))
            else:
                await self._builder.end(number, each.uuid)
        await self._sweep()
        for guest in adopted:
            if not guest.domain.paused:
                await self._wake(guest)
            else:
                guest.ready = True
            self._follow(guest)
            self._heed(guest)
        self._consoles.bury([guest.number for guest in self._guests.values()])
        return [guest.domain for guest in adopted]

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
        for task in self._reports:
            task.cancel()
        self._disconnect()
        self._guests.clear()
        self._builder.close()
        self._xen.close()
        self._arrivals.close()
        await self._store.close()

    @property
    def _store(self) -> StoreClient:
        return self._builder.store

    async def _join(self, store: StoreClient) -> Subscription:
        """Take this connection from now on; the ends of domains are told there. Raises JitsuError."""
        for place in places():
            await store.mkdir(place)
        releases = await store.watch("@releaseDomain", limit=1)
        self._builder.store = store
        await self._builder.refusals.connect(store)
        self._ready.connect(store)
        self._consoles.connect(store)
        return releases

    def _disconnect(self) -> None:
        """The XenStore is gone."""
        self._builder.refusals.disconnect()
        self._ready.disconnect()
        self._consoles.disconnect()

    # Building.

    async def _build(self, spec: DomainSpec, *, run: bool) -> Domain:
        kind = kind_of(spec, self._machine)
        trace = Trace(spec.service, "build", domid=spec.domid)
        shell = await self._builder.build(spec, kind, trace, run=run)
        self._traces.add(trace)
        guest = self._keep(Domain(spec.service, spec.domid, 0, spec.fingerprint), shell.uuid)
        if not run:
            await self._store.write(resting_of(shell.number), b"")
        if spec.tells_ready or spec.store_port:
            self._follow(guest)
        self._heed(guest)
        return guest.domain

    def _keep(self, domain: Domain, uuid: str) -> _Guest:
        guest = self._guests[domain.domid] = _Guest(domain, uuid, asyncio.get_running_loop().create_future())
        self._consoles.began(guest.number, domain.service)
        return guest

    # Readiness.

    def _follow(self, guest: _Guest) -> None:
        self._ready.follow(guest.number, lambda value: self._hear(guest, value))

    def _hear(self, guest: _Guest, value: bytes) -> None:
        words = value.split(b" ")
        if not value or len(value) >= LONGEST_WORD or (guest.clock and words[2:3] != [guest.clock]):
            return
        guest.ready, guest.clock = True, b""
        self._ready.leave(guest.number)
        self._report_soon(self._report(guest, printable(b"ready " + value)))

    def _report_soon(self, work: Coroutine[Any, Any, None]) -> None:
        report = asyncio.create_task(work)
        self._reports.add(report)
        report.add_done_callback(self._reports.discard)

    async def _report(self, guest: _Guest, word: str) -> None:
        """Say that a guest is ready, as soon as it can be reached."""
        with suppress(StoreError, StoreUnreachable):
            await self._builder.connected(guest.number)
            if not guest.dismissed:
                self._listener(DomainEvent(Happening.READY, guest.domain, word))

    async def _wake(self, guest: _Guest) -> None:
        wake = Wake.now()
        guest.ready, guest.clock = False, wake.clock
        await self._store.write(told_of(guest.number, "wake"), wake.words)
        self._follow(guest)

    # Ending.

    async def _asked(self, guest: _Guest, patience: float) -> bool:
        """Ask a guest to shut down; whether it has, in so many seconds."""
        order = self._store.pipeline()
        order.write(shutdown_of(guest.number), b"poweroff")
        order.set_perms(shutdown_of(guest.number), [f"n{guest.number}"])
        order.write(told_of(guest.number, "stop"), b"")
        with suppress(TimeoutError, StoreError):
            async with asyncio.timeout(patience):
                await order.commit()
                await asyncio.shield(guest.over)
        return guest.over.done()

    async def _finish(self, guest: _Guest, why: str) -> None:
        """End a domain for good. Whoever asks for it after that is told that it is gone."""
        self._ready.leave(guest.number)
        self._guests.pop(guest.domain.domid, None)
        self._consoles.leave(guest.number, guest.domain.service)
        try:
            await self._builder.end(guest.number, guest.uuid)
        finally:
            self._consoles.ended(guest.number, guest.domain.service, why)

    async def _hear_ends(self, releases: Subscription) -> None:
        """For ever; a XenStore that went away is looked for until it is back."""
        while True:
            try:
                async for _ in releases:
                    await self._look_for_ends()
            except StoreUnreachable as error:
                log.error("the XenStore is gone, and no domain can be built: %s", error.message)
            self._disconnect()
            await self._store.close()
            releases = await self._found_again()
            log.info("the XenStore is back")
            try:
                await self._sweep()
            except JitsuError as error:
                log.error("what domains left in the XenStore cannot be removed: %s", error.message)

    async def _found_again(self) -> Subscription:
        while True:
            await asyncio.sleep(LOOK_AGAIN)
            with suppress(StoreUnreachable):
                store = await StoreClient.connect(self._path)
                try:
                    return await self._join(store)
                except JitsuError as error:
                    log.error("the XenStore is of no use: %s", error.message)
                    await store.close()

    async def _look_for_ends(self) -> None:
        guests = list(self._guests.values())
        try:
            found = await self._builder.xen(partial(_look_at, guests))
            ended = [(guest, now) for guest, now in zip(guests, found, strict=True) if _is_over(now)]
            await asyncio.gather(*(self._ended(guest, *_end_of(now)) for guest, now in ended))
        except DomainError as error:
            log.error("%s", error.message)

    def _heed(self, guest: _Guest) -> None:
        """End the guest when netback gives up on it: nobody can reach it any more."""

        def refused(said: str) -> None:
            why = f"dom0's kernel refuses to serve its interface {vif_of(guest.number)}: {said}"
            self._report_soon(self._ended(guest, Happening.CRASHED, why))

        self._builder.refusals.follow(guest.number, refused)

    async def _ended(self, guest: _Guest, happening: Happening, why: str) -> None:
        """A domain has ended by itself, or is of no use: remove what is left, and say so, once. Its interface would
        stay as long as the domain does, and take what is meant for the next one."""
        if not guest.over.done():
            guest.over.set_result(None)
        if guest.dismissed or self._guests.get(guest.domain.domid) is not guest:
            return
        guest.dismissed = True
        self._ending.add(guest.number)
        try:
            self._ports.unplug(guest.number)
            await self._consoles.last_words(guest.number, guest.domain.service)
            if self._guests.get(guest.number) is not guest:
                # Somebody has ended it meanwhile, and knows.
                return
            await self._finish(guest, why)
        except (JitsuError, OSError) as error:
            log.error(
                "domain %d (%s) ended, and something of it is left: %s", guest.number, guest.domain.service, error
            )
        finally:
            self._ending.discard(guest.number)
        self._listener(DomainEvent(happening, guest.domain, why))

    # Adoption.

    async def _sweep(self) -> None:
        """Remove what our domains left in the store that ended while it was away, or no daemon ran."""
        homes = await self._identities(HOMES, identity_of)
        backends = await self._identities(BACKENDS, backend_identity_of)
        # In this order: a domain that is being built is there before its nodes are.
        uuids = {each.number: each.uuid for each in await self._builder.xen(everything)}
        for number, identity in (backends | homes).items():
            if identity.instance == self._instance and number not in uuids:
                await self._builder.end(number, identity.uuid)
        for number, identity in backends.items():
            if identity.instance == self._instance and uuids.get(number, identity.uuid) != identity.uuid:
                await self._builder.disconnect(number)

    async def _identities(self, place: str, node: Callable[[int], str]) -> dict[int, Identity]:
        """By Xen's number, what stands there of domains that a jitsu made."""
        numbers = [int(name) for name in await self._store.list(place) if name.isdecimal()]
        answers = await self._store.answers([request.read(node(number)) for number in numbers])
        read = {
            number: Identity.decode(answer.payload)
            for number, answer in zip(numbers, answers, strict=True)
            if answer.type == Type.READ
        }
        return {number: identity for number, identity in read.items() if identity is not None}

    async def _may_go_on(self, domain: Seen) -> bool:
        """Does it live, and was it finished?"""
        if domain.state is not State.ALIVE:
            return False
        return not domain.paused or await self._store.exists(resting_of(domain.number))

    def _guest(self, domain: Domain) -> _Guest:
        guest = self._guests.get(domain.domid)
        if guest is None:
            raise DomainError(
                f"domain {domain.domid} ({domain.service}): is not running here", hint="summon the service again"
            )
        return guest


def _look_at(guests: Sequence[_Guest], xen: Xen) -> list[Seen | None]:
    return [look(xen, guest.number, guest.uuid) for guest in guests]


def _end_of(now: Seen | None) -> tuple[Happening, str]:
    """How a domain that is over ended, and why."""
    good = now is not None and now.state is State.SHUT_DOWN
    why = now.why if now is not None and now.why else "destroyed, and not by jitsu"
    return Happening.EXITED if good else Happening.CRASHED, why


def _is_over(now: Seen | None) -> bool:
    return now is None or now.state is not State.ALIVE
