"""`jitsu xenstored`: a store, its sockets and signals, put together."""

import logging
import resource
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jitsu.errors import ConfigError, HostError
from jitsu.xenstore.control import Control
from jitsu.xenstore.domains import Domains
from jitsu.xenstore.guest_port import GuestPorts
from jitsu.xenstore.journal import Journal
from jitsu.xenstore.ring_records import RingRecords
from jitsu.xenstore.server import MOST_CONNECTIONS, Server
from jitsu.xenstore.store import Store
from jitsu.xenstore.toolstack import Toolstack
from jitsu.xenstore.transport import Listener

if TYPE_CHECKING:
    from jitsu.xenstore.xen_devices import Xen
    from jitsu.xenstore.xen_rings import XenRings

FIRST_SOCKETS = 1024
"""With `--domain-sockets`, so many domids have their sockets from the beginning; others when they are introduced."""

log = logging.getLogger(__name__)


class Daemon:
    """One xenstored: domain 0's socket and, in a folder, sockets for other domains. In the folder `guest_ports` are
    sockets on which guests listen. With `state`, what is answered is in that file. With `xen`, the domains of this
    machine are served over their rings, domain 0's kernel among them."""

    def __init__(
        self,
        path: Path,
        *,
        domains: Domains,
        folder: Path | None = None,
        guest_ports: Path | None = None,
        state: Path | None = None,
        sync: str = "normal",
        xen: "Xen | None" = None,
    ) -> None:
        """Listens when this returns. Raises `HostError`, `ResourceBusy`, `ConfigError`."""
        self.store = Store(domains)
        records = RingRecords(xen.boot) if xen is not None and state is not None else None
        self._journal = Journal(state, self.store, sync=sync, rings=records) if state is not None else None
        for domid, _ in domains:
            if xen is None and not domains.exists(domid):
                raise ConfigError(
                    f"{state} has domain {domid}, which does not exist: --domains is {domains.first}-{domains.last}",
                    hint="give it a range in which all are that were introduced",
                )
        descriptors = _allow_descriptors(MOST_CONNECTIONS + 2 * FIRST_SOCKETS)
        self.server = Server(self.store, saved=self._saver(xen), descriptors=descriptors)
        self._folder = folder or Path()
        self._sockets = folder is not None
        self._open_sockets: set[int] = set()
        self._ports = GuestPorts(guest_ports, self.server) if guest_ports is not None else None
        self._rings = _rings(self.server, xen, records) if xen is not None else None
        toolstack = Toolstack(self.store, introduced=self._introduced, released=self._released)
        Control(self.store)
        if folder is not None:
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise HostError(f"folder {folder} cannot be made: {error.strerror}", hint="choose another") from error
            for domid in range(max(1, domains.first), min(domains.last + 1, domains.first + FIRST_SOCKETS)):
                self._open(domid)
        if self._rings is not None:
            self._rings.begin(toolstack)
        else:
            for domid, _ in domains:
                self._introduced(domid)
        self.server.listen(Listener(path, 0))

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises `HostError` when the state cannot be saved."""
        awake, waker = socket.socketpair()
        for end in (awake, waker):
            end.setblocking(False)
        before = signal.set_wakeup_fd(waker.fileno())
        previous = {
            number: signal.signal(number, lambda *_: self.server.stop()) for number in (signal.SIGTERM, signal.SIGINT)
        }
        self.server.when_readable(awake.fileno(), lambda: suppressed_read(awake))
        try:
            self.server.run()
        finally:
            signal.set_wakeup_fd(before)
            for number, handler in previous.items():
                signal.signal(number, handler)
            awake.close()
            waker.close()
            if self._journal is not None:
                self._journal.close()

    def _saver(self, xen: "Xen | None") -> Callable[[], None]:
        """What the server is to call before it tells anybody of a change."""
        save = self._journal.save if self._journal is not None else lambda: None
        return save if xen is None else partial(self._save_rings, save)

    def _save_rings(self, save: Callable[[], None]) -> None:
        if self._rings is not None:
            self._rings.record()
            save()
            self._rings.settle()

    def _introduced(self, domid: int) -> None:
        self.server.reset(domid)
        if self._ports is not None:
            self._ports.introduce(domid)
        if self._rings is not None:
            self._rings.introduce(domid, self.store.domains.get(domid).port)
        if self._sockets and domid not in self._open_sockets:
            self._open(domid)

    def _released(self, domid: int) -> None:
        if self._ports is not None:
            self._ports.release(domid)
        if self._rings is not None:
            self._rings.release(domid)
        self.server.disconnect(domid)
        if domid - self.store.domains.first >= FIRST_SOCKETS:
            self.server.deafen(domid)
            self._open_sockets.discard(domid)

    def _open(self, domid: int) -> None:
        self.server.listen(Listener(self._socket_of(domid), domid))
        self._open_sockets.add(domid)

    def _socket_of(self, domid: int) -> Path:
        return self._folder / f"{domid}.sock"


def _rings(server: Server, xen: "Xen", records: RingRecords | None) -> "XenRings":
    """Only who is on Xen imports what there is to it."""
    from jitsu.xenstore.xen_rings import XenRings

    return XenRings(server, xen, records)


def suppressed_read(end: socket.socket) -> None:
    """Take what woke the loop."""
    with suppress(BlockingIOError):
        end.recv(4096)


def _allow_descriptors(wanted: int) -> int:
    """Raise our own limit of open files as far as it may be: how many may be open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < wanted:
        soft = min(wanted, hard) if hard >= 0 else wanted
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft if soft >= 0 else wanted
