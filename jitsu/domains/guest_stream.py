"""What a guest says on its ready port, taken in at a pace at which no guest can starve the event loop."""

import asyncio
import socket
from collections.abc import Callable

MOST_AT_ONCE = 4096
"""Bytes read for one wake-up."""

SHORTEST_REST = 0.01
LONGEST_REST = 0.16
"""Seconds for which a stream is left alone after a wake-up. The rest doubles while the guest fills every read, so
that a flood costs six short wake-ups a second; QEMU drops what does not fit into the socket meanwhile."""

MOST_DRAINED = 256 * 1024
"""Bytes that are still read of a stream whose guest has ended."""


class GuestStream:
    """Reads a connected socket in the running event loop and hands every piece to `feed`."""

    def __init__(self, connection: socket.socket, feed: Callable[[bytes], None]) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._feed = feed
        self._loop = asyncio.get_running_loop()
        self._rest = SHORTEST_REST
        self._timer: asyncio.TimerHandle | None = None
        self._loop.add_reader(connection, self._readable)

    def drain(self) -> None:
        """Read what is left, up to `MOST_DRAINED` bytes, and close."""
        self._pause()
        left = MOST_DRAINED
        while left > 0 and (data := self._receive()):
            left -= len(data)
            self._feed(data)
        self._socket.close()

    def close(self) -> None:
        """Stop reading and close the socket; may be called twice."""
        self._pause()
        self._socket.close()

    def _readable(self) -> None:
        data = self._receive()
        if data is None:
            return
        if not data:
            self.close()
            return
        self._loop.remove_reader(self._socket)
        self._rest = min(self._rest * 2, LONGEST_REST) if len(data) == MOST_AT_ONCE else SHORTEST_REST
        self._timer = self._loop.call_later(self._rest, self._resume)
        self._feed(data)

    def _resume(self) -> None:
        self._timer = None
        self._loop.add_reader(self._socket, self._readable)

    def _pause(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)

    def _receive(self) -> bytes | None:
        """A piece of the stream; empty at its end, None when there is nothing just now."""
        try:
            return self._socket.recv(MOST_AT_ONCE)
        except BlockingIOError:
            return None
        except OSError:
            return b""
