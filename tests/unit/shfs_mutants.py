"""Volumes that were damaged: how they are made, from small sound ones, and what is watched while they are looked at."""

import hashlib
import os
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import shfs.members
from shfs.digests import HashFunction
from shfs.formatting import mkfs
from shfs.geometry import Geometry, StripeMode
from shfs.journal import Change, journal_path, write_journal
from shfs.links import LinkKind
from shfs.volume import Volume
from tests.unit import shfs_decoder as decoder

LABEL, CONFIGURATION, SLOT = decoder.LABEL_AT, 4096, decoder.SLOT
SEAL = 32

# fmt: off
LABEL_FIELDS = (
    (0, 4), (4, 1), (5, 1), (6, 16), (22, 16), (38, 1), (39, 1), (40, 8), (48, 8), (56, 1), (57, 4), (61, 16), (77, 1),
    (78, 16), (94, 16), (110, 16), (126, 16),
)
CONFIGURATION_FIELDS = ((0, 8), (8, 8), (16, 1), (17, 1), (18, 4), (22, 4), (26, 1))
SLOT_FIELDS = (
    (0, 4), (0, 64), (64, 8), (72, 8), (80, 8), (88, 32), (120, 16), (172, 8), (180, 1), (181, 64),
    (64, 1), (65, 4), (65, 32), (97, 1), (98, 2), (100, 71), (171, 1), (245, 11),
)
# fmt: on
JOURNAL_FIELDS = ((0, 8), (8, 16), (24, 8), (32, 4), (36, 4), (40, SLOT), (40 + SLOT, SLOT), (36 + 516, 4))
"""Where the fields are, and how long; numbers among them are little endian."""


@dataclass(frozen=True)
class Specimen:
    """The members of a volume, in the order of the label, and its journal; a mutant has another `what`."""

    what: str
    members: tuple[bytes, ...]
    journal: bytes | None = None
    chunk: int = field(default=4096)
    table: tuple[tuple[int, int], ...] = ()
    """For each slot its member, and the byte in it."""

    def lay(self, folder: Path) -> list[str]:
        """Write it into files of a folder; the paths of the members."""
        paths = []
        for number, image in enumerate(self.members):
            path = folder / f"m{number}"
            path.write_bytes(image)
            paths.append(str(path))
        journal = folder / "m0.journal"
        if self.journal is not None:
            journal.write_bytes(self.journal)
        elif journal.exists():
            journal.unlink()
        return paths


CONTENTS = (b"", b"1", bytes(range(256)) * 16, b"c" * 4095, b"d" * 4097, b"e" * 9000, b"f" * 16384)


def specimens(folder: Path) -> list[Specimen]:
    """Sound volumes of different kinds, each with files, links, a removed object, a default one and a little room; and
    again with the journal of a writer that was killed."""
    return [
        *made(folder, "sha", 19, buckets=4, entries=8),
        *made(folder, "three independent, md5", 21, 3, function=HashFunction.MD5, buckets=5, entries=11),
        *made(folder, "two combined, sha512, backup", 14, 2, mode=StripeMode.COMBINED, digest_length=64, backup=True),
        *made(folder, "crc, 8 KiB", 13, function=HashFunction.CRC, stripe=8192, buckets=2, entries=16),
        *made(folder, "manual of 20, best fit", 19, function=HashFunction.MANUAL, digest_length=20, allocator=1),
        *made(folder, "two independent, sha1", 20, 2, digest_length=20, buckets=1, entries=35),
    ]


def made(folder: Path, what: str, chunks: int, members: int = 1, **options: Any) -> Iterator[Specimen]:
    """One of them: so many chunks on so many members."""
    options = {"stripe": 4096, "buckets": 8, "entries": 4, "mode": StripeMode.INDEPENDENT} | options
    geometry = Geometry(members, options["stripe"], options["mode"], chunks)
    paths = [str(folder / f"m{number}") for number in range(members)]
    for path in paths:
        Path(path).write_bytes(b"\xa5" * geometry.member_size_for(chunks))
    mkfs(paths, name="specimen", created=1_400_000_000, **options)
    with Volume.open(paths, write=True) as volume:
        fill(volume)
        sound = images(paths)
        promise(volume)
    table = decoder.Volume(sound)
    places = tuple(table.place_of_slot(slot) for slot in range(table.slot_count))
    yield Specimen(what, sound, None, geometry.chunk_size, places)
    journal = folder / "m0.journal"
    yield Specimen(f"{what}, with a journal", sound, journal.read_bytes(), geometry.chunk_size, places)
    journal.unlink()


def images(paths: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(Path(path).read_bytes() for path in paths)


def by_hand(volume: Volume, number: int) -> bytes | None:
    """The digest that an object is given where it must be given one."""
    if volume.configuration.function is not HashFunction.MANUAL:
        return None
    return hashlib.sha512(b"%d" % number).digest()[: volume.configuration.digest_length]


def fill(volume: Volume) -> None:
    """Files of all sizes, links of all kinds, two of them removed, one the default."""
    with volume.batch(now=1_500_000_000) as batch:
        items = [
            batch.add(
                BytesIO(content),
                name=f"f{number}",
                mime="text/plain",
                size=len(content),
                digest=by_hand(volume, number),
            )
            for number, content in enumerate(CONTENTS)
            if content or volume.configuration.function is not HashFunction.CRC
        ]
        for kind in LinkKind:
            host = "10.1.2.3:8080" if kind is LinkKind.RAW else "origin.example"
            batch.link(f"http://{host}/l{kind}?q=1", kind, digest=by_hand(volume, 100 + kind))
        batch.remove(items[2].digest)
        batch.set_default(items[1].digest)


def promise(volume: Volume) -> None:
    """A journal that would make another object the default, as a writer leaves it that is killed."""
    slots = [slot for slot in volume.table.living() if volume.table.slot(slot)[180] in (0, 8)][:3]
    changes = []
    for slot in slots:
        before = volume.table.slot(slot)
        changes.append(Change(slot, before, before[:180] + bytes([before[180] ^ 8]) + before[181:]))
    label = volume.label
    write_journal(journal_path(label, volume.members.paths[0], is_file=True), label, changes)


Mutation = Callable[[random.Random, Specimen], Specimen]


def mutant(rng: random.Random, specimens: Sequence[Specimen]) -> Specimen:
    """One of the specimens, damaged in one way or, rarely, in several."""
    found = rng.choice(specimens)
    ways = rng.choices(list(MUTATIONS), WEIGHTS, k=rng.choice((1, 1, 1, 2, 3)))
    for how in sorted(ways, key=lambda how: how in SIZES):
        found = replace(how(rng, found), what=f"{found.what}; {how.__name__}")
    return found


def _patched(specimen: Specimen, member: int, at: int, new: bytes) -> Specimen:
    image = specimen.members[member]
    new = new[: max(0, len(image) - at)]
    changed = list(specimen.members)
    changed[member] = image[:at] + new + image[at + len(new) :]
    return replace(specimen, members=tuple(changed))


def _value(rng: random.Random, specimen: Specimen, old: bytes) -> bytes:
    """What a field may be set to: the ends of its range, what lies beside a size that matters, anything."""
    most = (1 << 8 * len(old)) - 1
    image = max(map(len, specimen.members))
    sizes = (image, image // specimen.chunk, len(specimen.table), specimen.chunk, int.from_bytes(old, "little"))
    near = rng.choice(sizes) + rng.choice((-1, 0, 1))
    value = rng.choice((0, 1, 2, most, most - 1, most >> 1, (most >> 1) + 1, near, near, near, rng.randint(0, most)))
    return (value & most).to_bytes(len(old), "little")


def flip_a_bit_of_the_structures(rng: random.Random, specimen: Specimen) -> Specimen:
    member, start, length = _structure(rng, specimen)
    at = start + rng.randrange(length)
    return _patched(specimen, member, at, bytes([specimen.members[member][at] ^ 1 << rng.randrange(8)]))


def set_a_byte_of_the_structures(rng: random.Random, specimen: Specimen) -> Specimen:
    member, start, length = _structure(rng, specimen)
    return _patched(specimen, member, start + rng.randrange(length), bytes([rng.choice((0, 1, 127, 128, 255))]))


def _structure(rng: random.Random, specimen: Specimen) -> tuple[int, int, int]:
    """A label, the configuration or a slot: member, where it begins, and its length."""
    kind = rng.randrange(5)
    if kind == 0:
        return rng.randrange(len(specimen.members)), LABEL, 334
    if kind == 1:
        member, at = _configuration(specimen)
        return member, at, 27
    slots = [place for place in specimen.table if specimen.members[place[0]][place[1] : place[1] + SLOT] != bytes(SLOT)]
    member, at = rng.choice(slots or specimen.table)
    return member, at, SLOT


def _configuration(specimen: Specimen) -> tuple[int, int]:
    image = specimen.members[0]
    stripe = int.from_bytes(image[LABEL + 57 : LABEL + 61], "little")
    return 0, stripe if LABEL + stripe < len(image) else CONFIGURATION


def set_a_field(rng: random.Random, specimen: Specimen) -> Specimen:
    member, start, length = _structure(rng, specimen)
    fields = {334: LABEL_FIELDS, 27: CONFIGURATION_FIELDS, SLOT: SLOT_FIELDS}[length]
    at, size = rng.choice(fields)
    old = specimen.members[member][start + at : start + at + size]
    return _patched(specimen, member, start + at, _value(rng, specimen, old))


def set_a_field_of_every_label(rng: random.Random, specimen: Specimen) -> Specimen:
    """They agree, and are wrong."""
    at, size = rng.choice([place for place in LABEL_FIELDS if place != (61, 16)])
    new = _value(rng, specimen, specimen.members[0][LABEL + at : LABEL + at + size])
    for member in range(len(specimen.members)):
        specimen = _patched(specimen, member, LABEL + at, new)
    return specimen


def set_a_text_to_its_full_width(rng: random.Random, specimen: Specimen) -> Specimen:
    member, start = rng.choice(specimen.table)
    at, size = rng.choice(((88, 32), (120, 16), (181, 64), (65, 32), (100, 71)))
    text = rng.choice((rng.randbytes(size), b"x" * size, b"[red]\x1b[31m\xff\n" * 8, "é".encode() * 40))
    return _patched(specimen, member, start + at, text[:size])


def copy_a_slot_to_another(rng: random.Random, specimen: Specimen) -> Specimen:
    (source, at), (target, to) = rng.choice(specimen.table), rng.choice(specimen.table)
    return _patched(specimen, target, to, specimen.members[source][at : at + SLOT])


def cut_a_member(rng: random.Random, specimen: Specimen) -> Specimen:
    member = rng.randrange(len(specimen.members))
    whole = len(specimen.members[member])
    kept = rng.choice((0, 1, LABEL, LABEL + 334, 4095, 4096, 8192, whole - 1, whole - specimen.chunk))
    changed = list(specimen.members)
    changed[member] = changed[member][: rng.choice((kept, rng.randrange(whole + 1)))]
    return replace(specimen, members=tuple(changed))


def lengthen_a_member(rng: random.Random, specimen: Specimen) -> Specimen:
    changed = list(specimen.members)
    changed[rng.randrange(len(changed))] += rng.randbytes(rng.choice((1, 4095, 4096, 40_000)))
    return replace(specimen, members=tuple(changed))


def swap_or_copy_members(rng: random.Random, specimen: Specimen) -> Specimen:
    """In another order, one in another's place, one left out, or one too many."""
    members = specimen.members
    some = rng.choices(members, k=len(members))
    shuffled = rng.sample(members, len(members))
    chosen = rng.choice((shuffled, some, shuffled[1:] or shuffled, [*members, rng.choice(members)]))
    return replace(specimen, members=tuple(chosen))


def zero_a_range(rng: random.Random, specimen: Specimen) -> Specimen:
    member = rng.randrange(len(specimen.members))
    at = rng.randrange(max(1, len(specimen.members[member])))
    return _patched(specimen, member, at, bytes(rng.choice((1, 8, 256, 512, 4096, 20_000))))


def garble_a_range(rng: random.Random, specimen: Specimen) -> Specimen:
    member = rng.randrange(len(specimen.members))
    at = rng.randrange(max(1, len(specimen.members[member])))
    return _patched(specimen, member, at, rng.randbytes(rng.choice((1, 8, 256, 512, 4096, 20_000))))


def replace_a_member_with_garbage(rng: random.Random, specimen: Specimen) -> Specimen:
    """Or with garbage that has the magic number and the version, so that it is looked at further."""
    changed = list(specimen.members)
    garbage = rng.randbytes(rng.choice((10, 2000, 30_000)))
    if rng.random() < 0.5:
        garbage = (bytes(LABEL) + b"SHFS\2\1" + garbage)[: max(len(garbage), LABEL)]
    changed[rng.randrange(len(changed))] = garbage
    return replace(specimen, members=tuple(changed))


def damage_the_journal(rng: random.Random, specimen: Specimen) -> Specimen:
    """With its seal made anew as a rule: without, nothing behind the seal would be looked at."""
    if specimen.journal is None:
        return replace(specimen, journal=rng.randbytes(rng.choice((0, 1, 31, 32, 33, 68, 600))))
    body, seal = specimen.journal[:-SEAL], specimen.journal[-SEAL:]
    how = rng.randrange(4)
    if how == 0:
        at, size = rng.choice(JOURNAL_FIELDS)
        body = body[:at] + _value(rng, specimen, body[at : at + size]) + body[at + size :]
    elif how == 1:
        body = body[: rng.randrange(len(body) + 1)]
    elif how == 2:
        body += rng.randbytes(rng.choice((1, 516)))
    elif body:
        at = rng.randrange(len(body))
        body = body[:at] + rng.randbytes(1) + body[at + 1 :]
    new_seal = hashlib.sha256(body).digest() if rng.random() < 0.8 else seal
    return replace(specimen, journal=body + new_seal)


MUTATIONS: dict[Mutation, int] = {
    flip_a_bit_of_the_structures: 30,
    set_a_byte_of_the_structures: 15,
    set_a_field: 60,
    set_a_field_of_every_label: 12,
    set_a_text_to_its_full_width: 8,
    copy_a_slot_to_another: 8,
    cut_a_member: 10,
    lengthen_a_member: 4,
    swap_or_copy_members: 6,
    zero_a_range: 8,
    garble_a_range: 8,
    replace_a_member_with_garbage: 6,
    damage_the_journal: 12,
}
WEIGHTS = list(MUTATIONS.values())
SIZES = (cut_a_member, lengthen_a_member, swap_or_copy_members, replace_a_member_with_garbage)
"""They come last: afterwards the structures are not where they were."""


class OutsideError(AssertionError):
    """A member was read or written where it is not."""


@dataclass
class Watch:
    """What went to and came from the members: bytes read, and each write as path, offset and length."""

    read: int = 0
    writes: list[tuple[str, int, int]] = field(default_factory=list)

    def begin(self) -> None:
        self.read = 0
        self.writes.clear()

    def preadv(self, descriptor: int, pieces: Sequence[memoryview], offset: int) -> int:
        self.inside(descriptor, offset, sum(map(len, pieces)))
        got = os.preadv(descriptor, pieces, offset)
        self.read += got
        return got

    def pread(self, descriptor: int, size: int, offset: int) -> bytes:
        self.read += size
        return os.pread(descriptor, size, offset)

    def pwritev(self, descriptor: int, pieces: Sequence[memoryview], offset: int) -> int:
        size = sum(map(len, pieces))
        self.inside(descriptor, offset, size)
        self.writes.append((os.readlink(f"/proc/self/fd/{descriptor}"), offset, size))
        return os.pwritev(descriptor, pieces, offset)

    @staticmethod
    def inside(descriptor: int, offset: int, size: int) -> None:
        whole = os.fstat(descriptor).st_size
        if not 0 <= offset <= offset + size <= whole:
            raise OutsideError(f"bytes {offset} to {offset + size} of a member of {whole}")


@contextmanager
def watched() -> Iterator[Watch]:
    """Everything between `shfs.members` and the members is seen."""
    watch = Watch()
    seen = {"preadv": watch.preadv, "pread": watch.pread, "pwritev": watch.pwritev}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shfs.members, "os", SimpleNamespace(**vars(os) | seen))
        yield watch


RECORD = struct.Struct("<I256s256s")


def kept_promise(specimen: Specimen) -> tuple[bytes, ...]:
    """The members after what the journal says: what a reader of ours sees."""
    if specimen.journal is None:
        return specimen.members
    place = decoder.Volume(specimen.members).place_of_slot
    changed = [bytearray(image) for image in decoder.Volume(specimen.members).members]
    for slot, _, after in RECORD.iter_unpack(specimen.journal[36:-SEAL]):
        member, at = place(slot)
        changed[member][at : at + SLOT] = after
    return tuple(map(bytes, changed))
