"""`shfs check --repair`: damaged volumes are sound afterwards, and hold what they held."""

import json
import random
import struct
from pathlib import Path

import pytest

from shfs import ShfsError, Volume, VolumeBusy
from shfs.check import check
from shfs.cli.main import main
from shfs.findings import Fault
from shfs.journal import Change, journal_path, write_journal
from shfs.repair import repair
from shfs.undelete import Undelete
from tests.unit.shfs_samples import (
    FILES,
    GONE,
    SAMPLES,
    change,
    content,
    found,
    overwrite,
    place_of,
    place_of_content,
    slot_of,
)

Listing = list[tuple[str, str, str | None, bytes | None]]


@pytest.fixture
def single(tmp_path: Path) -> list[str]:
    return SAMPLES["one member"].make(tmp_path)


@pytest.fixture
def pair(tmp_path: Path) -> list[str]:
    return SAMPLES["two members and a backup"].make(tmp_path)


@pytest.fixture
def by_hand(tmp_path: Path) -> list[str]:
    return SAMPLES["digests by hand"].make(tmp_path)


def listing(paths: list[str]) -> Listing:
    """What readers see: digests, names, targets, contents."""
    with Volume.open(paths) as volume:
        return [
            (
                item.digest.hex(),
                item.name,
                item.target,
                None if item.link else b"".join(map(bytes, volume.read(item))),
            )
            for item in sorted(volume.objects(), key=lambda item: item.digest)
        ]


def images(paths: list[str]) -> list[bytes]:
    return [Path(path).read_bytes() for path in paths]


def mended(paths: list[str], *, remove_damaged: bool = False) -> list[str]:
    """Repair; what was done. The volume is sound then, and there is nothing left to do."""
    repairs, report = repair(paths, remove_damaged=remove_damaged)
    assert [finding for finding in report.findings if finding.is_error] == []
    assert repair(paths)[0] == []
    return [one.message for one in repairs]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sound_volume_stays_as_it_is(name: str, tmp_path: Path) -> None:
    paths = SAMPLES[name].make(tmp_path)
    before = images(paths)

    assert repair(paths)[0] == []
    assert images(paths) == before


@pytest.mark.parametrize("backup", [False, True])
@pytest.mark.parametrize("at", [5, 64, 80, 87])
def test_the_table_that_makes_sense_mends_the_other(pair: list[str], backup: bool, at: int) -> None:
    before, right = images(pair), listing(pair)
    change(place_of(pair, slot_of(pair, "index.html"), at, backup=backup), lambda byte: byte ^ 1)

    mended(pair)

    assert images(pair) == before
    assert listing(pair) == right


def test_of_two_that_make_sense_the_table_is_believed(pair: list[str]) -> None:
    change(place_of(pair, slot_of(pair, "index.html"), 181), lambda byte: ord("I"))

    mended(pair)

    with Volume.open(pair) as volume:
        assert volume.named("Index.html") is not None
    assert check(pair).findings == []


@pytest.mark.parametrize("backup", [False, True])
def test_a_table_of_which_a_chunk_is_lost_is_had_from_the_other(pair: list[str], backup: bool) -> None:
    before = images(pair)
    for chunk in range(4):
        overwrite(place_of(pair, 16 * chunk, backup=backup), bytes(range(1, 256)) * 16)

    mended(pair)

    assert images(pair) == before


def test_a_table_that_was_wiped_is_had_from_the_backup(pair: list[str]) -> None:
    before = images(pair)
    for chunk in range(4):
        overwrite(place_of(pair, 16 * chunk), bytes(4096))

    mended(pair)

    kept = slot_of(pair, "index.html")
    assert [item.name for item in Volume.open(pair).objects()] != []
    assert images(pair)[0][place_of(pair, kept)[1] :][:256] == before[0][place_of(pair, kept)[1] :][:256]


@pytest.mark.parametrize("at", [0, 4, 61, 77, 78, 94, 400, 3000])
@pytest.mark.parametrize("member", [0, 1])
def test_a_label_is_had_from_the_others(pair: list[str], member: int, at: int) -> None:
    before = images(pair)
    change((pair[member], 1024 + at), lambda byte: byte ^ 1)

    assert mended(pair[::-1]) != []

    assert images(pair) == before


def test_a_label_that_was_wiped_is_had_from_the_other(pair: list[str]) -> None:
    before = images(pair)
    overwrite((pair[1], 0), bytes(4096))

    mended(pair)

    assert images(pair) == before


def test_labels_of_which_nobody_knows_which_is_right_stay_as_they_are(pair: list[str]) -> None:
    change((pair[1], 1024 + 22), lambda byte: byte ^ 1)
    change(place_of(pair, slot_of(pair, "index.html"), 80), lambda byte: byte ^ 1)
    before = images(pair)

    repairs, report = repair(pair)

    assert (repairs, report.is_sound) == ([], False)
    assert images(pair) == before


def test_bytes_where_zeros_belong(single: list[str]) -> None:
    before = images(single)
    slot = slot_of(single, "index.html")
    for at in (40, 88 + 20, 120 + 10, 181 + 40, 250):
        if at > 32:
            change(place_of(single, slot, at), lambda byte: 65)
    change(place_of(single, slot, 180), lambda byte: byte | 0x90)
    change(place_of(single, slot_of(single, "away"), 100 + 50), lambda byte: 65)
    change((single[0], 4096 + 500), lambda byte: 65)
    change((single[0], 500), lambda byte: 65)
    change(place_of_content(single, "small.txt", 4000), lambda byte: 65)

    mended(single)

    # A content encoding of which only the middle is there is none.
    assert images(single) == before


def test_a_digest_that_is_damaged_is_had_from_the_content(single: list[str]) -> None:
    before = images(single)
    change(place_of(single, slot_of(single, "index.html"), 0), lambda byte: byte ^ 4)
    change(place_of(single, slot_of(single, "small.txt"), 31), lambda byte: byte ^ 128)

    assert [message.partition(",")[0] for message in mended(single)] == ["its digest is now that of its content"] * 2

    assert images(single) == before


def test_a_content_that_is_damaged_is_removed_only_if_that_is_asked_for(single: list[str]) -> None:
    change(place_of_content(single, "index.html", 100), lambda byte: byte ^ 1)
    before = images(single)

    repairs, report = repair(single)
    assert (repairs, report.errors, images(single)) == ([], 1, before)

    assert mended(single, remove_damaged=True) == ["removed: it is damaged"]
    assert "index.html" not in [name for _, name, _, _ in listing(single)]
    assert len(listing(single)) == len(FILES) - 1 - 1 + 2


def test_an_object_where_nobody_looks_is_moved(by_hand: list[str]) -> None:
    slot, right = slot_of(by_hand, "index.html"), listing(by_hand)
    change(place_of(by_hand, slot), lambda byte: byte + 1)

    (message,) = mended(by_hand)

    assert message.startswith("moved to slot ")
    with Volume.open(by_hand) as volume:
        item = volume.named("index.html")
        assert item is not None
        assert item.slot in volume.table.slots_of(volume.table.bucket(item.digest))
        assert not any(volume.table.slot(slot))
    assert [row[1:] for row in listing(by_hand)] == [row[1:] for row in right]


def test_an_object_whose_bucket_is_full_is_removed(by_hand: list[str]) -> None:
    slot = slot_of(by_hand, "index.html")
    with Volume.open(by_hand, write=True) as volume:
        bucket = volume.table.bucket(found(volume, "index.html")) + 1
        with volume.batch() as batch:
            for count in range(7):
                batch.link(f"http://h.example/{count}", digest=bytes([bucket, *[count + 100] * 19]))
    change(place_of(by_hand, slot), lambda byte: byte + 1)

    assert mended(by_hand) == ["removed: it was where no reader finds it, and the bucket of its digest is full"]


def test_what_is_there_twice_is_there_once_afterwards(by_hand: list[str]) -> None:
    before, slot = listing(by_hand), slot_of(by_hand, "small.txt")
    raw = overwrite(place_of(by_hand, slot), bytes(256))
    overwrite(place_of(by_hand, slot), raw)
    overwrite(place_of(by_hand, slot + 1), raw)

    mended(by_hand)

    assert listing(by_hand) == before
    with Volume.open(by_hand) as volume:
        assert found(volume, "small.txt")
        assert volume.table.is_free(slot + 1)


def test_of_two_with_one_digest_the_one_with_its_content_stays(single: list[str]) -> None:
    before, slot = listing(single), slot_of(single, "small.txt")
    raw = overwrite(place_of(single, slot), bytes(256))
    overwrite(place_of(single, slot + 1), raw)
    with Volume.open(single) as volume:
        other = volume.named("two chunks")
        assert other is not None
    overwrite(place_of(single, slot), raw[:64] + struct.pack("<Q", other.first_chunk) + raw[72:])

    repair(single)

    assert listing(single) == before


def test_an_entry_of_which_nothing_can_be_read_is_removed(single: list[str]) -> None:
    overwrite(place_of(single, slot_of(single, "index.html"), 64), struct.pack("<Q", 1 << 50))

    (message,) = mended(single)

    assert message == "removed: its chunks are none that an object can have"
    assert "index.html" not in [name for _, name, _, _ in listing(single)]


def test_flags_that_do_not_count(by_hand: list[str]) -> None:
    with Volume.open(by_hand) as volume:
        (gone,) = volume.removed()
        default = volume.default
        assert default is not None
    for slot in (gone.slot, slot_of(by_hand, "empty")):
        change(place_of(by_hand, slot, 180), lambda byte: byte | 8)

    repairs, report = repair(by_hand)

    assert [one.message for one in repairs] == ["no default flag: it did not count"] * 2
    assert report.findings == []
    with Volume.open(by_hand) as volume:
        assert volume.default == default


def test_a_journal_that_fits_is_finished(pair: list[str]) -> None:
    slot = slot_of(pair, "away")
    with Volume.open(pair) as volume:
        label, before = volume.label, volume.table.slot(slot)
    journal = journal_path(label, pair[0], is_file=True)
    write_journal(journal, label, [Change(slot, before, bytes(256))])

    mended(pair)

    assert not journal.exists()
    assert "away" not in [name for _, name, _, _ in listing(pair)]


def test_a_journal_that_does_not_fit_stops_the_repair(single: list[str]) -> None:
    with Volume.open(single) as volume:
        label = volume.label
    write_journal(journal_path(label, single[0], is_file=True), label, [Change(0, b"x" * 256, b"y" * 256)])
    change(place_of(single, slot_of(single, "index.html"), 250), lambda byte: 65)
    before = images(single)

    repairs, report = repair(single)

    assert (repairs, images(single)) == ([], before)
    assert [finding.fault for finding in report.findings if finding.is_error] == [Fault.JOURNAL, Fault.UNUSED]


@pytest.mark.parametrize(("at", "byte"), [(18, 9), (22, 4), (22, 9)])
def test_what_a_damaged_configuration_makes_of_entries_is_left_alone(single: list[str], at: int, byte: int) -> None:
    change((single[0], 4096 + at), lambda before: byte)
    before = images(single)

    repairs, report = repair(single, remove_damaged=True)

    assert (repairs, images(single)) == ([], before)
    assert (Fault.CONFIGURATION, True) in [(finding.fault, finding.is_error) for finding in report.findings]


def test_chunks_that_two_objects_have_are_nobodys_to_clear(by_hand: list[str]) -> None:
    with Volume.open(by_hand) as volume:
        item = volume.named("two chunks")
        assert item is not None
    overwrite(place_of(by_hand, slot_of(by_hand, "small.txt"), 64), struct.pack("<Q", item.first_chunk))

    repair(by_hand)

    with Volume.open(by_hand) as volume:
        item = volume.named("two chunks")
        assert item is not None
        assert b"".join(map(bytes, volume.read(item))) == content("two chunks")


def test_a_repair_that_is_interrupted_is_finished_by_the_next(pair: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    before = images(pair)
    for name in ("index.html", "away", "small.txt"):
        change(place_of(pair, slot_of(pair, name), 250, backup=name == "away"), lambda byte: 65)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as there:
        there.setattr(Volume, "write_slots", dies)
        with pytest.raises(KeyboardInterrupt):
            repair(pair)
    mended(pair)

    assert images(pair) == before


@pytest.mark.timeout(1800)
def test_whatever_is_damaged_the_repair_ends_and_leaves_nothing_to_repair(
    tmp_path: Path, seeded: random.Random, full: bool
) -> None:
    """Damage of many bytes: it is refused, or the next repair finds nothing that this one could have done."""
    volumes = []
    for name, sample in SAMPLES.items():
        (tmp_path / name).mkdir()
        paths = sample.make(tmp_path / name)
        volumes.append((paths, images(paths)))
    outcomes = set()

    for _ in range(20_000 if full else 300):
        paths, sound = seeded.choice(volumes)
        for path, image in zip(paths, sound, strict=True):
            Path(path).write_bytes(image)
        for _ in range(seeded.choice([1, 2, 5, 20])):
            damage(seeded, seeded.choice(paths))
        try:
            was_sound = check(paths).is_sound
            repair(paths, remove_damaged=seeded.random() < 0.5)
            again, report = repair(paths)
            with Volume.open(paths) as volume:
                list(Undelete(volume).removed())
        except ShfsError:
            outcomes.add("refused")
            continue
        assert again == []
        outcomes.add("sound" if was_sound else "repaired" if report.is_sound else "left")

    assert outcomes == {"refused", "sound", "repaired", "left"}


def damage(chance: random.Random, path: str) -> None:
    """Some bytes of a member, mostly where the structures are."""
    length = chance.choice([1, 1, 2, 8, 64, 256])
    where = chance.choice(
        [
            1024 + chance.randrange(334),
            4096 + chance.randrange(27),
            8192 + chance.randrange(4 * 4096),
            8192 + 256 * chance.randrange(64) + chance.choice([0, 1, 64, 65, 72, 80, 98, 100, 171, 180, 181]),
            chance.randrange(Path(path).stat().st_size - 256),
        ]
    )
    overwrite((path, where), chance.choice([bytes(length), chance.randbytes(length)]))


def test_nobody_else_changes_the_volume_meanwhile(single: list[str]) -> None:
    with Volume.open(single, write=True), pytest.raises(VolumeBusy):
        repair(single)


def test_the_command_tells_and_does(pair: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    def shfs(*arguments: str) -> tuple[int | str | None, str]:
        with pytest.raises(SystemExit) as ended:
            main(["check", "-v", pair[0], "-v", pair[1], *arguments])
        return ended.value.code, capsys.readouterr().out

    change(place_of(pair, slot_of(pair, "index.html"), 250), lambda byte: 65)
    before = images(pair)

    code, out = shfs("--repair", "--dry-run")
    assert (code, out.splitlines()[0].split()[:2], images(pair)) == (9, ["TO", "REPAIR"], before)
    assert "(index.html)" in out.splitlines()[1]

    code, out = shfs("--repair", "-o", "json")
    told = json.loads(out)
    assert (code, [one["name"] for one in told["repairs"]], told["findings"]) == (0, ["index.html"], [])
    assert shfs("--repair")[0] == 0
    assert shfs("--dry-run")[0] == 2


def test_what_was_removed_stays_so(pair: list[str]) -> None:
    change(place_of(pair, slot_of(pair, GONE), 172, backup=True), lambda byte: byte ^ 1)

    mended(pair)

    with Volume.open(pair) as volume:
        assert [item.name for item in volume.removed()] == [GONE]
