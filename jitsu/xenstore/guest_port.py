"""The store's way to the guests of a KVM host: sockets `DIR/DOMID.sock` on which their monitors listen.

A monitor carries such a socket's stream to the guest's virtio-serial port `org.jitsu.xenstore`, and takes one client at
a time. Who speaks there follows from the socket's name, never from a message: nobody but us may enter the folder.

INTRODUCE makes us connect; until RELEASE we connect again whenever the connection is lost. A connection begins with
nothing: the one before took its transactions, its watches and what was half said along. The guest sees its port closed
and opened, and begins anew (`images/README.md`, The XenStore).
"""

import logging
import socket
import time
from collections.abc import Callable
from pathlib import Path

from jitsu.xenstore.server import Connection, Server
from jitsu.xenstore.transport import SocketTransport, is_ours

SHORTEST_PAUSE = 0.01
LONGEST_PAUSE = 1.0
"""Seconds before the next try to connect. The pause doubles with every try, until a connection has lasted for longer
than the longest."""

log = logging.getLogger(__name__)


class _Port:
    """One domain's port while the domain is introduced."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.pause = SHORTEST_PAUSE
        self.since = 0.0
        self.connection: Connection | None = None
        self.told = False


class GuestPorts:
    """Keeps a server connected to the ports of the domains that are introduced."""

    def __init__(self, folder: Path, server: Server, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._server = server
        self._clock = clock
        self._ports: dict[int, _Port] = {}

    def introduce(self, domid: int) -> None:
        """Connect to a domain's port, now and whenever the connection is lost. A connection that there is already is
        given up for a new one, for the guest cannot know otherwise that we forgot its watches."""
        self.release(domid)
        self._ports[domid] = port = _Port(f"{self._folder}/{domid}.sock")
        self._try(domid, port)

    def release(self, domid: int) -> None:
        """Let go of a domain, if it is one of ours."""
        port = self._ports.pop(domid, None)
        if port is not None and port.connection is not None:
            self._server.close(port.connection)

    def _try(self, domid: int, port: _Port) -> None:
        if self._ports.get(domid) is not port:
            return
        try:
            transport = _connect(port.path)
        except OSError as error:
            if not port.told:
                log.info("domain %d: nobody listens on %s: %s", domid, port.path, error.strerror or error)
            port.told = True
            self._later(domid, port)
            return
        port.told = False
        port.since = self._clock()
        port.connection = self._server.connect(transport, domid, lambda: self._lost(domid, port))

    def _lost(self, domid: int, port: _Port) -> None:
        port.connection = None
        if self._clock() - port.since > LONGEST_PAUSE:
            port.pause = SHORTEST_PAUSE
        self._later(domid, port)

    def _later(self, domid: int, port: _Port) -> None:
        self._server.call_later(port.pause, lambda: self._try(domid, port))
        port.pause = min(2 * port.pause, LONGEST_PAUSE)


def _connect(path: str) -> SocketTransport:
    """A connection to a listening socket, made at once or not at all. Raises `OSError`."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        connection.connect(path)
        if not is_ours(connection):
            raise PermissionError(0, "it is another user's")
    except OSError:
        connection.close()
        raise
    return SocketTransport(connection)
