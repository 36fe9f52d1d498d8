"""A volume that changes while it is read: every lease is of an edition, and stays so."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from shfs import InputError, Volume, VolumeError, live, mkfs
from shfs.live import LiveVolume


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with (tmp_path / "v.img").open("wb") as image:
        image.truncate(1 << 20)
    mkfs([str(tmp_path / "v.img")], buckets=64)
    return tmp_path / "v.img"


def put(path: Path, name: str) -> None:
    """Make an object whose name is its content, and remove all others."""
    content = path.with_name("content")
    content.write_text(name)
    with Volume.open([str(path)], write=True) as volume, volume.batch() as batch:
        for item in list(volume.objects()):
            batch.remove(item.digest)
        batch.add(content, name=name)


def put_long_ago(path: Path, name: str) -> None:
    """So that the file's time is not of this moment, in which another change would not be told by it."""
    put(path, name)
    os.utime(path, ns=(0, ord(name)))


def names(volume: Volume) -> list[str]:
    """The names that are there, each of which is the content too."""
    found = list(volume.objects())
    assert all(b"".join(map(bytes, volume.read(item))).decode() == item.name for item in found)
    return [item.name for item in found]


def opened(path: Path) -> int:
    """How often this process has the file open."""
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return sum(os.path.realpath(link) == str(path) for link in links)


def test_leases_of_editions(path: Path) -> None:
    put_long_ago(path, "a")
    volume = LiveVolume([str(path)])
    first, again = volume.lease(), volume.lease()
    put_long_ago(path, "b")
    second = volume.lease()
    put_long_ago(path, "c")

    assert [names(lease.volume) for lease in (first, again, second)] == [["a"], ["a"], ["b"]]
    assert opened(path) == 2
    first.close()
    first.close()
    assert names(again.volume) == ["a"]
    with volume.last_lease() as last:
        assert names(last.volume) == ["b"]
    with volume.lease() as third:
        assert names(third.volume) == ["c"]
    again.close()
    assert opened(path) == 2
    second.close()
    assert opened(path) == 1
    volume.close()


def test_an_edition_that_nobody_reads_is_closed(path: Path) -> None:
    volume = LiveVolume([str(path)])
    for turn in range(5):
        put(path, str(turn))
        with volume.lease() as lease:
            assert names(lease.volume) == [str(turn)]
            assert opened(path) == 1
    volume.close()
    assert opened(path) == 0


def test_it_is_not_opened_again_for_nothing(path: Path) -> None:
    os.utime(path, ns=(0, 0))
    volume = LiveVolume([str(path)])
    with volume.lease() as first, volume.lease() as second:
        assert first.volume is second.volume
    volume.close()


def test_a_change_in_the_same_step_of_the_clock_is_seen(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(path, "a")
    time = path.stat().st_mtime_ns
    monkeypatch.setattr(live.time, "time_ns", lambda: time + 4_000_000)
    volume = LiveVolume([str(path)])
    put(path, "b")
    os.utime(path, ns=(time, time))

    with volume.lease() as lease:
        assert names(lease.volume) == ["b"]
    volume.close()


def test_a_promise_that_is_kept_by_nobody_yet_is_seen(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(path, "a")
    volume = LiveVolume([str(path)])
    time = path.stat().st_mtime_ns
    with monkeypatch.context() as there:
        # The writer ends when its journal is there.
        there.setattr(Volume, "write_slots", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            put(path, "b")
    os.utime(path, ns=(time, time))

    with volume.lease() as lease:
        assert names(lease.volume) == ["b"]
    volume.close()


@pytest.mark.parametrize("kind", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_journal_that_is_no_file_is_not_waited_for(path: Path, kind: Callable[[Path], None]) -> None:
    kind(path.with_name("v.img.journal"))

    with pytest.raises(VolumeError, match="is no regular file"):
        Volume.open([str(path)])


def test_what_cannot_be_read_is_told_until_it_can(path: Path) -> None:
    put(path, "a")
    volume = LiveVolume([str(path)])
    whole = path.read_bytes()
    path.write_bytes(b"x")
    with pytest.raises(VolumeError):
        volume.lease()
    path.unlink()
    with pytest.raises(InputError):
        volume.lease()
    path.write_bytes(whole)

    with volume.lease() as lease:
        assert names(lease.volume) == ["a"]
    volume.close()


def test_threads(path: Path, full: bool) -> None:
    put(path, "0")
    volume = LiveVolume([str(path)])
    done = threading.Event()
    failed: list[BaseException] = []

    def look() -> None:
        try:
            last = 0
            while not done.is_set():
                with volume.lease() as lease:
                    (name,) = names(lease.volume)
                    assert int(name) >= last
                    last = int(name)
        except BaseException as error:
            failed.append(error)
            raise

    readers = [threading.Thread(target=look) for _ in range(4)]
    for reader in readers:
        reader.start()
    turns = 1000 if full else 40
    for turn in range(1, turns):
        if turn % 20 == 0:
            # Nobody else needs the room of what was removed.
            with Volume.open([str(path)], write=True) as writer, writer.batch() as batch:
                batch.trim()
        put(path, str(turn))
    done.set()
    for reader in readers:
        reader.join()

    assert failed == []
    with volume.lease() as lease:
        assert names(lease.volume) == [str(turns - 1)]
    volume.close()
    assert opened(path) == 0
