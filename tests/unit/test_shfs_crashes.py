"""Whatever is lost in a crash, a volume holds the old objects or the new ones, and no torn one."""

import io
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from shfs import Volume
from shfs.backup import drop_backup, make_backup
from shfs.batch import Batch
from shfs.digests import HashFunction
from shfs.errors import ShfsError, VolumeError
from shfs.formatting import mkfs
from shfs.geometry import LABEL_SIZE, StripeMode
from shfs.repair import repair
from tests.unit import shfs_decoder as decoder
from tests.unit.shfs_crash_scene import (
    CONTENTS,
    DIGESTS,
    LINK,
    NEW,
    NOW,
    OPERATIONS,
    VOLUMES,
    Operation,
    Scene,
    States,
    View,
    add,
    add_all,
    as_decoded,
    as_ours,
    changed,
    opened,
    remove,
)
from tests.unit.shfs_disk import Call, Disk, Rename, SyncFile, SyncFolder, Write


@pytest.fixture(autouse=True)
def _no_real_syncs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Crashes are played: the disk of the tests need not be waited for."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


@pytest.fixture
def scene(tmp_path: Path, request: pytest.FixtureRequest) -> Scene:
    """The folder holds the volume that a test was parametrised with."""
    members, options = VOLUMES[getattr(request, "param", "one member")]
    scene = Scene(tmp_path, members)
    scene.make(**options)
    return scene


@pytest.mark.parametrize("scene", VOLUMES, indirect=True)
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_change_is_made_or_not(scene: Scene, name: str, seeded: random.Random, full: bool) -> None:
    """Wherever the process is killed, whatever a loss of power leaves."""
    before = scene.decoded()
    recorder = scene.record(OPERATIONS[name])
    states, disk = States.of(before, scene.decoded()), Disk(recorder.before, recorder.log)
    assert any(len(slots) == 2 for slots in states.slots)
    assert states.findings == [[], []]
    scene.judge_kills(disk, states)
    scene.judge_losses(disk, states, seeded, 2000 if full else 4)


def test_large_files_are_added_or_not(scene: Scene, seeded: random.Random, full: bool) -> None:
    """Files of more than a block are written by threads, before anything is known of their digest."""
    scene.make(chunks=500)
    before = scene.decoded()
    recorder = scene.record(changed(add_all(*NEW, "large")))
    states, disk = States.of(before, scene.decoded()), Disk(recorder.before, recorder.log)
    scene.judge_kills(disk, states)
    scene.judge_losses(disk, states, seeded, 300 if full else 2)


def test_other_content_for_a_digest_that_is_given_by_hand(tmp_path: Path, seeded: random.Random, full: bool) -> None:
    """The old object and the new one are in two slots, since the chunks of the old one are kept."""
    scene = Scene(tmp_path, 1)
    scene.make(function=HashFunction.MANUAL, digest_length=32)
    before = scene.decoded()

    def replace(batch: Batch) -> None:
        remove("page")(batch)
        batch.add(io.BytesIO(CONTENTS["new-4097"]), name="page", size=4097, digest=DIGESTS["page"])

    recorder = scene.record(changed(replace))
    states, disk = States.of(before, scene.decoded()), Disk(recorder.before, recorder.log)
    scene.judge_kills(disk, states)
    scene.judge_losses(disk, states, seeded, 2000 if full else 4)


def _make_backup(paths: list[str]) -> None:
    with Volume.open(paths, write=True) as volume:
        make_backup(volume)


def _drop_backup(paths: list[str]) -> None:
    with Volume.open(paths, write=True) as volume:
        drop_backup(volume)


@pytest.mark.parametrize("scene", VOLUMES, indirect=True)
def test_a_backup_table_is_there_or_not(scene: Scene, seeded: random.Random, full: bool) -> None:
    """And if it is there, it is the table."""
    before = scene.decoded()
    recorder = scene.record(_drop_backup if before.configuration.backup else _make_backup)
    states, disk = States.of(before, scene.decoded()), Disk(recorder.before, recorder.log)
    assert states.findings == [[], []]
    assert bool(scene.decoded().configuration.backup) is not bool(before.configuration.backup)
    scene.judge_kills(disk, states)
    scene.judge_losses(disk, states, seeded, 2000 if full else 4)


@pytest.mark.parametrize("scene", VOLUMES, indirect=True)
def test_a_repair_is_made_or_not(scene: Scene, seeded: random.Random, full: bool) -> None:
    """Of entries that are wrong in several sectors."""
    sound = scene.decoded()
    for slot in sound.live:
        member, at = sound.place_of_slot(slot.number)
        path = Path(scene.paths[member])
        data = path.read_bytes()
        path.write_bytes(data[: at + 250] + b"x" + data[at + 251 :])
    before = scene.decoded()
    recorder = scene.record(repair)
    states, disk = States.of(before, scene.decoded()), Disk(recorder.before, recorder.log)
    assert len(states.findings[0]) >= len(sound.live)
    assert states.findings[1] == []
    scene.judge_kills(disk, states)
    scene.judge_losses(disk, states, seeded, 2000 if full else 4)


_PAIRS: dict[str, tuple[Operation, Operation]] = {
    "what was begun is finished": (OPERATIONS["add and remove"], opened),
    "trim, then use the chunks": (OPERATIONS["trim"], changed(add("new-4097", "new-12288"))),
    "remove, then use the chunks": (OPERATIONS["remove one"], OPERATIONS["use chunks of removed objects"]),
    "a default, and none": (OPERATIONS["another default"], OPERATIONS["no default"]),
    "a link, and its removal": (changed(lambda batch: batch.link(LINK + "/2")), OPERATIONS["remove links and others"]),
    "a journal, and another": (OPERATIONS["add and remove"], changed(add("new-1", "new-3000", "new-100"))),
}


@pytest.mark.parametrize("scene", ["one member", "three combined"], indirect=True)
@pytest.mark.parametrize("name", _PAIRS)
def test_the_power_goes_when_a_process_was_killed_before(
    scene: Scene, name: str, seeded: random.Random, full: bool
) -> None:
    """One process is killed, another goes on with what it sees, and that was not on the disk yet."""
    first, second = _PAIRS[name]
    before = scene.decoded()
    recorder = scene.record(first)
    done = scene.decoded()
    disk, calls = Disk(recorder.before, recorder.log), len(recorder.log)
    # Most is at stake before a sync.
    syncs = [at for at, call in enumerate(recorder.log) if isinstance(call, SyncFile | SyncFolder)]
    for end in range(calls + 1) if full else [*syncs, calls]:
        _judge_after(scene, Disk(disk.before, recorder.log[:end]), second, (before, done), seeded, 300 if full else 2)


def _judge_after(
    scene: Scene,
    disk: Disk,
    second: Operation,
    states: tuple[decoder.Volume, decoder.Volume],
    dice: random.Random,
    count: int,
    broken: Callable[[list[Call]], list[Call]] = lambda log: log,
) -> None:
    """The power goes in a second operation, after a first one of which `disk` has so many calls."""
    scene.put(disk.now())
    found = as_ours(scene.paths)
    log = disk.log + broken(scene.record(second, disk.names()).log)
    may_be = States.of(*states, scene.decoded())
    if found == may_be.views[0] != may_be.views[1]:
        # The first operation was not even begun: no part of it may appear.
        may_be = States.of(states[0], scene.decoded())
    scene.judge_losses(Disk(disk.before, log), may_be, dice, count, begin=len(disk.log))


@pytest.mark.parametrize("old", ["nothing", "a volume", "a volume of other members", "a change that was killed"])
@pytest.mark.parametrize("members", [1, 3])
def test_mkfs_makes_a_volume_or_none(tmp_path: Path, old: str, members: int, seeded: random.Random, full: bool) -> None:
    """What was there before is there unchanged, or the new volume is, or none at all."""
    scene = Scene(tmp_path, members)
    _put_old(scene, old)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    was = _seen(scene)
    scene.put(files)
    recorder = scene.record(_format)
    disk, new = Disk(recorder.before, recorder.log), scene.decoded()
    judged = [
        *((what, files, True) for what, files in disk.killed()),
        *((what, files, True) for what, files in disk.powerless(seeded, 300 if full else 10)),
        *((what, files, False) for what, files in disk.at_the_end(seeded, 10)),
    ]
    for what, files, interrupted in judged:
        scene.put(files)
        seen = _seen(scene)
        assert seen in ([None, was, as_decoded(new)] if interrupted else [as_decoded(new)]), what


def _put_old(scene: Scene, old: str) -> None:
    for path in Scene(scene.folder, 3).paths:
        Path(path).write_bytes(bytes(60 * 4096))
    if old == "a volume":
        scene.make()
    elif old == "a volume of other members":
        Scene(scene.folder, 4 - len(scene.paths)).make(mode=StripeMode.COMBINED)
    elif old == "a change that was killed":
        scene.make()
        recorder = scene.record(OPERATIONS["add and remove"])
        end = next(at for at, call in enumerate(recorder.log) if isinstance(call, SyncFolder))
        scene.put(Disk(recorder.before, recorder.log[: end + 2]).now())


def _format(paths: list[str]) -> None:
    mkfs(paths, name="new", stripe=4096, buckets=4, entries=5, created=NOW + 1)


def _seen(scene: Scene) -> View | None:
    """What our reader sees, a writer and the referee; None if there is no volume."""
    try:
        seen = as_ours(scene.paths)
    except VolumeError:
        with pytest.raises(VolumeError):
            as_ours(scene.paths, write=True)
        with pytest.raises(decoder.NotAVolume):
            scene.decoded()
        return None
    assert as_ours(scene.paths, write=True) == seen == as_decoded(scene.decoded())
    return seen


# The same judges find what is wrong: code in which one thing is left out, or comes too early, makes such a record.

_FOUND = "is torn|neither the old nor the new state|the journal .* is damaged|the journal .* does not fit"
_Log = list[Call]


def _is_member(call: Call) -> bool:
    return isinstance(call, SyncFile | Write) and call.file < 1000


def _without(log: _Log, kind: type, which: int = 0, *, member: bool = False) -> _Log:
    """The record without one call of that kind."""
    found = [at for at, call in enumerate(log) if isinstance(call, kind) and _is_member(call) is member]
    return [call for at, call in enumerate(log) if at != found[which]]


def _table_first(log: _Log) -> _Log:
    """The first write is the last one."""
    first, *rest = log
    return [*rest[:-1], first, rest[-1]]


def _name_first(log: _Log) -> _Log:
    """The journal has its name before its data is synced."""
    rename = next(at for at, call in enumerate(log) if isinstance(call, Rename))
    return [*log[: rename - 1], log[rename], log[rename + 1], log[rename - 1], *log[rename + 2 :]]


def _labels_first(log: _Log) -> _Log:
    """The new labels are written where the old ones are to be removed."""
    labels = [call for call in log if isinstance(call, Write) and call.at == 0 and len(call.data) == LABEL_SIZE]
    return [*labels[len(labels) // 2 :], *(call for call in log if call not in labels)]


_BROKEN: dict[str, tuple[str, Callable[[_Log], _Log]]] = {
    "data is not synced before the table": ("add one", lambda log: _without(log, SyncFile, member=True)),
    "the table is not synced": ("remove one", lambda log: _without(log, SyncFile, -1, member=True)),
    "the table is written before the data": ("add one", _table_first),
    "data is not synced before the journal": ("add many", lambda log: _without(log, SyncFile, member=True)),
    "the journal is not synced": ("add many", lambda log: _without(log, SyncFile)),
    "the name of the journal is not synced": ("add many", lambda log: _without(log, SyncFolder)),
    "the journal gets its name before it is synced": ("add many", _name_first),
    "the table is not synced before the journal goes": (
        "add many",
        lambda log: _without(log, SyncFile, 1, member=True),
    ),
}


@pytest.mark.parametrize("name", _BROKEN)
def test_a_broken_commit_is_found(scene: Scene, name: str, seeded: random.Random) -> None:
    operation, broken = _BROKEN[name]
    before = scene.decoded()
    recorder = scene.record(OPERATIONS[operation])
    states = States.of(before, scene.decoded())
    with pytest.raises((AssertionError, ShfsError), match=_FOUND):
        scene.judge_losses(Disk(recorder.before, broken(recorder.log)), states, seeded, 300)


_BROKEN_PAIRS: dict[str, tuple[str, Callable[[_Log], _Log], Callable[[_Log], _Log]]] = {
    "a journal is not certain to be forgotten": (
        "a default, and none",
        lambda log: _without(log, SyncFile, -1),
        lambda log: log,
    ),
    "a removal that was found is not synced before its chunks are used": (
        "remove, then use the chunks",
        lambda log: log[:-1],
        lambda log: _without(log, SyncFile, member=True),
    ),
    "an object that was found is not synced before a journal speaks of it": (
        "a link, and its removal",
        lambda log: log[:-1],
        lambda log: _without(log, SyncFile, member=True),
    ),
    "a promise that was found is kept before it is certain": (
        "what was begun is finished",
        lambda log: log[: next(at for at, call in enumerate(log) if isinstance(call, SyncFolder))],
        lambda log: _without(log, SyncFolder),
    ),
}


@pytest.mark.parametrize("name", _BROKEN_PAIRS)
def test_what_is_broken_in_two_steps_is_found(scene: Scene, name: str, seeded: random.Random) -> None:
    pair, broken_first, broken_second = _BROKEN_PAIRS[name]
    first, second = _PAIRS[pair]
    before = scene.decoded()
    recorder = scene.record(first)
    done = scene.decoded()
    disk = Disk(recorder.before, broken_first(recorder.log))

    with pytest.raises((AssertionError, ShfsError), match=_FOUND):
        _judge_after(scene, disk, second, (before, done), seeded, 100, broken_second)


def test_a_broken_mkfs_is_found(scene: Scene, seeded: random.Random) -> None:
    was = scene.decoded()
    recorder = scene.record(_format)
    may_be = [None, as_decoded(was), as_decoded(scene.decoded())]
    found = []
    for _, files in Disk(recorder.before, _labels_first(recorder.log)).powerless(seeded, 20):
        scene.put(files)
        found.append(scene.decoded())
    assert not all(as_decoded(volume) in may_be for volume in found)


def test_chunks_of_objects_that_the_batch_removes_are_not_used(
    scene: Scene, seeded: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code that gives them back makes torn objects, and is found."""
    remove_well = Batch.remove

    def remove_and_give_back(batch: Batch, digest: bytes) -> object:
        item = remove_well(batch, digest)
        batch._allocator.give_back(item.first_chunk, 3)
        return item

    monkeypatch.setattr(Batch, "remove", remove_and_give_back)
    before = scene.decoded()
    recorder = scene.record(OPERATIONS["add and remove"])
    states = States.of(before, scene.decoded())
    with pytest.raises(AssertionError):
        scene.judge_kills(Disk(recorder.before, recorder.log), states)
