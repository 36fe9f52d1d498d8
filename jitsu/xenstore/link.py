"""One connection of a client to a XenStore daemon: many requests under way, answers matched by id, events handed on."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

from jitsu.errors import DaemonError
from jitsu.xenstore.request import ABORT, Request, decoded
from jitsu.xenstore.wire import HEADER, Message, Parser, ProtocolError, StoreError, Type, strings

_HIGHEST = 0xFFFFFFFF
_FULL_BACKLOG_PAUSE = 0.005
"""Seconds until the next try where more callers wait to be accepted than the daemon's socket has room for."""

Answered = Callable[[Sequence[Message]], None]
_Answers = asyncio.Future[Sequence[Message]]


class StoreUnreachable(DaemonError):
    """Nobody listens on the daemon's socket, or the connection was lost: what was under way may have been done."""


class TransactionIds:
    """Which transactions of one connection live, and which id the next one gets where ids are given as C xenstored
    gives them: the last one plus one, without those that live and without 0.

    Nothing is foretold while a START is unanswered: a wrong guess could then be the id of a transaction that lives.
    """

    def __init__(self) -> None:
        self._last = 0
        self._live: set[int] = set()
        self._unanswered = 0

    def predict(self) -> int | None:
        """The id that a START sent now gets, or None where that cannot be told."""
        if self._unanswered:
            return None
        guess = self._last % _HIGHEST + 1
        while guess in self._live:
            guess = guess % _HIGHEST + 1
        return guess

    def asked(self) -> None:
        """A START was sent."""
        self._unanswered += 1

    def answered(self, number: int | None) -> None:
        """It was answered with this id, or refused."""
        self._unanswered -= 1
        if number is not None:
            self._last = number
            self._live.add(number)

    def ended(self, number: int) -> None:
        """An END was sent: whatever is sent after it finds the id free."""
        self._live.discard(number)


class _Burst:
    """Requests that were sent together, and what came back so far."""

    __slots__ = ("answered", "answers", "first", "future", "kinds", "left")

    def __init__(
        self,
        first: int,
        kinds: list[int],
        future: _Answers | None,
        answered: Answered | None,
    ) -> None:
        self.first = first
        self.kinds = kinds
        self.answers: list[Message] = [_NOT_YET] * len(kinds)
        self.left = len(kinds)
        self.future = future
        self.answered = answered


_NOT_YET = Message(-1, 0, 0, b"")


class Link(asyncio.Protocol):
    """Made by `attach`; everything happens in the running event loop."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ids = TransactionIds()
        self.dooms: bool | None = None
        """Does the daemon doom transactions that ask for it (see pipeline)? None where nobody has looked yet."""
        self.watchers: dict[bytes, Callable[[str], None]] = {}
        """Who is called with the path of an event, by the watch's token."""
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the connection is gone; what waited has been told by then."""
        self._transport: asyncio.Transport | None = None
        self._parser = Parser()
        self._next = 1
        self._waiting: dict[int, _Burst] = {}
        self._end = "is closed"

    @classmethod
    async def attach(cls, connection: socket.socket, name: str) -> "Link":
        """Over a connected stream socket, which is the link's from now on. `name` is what errors call it."""
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(lambda: cls(name), sock=connection))[1]

    def exchange(self, requests: Sequence[tuple[Request, int]], answered: Answered | None = None) -> _Answers:
        """Send requests, each with its transaction, at once; the result is their answers in the same order.

        `answered` is called with them first, also when the one who asked no longer waits. Raises StoreUnreachable,
        here or as the exception of the future.
        """
        future: _Answers = asyncio.get_running_loop().create_future()
        self._send(requests, future, answered)
        return future

    def tell(self, requests: Sequence[tuple[Request, int]]) -> None:
        """Send requests whose answers interest nobody, if there still is a connection."""
        with suppress(StoreUnreachable):
            self._send(requests, None, None)

    def abort(self, transaction: int) -> None:
        """End a transaction in which nobody is interested any more."""
        self.ids.ended(transaction)
        self.tell([(ABORT, transaction)])

    def unreachable(self) -> StoreUnreachable:
        """The error for what cannot be asked any more."""
        return StoreUnreachable(
            f"the connection to the XenStore daemon behind {self.name} {self._end}",
            hint="what was under way may have been done; connect again and look",
        )

    def close(self, end: str = "is closed") -> None:
        """Close the connection; what is under way fails."""
        if self._transport is not None and not self._transport.is_closing():
            self._end = end
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 -- asyncio's promise for a stream
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._parser.feed(data):
                if message.type == Type.WATCH_EVENT:
                    self._event(message.payload)
                else:
                    self._answer(message)
        except ProtocolError as error:
            self.close(f"broke off: {error}")

    def eof_received(self) -> None:
        self._end = "was closed by the daemon"

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._end = f"broke off: {exc.strerror if isinstance(exc, OSError) and exc.strerror else exc}"
        for burst in dict.fromkeys(self._waiting.values()):
            if burst.future is not None and not burst.future.done():
                burst.future.set_exception(self.unreachable())
        self._waiting.clear()
        self.closed.set_result(None)

    def _send(
        self,
        requests: Sequence[tuple[Request, int]],
        future: _Answers | None,
        answered: Answered | None,
    ) -> None:
        if self._transport is None or self._transport.is_closing():
            raise self.unreachable()
        if not requests:
            # Nothing is sent, so nothing would be answered.
            if answered is not None:
                answered([])
            if future is not None:
                future.set_result([])
            return
        if self._next + len(requests) > _HIGHEST:
            self._next = 1
        number = self._next
        burst = _Burst(number, [request.type for request, _ in requests], future, answered)
        parts: list[bytes] = []
        for (kind, payload, _, _), transaction in requests:
            parts += HEADER.pack(kind, number, transaction, len(payload)), payload
            self._waiting[number] = burst
            number += 1
        self._next = number
        self._transport.write(b"".join(parts))

    def _answer(self, message: Message) -> None:
        burst = self._waiting.get(message.request)
        if burst is None:
            raise ProtocolError("the daemon answers what it was not asked")
        position = message.request - burst.first
        if message.type not in (burst.kinds[position], Type.ERROR):
            raise ProtocolError("the daemon answers another question than it was asked")
        del self._waiting[message.request]
        burst.answers[position] = message
        burst.left -= 1
        if burst.left:
            return
        if burst.answered is not None:
            burst.answered(burst.answers)
        if burst.future is not None and not burst.future.done():
            burst.future.set_result(burst.answers)

    def _event(self, payload: bytes) -> None:
        try:
            path, token = strings(payload)[:2]
        except (StoreError, ValueError):
            raise ProtocolError("a watch event without path and token") from None
        # One that was on its way when its watch was given up is nobody's.
        if watcher := self.watchers.get(token):
            watcher(decoded(path))


async def connected(path: str, timeout: float) -> socket.socket:
    """A socket that is connected to a daemon's, within `timeout` seconds. Raises StoreUnreachable."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        async with asyncio.timeout(timeout):
            while True:
                try:
                    connection.connect(path)
                    return connection
                except BlockingIOError:
                    # asyncio's own connect takes a full backlog of a Unix socket for a connection.
                    await asyncio.sleep(_FULL_BACKLOG_PAUSE)
    except BaseException as error:
        connection.close()
        if isinstance(error, FileNotFoundError | ConnectionRefusedError):
            raise StoreUnreachable(
                f"no XenStore daemon listens on {path}", hint=f"start one with: jitsu xenstored --socket {path}"
            ) from None
        if isinstance(error, PermissionError):
            raise StoreUnreachable(
                f"no permission to use {path}", hint="run as root, or as the user who started the daemon"
            ) from None
        if isinstance(error, TimeoutError):
            raise StoreUnreachable(
                f"the XenStore daemon behind {path} accepts nobody for {timeout:g} s", hint="look whether it still runs"
            ) from None
        if isinstance(error, OSError):
            raise StoreUnreachable(
                f"{path}: {error.strerror or error}", hint="name the daemon's socket: --socket PATH, or $XENSTORED_PATH"
            ) from None
        raise
