"""Every flip of a bit is seen by `shfs check`, or shfs(5) says that it cannot be seen; and of an object's it says which
one it is."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shfs.check import check
from shfs.digests import HashFunction
from shfs.errors import ShfsError
from shfs.findings import Finding
from tests.unit import shfs_decoder
from tests.unit.shfs_samples import FILES, SAMPLES, Sample, change, place_of, place_of_content

PAGE = Path(__file__).resolve().parents[2] / "docs" / "man" / "shfs.5"

HEADER_AT, HEADER, FIELDS = 1024, 334, 27
FREE = 63
"""A slot of which nothing was ever used."""


@dataclass(frozen=True)
class Silent:
    """A row of the page's table: flips in these bytes cannot always be seen."""

    structure: str
    offset: int
    size: int
    field: str
    condition: str


def told() -> list[Silent]:
    section = PAGE.read_text(encoding="utf-8").split(".SS Silent bits\n", 1)[1].split(".TE", 1)[0]
    rows = re.findall(r"^([a-z]+)\t(\d+)\t(\d+)\t(.+)\t(.+)$", section, flags=re.MULTILINE)
    return [Silent(structure, int(offset), int(size), *rest) for structure, offset, size, *rest in rows]


@dataclass(frozen=True)
class Byte:
    """A byte of a volume: where it lies in which structure, and which slot a finding about it must name."""

    place: tuple[str, int]
    structure: str
    offset: int
    slot: int | None = None


class Scene:
    """A sample, made, and the bytes of it."""

    def __init__(self, sample: Sample, folder: Path, chance: random.Random, full: bool) -> None:
        self.sample, self.chance, self.full = sample, chance, full
        self.paths = sample.make(folder)
        self.volume = shfs_decoder.Volume.read(map(Path, self.paths))

    def may_be_silent(self, byte: Byte) -> bool:
        return any(
            row.structure == byte.structure
            and row.offset <= byte.offset < row.offset + row.size
            and self.holds(row, byte)
            for row in told()
        )

    def holds(self, row: Silent, byte: Byte) -> bool:
        by_hand = self.sample.function is HashFunction.MANUAL
        if self.sample.backup and row.structure not in ("label", "configuration"):
            return False
        match row.condition:
            case "always":
                return True
            case "one member":
                return self.sample.members == 1
            case "MANUAL":
                return by_hand
            case "CRC and HAVAL":
                return self.sample.function in (HashFunction.CRC, HashFunction.HAVAL)
            case "MANUAL, or empty":
                return by_hand or self.slot(byte).size == 0
            case "MANUAL, or behind its end":
                slot = self.slot(byte)
                used = 4 if slot.host_type == 1 else len(slot.host)
                return by_hand or byte.offset >= 65 + used
        raise AssertionError(row)

    def slot(self, byte: Byte) -> shfs_decoder.Slot:
        return next(slot for slot in self.volume.slots if slot.number == byte.slot)

    def labels(self) -> Iterator[Byte]:
        for path in self.paths:
            yield from (Byte((path, HEADER_AT + at), "label", at) for at in range(HEADER))
            around = [*range(HEADER_AT), *range(HEADER_AT + HEADER, 4096)]
            yield from (Byte((path, at), "zeros", at) for at in self.some(around, 20))

    def configuration(self) -> Iterator[Byte]:
        yield from (Byte((self.paths[0], 4096 + at), "configuration", at) for at in range(FIELDS))
        rest = self.some(range(FIELDS, 4096), 20)
        yield from (Byte((self.paths[0], 4096 + at), "zeros", at) for at in rest)

    def slots(self) -> Iterator[Byte]:
        for slot in self.volume.slots:
            structure = "removed" if not slot.live else "link" if slot.is_link else "file"
            yield from self.bytes_of(slot.number, structure)
        yield from self.bytes_of(FREE, "free")

    def bytes_of(self, slot: int, structure: str) -> Iterator[Byte]:
        for backup in (False, True)[: 1 + self.sample.backup]:
            first = place_of(self.paths, slot, backup=backup)
            for at in range(256) if self.full or not self.sample.backup else sorted(self.chance.sample(range(256), 60)):
                yield Byte((first[0], first[1] + at), structure, at, slot)

    def some(self, positions: "range | list[int]", count: int) -> list[int]:
        return list(positions) if self.full else sorted(self.chance.sample(positions, count))

    def seen(self, byte: Byte, bit: int) -> list[Finding] | ShfsError:
        """What a check says of the volume with that bit flipped."""
        change(byte.place, lambda before: before ^ 1 << bit)
        try:
            return check(self.paths).findings
        except ShfsError as refused:
            return refused
        finally:
            change(byte.place, lambda before: before ^ 1 << bit)

    def bits(self, byte: Byte) -> list[int]:
        every = self.full or byte.structure == "configuration"
        return list(range(8)) if every else [self.chance.randrange(8)]


@pytest.fixture(params=SAMPLES)
def scene(request: pytest.FixtureRequest, tmp_path: Path, seeded: random.Random, full: bool) -> Scene:
    return Scene(SAMPLES[request.param], tmp_path, seeded, full)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", ["labels", "configuration", "slots"])
def test_a_flip_is_seen_and_named_or_the_page_says_that_it_cannot_be(scene: Scene, part: str) -> None:
    unseen, unnamed, flips = [], [], 0
    for byte in getattr(scene, part)():
        for bit in scene.bits(byte):
            seen = scene.seen(byte, bit)
            flips += 1
            if seen == [] and not scene.may_be_silent(byte):
                unseen.append((byte.structure, byte.offset, bit))
            if (
                isinstance(seen, list)
                and byte.structure in ("file", "link")
                and seen
                and not scene.may_be_silent(byte)
                and all(finding.slot != byte.slot or finding.name is None for finding in seen)
            ):
                unnamed.append((byte.structure, byte.offset, bit))

    assert flips > 200
    assert (unseen, unnamed) == ([], [])


@pytest.mark.timeout(3600)
def test_a_flip_of_a_content_is_seen_where_its_digest_covers_it(scene: Scene) -> None:
    by_hand = scene.sample.function is HashFunction.MANUAL
    for slot in scene.volume.live:
        name, size = slot.name.decode(), FILES.get(slot.name.decode(), 0)
        if not size:
            continue
        behind = -size % 4096
        inside = scene.some(range(size), 8)
        for at in [*inside, *scene.some(range(size, size + behind), min(8, behind))]:
            byte = Byte(place_of_content(scene.paths, name, at), "content", at)
            seen = scene.seen(byte, scene.chance.randrange(8))
            assert isinstance(seen, list)
            if by_hand and at < size:
                assert seen == []
            else:
                assert [(finding.is_error, finding.name) for finding in seen] == [(True, name)]


def test_the_page_lists_no_field_in_which_everything_is_seen(tmp_path: Path, seeded: random.Random) -> None:
    left = set(told())
    for name, sample in SAMPLES.items():
        folder = tmp_path / name
        folder.mkdir()
        scene = Scene(sample, folder, seeded, True)
        for byte in (byte for part in (scene.labels, scene.configuration, scene.slots) for byte in part()):
            rows = [
                row
                for row in left
                if row.structure == byte.structure and row.offset <= byte.offset < row.offset + row.size
            ]
            if not any(scene.holds(row, byte) for row in rows):
                continue
            if any(scene.seen(byte, bit) == [] for bit in range(8)):
                left -= {row for row in rows if scene.holds(row, byte)}

    assert left == set()
