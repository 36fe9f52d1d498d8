"""A server that does one thing wrong: a proxy in front of a right one."""

import contextlib
import re
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from tests.cache.fields import Violation
from tests.cache.wire import Address, Response, Wire


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered without asking the right server; the connection ends then. Nothing is an RST."""

    data: bytes = b""


def as_it_is(head: bytes) -> bytes | Reply:
    """The request is sent on as it came."""
    return head


def as_it_came(head: bytes, response: Response) -> bytes:
    """The response is sent on as it came."""
    return response.raw


@dataclass(frozen=True, slots=True)
class Wrong:
    """`ask` gets a request's head, to its empty line, and says what the right server is asked; `answer` gets that head
    and what the right server answered, and says what is sent. `most` is how many connections are taken; the next one
    is reset."""

    ask: Callable[[bytes], bytes | Reply] = as_it_is
    answer: Callable[[bytes, Response], bytes] = as_it_came
    most: int | None = None


@contextlib.contextmanager
def wrong_server(wrong: Wrong, right: Address) -> Iterator[Address]:
    """Runs for as long as the block lasts; gives its address."""
    connections = _Count()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with connections as count, contextlib.suppress(OSError, Violation):
                if wrong.most is not None and count > wrong.most:
                    _reset(self.request)
                else:
                    _converse(self.request, wrong, right)

    class Listener(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        block_on_close = False

    with Listener(("127.0.0.1", 0), Handler) as listener:
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield listener.server_address[:2]  # type: ignore[misc]
        finally:
            listener.shutdown()
            thread.join()


class _Count:
    """How many are in the block."""

    def __init__(self) -> None:
        self._lock, self._count = threading.Lock(), 0

    def __enter__(self) -> int:
        with self._lock:
            self._count += 1
            return self._count

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._count -= 1


def _converse(client: socket.socket, wrong: Wrong, right: Address) -> None:
    with client.makefile("rb") as incoming, Wire(right) as wire:
        while head := _through(incoming, b"\r\n\r\n"):
            asked = wrong.ask(head)
            if isinstance(asked, Reply):
                client.sendall(asked.data)
                if not asked.data:
                    _reset(client)
                return
            wire.send(asked + _body(asked, incoming))
            response = wire.response("HEAD" if asked.startswith(b"HEAD ") else "GET")
            client.sendall(wrong.answer(head, response))
            if response.is_last:
                return


def _body(head: bytes, incoming: BinaryIO) -> bytes:
    """The body that belongs to a head, if the head says that it has one."""
    if b"transfer-encoding:" in head.lower():
        return _through(incoming, b"0\r\n\r\n")
    length = re.search(rb"(?mi)^content-length: *([0-9]+)\r", head)
    return incoming.read(int(length[1])) if length else b""


def _through(incoming: BinaryIO, mark: bytes) -> bytes:
    """All up to the mark and with it; or nothing, where it does not come."""
    data = b""
    while not data.endswith(mark):
        line = incoming.readline()
        if not line:
            return b""
        # Empty lines in front of a request are none of it.
        data = data + line if data.strip() else line
    return data


def _reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
