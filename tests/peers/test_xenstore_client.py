"""Our client with real daemons: ours, and Debian's C xenstored and oxenstored."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from jitsu.xenstore.client import StoreClient
from jitsu.xenstore.link import StoreUnreachable
from jitsu.xenstore.pipeline import Pipeline
from jitsu.xenstore.subscription import Event
from jitsu.xenstore.wire import HEADER, StoreError, Type
from tests.peers.xenstore_daemons import DAEMONS, Daemon


@pytest.fixture(params=DAEMONS)
def daemon(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    with DAEMONS[request.param]() as running:
        yield running


@pytest.fixture
async def client(daemon: Daemon) -> AsyncIterator[StoreClient]:
    async with await StoreClient.connect(daemon.socket) as connected:
        yield connected


async def test_every_question(client: StoreClient) -> None:
    await client.write("/a/b", b"x\0y")
    await client.mkdir("/a/c")
    await client.mkdir("/a/c")
    await client.set_perms("/a/c", ["n3", "r5"])
    assert await client.read("/a/b") == b"x\0y"
    assert sorted(await client.list("/a")) == ["b", "c"]
    assert await client.list("/a/b") == []
    assert await client.get_perms("/a/c") == ["n3", "r5"]
    assert [await client.exists(path) for path in ("/a/b", "/a/d")] == [True, False]
    await client.rm("/a/b")
    await client.rm("/a/b")
    assert await client.list("/a") == ["c"]
    await client.write("relative", b"")
    assert await client.list("/local/domain/0") == ["relative"]
    assert await client.domain_path(7) == "/local/domain/7"
    assert not await client.is_introduced(7)


@pytest.mark.parametrize(
    ("ask", "errno"),
    [
        (lambda c: c.read("/no/such"), "ENOENT"),
        (lambda c: c.list("/no/such"), "ENOENT"),
        (lambda c: c.write("/a//b", b""), "EINVAL"),
        (lambda c: c.watch("/a//b"), "EINVAL"),
        (lambda c: c.set_perms("/", ["x0"]), "EINVAL"),
    ],
)
async def test_errors(client: StoreClient, ask: Callable[[StoreClient], Awaitable[object]], errno: str) -> None:
    with pytest.raises(StoreError) as caught:
        await ask(client)
    assert caught.value.errno == errno


async def test_a_thousand_requests_at_once(client: StoreClient) -> None:
    await asyncio.gather(*(client.write(f"/many/{number}", b"%d" % number) for number in range(1000)))
    assert await asyncio.gather(*(client.read(f"/many/{number}") for number in range(1000))) == [
        b"%d" % number for number in range(1000)
    ]


@pytest.mark.parametrize("name", ["jitsu", "debian-c"])
async def test_a_listing_longer_than_a_message(name: str) -> None:
    """Not with oxenstored 4.17, which sends messages longer than the wire allows."""
    with DAEMONS[name]() as daemon:
        async with await StoreClient.connect(daemon.socket) as client:
            names = [f"{'n' * 40}{number:04}" for number in range(300)]
            await asyncio.gather(*(client.mkdir(f"/long/{name}") for name in names))
            assert await client.list("/long") == names
            async with await client.begin() as transaction:
                assert await transaction.list("/long") == names


async def test_events(daemon: Daemon, client: StoreClient) -> None:
    async with await StoreClient.connect(daemon.socket) as other, await client.watch("/w", "/v") as events:
        assert sorted([await anext(events), await anext(events)]) == [Event("/v"), Event("/w")]
        await other.write("/w/x", b"")
        assert await anext(events) == Event("/w/x")
        pipeline = other.pipeline()
        pipeline.write("/v/y", b"")
        await pipeline.commit()
        assert await anext(events) == Event("/v/y")
    # What is no longer watched tells nothing, and the connection is as good as before.
    await client.write("/w/z", b"")
    assert await client.read("/w/z") == b""


def build(client: StoreClient, domid: int) -> Pipeline:
    pipeline = client.pipeline()
    pipeline.mkdir(f"/local/domain/{domid}")
    pipeline.set_perms(f"/local/domain/{domid}", [f"n{domid}"])
    pipeline.write(f"/local/domain/{domid}/name", b"guest")
    return pipeline


async def test_transactions_are_committed_one_after_the_other_and_together(client: StoreClient) -> None:
    for domid in (1, 2):
        assert await build(client, domid).commit() == 0
    # Neither C nor, as its first root, oxenstored merges these without a retry; how many is theirs to say.
    await asyncio.gather(*(build(client, domid).commit() for domid in range(3, 19)))
    assert sorted(await client.list("/local/domain"), key=int)[-18:] == [str(domid) for domid in range(1, 19)]
    assert await client.get_perms("/local/domain/18/name") == ["n18"]


@pytest.mark.parametrize(("path", "errno"), [("/no/such", "ENOENT"), ("/a//b", "EINVAL")])
async def test_a_transaction_with_a_failure_in_it_does_nothing(client: StoreClient, path: str, errno: str) -> None:
    pipeline = build(client, 1)
    pipeline.read(path)
    pipeline.write("/after", b"")
    with pytest.raises(StoreError, match=rf"read {path}: .* \({errno}\)"):
        await pipeline.commit()
    assert [await client.exists(path) for path in ("/local/domain/1", "/after")] == [False, False]
    await build(client, 1).commit()
    assert await client.exists("/local/domain/1")


async def test_round_trips(daemon: Daemon, client: StoreClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ours one for a whole transaction, with others three; whose it is was asked once."""
    await build(client, 1).commit()
    trips = 0
    exchange = client._link.exchange

    def counted(*arguments: Any) -> Any:
        nonlocal trips
        trips += 1
        return exchange(*arguments)

    monkeypatch.setattr(client._link, "exchange", counted)
    await build(client, 2).commit()
    await build(client, 3).commit()
    assert trips == 2 * (1 if daemon.name == "jitsu xenstored" else 3)


async def test_a_transaction_that_was_contradicted_is_done_again(daemon: Daemon) -> None:
    """Twice somebody changes what it had read before its END arrives; the third time nobody does."""
    async with await StoreClient.connect(daemon.socket) as other:
        await other.write("/seen", b"0")
        values = iter([b"1", b"2"])

        async def interfere() -> None:
            if value := next(values, None):
                await other.write("/seen", value)

        async with proxied(daemon.socket, interfere) as socket, await StoreClient.connect(socket) as client:
            pipeline = client.pipeline()
            seen = pipeline.read("/seen")
            pipeline.write("/written", b"")
            assert await pipeline.commit() == 2
            assert seen.value == b"2"
            assert await other.exists("/written")


@asynccontextmanager
async def proxied(socket: Path, before_end: Callable[[], Awaitable[None]]) -> AsyncIterator[Path]:
    """A daemon's socket behind another one, which calls `before_end` when all before an END has been answered."""

    async def message(reader: asyncio.StreamReader) -> tuple[int, bytes]:
        header = await reader.readexactly(HEADER.size)
        kind, _, _, length = HEADER.unpack(header)
        return kind, header + await reader.readexactly(length)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, to_them = await asyncio.open_unix_connection(socket)
        try:
            while True:
                kind, request = await message(reader)
                if kind == Type.TRANSACTION_END:
                    await before_end()
                to_them.write(request)
                writer.write((await message(theirs))[1])
        except asyncio.IncompleteReadError:
            pass
        finally:
            for each in (writer, to_them):
                each.close()
                await each.wait_closed()
            done.set()

    done = asyncio.Event()
    path = socket.with_name("proxy")
    async with await asyncio.start_unix_server(serve, path):
        yield path
        await done.wait()


async def test_the_end_of_a_daemon_is_told_to_everybody(daemon: Daemon, client: StoreClient) -> None:
    async with await client.watch("/a") as events:
        await anext(events)
        waiting = asyncio.create_task(anext(events))
        os.kill(daemon.pid, signal.SIGKILL)
        await client.closed()
        with pytest.raises(StoreUnreachable):
            await waiting
        with pytest.raises(StoreUnreachable):
            await client.read("/a")
    with pytest.raises(StoreUnreachable, match="no XenStore daemon listens"):
        await connected_until_it_is_gone(daemon.socket)


async def connected_until_it_is_gone(path: Path) -> None:
    """The sockets of a killed daemon close one after the other: the one that listens may still take connections."""
    while True:
        async with await StoreClient.connect(path) as client:
            await client.closed()
