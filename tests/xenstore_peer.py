"""A XenStore client that tests drive by hand: one connection, blocking, nothing hidden."""

import socket
from collections import deque
from pathlib import Path
from typing import NamedTuple, Self

from jitsu.xenstore.wire import Message, Parser, Type, joined, strings

PATIENCE = 30.0
"""Seconds until an answer is missing. Long: a request may be held back while another client has precedence."""


class Answer(NamedTuple):
    """What came back: a type, which is the request's or ERROR, and a payload."""

    type: int
    payload: bytes

    @property
    def error(self) -> str | None:
        """The name of the error; None of an answer that is none."""
        return self.payload.rstrip(b"\0").decode() if self.type == Type.ERROR else None


class Peer:
    """One connection to a XenStore socket. Watch events that come between answers are kept in `events`, in order."""

    def __init__(self, path: Path | str) -> None:
        self.events: deque[tuple[bytes, bytes]] = deque()
        """(path, token) of each watch event."""
        self._parser, self._answers, self._last = Parser(), deque[Message](), 0
        self._socket = socket.socket(socket.AF_UNIX)
        # Debian's daemons keep one connection waiting; with a timeout the next would be refused, not wait.
        self._socket.connect(str(path))
        self._socket.settimeout(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def request(self, kind: int, transaction: int, payload: bytes) -> Answer:
        """Ask and wait for the answer. Its request id and its transaction are checked."""
        identity = self.send(kind, transaction, payload)
        answer = self.receive()
        assert answer.request == identity, f"an answer to request {answer.request}, not {identity}"
        return Answer(answer.type, answer.payload)

    def ask(self, kind: Type, *parts: bytes, transaction: int = 0) -> Answer:
        """A request whose payload is strings, each with its NUL."""
        return self.request(kind, transaction, joined(*parts))

    def write(self, path: bytes, value: bytes, transaction: int = 0) -> Answer:
        return self.request(Type.WRITE, transaction, path + b"\0" + value)

    def start(self) -> int:
        """A new transaction's id."""
        answer = self.ask(Type.TRANSACTION_START, b"")
        assert answer.error is None, answer
        return int(strings(answer.payload)[0])

    def end(self, transaction: int, commit: bool = True) -> Answer:
        return self.ask(Type.TRANSACTION_END, b"T" if commit else b"F", transaction=transaction)

    def settled(self) -> list[tuple[bytes, bytes]]:
        """All events of what was answered so far, to anybody; `events` is empty afterwards.

        Some daemons queue an event behind the answer to what caused it, all of them before they read another request
        of the same connection.
        """
        self.ask(Type.GET_DOMAIN_PATH, b"0")
        told = list(self.events)
        self.events.clear()
        return told

    def send(self, kind: int, transaction: int, payload: bytes) -> int:
        """Ask and do not wait. The request's id."""
        self._last += 1
        self._socket.sendall(Message(kind, self._last, transaction, payload).encode())
        return self._last

    def send_bytes(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> Message:
        """The next answer. Raises ConnectionResetError when the daemon hangs up."""
        while not self._answers:
            self._read()
        return self._answers.popleft()

    def wait_for_event(self) -> tuple[bytes, bytes]:
        """The next watch event, which may have come already."""
        while not self.events:
            self._read()
        return self.events.popleft()

    def _read(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionResetError("the daemon hung up")
        for message in self._parser.feed(data):
            if message.type == Type.WATCH_EVENT:
                assert (message.request, message.transaction) == (0, 0), message
                path, token = strings(message.payload)
                self.events.append((path, token))
            else:
                self._answers.append(message)
