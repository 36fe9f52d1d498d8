"""A volume that changes under its readers, and clients that want more at once than there are buffers."""

import contextlib
import http.client
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shfs.formatting import mkfs
from shfs.volume import Volume
from tests.cache.cache_linux import Answer, Running, get, running

STEADY = b"a body that never changes " * 4000
CHUNK = 4096


@pytest.fixture
def member(tmp_path: Path) -> Path:
    """A volume with one object, `steady`."""
    path = tmp_path / "volume"
    with path.open("wb") as file:
        file.truncate(16 << 20)
    mkfs([str(path)], stripe=CHUNK, buckets=16, entries=16)
    with Volume.open([str(path)], write=True) as volume, volume.batch() as batch:
        batch.add(io.BytesIO(STEADY), name="steady", mime="text/plain", size=len(STEADY))
    return path


def change(member: Path, number: int) -> None:
    """Puts the object `NUMBER` there, and takes away the one before it."""
    content = body(number)
    with Volume.open([str(member)], write=True) as volume:
        before = volume.named(str(number - 1))
        with volume.batch() as batch:
            if before is not None:
                batch.remove(before.digest)
            batch.add(io.BytesIO(content), name=str(number), size=len(content))


def body(number: int) -> bytes:
    return f"the body of {number} ".encode() * (1000 + number)


class Load:
    """Clients that ask for `steady` again and again, each on one connection."""

    def __init__(self, cache: Running, clients: int) -> None:
        self.wrong: list[Answer | Exception] = []
        self.served = 0
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(cache,)) for _ in range(clients)]

    def _ask(self, cache: Running) -> None:
        try:
            with contextlib.closing(cache.connect()) as connection:
                while not self._ended.is_set():
                    answer = get(connection, "/steady")
                    if (answer.status, answer.body) != (200, STEADY):
                        self.wrong.append(answer)
                    self.served += 1
        except (OSError, http.client.HTTPException) as error:
            self.wrong.append(error)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in self._threads:
                thread.join()


def test_one_volume_of_four_readers_changes_under_load(member: Path) -> None:
    """What was added is there after a remount, what was removed is not, and whoever is served notices nothing."""
    with contextlib.ExitStack() as stack:
        caches = [stack.enter_context(running([member], "--cache-size", "1")) for _ in range(4)]
        loads = [Load(cache, 2) for cache in caches]
        with contextlib.ExitStack() as under_load:
            for load in loads:
                under_load.enter_context(load.running())
            for number in range(1, 11):
                change(member, number)
                assert [cache.get(f"/{number}").status for cache in caches] == [404] * 4
                assert [cache.remount() for cache in caches] == ["remounted: 2 objects"] * 4
                for cache in caches:
                    assert cache.get(f"/{number}").body == body(number)
                    assert cache.get(f"/{number - 1}").status == 404
        for load in loads:
            assert not load.wrong, load.wrong[:3]
            assert load.served > 10


def test_what_is_being_sent_is_sent_to_its_end(member: Path) -> None:
    """A response that began before a remount is of the table before it, though its object is no more."""
    content = bytes(range(256)) * 4096 * 8
    with Volume.open([str(member)], write=True) as volume, volume.batch() as batch:
        large = batch.add(io.BytesIO(content), name="large", size=len(content))
    with running([member], "--cache-size", "1") as cache, contextlib.closing(cache.connect()) as connection:
        connection.request("GET", "/large")
        response = connection.getresponse()
        begun = response.read(100000)
        with Volume.open([str(member)], write=True) as volume, volume.batch() as batch:
            batch.remove(large.digest)
        assert cache.remount() == "remounted: 1 objects"
        assert cache.get("/large").status == 404
        assert begun + response.read() == content


def test_a_volume_that_is_spoiled_is_not_remounted(member: Path) -> None:
    with running([member], "--cache-size", "1") as cache:
        with member.open("r+b") as file:
            file.seek(CHUNK + 17)
            file.write(b"\xff")
        assert cache.remount().startswith("not remounted, the old table stays: ")
        assert cache.get("/steady").body == STEADY


def test_more_is_wanted_at_once_than_there_are_buffers(member: Path) -> None:
    """With buffers for four chunks each response is right, or 503 with Retry-After: never cut, never wrong."""
    with running([member], "--cache-size", "0", "--read-ahead", "2") as cache:
        load = Load(cache, 12)
        with load.running():
            while load.served < 300 and not any(isinstance(wrong, Exception) for wrong in load.wrong):
                cache.get("/steady")
        for wrong in load.wrong:
            assert isinstance(wrong, Answer), wrong
            assert (wrong.status, "retry-after" in wrong.fields) == (503, True)
        assert load.served - len(load.wrong) > 100
