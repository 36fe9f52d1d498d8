"""DNS over TCP (RFC 7766): messages with a two-byte length, many per connection, answered in any order.

A connection takes no more questions than it can get rid of: while too many are under way, or the client does not
read its answers, its socket is not read, and TCP slows the client down. It never holds more than what one read of
its socket brings, the transport's write buffer, and `Limits.pipelined` answers.
"""

import asyncio
import time
from collections import Counter
from typing import cast

from jitsu.directory.enquiries import Enquiries, Limits

UNSENT = 65536
"""Octets of answers that may wait for a client to read them before its questions have to wait."""

_LENGTH = 2


class Guests:
    """The open connections, counted by client."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._open: set[Connection] = set()
        self._per_client: Counter[str] = Counter()
        self._closing = False

    def admit(self, connection: "Connection") -> bool:
        """Whether there is room for one more connection of this client; if so, it is counted until `dismiss`."""
        client = connection.client
        full = len(self._open) >= self.limits.connections or self._per_client[client] >= self.limits.per_client
        if full or self._closing:
            return False
        self._open.add(connection)
        self._per_client[client] += 1
        return True

    def dismiss(self, connection: "Connection") -> None:
        """Forget a connection that has ended; one that was not admitted is ignored."""
        if connection in self._open:
            self._open.remove(connection)
            self._per_client -= Counter([connection.client])

    def send_away(self) -> None:
        """End all connections, and admit none from now on: some may have been accepted and not yet been made."""
        self._closing = True
        for connection in list(self._open):
            connection.end()


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, enquiries: Enquiries, guests: Guests) -> None:
        self.client = ""
        self._enquiries = enquiries
        self._guests = guests
        self._limits = guests.limits
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._received = bytearray()
        self._arrived = 0.0
        self._under_way = 0
        self._taking = False
        self._client_reads = True
        self._client_ended = False
        self._last_active = self._loop.time()
        self._watch: asyncio.TimerHandle | None = None

    def end(self) -> None:
        """End the connection now; what the kernel has taken is still delivered."""
        self._transport.abort()

    # What asyncio tells us

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=UNSENT)
        peer = transport.get_extra_info("peername")
        self.client = peer[0] if peer else ""
        if self._guests.admit(self):
            self._watch = self._loop.call_later(self._limits.idle, self._end_if_idle)
        else:
            self.end()

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._arrived = time.monotonic()
        self._take_questions()

    def eof_received(self) -> bool:
        """A client that has said all it wants to may still listen: True keeps our side of the connection open."""
        self._client_ended = True
        self._take_questions()
        return True

    def pause_writing(self) -> None:
        self._client_reads = False

    def resume_writing(self) -> None:
        self._client_reads = True
        self._take_questions()

    def connection_lost(self, _error: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._guests.dismiss(self)

    # From question to answer

    def _take_questions(self) -> None:
        """Ask what has been received completely, as far as there is room, and read on only if there still is."""
        if self._taking:
            # An answer that was given at once has called us from the loop below, which goes on by itself.
            return
        self._taking = True
        while self._has_room() and (packet := self._next_message()) is not None:
            self._under_way += 1
            self._last_active = self._loop.time()
            if not self._enquiries.ask(packet, self.client, "tcp", self._arrived, self._send):
                # Who sends what is no question has lost the thread, or has no business here.
                self.end()
        self._taking = False
        if self._client_ended:
            if self._has_room() and not self._under_way:
                self._transport.close()
        elif self._has_room():
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _has_room(self) -> bool:
        return self._client_reads and self._under_way < self._limits.pipelined and not self._transport.is_closing()

    def _next_message(self) -> bytes | None:
        """Take the next complete message out of what has been received."""
        end = _LENGTH + int.from_bytes(self._received[:_LENGTH], "big")
        if len(self._received) < end:
            return None
        message = bytes(self._received[_LENGTH:end])
        del self._received[:end]
        return message

    def _send(self, packet: bytes) -> None:
        self._under_way -= 1
        self._last_active = self._loop.time()
        if not self._transport.is_closing():
            # Length and message in one write, so that they share a segment (RFC 7766 section 8).
            self._transport.write(len(packet).to_bytes(_LENGTH, "big") + packet)
            self._take_questions()

    def _end_if_idle(self) -> None:
        """End the connection if nothing has happened for too long; octets that make no question are nothing."""
        quiet = self._loop.time() - self._last_active
        if self._under_way:
            quiet = 0.0
        if quiet < self._limits.idle:
            self._watch = self._loop.call_later(self._limits.idle - quiet, self._end_if_idle)
        else:
            self.end()
