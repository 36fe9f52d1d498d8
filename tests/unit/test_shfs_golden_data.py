"""The referee itself: what it reads from every golden volume is what the record of the volume says."""

import hashlib
import re
from pathlib import Path

import pytest

from tests.unit.shfs_decoder import HASHES, NotAVolume, Slot, Volume, crc32_bzip2
from tests.unit.shfs_golden import (
    GOLDEN,
    Add,
    ClearDefault,
    Command,
    Format,
    Link,
    Record,
    Remove,
    SetDefault,
    blank_members,
    commands,
    content,
    images,
    masked,
    translate,
    unpack,
    write_inputs,
)

golden = pytest.mark.parametrize("record", GOLDEN.values(), ids=GOLDEN)


@golden
def test_the_members_are_those_of_the_record(record: Record, tmp_path: Path) -> None:
    paths = unpack(record, tmp_path)

    assert [path.stat().st_size for path in paths] == [member["size"] for member in record["members"]]
    assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths] == [
        member["sha256"] for member in record["members"]
    ]


@golden
def test_the_inputs_are_made_anew(record: Record, tmp_path: Path) -> None:
    write_inputs(record, tmp_path)

    for name, source in record["inputs"].items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == source["sha256"], name


@golden
def test_label_and_configuration_are_read(record: Record) -> None:
    volume = Volume(reversed(images(record)))
    label, configuration = volume.label, volume.configuration

    info = record["final"]["info"]
    assert {
        "vol_uuid": info["vol_uuid"].replace("-", ""),
        **{key: value for key, value in info.items() if key not in ("vol_uuid", "order")},
    } == {
        "vol_uuid": label.volume.hex(),
        "name": label.name.decode(),
        "vol_size": label.chunks,
        "ts": label.created,
        "mode": label.mode,
        "stripe": label.stripe,
        "nb": len(label.members),
        "chunk": label.chunk,
        "ht_ref": configuration.table,
        "ht_bak": configuration.backup,
        "hfunc": configuration.function,
        "hlen": configuration.digest_length,
        "nbkt": configuration.buckets,
        "epb": configuration.entries,
        "alloc": configuration.allocator,
        "htlen": volume.table_chunks,
    }
    assert [image[1024:4096] for image in volume.members] == [image[1024:4096] for image in images(record)]


@golden
def test_every_slot_is_read(record: Record) -> None:
    volume = Volume(images(record))

    assert [described(slot) for slot in volume.live] == [recorded(entry) for entry in record["final"]["entries"]]
    assert [described(slot) for slot in volume.removed] == [recorded(entry) for entry in record["final"]["deleted"]]


def described(slot: Slot) -> Record:
    common = {
        "slot": slot.number,
        "hash": slot.digest.hex(),
        "ts": slot.created,
        "flags": slot.flags,
        "name": slot.name.decode("utf-8", "surrogateescape"),
        "tail": slot.tail.hex(),
    }
    if slot.is_link:
        return {
            **common,
            "host_type": slot.host_type,
            "host": slot.host,
            "pad97": slot.hole,
            "port": slot.port,
            "path": slot.path,
            "ltype": slot.kind,
        }
    return {
        **common,
        "chunk": slot.first_chunk,
        "offset": slot.offset,
        "len": slot.size,
        "mime": slot.mime.decode(),
        "enc": slot.encoding.decode(),
        "gap": slot.gap.hex(),
    }


JUDGED = {"bucket", "live", "default", "link", "hidden", "bucket_ok", "hash_pad_zero", "digest_ok", "pad_zero"}


def recorded(entry: Record) -> Record:
    """The fields of an entry that are its own, and not a judgement of them. Zeros may be left out."""
    zeros = {"tail": bytes(11).hex(), **({} if "host" in entry else {"gap": bytes(36).hex()})}
    return {key: value for key, value in (zeros | entry).items() if key not in JUDGED | {"sha256", "input"}}


@golden
def test_contents_and_digests_are_those_of_the_inputs(record: Record) -> None:
    volume = Volume(images(record))

    for slot, entry in zip(volume.live, record["final"]["entries"], strict=True):
        assert volume.bucket_of(slot.digest) == entry["bucket"]
        if slot.is_link:
            continue
        source = record["inputs"][entry["input"]]
        data = volume.content(slot)
        assert data == content(source)
        assert slot.digest.hex() == source.get("tool_digest", slot.digest.hex())
        if volume.configuration.function in (2, 3, 4):
            assert volume.original_digest(data) == slot.digest


@golden
def test_the_original_tool_made_a_sound_volume(record: Record) -> None:
    findings = Volume(images(record)).findings()

    assert any("outside" in finding for finding in findings) == ("past-end" in record.get("defects", []))
    assert findings == [] or "past-end" in record["defects"]


LISTED = re.compile(
    r"(?P<digest>[0-9a-f]+) +(?:(?P<chunk>\d+) +(?P<chunks>\d+) |) *  (?P<flags>[L-][D-][H-]) "
    r"(?P<type>redir| +raw| +auto| {5}) (?P<mime>.*?) *[A-Z][a-z]{2} [ \d]\d, \d\d \d\d:\d\d *(?P<name>.*)"
)
"""A line of `shfs_admin -l`."""


@golden
def test_the_listing_is_that_of_the_original(record: Record) -> None:
    volume = Volume(images(record))

    lines = [LISTED.fullmatch(line) for line in record["ls_stdout"].splitlines()[1:]]
    printed = [line.groupdict() for line in lines if line]
    assert len(printed) == len(lines)
    assert [
        (line["digest"], line["name"], line["mime"], line["type"].strip(), "D" in line["flags"]) for line in printed
    ] == [
        (
            *(row["digest"], row["name"], row["mime"]),
            {"file": "", "redirect": "redir"}.get(str(row["type"]), row["type"]),
            row["default"],
        )
        for row in volume.listing()
    ]
    places = [(slot.first_chunk, len(volume.chunks_of(slot))) for slot in volume.live if not slot.is_link]
    assert [(int(line["chunk"]), int(line["chunks"])) for line in printed if line["chunk"]] == places


def test_links_are_listed_with_their_targets() -> None:
    rows = Volume(images(GOLDEN["p7-links"])).listing()

    assert [(row["name"], row["type"], row["target"]) for row in rows] == [
        ("b.mp3", "redirect", "http://origin.example.com/a/b.mp3"),
        ("livestream", "raw", "http://origin.example.com:8080/live/stream.ts"),
        ("f1", "file", None),
        ("x?y=1", "auto", "http://10.1.2.3:8000/x?y=1"),
    ]


def spoiled(record: Record, at: int, value: bytes, member: int = 0) -> list[bytes]:
    """The members of a volume, with other bytes at one place."""
    members = images(record)
    members[member] = members[member][:at] + value + members[member][at + len(value) :]
    return members


TABLE = 2 * 4096

FLAWS = {
    "something before the label": (0, b"x", "member 0 has something around its label"),
    "an encoding": (1024 + 39, b"\1", "the label has an encoding"),
    "another size": (1024 + 40, b"\xfe", "the volume's size is not that of its smallest member"),
    "an impossible digest length": (4096 + 17, b"\x1f", "the digest is of a length that the function does not have"),
    "something behind the configuration": (4096 + 27, b"x", "there is something behind the configuration"),
    "an unknown flag": (TABLE + 180, b"\x40", "slot 0: unknown flags"),
    "something in the unused bytes": (TABLE + 245, b"x", "slot 0: bytes 245 to 255 are not zero"),
    "something behind the digest": (TABLE + 63, b"x", "slot 0: there is something behind the digest"),
    "another bucket": (TABLE, b"\1", "slot 0: the digest belongs into another bucket"),
    "another digest": (TABLE + 31, b"x", "slot 0: the digest is not that of the content"),
    "another content": (11 * 4096, b"x", "slot 0: the digest is not that of the content"),
    "something behind the file": (11 * 4096 + 4095, b"x", "slot 0: the rest of the last chunk is not zero"),
    "a file in the table": (TABLE + 64, b"\3", "slot 0: the file lies outside of the data area"),
    "a file too long": (TABLE + 80, b"\xff\xff\xff", "slot 0: the file lies outside of the data area"),
    "a chunk of two files": (TABLE + 64, b"\x0e", "slot 17: chunk 14 has two owners"),
    "two defaults": (TABLE + 180, b"\x08", "more than one object is the default"),
}


@pytest.mark.parametrize(("at", "value", "finding"), FLAWS.values(), ids=FLAWS)
def test_the_referee_finds_flaws(at: int, value: bytes, finding: str) -> None:
    assert finding in Volume(spoiled(GOLDEN["p1-sha256-4k"], at, value)).findings()


def test_the_referee_compares_the_labels_of_the_members() -> None:
    members = spoiled(GOLDEN["p3-md5-indep2"], 1024 + 48, b"x", member=1)

    assert Volume(members).findings() == ["the label of member 1 is another one"]


NO_VOLUMES = {
    "no label": (1024, b"x", "no SHFS label"),
    "another version": (1024 + 5, b"\0", "another version"),
    "big endian": (1024 + 38, b"\1", "another byte order"),
    "no members": (1024 + 77, b"\0", "an impossible number of members"),
    "17 members": (1024 + 77, b"\x11", "an impossible number of members"),
    "stripe mode 2": (1024 + 56, b"\2", "an unknown stripe mode"),
    "stripe size 4097": (1024 + 57, b"\1", "an impossible stripe size"),
    "a foreign member": (1024 + 61, b"xx", "members are missing, foreign, or given twice"),
    "too small": (1024 + 41, b"\1", "a member is too small"),
    "no buckets": (4096 + 18, bytes(4), "a table of no entries"),
    "too many buckets": (4096 + 20, b"\1", "the table does not fit into the volume"),
}


@pytest.mark.parametrize(("at", "value", "why"), NO_VOLUMES.values(), ids=NO_VOLUMES)
def test_the_referee_refuses_what_is_no_volume(at: int, value: bytes, why: str) -> None:
    with pytest.raises(NotAVolume, match=why):
        Volume(spoiled(GOLDEN["p1-sha256-4k"], at, value))


@pytest.mark.parametrize("choose", [slice(1), slice(1, 2), slice(0)], ids=["the first", "the second", "none"])
def test_the_referee_wants_all_members(choose: slice) -> None:
    with pytest.raises(NotAVolume):
        Volume(images(GOLDEN["p3-md5-indep2"])[choose])


def test_the_checksum_is_that_of_the_format() -> None:
    assert crc32_bzip2(b"hello world").hex() == "7813f744"
    assert crc32_bzip2(b"").hex() == "00000000"


def test_a_last_chunk_that_is_full_is_left_out_of_the_original_digest() -> None:
    volume = Volume(images(GOLDEN["p1-sha256-4k"]))

    assert volume.original_digest(bytes(8192)) == hashlib.sha256(bytes(4096)).digest()
    assert volume.original_digest(bytes(8191)) == hashlib.sha256(bytes(8191)).digest()
    assert volume.original_digest(b"") == hashlib.sha256(b"").digest()


def test_options_may_stand_anywhere() -> None:
    assert translate(["shfs_mkfs", "m0", "-s4096", "m1", "-c", "--name=seventeen-letters", "-fb", "3"]) == Command(
        ("m0", "m1"), (Format(name="seventeen-letter", stripe=4096, combined=True, buckets=3),)
    )
    assert translate(
        ["/bin/shfs_admin", "m0", "-a", "x", "m1", "-m", "text/css", "--add-l", "http://h/a/", "-t", "RAW"]
    ) == (Command(("m0", "m1"), (Add("x", mime="text/css"), Link("http://h/a/", "raw", "a"))))


def test_a_command_does_its_steps_in_order() -> None:
    command = translate(
        ["shfs_admin", "-C", "-r", "ab", "-a", "x", "-n", "y", "-D", "cd", "-d", "cd", "m"], 1, "Error: -1\n"
    )

    assert command.steps == (ClearDefault(), Remove("ab"), Add("x", name="y", digest="cd"), SetDefault("cd"))
    assert (command.exit_code, command.failures) == (1, 1)


def test_texts_are_cut_as_the_tools_cut_them() -> None:
    (add, link) = translate(
        ["shfs_admin", "-a", "x", "-n", "n" * 63 + "é", "-m", "m" * 40, "-u", "http://h/" + "p" * 70, "v"]
    ).steps

    assert add == Add("x", mime="m" * 32, name="n" * 63 + "\udcc3")
    assert link == Link("http://h/" + "p" * 70, "redirect", "p" * 64)


@golden
def test_every_golden_volume_was_formatted_before_anything_else(record: Record, tmp_path: Path) -> None:
    all_of_them = commands(record)

    formats = [step for command in all_of_them for step in command.steps if isinstance(step, Format)]
    made, info = formats[-1], record["final"]["info"]
    assert all_of_them[0].steps == (formats[0],)
    assert (made.name, made.stripe, made.buckets, made.entries, made.hash) == (
        *(info["name"], info["stripe"], info["nbkt"], info["epb"], HASHES[info["hfunc"]]),
    )
    assert (made.combined and info["nb"] > 1) == (info["mode"] == 1)
    assert made.length in (None, info["hlen"])
    members = blank_members(record, tmp_path)
    assert all_of_them[0].members == tuple(path.name for path in members)
    assert [path.stat().st_size for path in members] == [member["size_at_mkfs"] for member in record["members"]]
    assert all(set(command.members) == set(all_of_them[0].members) for command in all_of_them)
    assert all((command.exit_code == 0) == (command.failures == 0) for command in all_of_them)


def test_what_the_original_tool_left_of_its_memory_is_masked() -> None:
    record = GOLDEN["p7-links"]
    before = images(record)

    after = masked(record, before)
    changed = [at for at, (old, new) in enumerate(zip(before[0], after[0], strict=True)) if old != new]
    hosts = [
        TABLE + slot * 256 + at for slot, start in ((16, 84), (32, 84), (40, 69), (24, 69)) for at in range(start, 97)
    ]
    assert changed
    assert set(changed) <= set(hosts)
    assert not any(after[0][at] for at in hosts)
