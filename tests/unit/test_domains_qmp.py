"""The QMP client against a server that behaves, and against one that does not."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from jitsu.domains import qmp
from jitsu.domains.qmp import QmpClient
from jitsu.errors import DomainError

GREETING = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 22}}, "capabilities": ["oob"]}}
Talk = Callable[["Peer"], Awaitable[None]]


class Peer:
    """QEMU's side of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def say(self, message: object) -> None:
        self.writer.write(json.dumps(message).encode() + b"\r\n")

    async def hear(self) -> dict[str, Any]:
        request = json.loads(await self.reader.readline())
        assert isinstance(request, dict)
        return request

    async def greet(self) -> None:
        self.say(GREETING)
        request = await self.hear()
        assert request["execute"] == "qmp_capabilities"
        self.say({"return": {}, "id": request["id"]})


@asynccontextmanager
async def served(path: Path, talk: Talk) -> AsyncIterator[Path]:
    """A server that lets `talk` have every connection and then closes it."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await talk(Peer(reader, writer))
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_unix_server(connected, path)
    async with server:
        yield path


def ignore(name: str, data: dict[str, Any]) -> None:
    """An event that the test does not look at."""


async def test_answers_find_their_questions_and_events_are_handed_on(tmp_path: Path) -> None:
    async def talk(peer: Peer) -> None:
        await peer.greet()
        first, second = await peer.hear(), await peer.hear()
        assert first["arguments"] == {"value": 1}
        assert "arguments" not in second
        peer.say({"event": "RESUME", "timestamp": {}})
        peer.say({"return": "second", "id": second["id"]})
        peer.say({"event": "SHUTDOWN", "data": {"guest": True, "reason": "guest-shutdown"}})
        peer.say({"return": "of nobody", "id": 99})
        peer.say({"return": "of nothing"})
        peer.say({"return": "first", "id": first["id"]})

    events: list[tuple[str, dict[str, Any]]] = []
    async with served(tmp_path / "qmp", talk) as path:
        client = await QmpClient.connect(str(path), lambda name, data: events.append((name, data)))
        answers = await asyncio.gather(client.execute("one", {"value": 1}), client.execute("two"))
        assert answers == ["first", "second"]
        await client.closed()
        await client.close()
    assert events == [("RESUME", {}), ("SHUTDOWN", {"guest": True, "reason": "guest-shutdown"})]


async def test_refusal_silence_and_end_name_the_command(tmp_path: Path) -> None:
    async def talk(peer: Peer) -> None:
        await peer.greet()
        for answer in ({"error": {"class": "GenericError", "desc": "no such thing"}}, {"error": 7}):
            peer.say(answer | {"id": (await peer.hear())["id"]})
        late = await peer.hear()
        peer.say({"return": {}, "id": (await peer.hear())["id"]})
        peer.say({"return": {}, "id": late["id"]})
        await peer.hear()

    async with served(tmp_path / "qmp", talk) as path:
        client = await QmpClient.connect(str(path), ignore)
        for text in ("no such thing", "QEMU refused"):
            with pytest.raises(DomainError) as caught:
                await client.execute("cont")
            assert caught.value.message == f"QMP {path}: cont: {text}"
        with pytest.raises(DomainError, match=r"stop: no answer within 0\.05 s"):
            await client.execute("stop", timeout=0.05)
        assert await client.execute("query-status") == {}
        for _ in range(2):
            with pytest.raises(DomainError, match="cont: QEMU closed the connection"):
                await client.execute("cont")
        assert client._waiting == {}
        await client.close()


@pytest.mark.parametrize(
    "line",
    [
        b"no json\n",
        b"[]\n",
        b"7\n",
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        b'{"return": ' + b"1" * 5000 + b', "id": 2}\n',
    ],
)
async def test_what_is_no_qmp_ends_the_connection(tmp_path: Path, line: bytes) -> None:
    async def talk(peer: Peer) -> None:
        await peer.greet()
        await peer.hear()
        peer.writer.write(line)
        await peer.reader.read()

    async with served(tmp_path / "qmp", talk) as path:
        client = await QmpClient.connect(str(path), ignore)
        with pytest.raises(DomainError, match="cont: QEMU said what is no QMP"):
            await client.execute("cont")
        await client.close()


async def test_an_endless_line_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qmp, "LONGEST_LINE", 4096)

    async def talk(peer: Peer) -> None:
        await peer.greet()
        while True:
            peer.writer.write(b"x" * 1024)
            await peer.writer.drain()

    async with served(tmp_path / "qmp", talk) as path:
        client = await QmpClient.connect(str(path), ignore)
        async with asyncio.timeout(5):
            await client.closed()
        with pytest.raises(DomainError, match="QEMU said what is no QMP"):
            await client.execute("cont")
        await client.close()


async def test_hostile_messages_that_are_survived(tmp_path: Path) -> None:
    async def talk(peer: Peer) -> None:
        await peer.greet()
        peer.say(GREETING)
        peer.say({"event": 7, "data": 8})
        peer.say({"event": "X", "data": [1]})
        peer.say({"id": [1], "return": 1})
        request = await peer.hear()
        for _ in range(2):
            peer.say({"return": 42, "id": request["id"]})
        peer.say({"return": 43, "id": (await peer.hear())["id"]})
        await peer.reader.read()

    events: list[tuple[str, dict[str, Any]]] = []
    async with served(tmp_path / "qmp", talk) as path:
        client = await QmpClient.connect(str(path), lambda name, data: events.append((name, data)))
        assert await client.execute("query-status") == 42
        assert await client.execute("query-status") == 43
        await client.close()
    assert events == [("X", {})]


async def test_connections_that_do_not_come_about(tmp_path: Path) -> None:
    async def mute(peer: Peer) -> None:
        await peer.reader.read()

    async def brief(peer: Peer) -> None:
        peer.say(GREETING)

    async def curt(peer: Peer) -> None:
        """Closes at once."""

    with pytest.raises(DomainError, match="No such file or directory"):
        await QmpClient.connect(f"{tmp_path}/absent", ignore)
    async with served(tmp_path / "mute", mute) as path:
        with pytest.raises(DomainError, match=r"QEMU did not greet within 0\.05 s"):
            await QmpClient.connect(str(path), ignore, timeout=0.05)
    for talk in (brief, curt):
        async with served(tmp_path / talk.__name__, talk) as path:
            with pytest.raises(DomainError, match=r"QMP .*(closed|reset|Broken)"):
                await QmpClient.connect(str(path), ignore)
