"""Streams on which clients talk to the store: unix sockets here, and whatever else has the same few methods.

A ring of a Xen guest is another such stream (`xen_rings.py`): `receive` and `send` copy from and to the shared page.
"""

import os
import socket
import stat
import struct
from pathlib import Path
from typing import Protocol

from jitsu.errors import HostError, ResourceBusy

MOST_AT_ONCE = 16 * 1024
"""Bytes read for one wake-up."""

_CREDENTIALS = struct.Struct("3i")


class Transport(Protocol):
    """A stream of bytes, none of whose methods blocks."""

    def fileno(self) -> int:
        """A descriptor that epoll can wait for."""

    def want(self, interest: int) -> int:
        """What epoll is to wait for when we want to receive (EPOLLIN), to send (EPOLLOUT), both or none."""

    def ready(self, what: int) -> int:
        """What can be done when epoll says `what`."""

    def receive(self) -> bytes | None:
        """What has come; empty at the end of the stream, None when there is nothing just now."""

    def send(self, data: bytes) -> int | None:
        """How many bytes were taken; None when the stream has ended."""

    def refuse(self) -> None:
        """Tell the other side, if there is a way, that it does not speak XenStore."""

    def close(self) -> None: ...


class SocketTransport:
    """A connected stream socket."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket = connection

    def fileno(self) -> int:
        return self._socket.fileno()

    def want(self, interest: int) -> int:
        return interest

    def ready(self, what: int) -> int:
        return what

    def receive(self) -> bytes | None:
        try:
            return self._socket.recv(MOST_AT_ONCE)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def send(self, data: bytes) -> int | None:
        try:
            return self._socket.send(data, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return 0
        except OSError:
            return None

    def refuse(self) -> None:
        """Its stream ends; that has to do."""

    def close(self) -> None:
        self._socket.close()


class Listener:
    """A listening unix socket with mode 0600, for one domain."""

    def __init__(self, path: Path, domid: int) -> None:
        """Replaces what a dead daemon left. Raises `ResourceBusy` if one lives there, `HostError`."""
        self.path = path
        self.domid = domid
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _make_room(path)
            before = os.umask(0o177)
            try:
                self._socket.bind(str(path))
            finally:
                os.umask(before)
            self._socket.listen(128)
        except OSError as error:
            self._socket.close()
            raise HostError(
                f"socket {path} cannot be made: {error.strerror or error}",
                hint="the folder must be there and ours to write to; a path has at most 107 bytes",
            ) from error
        except ResourceBusy:
            self._socket.close()
            raise
        self._socket.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def accept(self) -> SocketTransport | None:
        """The next connection, if it is of root or of our own user; None if there is none that may stay."""
        try:
            connection, _ = self._socket.accept()
        except OSError:
            return None
        if not is_ours(connection):
            connection.close()
            return None
        return SocketTransport(connection)

    def close(self) -> None:
        """Stop listening, and remove the socket from the file system."""
        self._socket.close()
        self.path.unlink(missing_ok=True)


def is_ours(connection: socket.socket) -> bool:
    """Is the other end root's or our own user's: of the one who connected, or who made the listening socket?"""
    _, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return uid in (0, os.geteuid())


def _make_room(path: Path) -> None:
    """Remove a socket nobody listens on. Raises `ResourceBusy`, `OSError`."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ResourceBusy(f"{path} is there and is no socket", hint="choose another path, or remove it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise ResourceBusy(f"another daemon listens on {path}", hint="stop it, or choose another --socket")
