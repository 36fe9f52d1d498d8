"""The store's way to the domains of a Xen host: a page that each shares with us, and an event channel as the bell.

INTRODUCE makes us map the page and bind the channel; RELEASE, and the end of the domain, give both back. A connection
over a ring may end before: the page then says why, and the domain may ask for a new beginning. Source: Xen's
docs/misc/xenstore-ring.txt; VIRQ_DOM_EXC is heard as xenstored does (tools/xenstored/domain.c).

What a turn of the server's loop does to pages is kept back until it is saved: `record` says what there is to save, and
`settle`, behind the save, gives free what was taken and begins anew where that was asked for. So a successor finds in
the state file and in the pages where each connection stands (`ring_records.py`).
"""

import logging
import mmap
import os
import select
from collections.abc import Callable

from jitsu.errors import HostError
from jitsu.xenstore.domains import LAST_DOMID
from jitsu.xenstore.peer import Peer
from jitsu.xenstore.ring import (
    ERROR_COMMUNICATION,
    ERROR_INDEX,
    ERROR_PROTOCOL,
    RECONNECTION,
    BrokenRing,
    Ring,
)
from jitsu.xenstore.ring_records import RingRecord, RingRecords
from jitsu.xenstore.server import Connection, Server
from jitsu.xenstore.toolstack import FEATURES, Toolstack
from jitsu.xenstore.wire import StoreError
from jitsu.xenstore.xen_devices import VIRQ_DOM_EXC, Xen

log = logging.getLogger(__name__)


class RingTransport:
    """A ring as a stream. Its descriptor is a bell of our own, readable as long as there is anything to do of what the
    server waits for: the event channel only says that one is to look."""

    def __init__(self, ring: Ring, notify: Callable[[], None], took: Callable[[], None]) -> None:
        """`took` is called when something was taken, of which the other side is to be told by and by."""
        self._ring = ring
        self._notify = notify
        self._took = took
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._rung = False
        self._interest = 0

    def fileno(self) -> int:
        return self._bell

    def want(self, interest: int) -> int:
        self._interest = interest
        self.look()
        return select.EPOLLIN if interest else 0

    def ready(self, what: int) -> int:
        """Of what is wanted, what can be done now."""
        self.look()
        return self._due()

    def look(self) -> None:
        """The other side may have done something."""
        due = bool(self._due())
        if due != self._rung:
            self._rung = due
            if due:
                os.eventfd_write(self._bell, 1)
            else:
                os.eventfd_read(self._bell)

    def receive(self) -> bytes | None:
        if self._ring.wants_reset:
            return b""
        try:
            data = self._ring.take()
        except BrokenRing as error:
            return self._broken(error)
        if not data:
            return None
        self._took()
        return data

    def send(self, data: bytes) -> int | None:
        if self._ring.wants_reset:
            return None
        try:
            count = self._ring.put(data)
        except BrokenRing as error:
            self._broken(error)
            return None
        if count:
            self._notify()
        return count

    def refuse(self) -> None:
        self._ring.fail(ERROR_PROTOCOL)

    def close(self) -> None:
        os.close(self._bell)

    def _due(self) -> int:
        ring = self._ring
        can = 0
        if ring.wants_reset or ring.is_waiting():
            can |= select.EPOLLIN
        if ring.wants_reset or ring.has_room():
            can |= select.EPOLLOUT
        return can & self._interest

    def _broken(self, error: BrokenRing) -> bytes:
        log.warning("a ring is given up: %s", error.message)
        self._ring.fail(ERROR_INDEX)
        return b""


class _Link:
    """One domain's page and event channel, while the domain is introduced."""

    def __init__(self, domid: int, page: mmap.mmap, port: int) -> None:
        self.domid = domid
        self.page = page
        self.ring = Ring(page)
        self.port = port
        self.transport: RingTransport | None = None
        self.connection: Connection | None = None
        self.recorded: tuple[int, int] | None = None
        """Bytes taken, and put or still to be put, when that was noted last. As every request has its answer, nothing
        else has changed where these have not."""


class XenRings:
    """Connects a server to the domains of this machine, and tells its toolstack when they end."""

    def __init__(self, server: Server, xen: Xen, records: RingRecords | None = None) -> None:
        """With `records`, what is needed to go on after the end of this process is kept there."""
        self._server = server
        self._store = server.store
        self._hypervisor = xen.hypervisor
        self._events = xen.events
        self._pages = xen.pages
        self._records = records
        self._links: dict[int, _Link] = {}
        self._of_port: dict[int, _Link] = {}
        self._of_peer: dict[Peer, _Link] = {}
        self._active: dict[_Link, None] = {}
        """From which something was taken that was not given free."""
        self._owing: dict[_Link, None] = {}
        """For which something waits that may become more."""
        self._beginning: dict[_Link, None] = {}
        """Whose ring is to be empty."""

    def begin(self, toolstack: Toolstack) -> None:
        """Serve domain 0, and hear of the ends of others; go on with those that the records know. Raises
        `HostError`."""
        self._toolstack = toolstack
        page, port = self._pages.of_dom0()
        try:
            self._virq = self._events.bind_virq(VIRQ_DOM_EXC)
            link = self._add(0, page, self._events.bind(0, port))
        except OSError as error:
            raise HostError(
                f"domain 0 cannot be served: {error.strerror}", hint="stop the xenstored that serves it"
            ) from error
        left = self._records.left if self._records is not None else {}
        self._go_on_with_dom0(link, left.get(0))
        for domid, domain in self._store.domains:
            if not self._hypervisor.has_ended(domid):
                self._go_on_with(domid, domain.port, left.get(domid))
        self._set_watches_again()
        self._survey()
        self._server.when_readable(self._events.fileno(), self._hear)

    def introduce(self, domid: int, port: int) -> None:
        """Serve a domain from a new beginning. Raises `HostError`."""
        self.release(domid)
        try:
            link = self._connect(domid, port)
        except OSError as error:
            raise HostError(
                f"domain {domid} cannot be served: {error.strerror}",
                hint=f"entry 1 of its grant table, and its event channel {port}, have to be for domain 0",
            ) from error
        self._beginning[link] = None

    def release(self, domid: int) -> None:
        """Let go of a domain, if it is one of ours."""
        link = self._links.pop(domid, None)
        if self._records is not None:
            self._records.drop(domid)
        if link is None:
            return
        for links in (self._active, self._owing, self._beginning):
            links.pop(link, None)
        del self._of_port[link.port]
        if link.connection is not None:
            self._server.close(link.connection)
        self._events.unbind(link.port)
        link.ring.release()
        self._pages.release(link.page)

    # Around the save

    def record(self) -> None:
        """Say for all connections with which anything has happened where they stand."""
        records = self._records
        if records is None:
            return
        for link in self._beginning:
            records.keep(link.domid, RingRecord(), {})
        links = self._owing | self._active
        for peer in self._store.unsent:
            if (found := self._of_peer.get(peer)) is not None:
                links[found] = None
        self._owing = {}
        for link in links:
            if link.connection is not None:
                self._record(link, link.connection, records)

    def _record(self, link: _Link, connection: Connection, records: RingRecords) -> None:
        ring, peer = link.ring, connection.peer
        if peer.backlog:
            self._owing[link] = None
        stand = ring.taken, ring.made + peer.backlog & 0xFFFFFFFF
        if stand == link.recorded:
            return
        link.recorded = stand
        unread = b"".join(message.encode() for message in connection.requests) + connection.parser.rest
        numbers = tuple(peer.transactions)
        record = RingRecord(ring.taken, unread, ring.made, peer.owed(), peer.last_transaction, numbers)
        records.keep(link.domid, record, peer.watches)

    def settle(self) -> None:
        """All that was recorded is safe: pages may say so."""
        for link in self._active:
            if link.ring.settle():
                self._notify(link)
            # Linux tells of what it asks only where all that it had asked before was taken, as far as it can see. So
            # what it asked until now is looked for behind a call of the kernel, by which no access to memory passes.
            if link.transport is not None:
                link.transport.look()
        self._active.clear()
        beginning, self._beginning = self._beginning, {}
        for link in beginning:
            link.ring.offer(self._store.domains.features.get(link.domid, FEATURES | RECONNECTION))
            link.ring.reset()
            self._serve(link)
            self._notify(link)

    # A successor's beginning

    def _go_on_with_dom0(self, link: _Link, left: RingRecord | None) -> None:
        """Raises `HostError` where its kernel has set watches that are not known."""
        try:
            self._resume(link, left or RingRecord())
        except BrokenRing as error:
            raise HostError(
                "another XenStore has served this machine's kernel, whose watches are not known: without them no device"
                " of a domain is ever attached",
                hint="start again with the --state FILE of the one that served last, or from a fresh boot",
            ) from error

    def _go_on_with(self, domid: int, port: int, left: RingRecord | None) -> None:
        try:
            link = self._connect(domid, port)
        except OSError as error:
            log.warning("domain %d is known, and cannot be served: %s", domid, error.strerror)
            return
        if link.ring.wants_reset:
            self._beginning[link] = None
        elif left is None:
            link.ring.fail(ERROR_COMMUNICATION)
        else:
            try:
                self._resume(link, left)
            except BrokenRing as error:
                log.warning("domain %d begins anew: %s", domid, error.message)
                self._beginning[link] = None

    def _resume(self, link: _Link, left: RingRecord) -> None:
        """Raises `BrokenRing` if the page does not stand where it was left."""
        put = link.ring.go_on(left.taken, left.made, len(left.unsent))
        connection = self._serve(link)
        self._store.resume(connection.peer, left.last_transaction, left.transactions)
        self._server.resume(connection, left.unread, left.unsent[put:])
        self._active[link] = None
        self._notify(link)

    def _set_watches_again(self) -> None:
        if self._records is None:
            return
        for number, domid, payload in self._records.watches:
            link = self._links.get(domid)
            if link is None or link.connection is None:
                continue
            try:
                watch = self._store.resume_watch(link.connection.peer, payload)
            except StoreError as error:  # a quota was set meanwhile
                log.warning("a watch of domain %d is lost: %s", domid, error.message)
            else:
                self._records.resumed(domid, number, watch)

    # Links

    def _connect(self, domid: int, port: int) -> _Link:
        """Raises `OSError`."""
        page = self._pages.of_guest(domid)
        try:
            return self._add(domid, page, self._events.bind(domid, port))
        except OSError:
            self._pages.release(page)
            raise

    def _add(self, domid: int, page: mmap.mmap, port: int) -> _Link:
        link = self._links[domid] = self._of_port[port] = _Link(domid, page, port)
        return link

    def _serve(self, link: _Link) -> Connection:
        link.transport = RingTransport(link.ring, lambda: self._notify(link), lambda: self._took(link))
        link.connection = self._server.connect(link.transport, link.domid, lambda: self._ended(link))
        link.recorded = None
        self._of_peer[link.connection.peer] = link
        return link.connection

    def _took(self, link: _Link) -> None:
        self._active[link] = None

    def _notify(self, link: _Link) -> None:
        self._events.notify(link.port)

    def _ended(self, link: _Link) -> None:
        if link.connection is not None:
            del self._of_peer[link.connection.peer]
        link.transport = link.connection = None
        if self._links.get(link.domid) is not link or self._server.is_stopping:
            return
        if link.ring.wants_reset:
            self._beginning[link] = None
            self._server.call_later(0, _nothing)  # this turn may have been saved already: another is to come
            return
        if self._records is not None:
            self._records.drop(link.domid)
        link.ring.fail(ERROR_COMMUNICATION)
        self._notify(link)

    def _hear(self) -> None:
        for port in self._events.pending():
            if port == self._virq:
                self._survey()
            elif (link := self._of_port.get(port)) is None:
                continue  # it was for one that has gone since
            elif link.transport is not None:
                link.transport.look()
            elif link.ring.wants_reset:
                self._beginning[link] = None

    def _survey(self) -> None:
        """Some domain has ended: which?"""
        for domid, domain in list(self._store.domains):
            if self._hypervisor.has_ended(domid):
                self._toolstack.bury(domid)
            elif not domain.resting and self._hypervisor.has_shut_down(domid):
                self._toolstack.rest(domid)
        # Those of whom nodes tell and who never came so far as to be introduced: their numbers are given out again.
        for domid in list(self._store.tree.mentioned):
            if 0 < domid <= LAST_DOMID and not self._hypervisor.exists(domid):
                self._store.clear_away(domid)


def _nothing() -> None:
    """Is called for the turn that it makes."""
