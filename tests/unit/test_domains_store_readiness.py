"""Readiness by nodes of a real XenStore that comes and goes; the guest is a client that speaks as that domain."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from jitsu.domains import ready_watches
from jitsu.domains.domain_store import DomainStore
from jitsu.domains.driver import DomainSpec
from jitsu.domains.readiness import LONGEST_WORD
from jitsu.domains.store_readiness import StoreReadiness
from jitsu.errors import JitsuError
from jitsu.xenstore.client import StoreClient
from jitsu.xenstore.wire import Type
from tests.unit.store_process import StoreProcess
from tests.xenstore_peer import Peer

SPEC = DomainSpec("www", 7, Path("/boot/guest"), 8 << 20, "", "52:54:00:00:00:07", store_port=True)
READY, WAKE, STOP = b"data/jitsu/ready", b"data/jitsu/control/wake", b"data/jitsu/control/stop"


@pytest.fixture
def process() -> Iterator[StoreProcess]:
    with tempfile.TemporaryDirectory(prefix="jitsu-") as folder, StoreProcess(Path(folder)) as process:
        yield process


@asynccontextmanager
async def kept(process: StoreProcess, store: DomainStore) -> AsyncIterator[StoreClient]:
    async with await StoreClient.connect(process.path) as client:
        keeping = asyncio.create_task(store.keep(client))
        while store._client is not client:  # noqa: ASYNC110 - it begins at its turn
            await asyncio.sleep(0.001)
        yield client
    with suppress(JitsuError):
        await keeping


@pytest.fixture
async def store(process: StoreProcess) -> AsyncIterator[DomainStore]:
    store = DomainStore()
    store.adopted()
    async with kept(process, store):
        store.began(SPEC)
        await store.settled(10)
        yield store


@pytest.fixture
def guest(process: StoreProcess, store: DomainStore) -> Iterator[Peer]:
    with process.guest(7) as guest:
        yield guest


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a process has no event here
            await asyncio.sleep(0.005)


async def value(guest: Peer, path: bytes) -> bytes:
    """What the guest reads, as soon as there is anything."""
    give_up = time.monotonic() + 10
    while (answer := guest.ask(Type.READ, path)).error is not None:
        assert time.monotonic() < give_up
        await asyncio.sleep(0.005)
    return answer.payload


async def test_the_guests_first_word_is_reported_once(store: DomainStore, guest: Peer) -> None:
    said: list[str] = []
    readiness = StoreReadiness(store, 7, said.append)
    for word in (b"", b"x" * LONGEST_WORD, b"www 1234", b"www 5678"):
        assert guest.write(READY, word).error is None
        await asyncio.sleep(0.02)
    await until(lambda: said)
    assert said == ["ready www 1234"]
    assert readiness.said


async def test_what_it_said_before_we_listened_counts_and_control_characters_do_not_pass(
    store: DomainStore, guest: Peer
) -> None:
    guest.write(READY, b"www\x1b[2J 1")
    said: list[str] = []
    StoreReadiness(store, 7, said.append)
    await until(lambda: said)
    assert "\x1b" not in said[0]


async def test_only_the_answer_to_the_last_wake_counts(store: DomainStore, guest: Peer) -> None:
    said: list[str] = []
    guest.write(READY, b"www 1")
    readiness = StoreReadiness(store, 7, said.append, booted=True)
    assert readiness.said
    clocks = []
    for _ in range(2):
        readiness.wake()
        assert not readiness.said
        seed, clock = (await value(guest, WAKE)).split(b" ")
        while clock in clocks:
            await asyncio.sleep(0.005)
            seed, clock = (await value(guest, WAKE)).split(b" ")
        assert len(bytes.fromhex(seed.decode())) == 32
        clocks.append(clock)
    for word in (b"www 2", b"www 3 " + clocks[0], b"www 4 x " + clocks[1], b"www 5 " + clocks[1]):
        guest.write(READY, word)
        await asyncio.sleep(0.02)
    await until(lambda: said)
    assert said == [f"ready www 5 {clocks[1].decode()}"]


async def test_stop_is_a_node(store: DomainStore, guest: Peer) -> None:
    readiness = StoreReadiness(store, 7, lambda line: None)
    assert guest.ask(Type.READ, STOP).error == "ENOENT"
    readiness.stop()
    assert await value(guest, STOP) == b""


async def test_a_wake_reaches_a_guest_whose_record_and_store_come_later(process: StoreProcess) -> None:
    """As in an adoption: the driver wakes a guest before anybody has said whose it is, and stores may die."""
    store = DomainStore()
    said: list[str] = []
    StoreReadiness(store, 7, said.append, booted=True).wake()
    store.began(SPEC)
    store.adopted()
    wakes = set()
    for attempt in range(3):
        async with kept(process, store):
            await store.settled(10)
            with process.guest(7) as guest:
                wakes.add(await value(guest, WAKE))
                if attempt == 2:
                    guest.write(READY, b"www 1 " + wakes.copy().pop().split(b" ")[1])
                    await until(lambda: said)
        process.kill()
        process.start()
    # The same each time: one wake is one wake.
    [wake] = wakes
    assert said == [f"ready www 1 {wake.split()[1].decode()}"]


async def test_a_guest_that_writes_without_end_is_read_at_a_pace(
    store: DomainStore, guest: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready_watches, "REST", 0.2)
    heard: list[bytes] = []
    store.ready.follow(7, heard.append)
    for number in range(500):
        guest.write(READY, b"%d" % number)
        await asyncio.sleep(0)
    await until(lambda: heard[-1:] == [b"499"])
    assert len(heard) < ready_watches.AT_ONCE + 20
    store.ready.leave(7)
    guest.write(READY, b"500")
    await asyncio.sleep(0.05)
    assert heard[-1] == b"499"


async def test_a_restored_guest_is_introduced_when_it_has_arrived(store: DomainStore, process: StoreProcess) -> None:
    async with await StoreClient.connect(process.path) as client:
        store.ended(7)
        await store.settled(10)
        store.began(SPEC, present=False)
        await store.settled(10)
        assert await client.exists("/local/domain/7/name")
        assert not await client.is_introduced(7)
        store.arrived(7)
        await store.settled(10)
        assert await client.is_introduced(7)
