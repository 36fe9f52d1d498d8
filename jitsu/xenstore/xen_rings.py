"""The store's way to the domains of a Xen host: a page that each shares with us, and an event channel as the bell.

INTRODUCE makes us map the page and bind the channel; RELEASE, and the end of the domain, give both back. A connection
over a ring may end before: the page then says why, and the domain may ask for a new beginning. Source: Xen's
docs/misc/xenstore-ring.txt; VIRQ_DOM_EXC is heard as xenstored does (tools/xenstored/domain.c).
"""

import logging
import mmap
import os
import select
from collections.abc import Callable

from jitsu.errors import HostError
from jitsu.xenstore.domains import LAST_DOMID
from jitsu.xenstore.ring import (
    ERROR_COMMUNICATION,
    ERROR_INDEX,
    ERROR_PROTOCOL,
    RECONNECTION,
    BrokenRing,
    Ring,
)
from jitsu.xenstore.server import Connection, Server
from jitsu.xenstore.toolstack import FEATURES, Toolstack
from jitsu.xenstore.xen_devices import VIRQ_DOM_EXC, Xen

log = logging.getLogger(__name__)


class RingTransport:
    """A ring as a stream. Its descriptor is a bell of our own, readable as long as there is anything to do of what the
    server waits for: the event channel only says that one is to look."""

    def __init__(self, ring: Ring, notify: Callable[[], None]) -> None:
        self._ring = ring
        self._notify = notify
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
        self._notify()
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


class XenRings:
    """Connects a server to the domains of this machine, and tells its toolstack when they end."""

    def __init__(self, server: Server, xen: Xen) -> None:
        self._server = server
        self._store = server.store
        self._hypervisor = xen.hypervisor
        self._events = xen.events
        self._pages = xen.pages
        self._links: dict[int, _Link] = {}
        self._of_port: dict[int, _Link] = {}

    def begin(self, toolstack: Toolstack) -> None:
        """Serve domain 0, and hear of the ends of others. Its kernel may have asked already. Raises `HostError`."""
        self._toolstack = toolstack
        page, port = self._pages.of_dom0()
        try:
            self._virq = self._events.bind_virq(VIRQ_DOM_EXC)
            self._add(0, page, self._events.bind(0, port))
        except OSError as error:
            raise HostError(
                f"domain 0 cannot be served: {error.strerror}", hint="stop the xenstored that serves it"
            ) from error
        self._server.when_readable(self._events.fileno(), self._hear)
        self._notify(self._links[0])

    def introduce(self, domid: int, port: int) -> None:
        """Serve a domain from a new beginning. Raises `HostError`."""
        self.release(domid)
        try:
            page = self._pages.of_guest(domid)
        except OSError as error:
            raise HostError(
                f"the page of domain {domid} cannot be mapped: {error.strerror}",
                hint="entry 1 of its grant table is to be set by who builds it",
            ) from error
        try:
            ours = self._events.bind(domid, port)
        except OSError as error:
            self._pages.release(page)
            raise HostError(
                f"event channel {port} of domain {domid} cannot be bound: {error.strerror}",
                hint="it has to be open for domain 0",
            ) from error
        ring = Ring(page)
        ring.offer(self._store.domains.features.get(domid, FEATURES | RECONNECTION))
        ring.reset()
        ring.release()
        self._notify(self._add(domid, page, ours))

    def release(self, domid: int) -> None:
        """Let go of a domain, if it is one of ours."""
        link = self._links.pop(domid, None)
        if link is None:
            return
        del self._of_port[link.port]
        if link.connection is not None:
            self._server.close(link.connection)
        self._events.unbind(link.port)
        link.ring.release()
        self._pages.release(link.page)

    def _add(self, domid: int, page: mmap.mmap, port: int) -> _Link:
        link = self._links[domid] = self._of_port[port] = _Link(domid, page, port)
        self._serve(link)
        return link

    def _serve(self, link: _Link) -> None:
        link.transport = RingTransport(link.ring, lambda: self._notify(link))
        link.connection = self._server.connect(link.transport, link.domid, lambda: self._ended(link))

    def _notify(self, link: _Link) -> None:
        self._events.notify(link.port)

    def _ended(self, link: _Link) -> None:
        link.transport = link.connection = None
        if self._links.get(link.domid) is not link or self._server.is_stopping:
            return
        if link.ring.wants_reset:
            self._renew(link)
        else:
            link.ring.fail(ERROR_COMMUNICATION)
            self._notify(link)

    def _renew(self, link: _Link) -> None:
        link.ring.reset()
        self._serve(link)
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
                self._renew(link)

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
