"""The host's end of a guest's port `org.jitsu.ready`: the guest says that it listens, the host says that it woke.

    guest   ready NAME MICROSECONDS            once it serves, and to every new listener
    host    wake SEED CLOCK                    after a rest, a restore, an adoption
    guest   ready NAME MICROSECONDS CLOCK      its secrets are new and its clock is right
    host    stop                               it shall shut down

A guest that answers a wake repeats the wake's clock: a `ready` that was said before, or by the guest that this one is
a copy of, is not taken for the answer.
"""

import socket
from collections.abc import Callable
from contextlib import suppress

from jitsu.domains.guest_stream import GuestStream
from jitsu.domains.guest_text import printable
from jitsu.domains.readiness import LONGEST_WORD, Wake
from jitsu.errors import DomainError


class ReadyPort:
    """Implements `Readiness`. Reads a connected socket in the running event loop.

    `booted` says that the guest has been ready before this connection was made: then it must be woken first.
    """

    def __init__(self, connection: socket.socket, ready: Callable[[str], None], *, booted: bool = False) -> None:
        self._socket = connection
        self._ready = ready
        self._stream = GuestStream(connection, self._hear)
        self._partial = b""
        self._said = booted
        self._clock = b""
        self._strict = False

    @property
    def said(self) -> bool:
        return self._said

    def wake(self, *, strict: bool = True) -> None:
        wake = Wake.now()
        self._said, self._strict, self._clock = False, strict, wake.clock
        line = b"wake " + wake.words + b"\n"
        try:
            sent = self._socket.send(line)
        except OSError as error:
            raise DomainError(f"the guest cannot be told that it wakes: {error.strerror or error}") from None
        if sent < len(line):
            raise DomainError("the guest cannot be told that it wakes: it does not listen")

    def stop(self) -> None:
        with suppress(OSError):
            self._socket.send(b"stop\n")

    def drain(self) -> None:
        self._stream.drain()

    def _hear(self, data: bytes) -> None:
        if self._said:
            return
        *lines, self._partial = (self._partial + data).split(b"\n")
        # A line that does not end is no ready line: what is kept of it cannot match.
        self._partial = self._partial[:LONGEST_WORD]
        for line in lines:
            if len(line) < LONGEST_WORD and self._means_ready(line.rstrip(b"\r").split(b" ")):
                self._said = True
                self._ready(printable(line))
                return

    def _means_ready(self, words: list[bytes]) -> bool:
        return words[0] == b"ready" and (not self._strict or words[3:4] == [self._clock])
