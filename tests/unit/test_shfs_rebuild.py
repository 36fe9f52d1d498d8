"""Volumes of the original tools: read by ours, and made anew from the recorded command lines, byte by byte.

Into a volume that is made anew go the UUIDs of the golden one and the times of its entries. Masked is what the original
left of its memory in link entries. Where the original is wrong, the difference is exactly the one that is said here.
"""

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from shfs import ShfsError, Volume, VolumeError, VolumeFull, mkfs
from shfs.cli.main import main
from shfs.digests import HashFunction
from shfs.geometry import StripeMode
from shfs.links import LinkKind
from tests.unit import shfs_decoder
from tests.unit.shfs_golden import (
    GOLDEN,
    Add,
    Command,
    Format,
    Link,
    Record,
    Remove,
    SetDefault,
    Step,
    blank_members,
    commands,
    content,
    images,
    masked,
    unpack,
    write_inputs,
)

golden = pytest.mark.parametrize("record", GOLDEN.values(), ids=GOLDEN)

Shfs = Callable[..., tuple[int, bytes, bytes]]


def defects(record: Record) -> list[str]:
    """What of the original's defects a volume shows."""
    found: list[str] = record.get("defects", [])
    return found


@pytest.fixture
def shfs(capfdbinary: pytest.CaptureFixture[bytes]) -> Shfs:
    """Runs a command in this process; gives exit code, output, errors."""

    def run(*arguments: str) -> tuple[int, bytes, bytes]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        assert isinstance(ended.value.code, int)
        return ended.value.code, *capfdbinary.readouterr()

    return run


def given(record: Record, folder: Path) -> list[str]:
    """The members of an unpacked volume as arguments, the last one first."""
    return [word for path in reversed(unpack(record, folder)) for word in ("-v", str(path))]


# Reading.


@golden
def test_the_listing_is_that_of_the_referee(record: Record, tmp_path: Path) -> None:
    paths = unpack(record, tmp_path)

    with Volume.open([str(path) for path in reversed(paths)]) as volume:
        rows = [item.as_json() for item in volume.objects()]
        default = volume.default
    expected = shfs_decoder.Volume.read(paths).listing()
    assert [{key: row[key] for key in expected[0]} for row in rows] == expected
    flagged = [row["digest"] for row in expected if row["default"]]
    assert flagged == ([] if default is None else [default.digest.hex()])


@golden
def test_contents_are_those_that_were_put_in(record: Record, tmp_path: Path) -> None:
    with Volume.open([str(path) for path in unpack(record, tmp_path)]) as volume:
        for entry in record["final"]["entries"]:
            item = volume.find(bytes.fromhex(entry["hash"]))
            assert item is not None
            assert (item.slot, item.created) == (entry["slot"], entry["ts"])
            if "host" in entry:
                continue
            expected = content(record["inputs"][entry["input"]])
            if "past-end" in defects(record):
                with pytest.raises(VolumeError, match=f"{item.digest.hex()}.*chunks 3 to 8, of a volume of 7"):
                    volume.read(item)
                continue
            assert b"".join(volume.read(item)) == expected
            assert b"".join(volume.read(item, len(expected) // 3, 50)) == expected[len(expected) // 3 :][:50]


@golden
def test_the_command_line_reads_it(record: Record, tmp_path: Path, shfs: Shfs) -> None:
    members = given(record, tmp_path)

    code, out, _ = shfs("ls", *members, "-o", "json")
    rows = json.loads(out)
    expected = shfs_decoder.Volume(images(record)).listing()
    assert code == 0
    assert [[row[key] for key in expected[0]] for row in rows] == [[*row.values()] for row in expected]
    readable = [entry for entry in record["final"]["entries"] if "input" in entry and not defects(record)]
    for entry in readable[-3:]:
        code, out, _ = shfs("cat", *members, "--digest", entry["hash"])
        assert (code, out) == (0, content(record["inputs"][entry["input"]]))


@golden
def test_the_check_finds_nothing_but_what_lies_past_the_end(record: Record, tmp_path: Path, shfs: Shfs) -> None:
    code, out, err = shfs("check", *given(record, tmp_path))

    assert (code, b"error:" in err) == ((9, True) if "past-end" in defects(record) else (0, False)), out + err
    if "past-end" in defects(record):
        assert record["final"]["entries"][0]["hash"].encode() in out


# Making anew.


def make(record: Record, step: Format, members: list[str], created: int) -> None:
    """shfs_mkfs, with the UUIDs of the golden volume."""
    label = shfs_decoder.label_of(images(record)[0])
    mkfs(
        members,
        name=step.name,
        stripe=step.stripe,
        mode=StripeMode.COMBINED if step.combined else StripeMode.INDEPENDENT,
        buckets=step.buckets,
        entries=step.entries,
        function=HashFunction.named(step.hash),
        digest_length=step.length,
        erase=step.erase,
        volume_uuid=uuid.UUID(bytes=label.volume),
        member_uuids=[uuid.UUID(bytes=member) for member in label.members],
        created=created,
    )


def change(step: Step, members: list[str], now: int) -> None:
    """One action of shfs_admin, which succeeds or fails whatever becomes of the others of its command line."""
    with (
        Volume.open(members, write=True) as volume,
        volume.batch(compat_digest=True, reuse_removed=True, now=now) as batch,
    ):
        by_hand = volume.configuration.function is HashFunction.MANUAL
        match step:
            case Add(path, mime, name, digest):
                batch.add(path, name=name, mime=mime, digest=bytes.fromhex(digest) if digest and by_hand else None)
            case Link(url, kind, name, digest):
                batch.link(url, LinkKind[kind.upper()], name=name, digest=bytes.fromhex(digest) if digest else None)
            case Remove(digest):
                batch.remove(bytes.fromhex(digest))
            case SetDefault(digest):
                batch.set_default(bytes.fromhex(digest))
            case _:
                batch.set_default(None)


def replay(record: Record, command: Command) -> list[Exception]:
    """Does a command line; returns what failed of it."""
    now = record["final"]["info"]["ts"] if command.time is None else command.time
    failures: list[Exception] = []
    for step in command.steps:
        try:
            if isinstance(step, Format):
                make(record, step, list(command.members), now)
            else:
                change(step, list(command.members), now)
        except (ShfsError, ValueError) as error:
            failures.append(error)
    return failures


def righted(record: Record, members: list[bytes]) -> list[bytes]:
    """The members of a golden volume without the defects that it shows."""
    volume = shfs_decoder.Volume(members)
    right = [bytearray(member) for member in masked(record, members)]
    for slot in volume.slots:
        member, at = volume.place_of_slot(slot.number)
        fields = memoryview(right[member])[at : at + 256]
        if "stale-default" in defects(record) and not slot.live:
            fields[180] &= ~shfs_decoder.DEFAULT
        if "old-bytes" in defects(record):
            unsaid = [range(97, 98), range(100 + len(slot.path), 171)] if slot.is_link else [range(136, 172)]
            for byte in (byte for run in unsaid for byte in run):
                fields[byte] = 0
    return [bytes(member) for member in right]


UNLIKE = {"past-end", "odd-links", "empty-divides"}
"""Here ours refuses what the original does, or does otherwise."""

ALIKE = {name: record for name, record in GOLDEN.items() if not UNLIKE & set(defects(record))}


@pytest.mark.parametrize("record", ALIKE.values(), ids=ALIKE)
def test_made_anew_it_is_the_same_to_the_byte(record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_inputs(record, tmp_path)
    members = blank_members(record, tmp_path)
    monkeypatch.chdir(tmp_path)

    for command in commands(record):
        failures = replay(record, command)
        assert len(failures) == command.failures, (command, failures)
    made = [path.read_bytes() for path in members]
    assert masked(record, made) == righted(record, images(record))


def test_what_does_not_fit_is_refused_though_there_is_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = GOLDEN["f-pastend"]
    write_inputs(record, tmp_path)
    (member,) = blank_members(record, tmp_path)
    monkeypatch.chdir(tmp_path)
    formatted, linked, added = commands(record)
    assert [replay(record, formatted), replay(record, linked)] == [[], []]
    before = member.read_bytes()

    assert [type(error) for error in replay(record, added)] == [VolumeFull]
    assert member.read_bytes() == before


def test_an_empty_file_does_not_divide_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = GOLDEN["e-behind"]
    write_inputs(record, tmp_path)
    members = blank_members(record, tmp_path)
    monkeypatch.chdir(tmp_path)

    for command in commands(record):
        assert replay(record, command) == []
    original, ours = shfs_decoder.Volume(images(record)), shfs_decoder.Volume.read(members)
    assert [[*original.chunks_of(slot)] for slot in original.live] == [[4, 5], [], [3], [6], []]
    assert original.live[-1].first_chunk == 6
    assert [[*ours.chunks_of(slot)] for slot in ours.live] == [[3, 4], [], [5], [6], []]
    assert ours.live[-1].first_chunk == 7
    assert ours.listing() == original.listing()
    assert ours.findings() == []


ODD = {
    "http://127.0.0.1/loop": "http://127.0.0.1/loop",
    "http://10.0.0.1:8080/ten": "http://10.0.0.1:8080/ten",
    "http://192.168.0.1/": "http://192.168.0.1/",
    "http://1.2.3.4.5/five": "http://1.2.3.4/five",
    "http://01.02.03.04/zeros": "http://1.2.3.4/zeros",
    "http://UPPER.example/Case?Q=%20&x": "http://UPPER.example/Case?Q=%20&x",
    "HTTP://upper.example/": None,
    "h://x.example/z": "http://x.example/z",
    "http://h.example/a#": "http://h.example/a#",
    "http://h.example/q?" + "q" * 80: "http://h.example/q?" + "q" * 69,
}
"""What the original makes of these URLs; it refuses that with None."""

OURS = {
    **ODD,
    "http://1.2.3.4.5/five": "http://1.2.3.4.5/five",
    "http://01.02.03.04/zeros": "http://01.02.03.04/zeros",
    "http://UPPER.example/Case?Q=%20&x": "http://upper.example/Case?Q=%20&x",
    "HTTP://upper.example/": "http://upper.example/",
    "h://x.example/z": None,
    "http://h.example/a#": None,
    "http://h.example/q?" + "q" * 80: None,
}
"""What ours makes of them: nothing is taken for another host, cut, or sent that no server is sent."""


def test_odd_urls_are_understood_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = GOLDEN["l-odd"]
    members = blank_members(record, tmp_path)
    monkeypatch.chdir(tmp_path)
    formatted, *links = commands(record)
    replay(record, formatted)

    for command in links:
        (step,) = command.steps
        assert isinstance(step, Link)
        assert (command.failures == 1) == (ODD[step.url] is None)
        assert (replay(record, command) == []) == (OURS[step.url] is not None)
    for volume, expected in ((shfs_decoder.Volume(images(record)), ODD), (shfs_decoder.Volume.read(members), OURS)):
        assert {slot.target for slot in volume.live} == {target for target in expected.values() if target}
        assert volume.findings() == []
