"""A connection to a server, and a reader of what it says (RFC 9112). Nothing is forgiven: a byte that belongs to no
response, a line that ends otherwise than it must, a length that is not true, is a Violation."""

import contextlib
import re
import select
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from tests.cache.fields import Violation, check_fields

Address = tuple[str, int]

PATIENCE = 30.0
"""Seconds after which a server that says nothing is hung."""

_STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) [\t\x20-\x7e\x80-\xff]*")
_FIELD = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*"
    rb"([\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?|)[ \t]*"
)
_BARE = re.compile(rb"(?<!\r)\n")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e]*)?")
_LONGEST_HEAD = 16384


@dataclass(frozen=True, slots=True)
class Response:
    """A response: `fields` by their names in lower case. `raw` are its bytes as they came."""

    status: int
    fields: Mapping[str, str]
    body: bytes
    raw: bytes = b""

    @property
    def is_last(self) -> bool:
        """Does it say that the connection ends?"""
        return "close" in self.fields.get("connection", "").lower()


class Wire:
    """One connection."""

    def __init__(self, address: Address, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        # What is sent in two pieces is to arrive in two.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(PATIENCE)
        try:
            self.socket.connect(address)
        except OSError as error:
            self.socket.close()
            raise Violation(f"no connection: {error.strerror}") from None
        self._buffer = bytearray()
        self._taken = bytearray()
        self._is_over = False
        self._was_last = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send it all, or as much as the server takes: one that has refused and gone needs no more."""
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            self.socket.sendall(data)

    def half_close(self) -> None:
        """Say that no more will be sent."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break the connection off: the server gets an RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def has_something(self, seconds: float) -> bool:
        """Is there a byte, or the end, before so many seconds are over?"""
        return bool(self._buffer) or self._is_over or bool(select.select([self.socket], [], [], seconds)[0])

    def wait_for_hang_up(self, seconds: float) -> None:
        """Wait until the server has hung up, or so many seconds, without reading."""
        poll = select.poll()
        poll.register(self.socket, select.POLLRDHUP)
        poll.poll(seconds * 1000)

    def response(self, method: str = "GET") -> Response:
        """The next final response, to a request with that method. Raises Violation."""
        self._taken.clear()
        if self._was_last:
            raise Violation("a response was said to be the last one, and there is more")
        while (response := self._one(method)).status < 200:
            if response.fields.keys() & {"content-length", "transfer-encoding"}:
                raise Violation(f"{response.status} says that it has a body")
        self._was_last = response.is_last
        return response

    def rest(self) -> bytes:
        """All that comes until the server has closed its side, or broken the connection off."""
        while self._more():
            pass
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def expect_end(self) -> None:
        """Raises Violation if anything comes before the end."""
        if rest := self.rest():
            raise Violation(f"{len(rest)} bytes belong to no response: {rest[:80]!r}")

    def head(self) -> Response:
        """The head of a response, with its body left where it is."""
        lines = self._head().split(b"\r\n")
        matched = _STATUS.fullmatch(lines[0])
        if matched is None:
            raise Violation(f"a response begins with {lines[0]!r}")
        fields = []
        for line in lines[1:]:
            field = _FIELD.fullmatch(line)
            if field is None:
                raise Violation(f"{line!r} is no header field")
            fields.append((field[1].decode().lower(), field[2].decode("latin-1")))
        status = int(matched[1])
        return Response(status, check_fields(status, fields), b"")

    def _one(self, method: str) -> Response:
        head = self.head()
        body = self._body(head, method)
        return Response(head.status, head.fields, body, bytes(self._taken))

    def _body(self, head: Response, method: str) -> bytes:
        fields, status = head.fields, head.status
        coded, length = "transfer-encoding" in fields, fields.get("content-length")
        if coded and length is not None:
            raise Violation("Content-Length and Transfer-Encoding are both there")
        if status == 204 and (coded or length is not None):
            raise Violation("204 says that it has a body")
        if method == "HEAD" or status in (204, 304) or status < 200:
            return b""
        if coded:
            return self._chunks()
        if length is not None:
            return self.take(int(length), "the body")
        if not head.is_last:
            raise Violation("nothing tells where the body ends")
        return self.rest()

    def _chunks(self) -> bytes:
        body = bytearray()
        while True:
            line = _CHUNK.fullmatch(self._line())
            if line is None:
                raise Violation("the body has a line that begins no chunk")
            size = int(line[1], 16)
            if not size:
                break
            body += self.take(size, "a chunk")
            if self.take(2, "a chunk") != b"\r\n":
                raise Violation("a chunk does not end where it must")
        while self._line():
            pass
        return bytes(body)

    def _head(self) -> bytes:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _LONGEST_HEAD:
                raise Violation(f"{bytes(self._buffer[:80])!r} begins no response")
            if _BARE.search(self._buffer):
                raise Violation(f"a line ends with LF alone: {bytes(self._buffer[:80])!r}")
            if not self._more():
                what = f"after {bytes(self._buffer[:80])!r}" if self._buffer else "without a response"
                raise Violation(f"the connection ended {what}")
        return self.take(end + 4, "the head")[:-4]

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if not self._more():
                raise Violation("the connection ended within a line")
        return self.take(end + 2, "a line")[:-2]

    def take(self, size: int, what: str) -> bytes:
        """So many bytes, which are what is named. Raises Violation if they do not come."""
        while len(self._buffer) < size:
            if not self._more():
                raise Violation(f"the connection ended {size - len(self._buffer)} bytes before {what} did")
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._taken += data
        return data

    def _more(self) -> bool:
        """Wait for bytes; False if there will be none."""
        if self._is_over:
            return False
        try:
            data = self.socket.recv(1 << 18)
        except TimeoutError:
            raise Violation(f"nothing came for {PATIENCE:.0f} seconds") from None
        except ConnectionResetError:
            data = b""
        self._buffer += data
        self._is_over = not data
        return bool(data)

    def has_ended(self) -> bool:
        """Has the server closed its side, or does it before it sends a byte?"""
        return not self._buffer and not self._more()

    def starts_with(self, content: bytes) -> bool:
        """Are these the next bytes?"""
        while len(self._buffer) < len(content) and self._more():
            pass
        return self._buffer.startswith(content)

    def expect_exactly(self, content: bytes) -> None:
        """Raises Violation if anything but these bytes comes before the end."""
        if (rest := self.rest()) != content:
            raise Violation(f"{rest[:80]!r} instead of {content[:80]!r}")
