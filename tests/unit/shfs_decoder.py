"""A second reader of SHFS 2.01, written from the description of the format alone: the referee of ours.

It shares nothing with the package: simple, slow, and the whole volume in memory. It knows every field of the label, of
the configuration and of every slot, those of removed objects too, and it knows what a sound volume looks like: what is
not so is a sentence in `Volume.findings()`.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

LABEL_AT = 1024
LABEL = struct.Struct("<4sBB16s16sBBQQBI16sB256s")
CONFIGURATION = struct.Struct("<QQBBIIB")
SLOT = 256
EMPTY = bytes(SLOT)
HIDDEN, LINK, DEFAULT = 1, 4, 8

MANUAL, SHA, CRC, MD5, HAVAL = 1, 2, 3, 4, 5
HASHES = {MANUAL: "manual", SHA: "sha", CRC: "crc", MD5: "md5", HAVAL: "haval"}
DIGEST_LENGTHS = {MANUAL: range(1, 65), SHA: (20, 28, 32, 48, 64), CRC: (4,), MD5: (16,), HAVAL: (16, 20, 24, 28, 32)}
HASHLIB = {
    (SHA, 20): "sha1",
    (SHA, 28): "sha224",
    (SHA, 32): "sha256",
    (SHA, 48): "sha384",
    (SHA, 64): "sha512",
    (MD5, 16): "md5",
}
KINDS = ("redirect", "raw", "auto")

MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class NotAVolume(Exception):
    """The members are no SHFS 2.01 volume of this byte order, or not all of one."""


@dataclass(frozen=True)
class Label:
    """The header at byte 1024 of each member."""

    volume: bytes
    name: bytes
    byte_order: int
    encoding: int
    chunks: int
    created: int
    mode: int
    stripe: int
    member: bytes
    members: tuple[bytes, ...]
    rest_is_zero: bool
    """The boot area, unused places of the member table, and what follows up to byte 4096."""

    @property
    def chunk(self) -> int:
        """Bytes of a chunk."""
        return self.stripe * (len(self.members) if self.mode == 1 else 1)


@dataclass(frozen=True)
class Configuration:
    """Chunk 1."""

    table: int
    backup: int
    function: int
    digest_length: int
    buckets: int
    entries: int
    allocator: int
    rest_is_zero: bool


@dataclass(frozen=True)
class Slot:
    """One place of the table that is not all zeros: an object, or what is left of one."""

    number: int
    raw: bytes
    digest: bytes

    @property
    def live(self) -> bool:
        return any(self.digest)

    @property
    def after_digest(self) -> bytes:
        return self.raw[len(self.digest) : 64]

    @property
    def created(self) -> int:
        return int.from_bytes(self.raw[172:180], "little")

    @property
    def flags(self) -> int:
        return self.raw[180]

    @property
    def name(self) -> bytes:
        return self.raw[181:245].partition(b"\0")[0]

    @property
    def tail(self) -> bytes:
        return self.raw[245:]

    @property
    def hidden(self) -> bool:
        return bool(self.flags & HIDDEN)

    @property
    def is_link(self) -> bool:
        return bool(self.flags & LINK)

    @property
    def flagged_default(self) -> bool:
        return bool(self.flags & DEFAULT)

    # Of files.

    @property
    def first_chunk(self) -> int:
        return int.from_bytes(self.raw[64:72], "little")

    @property
    def offset(self) -> int:
        return int.from_bytes(self.raw[72:80], "little")

    @property
    def size(self) -> int:
        return int.from_bytes(self.raw[80:88], "little")

    @property
    def mime(self) -> bytes:
        return self.raw[88:120].partition(b"\0")[0]

    @property
    def encoding(self) -> bytes:
        return self.raw[120:136].partition(b"\0")[0]

    @property
    def gap(self) -> bytes:
        """The bytes that only a link uses."""
        return self.raw[136:172]

    # Of links.

    @property
    def host_type(self) -> int:
        return self.raw[64]

    @property
    def host(self) -> str:
        if self.host_type == 1:
            return ".".join(str(byte) for byte in self.raw[65:69])
        return self.raw[65:97].partition(b"\0")[0].decode("latin-1")

    @property
    def hole(self) -> int:
        return self.raw[97]

    @property
    def port(self) -> int:
        return int.from_bytes(self.raw[98:100], "little")

    @property
    def path(self) -> str:
        return self.raw[100:171].partition(b"\0")[0].decode("latin-1")

    @property
    def kind(self) -> str:
        """What a link does, as it is called on the command line."""
        return KINDS[self.raw[171]]

    @property
    def target(self) -> str:
        port = "" if self.port == 80 else f":{self.port}"
        return f"http://{self.host}{port}/{self.path}"


class Volume:
    """All members of a volume, in any order.

    Raises NotAVolume for members that no reader accepts.
    """

    def __init__(self, members: Iterable[bytes]) -> None:
        given = [(label_of(data), data) for data in members]
        if not given:
            raise NotAVolume("no members")
        self.label = given[0][0]
        data = {label.member: image for label, image in given}
        if len(data) != len(given) or set(data) != set(self.label.members):
            raise NotAVolume("members are missing, foreign, or given twice")
        self.labels = {label.member: label for label, _ in given}
        self.members = [data[uuid] for uuid in self.label.members]
        needed = self.needed_of_a_member
        if any(len(image) < needed for image in self.members):
            raise NotAVolume("a member is too small")
        first = self.chunk(1)
        self.configuration = Configuration(*CONFIGURATION.unpack_from(first), not any(first[CONFIGURATION.size :]))
        if self.slot_count == 0:
            raise NotAVolume("a table of no entries")
        if self.configuration.table + self.table_chunks > self.label.chunks:
            raise NotAVolume("the table does not fit into the volume")

    @classmethod
    def read(cls, paths: Iterable[Path]) -> "Volume":
        return cls([path.read_bytes() for path in paths])

    @property
    def needed_of_a_member(self) -> int:
        """Bytes that the smallest member has at least."""
        label = self.label
        if label.mode == 1:
            return (label.chunks + 1) * label.stripe
        return (label.chunks + 1) // len(label.members) * label.stripe

    def place(self, chunk: int) -> list[tuple[int, int]]:
        """Where a chunk other than 0 lies: for each of its stripes the member's number and the byte in it."""
        count, stripe = len(self.label.members), self.label.stripe
        numbers = range(chunk * count, chunk * count + count) if self.label.mode == 1 else [chunk + count - 1]
        return [(number % count, number // count * stripe) for number in numbers]

    def chunk(self, number: int) -> bytes:
        return b"".join(self.members[member][at : at + self.label.stripe] for member, at in self.place(number))

    def run(self, first: int, count: int) -> bytes:
        return b"".join(self.chunk(number) for number in range(first, first + count))

    # The table.

    @property
    def slot_count(self) -> int:
        return self.configuration.buckets * self.configuration.entries

    @property
    def slots_of_a_chunk(self) -> int:
        return self.label.chunk // SLOT

    @property
    def table_chunks(self) -> int:
        return -(-self.slot_count // self.slots_of_a_chunk)

    @property
    def first_data_chunk(self) -> int:
        """Behind a table that starts at chunk 2, as all tools put it."""
        return self.configuration.table + self.table_chunks

    def place_of_slot(self, number: int) -> tuple[int, int]:
        """The member and the byte in it at which a slot starts: no slot spans two stripes."""
        chunk, position = divmod(number, self.slots_of_a_chunk)
        stripe, at = divmod(position * SLOT, self.label.stripe)
        member, start = self.place(self.configuration.table + chunk)[stripe]
        return member, start + at

    @cached_property
    def table(self) -> bytes:
        return self.run(self.configuration.table, self.table_chunks)

    @cached_property
    def slots(self) -> list[Slot]:
        """Those that are not all zeros, in table order."""
        return [
            Slot(number, raw, raw[: self.configuration.digest_length])
            for number in range(self.slot_count)
            if (raw := self.table[number * SLOT : (number + 1) * SLOT]) != EMPTY
        ]

    @property
    def live(self) -> list[Slot]:
        return [slot for slot in self.slots if slot.live]

    @property
    def removed(self) -> list[Slot]:
        return [slot for slot in self.slots if not slot.live]

    @property
    def default(self) -> Slot | None:
        """The last live one that is flagged."""
        flagged = [slot for slot in self.live if slot.flagged_default]
        return flagged[-1] if flagged else None

    def bucket_of(self, digest: bytes) -> int:
        return int.from_bytes(digest[:4], "little") % self.configuration.buckets

    # Objects.

    def chunks_of(self, slot: Slot) -> range:
        """The chunks of a file."""
        count = -(-(slot.offset + slot.size) // self.label.chunk)
        return range(slot.first_chunk, slot.first_chunk + count)

    def content(self, slot: Slot) -> bytes:
        """The bytes of a file."""
        return b"".join(map(self.chunk, self.chunks_of(slot)))[slot.offset : slot.offset + slot.size]

    def padding(self, slot: Slot) -> bytes:
        """What the chunks of a file hold behind it."""
        return b"".join(map(self.chunk, self.chunks_of(slot)))[slot.offset + slot.size :]

    def digest(self, data: bytes) -> bytes | None:
        """What this volume's function makes of the data; None for functions that the referee does not know."""
        name = HASHLIB.get((self.configuration.function, self.configuration.digest_length))
        if name is not None:
            return hashlib.new(name, data, usedforsecurity=False).digest()
        return crc32_bzip2(data) if self.configuration.function == CRC else None

    def original_digest(self, data: bytes) -> bytes | None:
        """The digest that the original tool stores: a last chunk that is full is left out."""
        full = len(data) > 0 and len(data) % self.label.chunk == 0
        return self.digest(data[: len(data) - self.label.chunk] if full else data)

    def listing(self) -> list[dict[str, object]]:
        """The live objects as `shfs ls -o json` prints them, in table order."""
        default = self.default
        return [
            {
                "digest": slot.digest.hex(),
                "name": slot.name.decode("utf-8", "surrogateescape"),
                "mime": "" if slot.is_link else slot.mime.decode("utf-8", "surrogateescape"),
                "size": 0 if slot.is_link else slot.size,
                "type": slot.kind if slot.is_link else "file",
                "target": slot.target if slot.is_link else None,
                "default": slot is default,
            }
            for slot in self.live
        ]

    # Judgement.

    def findings(self) -> list[str]:
        """What a sound volume would not have, a sentence each."""
        return [*self._headers(), *self._entries(), *self._overlaps()]

    def _headers(self) -> Iterator[str]:
        label, configuration = self.label, self.configuration
        for number, uuid in enumerate(label.members):
            theirs = self.labels[uuid]
            if {**theirs.__dict__, "member": b""} != {**label.__dict__, "member": b""}:
                yield f"the label of member {number} is another one"
            if not theirs.rest_is_zero:
                yield f"member {number} has something around its label"
        smallest = min(map(len, self.members))
        count = len(label.members)
        stripes = smallest // label.stripe
        if label.chunks != (stripes - (count - 1) if label.mode == 1 else (stripes - 1) * count):
            yield "the volume's size is not that of its smallest member"
        if label.encoding != 0:
            yield "the label has an encoding"
        if not configuration.rest_is_zero:
            yield "there is something behind the configuration"
        if configuration.digest_length not in DIGEST_LENGTHS.get(configuration.function, ()):
            yield "the digest is of a length that the function does not have"
        if configuration.table != 2:
            yield "the table does not start at chunk 2"
        if configuration.backup and self.run(configuration.backup, self.table_chunks) != self.table:
            yield "the two tables differ"
        if any(self.table[self.slot_count * SLOT :]):
            yield "there is something behind the table"

    def _entries(self) -> Iterator[str]:
        for slot in self.slots:
            where = f"slot {slot.number}"
            if any(slot.tail):
                yield f"{where}: bytes 245 to 255 are not zero"
            if any(slot.after_digest):
                yield f"{where}: there is something behind the digest"
            if slot.flags & ~(HIDDEN | LINK | DEFAULT):
                yield f"{where}: unknown flags"
            if slot.live:
                yield from (f"{where}: {what}" for what in self._object(slot))
        if sum(slot.flagged_default for slot in self.live) > 1:
            yield "more than one object is the default"
        digests = [slot.digest for slot in self.live]
        if len(set(digests)) != len(digests):
            yield "a digest is there twice"

    def _object(self, slot: Slot) -> Iterator[str]:
        if self.bucket_of(slot.digest) != slot.number // self.configuration.entries:
            yield "the digest belongs into another bucket"
        if slot.is_link:
            if slot.raw[171] >= len(KINDS):
                yield "a link of an unknown type"
            if slot.host_type > 1:
                yield "a host of an unknown type"
            return
        chunks = self.chunks_of(slot)
        if chunks.start < self.first_data_chunk or max(chunks.start + 1, chunks.stop) > self.label.chunks:
            yield "the file lies outside of the data area"
            return
        content = self.content(slot)
        if any(self.padding(slot)):
            yield "the rest of the last chunk is not zero"
        known = self.digest(content)
        if known is not None and slot.digest not in (known, self.original_digest(content)):
            yield "the digest is not that of the content"

    def _overlaps(self) -> Iterator[str]:
        owner: dict[int, int] = {}
        if self.configuration.backup:
            owner = {self.configuration.backup + index: -1 for index in range(self.table_chunks)}
        for slot in self.live:
            if slot.is_link or slot.size > self.label.chunks * self.label.chunk:
                continue
            for chunk in self.chunks_of(slot):
                if owner.setdefault(chunk, slot.number) != slot.number:
                    yield f"slot {slot.number}: chunk {chunk} has two owners"


def label_of(member: bytes) -> Label:
    """The label of one member, with the checks that every reader makes, in their order."""
    if len(member) < LABEL_AT + LABEL.size or member[LABEL_AT : LABEL_AT + 4] != b"SHFS":
        raise NotAVolume("no SHFS label")
    _, *version, volume, name, order, encoding, chunks, created, mode, stripe, uuid, count, table = LABEL.unpack_from(
        member, LABEL_AT
    )
    if version != [2, 1]:
        raise NotAVolume("another version")
    if order != 0:
        raise NotAVolume("another byte order")
    if not 1 <= count <= 16:
        raise NotAVolume("an impossible number of members")
    if mode not in (0, 1):
        raise NotAVolume("an unknown stripe mode")
    if stripe < 4096 or stripe & (stripe - 1):
        raise NotAVolume("an impossible stripe size")
    members = tuple(table[16 * index : 16 * index + 16] for index in range(count))
    around = member[:LABEL_AT] + table[16 * count :] + member[LABEL_AT + LABEL.size : 4096]
    return Label(
        volume, name.partition(b"\0")[0], order, encoding, chunks, created, mode, stripe, uuid, members, not any(around)
    )


def crc32_bzip2(data: bytes) -> bytes:
    """CRC-32/BZIP2, the lowest byte first.

    It is the CRC-32 of zlib with the bits of each byte, and those of the result, in the other order.
    """
    mirrored = zlib.crc32(data.translate(MIRRORED))
    return int(f"{mirrored:032b}"[::-1], 2).to_bytes(4, "little")
