"""shfs(5) is right: its tables of offsets, read by this program and by nothing else, decode the golden volumes."""

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from shfs.digests import HashFunction, new
from tests.unit.shfs_decoder import Volume
from tests.unit.shfs_golden import GOLDEN, Record, images

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "man" / "shfs.5").read_text(encoding="utf-8")

LABEL_AT = 1024


@dataclass(frozen=True)
class Field:
    offset: int
    size: int

    def of(self, structure: bytes) -> bytes:
        return structure[self.offset : self.offset + self.size]

    def number(self, structure: bytes) -> int:
        return int.from_bytes(self.of(structure), "little")

    def text(self, structure: bytes) -> str:
        return self.of(structure).partition(b"\0")[0].decode("utf-8", "surrogateescape")


def section(title: str) -> str:
    """The source of a section or subsection, up to the next one."""
    beginning = re.split(rf"^\.S[HS] {title}\n", PAGE, maxsplit=1, flags=re.MULTILINE)[1]
    return re.split(r"^\.S[HS] ", beginning, maxsplit=1, flags=re.MULTILINE)[0]


def fields(title: str) -> dict[str, Field]:
    """The table of offsets of a section. Cells over several lines are in T{ and T}."""
    table = section(title).split("offset\tsize\tfield\tvalue\n_\n", 1)[1].split(".TE", 1)[0]
    rows = re.findall(r"^(\d+)\t(\d+)\t([^\t]+)\t", table, flags=re.MULTILINE)
    return {name: Field(int(offset), int(size)) for offset, size, name in rows}


def examples() -> list[tuple[int, bytes]]:
    """The lines of hexadecimal numbers, with their addresses."""
    lines = re.findall(r"^([0-9a-f]{8})  ([0-9a-f ]{48})$", section("EXAMPLE"), flags=re.MULTILINE)
    return [(int(address, 16), bytes.fromhex(numbers)) for address, numbers in lines]


golden = pytest.mark.parametrize("record", GOLDEN.values(), ids=GOLDEN)


@pytest.mark.parametrize(
    ("title", "first", "end"),
    [
        ("LABEL", 0, 334),
        ("CONFIGURATION", 0, 27),
        ("ENTRY", 0, 256),
        ("File attributes", 64, 172),
        ("Link attributes", 64, 172),
    ],
)
def test_the_fields_of_a_structure_leave_no_gap(title: str, first: int, end: int) -> None:
    places = list(fields(title).values())

    assert places[0].offset == first
    assert [one.offset + one.size for one in places] == [after.offset for after in places[1:]] + [end]
    assert all(one.offset < other.offset for one, other in pairwise(places))


@golden
def test_the_page_decodes_labels(record: Record) -> None:
    at, info = fields("LABEL"), record["final"]["info"]
    members = [image[LABEL_AT:] for image in images(record)]

    for position, label in enumerate(members):
        assert {
            "vol_uuid": at["volume UUID"].of(label).hex(),
            "name": at["volume name"].text(label),
            "vol_size": at["volume size"].number(label),
            "ts": at["creation"].number(label),
            "mode": at["stripe mode"].number(label),
            "stripe": at["stripe size"].number(label),
            "nb": at["member count"].number(label),
        } == {key: info[key] for key in ("name", "vol_size", "ts", "mode", "stripe", "nb")} | {
            "vol_uuid": info["vol_uuid"].replace("-", "")
        }
        assert at["magic"].of(label) == b"SHFS"
        assert (at["version, major"].of(label), at["version, minor"].of(label)) == (b"\2", b"\1")
        own = at["member UUID"].of(label)
        assert own == at["member table"].of(label)[16 * position : 16 * position + 16]


@golden
def test_the_page_decodes_configurations(record: Record) -> None:
    at, info = fields("CONFIGURATION"), record["final"]["info"]
    chunk = images(record)[0][info["stripe"] :]

    assert [field.number(chunk) for field in at.values()] == [
        info[key] for key in ("ht_ref", "ht_bak", "hfunc", "hlen", "nbkt", "epb", "alloc")
    ]


@golden
def test_the_page_decodes_entries(record: Record) -> None:
    members, info = images(record), record["final"]["info"]
    place = Volume(members).place_of_slot

    for entry in record["final"]["entries"] + record["final"]["deleted"]:
        member, start = place(entry["slot"])
        slot = members[member][start : start + 256]
        assert decoded(slot, info["hlen"]) == {key: entry[key] for key in decoded(slot, info["hlen"])}


def decoded(slot: bytes, digest_length: int) -> dict[str, Any]:
    at = fields("ENTRY")
    common = {
        "hash": at["digest"].of(slot)[:digest_length].hex(),
        "ts": at["creation"].number(slot),
        "flags": at["flags"].number(slot),
        "name": at["name"].text(slot),
    }
    if common["flags"] & 0x04:
        at = fields("Link attributes")
        address = ".".join(map(str, at["host"].of(slot)[:4]))
        return {
            **common,
            "host_type": at["host type"].number(slot),
            "host": address if at["host type"].number(slot) else at["host"].text(slot),
            "port": at["port"].number(slot),
            "path": at["path"].text(slot),
            "ltype": ["redirect", "raw", "auto"][at["link type"].number(slot)],
        }
    at = fields("File attributes")
    return {
        **common,
        "chunk": at["first chunk"].number(slot),
        "offset": at["offset"].number(slot),
        "len": at["length"].number(slot),
        "mime": at["MIME type"].text(slot),
        "enc": at["encoding"].text(slot),
    }


def test_the_example_is_a_golden_volume() -> None:
    (image,) = images(GOLDEN["p1-sha256-4k"])

    assert len(examples()) == 15
    for address, line in examples():
        assert image[address : address + 16] == line, hex(address)


def test_the_digests_of_the_empty_string_are_those_of_haval() -> None:
    listed = section("HAVAL").split("The digests of the empty string:", 1)[1]
    found = re.findall(r"^(\d\d)  ([0-9a-f]+)$", listed, flags=re.MULTILINE)

    assert {int(length): digest for length, digest in found} == {
        length: new(HashFunction.HAVAL, length).digest().hex() for length in (16, 20, 24, 28, 32)
    }
