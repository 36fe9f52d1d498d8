"""`shfs check`: sound volumes pass, and of damaged ones it says what is wrong with which object."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from shfs import Volume, VolumeError, mkfs
from shfs.check import check
from shfs.cli.main import main
from shfs.digests import HashFunction, provider
from shfs.errors import HostError
from shfs.findings import Fault, Finding, Report
from shfs.journal import Change, journal_path, write_journal
from tests.unit.shfs_golden import GOLDEN, unpack
from tests.unit.shfs_samples import SAMPLES, change, found, overwrite, place_of, place_of_content, slot_of

UNSOUND = {"f-pastend"}
"""Where the original wrote a file past the end of the volume."""


@pytest.fixture(params=SAMPLES)
def paths(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    return SAMPLES[request.param].make(tmp_path)


@pytest.fixture
def single(tmp_path: Path) -> list[str]:
    return SAMPLES["one member"].make(tmp_path)


@pytest.fixture
def pair(tmp_path: Path) -> list[str]:
    return SAMPLES["two members and a backup"].make(tmp_path)


@pytest.fixture
def by_hand(tmp_path: Path) -> list[str]:
    return SAMPLES["digests by hand"].make(tmp_path)


def errors(report: Report) -> list[tuple[Fault, str | None]]:
    return [(finding.fault, finding.name) for finding in report.findings if finding.is_error]


def notes(report: Report) -> list[tuple[Fault, str | None]]:
    return [(finding.fault, finding.name) for finding in report.findings if not finding.is_error]


def the_error(report: Report) -> Finding:
    (finding,) = [finding for finding in report.findings if finding.is_error]
    return finding


@pytest.mark.parametrize("name", GOLDEN)
def test_volumes_of_the_original_tools_are_sound(name: str, tmp_path: Path) -> None:
    report = check([str(path) for path in unpack(GOLDEN[name], tmp_path)])

    assert errors(report) == ([(Fault.PLACE, "a")] if name in UNSOUND else [])


def test_a_sound_volume_has_no_findings(paths: list[str]) -> None:
    told: list[tuple[int, int]] = []

    report = check(paths[::-1], progress=lambda done, whole: told.append((done, whole)))

    assert report.findings == []
    assert (report.links, report.removed) == (2, 1)
    assert report.bytes == report.read == 100 + 4096 + 5000 + 8192
    assert told[-1] == (report.bytes, report.bytes)


def test_a_byte_of_a_content_names_its_object(single: list[str]) -> None:
    change(place_of_content(single, "two chunks", 5000), lambda byte: byte ^ 1)

    finding = the_error(check(single))

    with Volume.open(single) as volume:
        assert (finding.fault, finding.name, finding.digest) == (
            Fault.DIGEST,
            "two chunks",
            found(volume, "two chunks"),
        )
    assert check(single, data=False).is_sound


def test_a_damaged_digest_is_told_from_a_damaged_content(single: list[str]) -> None:
    change(place_of(single, slot_of(single, "index.html"), 20), lambda byte: byte ^ 1)

    finding = the_error(check(single))

    assert finding.name == "index.html"
    assert "its digest is damaged" in finding.message
    assert finding.repairable


def test_the_originals_digest_of_a_full_last_chunk_is_a_note(tmp_path: Path) -> None:
    image = tmp_path / "m0"
    image.write_bytes(bytes(1 << 18))
    mkfs([str(image)], stripe=4096, buckets=4, entries=4)
    (tmp_path / "full").write_bytes(b"x" * 8192)
    with Volume.open([str(image)], write=True) as volume, volume.batch(compat_digest=True) as batch:
        batch.add(tmp_path / "full")

    assert notes(check([str(image)])) == [(Fault.DIGEST, "full")]
    change(place_of_content([str(image)], "full", 5000), lambda byte: byte ^ 1)
    assert check([str(image)]).is_sound
    change(place_of_content([str(image)], "full", 4000), lambda byte: byte ^ 1)
    assert errors(check([str(image)])) == [(Fault.DIGEST, "full")]


def test_padding_that_is_not_zero(paths: list[str]) -> None:
    change(place_of_content(paths, "small.txt", 4095), lambda byte: 1)

    assert errors(check(paths)) == [(Fault.PADDING, "small.txt")]


Damage = Callable[[bytearray], None]


def put(at: int, layout: str, *values: int) -> Damage:
    return lambda slot: struct.pack_into(layout, slot, at, *values)


@pytest.mark.parametrize(
    ("name", "damage", "fault"),
    [
        ("index.html", put(64, "<Q", 1 << 40), Fault.PLACE),
        ("index.html", put(64, "<Q", 1), Fault.PLACE),
        ("index.html", put(64, "<Q", 2), Fault.PLACE),
        ("index.html", put(80, "<Q", 1 << 63), Fault.PLACE),
        ("index.html", put(72, "<Q", 4096), Fault.PLACE),
        ("empty", put(64, "<Q", 0), Fault.PLACE),
        ("index.html", put(50, "<B", 1), Fault.UNUSED),
        ("index.html", put(250, "<B", 1), Fault.UNUSED),
        ("index.html", put(181 + 20, "<B", 65), Fault.UNUSED),
        ("index.html", put(88 + 20, "<B", 65), Fault.UNUSED),
        ("index.html", put(180, "<B", 0x18), Fault.FLAGS),
        ("away", put(64, "<B", 3), Fault.LINK),
        ("away", put(65, "<B", 0), Fault.LINK),
        ("away", put(65, "<B", 10), Fault.LINK),
        ("away", put(98, "<H", 0), Fault.LINK),
        ("away", put(100, "<B", 10), Fault.LINK),
        ("away", put(171, "<B", 3), Fault.LINK),
        ("away", put(100 + 30, "<B", 65), Fault.UNUSED),
    ],
)
def test_rules_of_entries(by_hand: list[str], name: str, damage: Damage, fault: Fault) -> None:
    slot = slot_of(by_hand, name)
    place = place_of(by_hand, slot)
    raw = bytearray(overwrite(place, bytes(256)))
    damage(raw)
    overwrite(place, bytes(raw))

    finding = next(finding for finding in check(by_hand).findings if finding.is_error)

    assert (finding.fault, finding.slot, finding.where) == (fault, slot, f"slot {slot}")
    assert finding.digest == bytes(raw[:20])


def test_an_object_in_a_bucket_where_nobody_looks(by_hand: list[str]) -> None:
    change(place_of(by_hand, slot_of(by_hand, "index.html")), lambda byte: byte + 1)

    assert errors(check(by_hand)) == [(Fault.BUCKET, "index.html")]


def test_a_digest_that_is_there_twice(by_hand: list[str]) -> None:
    slot = slot_of(by_hand, "empty")
    with open(place_of(by_hand, slot)[0], "rb") as file:
        file.seek(place_of(by_hand, slot)[1])
        raw = file.read(256)
    overwrite(place_of(by_hand, slot + 1), raw)

    finding = the_error(check(by_hand))

    assert (finding.fault, finding.slot) == (Fault.TWICE, slot + 1)


def test_objects_that_share_a_chunk(by_hand: list[str]) -> None:
    with Volume.open(by_hand) as volume:
        item = volume.named("two chunks")
        assert item is not None
    overwrite(place_of(by_hand, slot_of(by_hand, "one chunk"), 64), struct.pack("<Q", item.first_chunk + 1))

    assert sorted(errors(check(by_hand))) == [(Fault.OVERLAP, "one chunk"), (Fault.OVERLAP, "two chunks")]


def test_flags_of_the_default_object(by_hand: list[str]) -> None:
    with Volume.open(by_hand) as volume:
        (removed,) = volume.removed()
    change(place_of(by_hand, removed.slot, 180), lambda byte: byte | 8)
    for name in ("small.txt", "away"):
        change(place_of(by_hand, slot_of(by_hand, name), 180), lambda byte: byte | 8)

    report = check(by_hand)

    assert report.is_sound
    assert [fault for fault, _ in notes(report)] == [Fault.DEFAULT] * 4


def test_what_was_removed_and_overwritten_is_a_note(single: list[str]) -> None:
    with Volume.open(single) as volume:
        (removed,) = volume.removed()
    overwrite(place_of(single, slot_of(single, "empty"), 64), struct.pack("<QQQ", removed.first_chunk, 0, 1))

    assert (Fault.REMOVED, "gone.bin") in notes(check(single))


def test_a_link_whose_digest_is_of_another_spelling_is_a_note(single: list[str]) -> None:
    change(place_of(single, slot_of(single, "away"), 100), lambda byte: byte ^ 1)

    assert notes(check(single)) == [(Fault.DIGEST, "away")]
    assert check(single).is_sound


def test_names_that_are_no_text_are_notes(single: list[str]) -> None:
    change(place_of(single, slot_of(single, "small.txt"), 181), lambda byte: 0xFF)
    change(place_of(single, slot_of(single, "empty"), 181), lambda byte: 0x1B)

    report = check(single)

    assert report.is_sound
    assert [fault for fault, _ in notes(report)] == [Fault.TEXT] * 2


def test_an_own_function_checks_digests_given_by_hand(tmp_path: Path) -> None:
    image = tmp_path / "m0"
    image.write_bytes(bytes(1 << 18))
    mkfs([str(image)], stripe=4096, buckets=4, entries=4, function=HashFunction.MANUAL, digest_length=12)
    (tmp_path / "file").write_bytes(b"x" * 5000)
    own = provider("blake2b")
    with Volume.open([str(image)], write=True) as volume, volume.batch(provider=own) as batch:
        batch.add(tmp_path / "file")
    assert check([str(image)], provider=own).is_sound

    change(place_of_content([str(image)], "file", 17), lambda byte: byte ^ 1)

    assert check([str(image)]).is_sound
    assert errors(check([str(image)], provider=own)) == [(Fault.DIGEST, "file")]


# Tables, configuration, journal.


def test_tables_that_differ_are_told_slot_by_slot(pair: list[str]) -> None:
    for name, backup in (("index.html", True), ("away", False)):
        change(place_of(pair, slot_of(pair, name), 172, backup=backup), lambda byte: byte ^ 1)

    assert sorted(errors(check(pair))) == [(Fault.COPIES, "away"), (Fault.COPIES, "index.html")]


@pytest.mark.parametrize("backup", [False, True])
def test_the_table_that_makes_sense_is_believed(pair: list[str], backup: bool) -> None:
    change(place_of(pair, slot_of(pair, "index.html"), 80, backup=backup), lambda byte: byte ^ 1)

    finding = next(finding for finding in check(pair).findings if finding.fault is Fault.COPIES)

    assert f"that of the {'table' if backup else 'backup table'} is to be believed" in finding.message


def test_a_table_that_was_wiped_is_not_believed(pair: list[str]) -> None:
    overwrite(place_of(pair, slot_of(pair, "away")), bytes(256))

    finding = the_error(check(pair))

    assert (finding.fault, finding.name) == (Fault.COPIES, "away")
    assert "that of the backup table is to be believed" in finding.message


def test_the_slack_of_a_table(tmp_path: Path) -> None:
    image = tmp_path / "m0"
    image.write_bytes(bytes(1 << 18))
    mkfs([str(image)], stripe=4096, buckets=3, entries=3)
    assert [finding.fault for finding in check([str(image)]).findings] == [Fault.CONFIGURATION]

    change((str(image), 2 * 4096 + 9 * 256), lambda byte: 1)

    assert the_error(check([str(image)])).where == "table"


@pytest.mark.parametrize(("at", "byte"), [(16, 9), (17, 0), (18, 255), (26, 7), (0, 3), (8, 79), (100, 1)])
def test_rules_of_the_configuration(single: list[str], at: int, byte: int) -> None:
    change((single[0], 4096 + at), lambda before: byte)

    assert (Fault.CONFIGURATION, None) in errors(check(single))


def test_best_fit_is_a_note(single: list[str]) -> None:
    change((single[0], 4096 + 26), lambda byte: 1)

    assert notes(check(single)) == [(Fault.CONFIGURATION, None)]


def test_a_journal_is_a_note_and_one_that_does_not_fit_an_error(single: list[str]) -> None:
    slot = slot_of(single, "away")
    with Volume.open(single) as volume:
        label, before = volume.label, volume.table.slot(slot)
        journal = journal_path(label, single[0], is_file=True)
    write_journal(journal, label, [Change(slot, before, bytes(256))])

    report = check(single)
    assert (report.is_sound, report.links, notes(report)) == (True, 1, [(Fault.JOURNAL, None)])

    change(place_of(single, slot, 172), lambda byte: byte ^ 1)
    assert errors(check(single)) == [(Fault.JOURNAL, None)]

    journal.write_bytes(b"nothing")
    assert errors(check(single)) == [(Fault.JOURNAL, None)]


# Labels.


@pytest.mark.parametrize(
    ("at", "what"),
    [
        (6, "volume UUID"),
        (22, "volume name"),
        (40, "volume size"),
        (48, "creation time"),
        (56, "stripe mode"),
        (58, "stripe size"),
        (39, "encoding"),
    ],
)
def test_labels_that_disagree_are_told_field_by_field(pair: list[str], at: int, what: str) -> None:
    bit = {56: 1, 58: 0x30}.get(at, 1)
    change((pair[1], 1024 + at), lambda byte: byte ^ bit)

    found = [finding for finding in check(pair[::-1]).findings if finding.fault is Fault.LABEL and finding.is_error]

    assert any(f"its {what} is" in finding.message and "m" in finding.where for finding in found)


@pytest.mark.parametrize("at", [0, 61, 77, 78, 94])
def test_a_label_that_is_damaged_is_told_beside_one_that_is_not(pair: list[str], at: int) -> None:
    change((pair[1], 1024 + at), lambda byte: byte ^ 1)

    findings = check(pair).findings

    assert {(finding.fault, finding.where, finding.repairable) for finding in findings} == {
        (Fault.LABEL, f"label of member 1 ({pair[1]})", True)
    }


@pytest.mark.parametrize("at", [0, 1023, 1024 + 334, 4095, 1024 + 78 + 40])
def test_bytes_around_a_label(paths: list[str], at: int) -> None:
    change((paths[-1], at), lambda byte: 1)

    assert the_error(check(paths)).where == f"label of member {len(paths) - 1} ({paths[-1]})"


def test_what_is_no_volume_or_not_all_of_one_is_refused(pair: list[str], tmp_path: Path) -> None:
    copy, foreign = tmp_path / "copy", tmp_path / "foreign"
    shutil.copy(pair[0], copy)
    foreign.write_bytes(b"nothing of this volume" * 20000)
    (tmp_path / "blank").write_bytes(bytes(1 << 18))
    for members in ([pair[0]], [pair[0], str(copy)], [pair[0], str(foreign)], [str(tmp_path / "blank")]):
        with pytest.raises(VolumeError):
            check(members)


def test_a_member_that_cannot_be_read_is_the_machines(single: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("shfs.members.os.pread", fails)

    with pytest.raises(HostError, match="cannot be read: Input/output error"):
        check(single)


# The command.


def shfs(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int | str | None, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


def test_the_command_ends_with_0_or_9(single: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert shfs(capsys, "check", *single) == (
        0,
        "volume sample: errors 0, notes 0; files 5 (17.0 KiB, 17.0 KiB compared with digests), links 2, removed 1\n",
        "",
    )
    change(place_of_content(single, "small.txt", 50), lambda byte: byte ^ 1)

    code, out, err = shfs(capsys, "check", *single)

    assert code == 9
    assert "(small.txt)" in out
    assert "its content is damaged" in out
    assert err.splitlines() == [
        "error: the check of volume sample found errors: 1",
        " hint: take the objects from a copy; `shfs check --repair --remove-damaged` removes damaged ones",
    ]


def test_the_command_prints_json(pair: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    change(place_of_content(pair, "small.txt", 50), lambda byte: byte ^ 1)

    code, out, err = shfs(capsys, "check", "-v", pair[1], "-v", pair[0], "-o", "json")

    (finding,) = json.loads(out)
    assert (code, finding["severity"], finding["fault"], finding["name"]) == (9, "error", "digest", "small.txt")
    assert json.loads(err)["exit_code"] == 9


def test_foreign_text_does_not_reach_the_terminal(single: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    overwrite(place_of(single, slot_of(single, "small.txt"), 181), b"\x1b[31m\xff[/b]")

    for command in (("check", *single), ("ls", *single), ("stat", *single, "--digest", digest_of(single))):
        code, out, err = shfs(capsys, *command)
        assert (code, err) == (0, "")
        assert "\\x1b[31m\\xff[/b]" in out
        assert "\x1b" not in out


def digest_of(paths: list[str]) -> str:
    with Volume.open(paths) as volume:
        return next(item.digest.hex() for item in volume.objects() if "[/b]" in item.name)
