"""Readers that remount while a writer works: they see whole states, and never a torn object."""

import hashlib
import io
import multiprocessing
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

import shfs.volume
from shfs import StoredObject, Volume
from shfs.batch import Batch
from shfs.digests import HashFunction
from shfs.errors import ShfsError, VolumeBusy, VolumeFull
from shfs.formatting import mkfs
from shfs.geometry import StripeMode
from tests.unit import shfs_decoder as decoder
from tests.unit.shfs_crash_scene import CONTENTS, DIGESTS, OPERATIONS, Scene, as_ours, content
from tests.unit.shfs_disk import Disk, SyncFolder, Write

_View = tuple[frozenset[bytes], bytes | None]
"""The digests on a volume, and that of the default."""


class _OurReader:
    """Holds on to its last mount between one remount and the next, and to an object that it has read half of."""

    def __init__(self, paths: list[str], dice: random.Random) -> None:
        self._volume = Volume.open(paths)
        self._dice = dice
        self._half: tuple[StoredObject, bytes] | None = None

    def remount(self) -> _View:
        self._finish()
        self._volume.remount()
        view = self._view()
        files = [item for item in self._volume.objects() if item.size]
        if files:
            item = self._dice.choice(files)
            self._half = item, self._piece(item, 0, item.size // 2)
        return view

    def look(self) -> None:
        """Read an object of the last mount."""
        files = [item for item in self._volume.objects() if not item.link]
        if files:
            item = self._dice.choice(files)
            _check(item.digest, content(self._volume, item))

    def _finish(self) -> None:
        """Read the other half, long after the first."""
        if self._half:
            (item, half), self._half = self._half, None
            _check(item.digest, half + self._piece(item, item.size // 2, item.size))

    def _piece(self, item: StoredObject, start: int, length: int) -> bytes:
        return b"".join(map(bytes, self._volume.read(item, start, length)))

    def _view(self) -> _View:
        default = self._volume.default
        return frozenset(item.digest for item in self._volume.objects()), default and default.digest


class _OtherReader:
    """Knows of no journal: it has the table as it was at its last mount, and reads objects from the members."""

    def __init__(self, paths: list[str], dice: random.Random) -> None:
        self._paths = [Path(path) for path in paths]
        self._dice = dice
        self._mounted = decoder.Volume.read(self._paths)

    def remount(self) -> None:
        """The table, when it is read twice the same: of a sector that is being written a file, unlike a disk, may give
        half."""
        before = decoder.Volume.read(self._paths)
        while (after := decoder.Volume.read(self._paths)).table != before.table:
            before = after
        self._mounted = before
        for slot in self._mounted.live:
            self._read(slot)

    def look(self) -> None:
        """Read an object of the last mount."""
        if self._mounted.live:
            self._read(self._dice.choice(self._mounted.live))

    def _read(self, slot: decoder.Slot) -> None:
        if not slot.is_link:
            _check(slot.digest, decoder.Volume.read(self._paths).content(slot))


def _check(digest: bytes, content: bytes) -> None:
    assert hashlib.sha256(content).digest() == digest, f"an object of {len(content)} bytes is torn"


def _read_until_told(kind: type[_OurReader | _OtherReader], paths: list[str], seed: int, orders: Connection) -> None:
    """A reader's process: it looks and remounts when it likes to, and when it is told to, and then tells what it saw
    since it was last told. What goes wrong is told instead."""
    dice = random.Random(seed)
    try:
        reader = kind(paths, dice)
        seen = set()
        while True:
            if orders.poll():
                if not orders.recv():
                    return
                seen.add(last := reader.remount())
                orders.send((last, seen))
                seen = set()
            elif dice.random() < 0.3:
                seen.add(reader.remount())
            else:
                reader.look()
    except (AssertionError, ShfsError, decoder.NotAVolume) as error:
        orders.send(repr(error))
        orders.recv()


@contextmanager
def _readers(paths: list[str], dice: random.Random) -> Iterator[list[Connection]]:
    """Two reader processes."""
    context = multiprocessing.get_context("fork")
    ours, processes = [], []
    for kind in (_OurReader, _OtherReader):
        here, there = context.Pipe()
        process = context.Process(target=_read_until_told, args=(kind, paths, dice.getrandbits(32), there), daemon=True)
        process.start()
        ours.append(here)
        processes.append(process)
    try:
        yield ours
        for connection in ours:
            connection.send(False)
        for process in processes:
            process.join(30)
            assert process.exitcode == 0
    finally:
        for process in processes:
            process.kill()


@dataclass
class _Writer:
    """Changes a volume at random, and knows what was on it at every moment."""

    volume: Volume
    dice: random.Random
    views: list[_View] = field(default_factory=list)
    confirmed: bool = True
    """Has every reader remounted since the last removal?"""

    def change(self) -> None:
        """One batch; or a trim, if nobody needs any more what it frees."""
        kind = self.dice.choice(["add", "add", "remove", "mixed", "default", "trim"])
        if kind == "trim" and not self.confirmed:
            kind = "remove"
        reuse = self.confirmed and self.dice.random() < 0.3
        with self.volume.batch(reuse_removed=reuse) as batch:
            if kind == "trim":
                batch.trim()
            if kind in ("remove", "mixed"):
                self._remove(batch)
            if kind in ("add", "mixed"):
                self._add(batch)
            if kind == "default":
                there = [item.digest for item in self.volume.objects()]
                batch.set_default(self.dice.choice([*there, None]))
        default = self.volume.default
        self.views.append((frozenset(item.digest for item in self.volume.objects()), default and default.digest))

    def _remove(self, batch: Batch) -> None:
        there = [item.digest for item in self.volume.objects()]
        for digest in self.dice.sample(there, min(len(there), self.dice.randint(1, 3))):
            batch.remove(digest)
            self.confirmed = False

    def _add(self, batch: Batch) -> None:
        for _ in range(self.dice.randint(1, 3)):
            size = self.dice.randint(0, 5 * 4096)
            with suppress(VolumeFull):
                batch.add(io.BytesIO(self.dice.randbytes(size) + b"."), name="noise", size=size + 1)


@pytest.mark.parametrize("members", [1, 3])
def test_two_readers_and_a_writer(
    tmp_path: Path, members: int, seeded: random.Random, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Readers see what is written, synced or not.
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    paths = [str(tmp_path / f"{at}.img") for at in range(members)]
    for path in paths:
        Path(path).write_bytes(bytes(61 * 4096))
    mode = StripeMode.COMBINED if members > 1 else StripeMode.INDEPENDENT
    mkfs(paths, name="busy", stripe=4096, buckets=2, entries=60, mode=mode)
    with Volume.open(paths, write=True) as volume, _readers(paths, seeded) as readers:
        writer = _Writer(volume, seeded, [(frozenset(), None)])
        since = 0
        for _ in range(30_000 if full else 250):
            writer.change()
            if seeded.random() < 0.4:
                for reader in readers:
                    reader.send(True)
                told = [reader.recv() for reader in readers]
                assert all(isinstance(answer, tuple) for answer in told), told
                last, seen = told[0]
                assert last == writer.views[-1]
                assert seen <= set(writer.views[since:]), "our reader saw a state that never was"
                since, writer.confirmed = len(writer.views) - 1, True
    assert len(set(writer.views)) > 50


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    scene = Scene(tmp_path, 1)
    scene.make()
    return scene


def _half_done(scene: Scene) -> None:
    """A commit is on its way: its journal is there, and half of its entries are."""
    recorder = scene.record(OPERATIONS["add and remove"])
    named = next(at for at, call in enumerate(recorder.log) if isinstance(call, SyncFolder))
    assert all(isinstance(call, Write) for call in recorder.log[named + 1 : named + 3])
    scene.put(Disk(recorder.before, recorder.log[: named + 2]).now())


def _before_the_journal(monkeypatch: pytest.MonkeyPatch, *changes: object) -> None:
    """Each time that a reader is about to read the journal, another of the changes has just been made."""
    read_well, left = shfs.volume.read_journal, list(changes)

    def read(path: Path, label: object) -> object:
        if left:
            change = left.pop(0)
            change()  # type: ignore[operator]
        return read_well(path, label)  # type: ignore[arg-type]

    monkeypatch.setattr("shfs.volume.read_journal", read)


def test_a_commit_that_ends_while_a_reader_opens(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table was read half done, and the journal that tells so is gone."""
    whole = as_ours(scene.paths)
    _half_done(scene)
    files = scene.files()

    def end() -> None:
        (scene.folder / "a.img").write_bytes(done)
        (scene.folder / "a.img.journal").unlink()

    done = _finished(scene, files)
    new = as_ours(scene.paths)
    scene.put(files)
    _before_the_journal(monkeypatch, end)
    assert as_ours(scene.paths) == new != whole


def _finished(scene: Scene, files: dict[str, bytes]) -> bytes:
    Volume.open(scene.paths, write=True).close()
    return (scene.folder / "a.img").read_bytes()


def test_commits_that_begin_while_a_reader_opens(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table was read before two commits: the journal of the second does not fit what the first one made of it."""

    def begin() -> None:
        with Volume.open(scene.paths, write=True) as volume, volume.batch() as batch:
            batch.amend(DIGESTS["page"], name="renamed")
        _half_done(scene)

    _before_the_journal(monkeypatch, begin)
    with Volume.open(scene.paths) as volume:
        assert volume.named("page") is None
        assert volume.default is not None
        assert volume.default.digest == DIGESTS["new-4096"]


def test_a_reader_does_not_wait_for_ever(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the table is another one whenever it looks it says so."""
    monkeypatch.setattr("shfs.volume.PATIENCE", 0.0)
    looks = iter(range(1000))
    read_well = Volume._read_slots

    def read(volume: Volume) -> bytearray:
        raw = read_well(volume)
        raw[0] = next(looks)
        return raw

    monkeypatch.setattr(Volume, "_read_slots", read)
    with pytest.raises(VolumeBusy):
        Volume.open(scene.paths)


def test_a_batch_does_not_use_what_it_has_removed_itself(scene: Scene) -> None:
    """That all readers have remounted is true of what was removed before. Nor does the next one."""
    scene.make(function=HashFunction.MANUAL, digest_length=32)
    with Volume.open(scene.paths) as reader, Volume.open(scene.paths, write=True) as writer:
        page = reader.find(DIGESTS["page"])
        assert page is not None
        with writer.batch(reuse_removed=True) as batch:
            batch.remove(page.digest)
            new = batch.add(io.BytesIO(b"other"), name="page", size=5, digest=page.digest)
        with writer.batch() as batch:
            batch.add(io.BytesIO(bytes(9000)), name="next", size=9000, digest=bytes([1] * 32))
        assert new.slot != page.slot
        assert content(reader, page) == CONTENTS["page"]
