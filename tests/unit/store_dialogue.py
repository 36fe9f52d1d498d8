"""A XenStore daemon for tests of the client: it hears and says what a test wants it to, message by message."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from jitsu.xenstore.client import StoreClient
from jitsu.xenstore.pipeline import OURS
from jitsu.xenstore.wire import HEADER, Message, Type


class Peer:
    """The daemon's side of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def hear(self) -> Message:
        """The next request."""
        kind, request, transaction, length = HEADER.unpack(await self._reader.readexactly(HEADER.size))
        return Message(kind, request, transaction, await self._reader.readexactly(length))

    async def hear_all(self, *kinds: Type) -> list[Message]:
        """The next requests, before any of them is answered; their types must be these."""
        heard = [await self.hear() for _ in kinds]
        assert [Type(message.type) for message in heard] == list(kinds)
        return heard

    async def silence(self) -> None:
        """The client closes without another word."""
        assert await self._reader.read() == b""

    def say(self, raw: bytes) -> None:
        self._writer.write(raw)

    def answer(self, request: Message, payload: bytes = b"OK\0") -> None:
        self.say(request._replace(payload=payload).encode())

    def refuse(self, request: Message, errno: str) -> None:
        self.say(request._replace(type=Type.ERROR, payload=errno.encode() + b"\0").encode())

    def event(self, path: str, token: bytes) -> None:
        self.say(Message(Type.WATCH_EVENT, 0, 0, path.encode() + b"\0" + token + b"\0").encode())

    def close(self) -> None:
        self._writer.close()

    async def identify(self, *, ours: bool) -> None:
        """Answer the first question of a connection that commits a pipeline: whose daemon is this?"""
        (question,) = await self.hear_all(Type.READ)
        assert question.payload == OURS.encode() + b"\0"
        if ours:
            self.answer(question, b"1")
        else:
            self.refuse(question, "ENOENT")


@asynccontextmanager
async def talking(talk: Callable[[Peer], Awaitable[None]]) -> AsyncIterator[StoreClient]:
    """A client whose daemon says what `talk` says, and has said all of it at the end."""
    here, there = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=there)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        said = group.create_task(talk(Peer(reader, writer)))
        async with await StoreClient.over(here, "/run/test/socket") as client:
            yield client
        await said
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
