"""One entry of the hash table: a slot of 256 bytes that holds a file, a link, a removed object or nothing (SHFS 2.01).

A slot is free if its digest is all zeros. A removed object is a free slot of which the rest is still there: that is how
the original leaves it, and what keeps its chunks from being used again before every reader has forgotten them.
"""

import struct
from dataclasses import dataclass
from typing import Final

from shfs.links import LinkTarget

SLOT_SIZE = 256
SLOTS_IN_A_SECTOR = 2
"""512 bytes are what a disk writes whole or not at all."""

NAME_AT, NAME_SIZE, MIME_SIZE, ENCODING_SIZE = 181, 64, 32, 16

_FILE = struct.Struct("<64sQQQ32s16s36xQB64s11x")
_LINK = struct.Struct("<64sB32sxH71sBQB64s11x")

_FLAGS_AT: Final = 180
_HIDDEN, _LINKED, _DEFAULT = 1, 4, 8


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file: `size` bytes from byte `offset` of chunk `first_chunk` on. `created` is in Unix seconds. Text fields are
    the bytes before the first NUL."""

    digest: bytes
    name: bytes
    created: int
    first_chunk: int
    offset: int
    size: int
    mime: bytes = b""
    encoding: bytes = b""
    default: bool = False
    hidden: bool = False

    def encode(self) -> bytes:
        """The slot, with zeros wherever nothing is said."""
        return _FILE.pack(
            self.digest,
            self.first_chunk,
            self.offset,
            self.size,
            self.mime,
            self.encoding,
            self.created,
            _HIDDEN * self.hidden | _DEFAULT * self.default,
            self.name,
        )

    def run(self, chunk_size: int) -> tuple[int, int]:
        """First chunk and number of chunks. An empty file has none, wherever it is said to begin."""
        return self.first_chunk, -(-(self.offset + self.size) // chunk_size) if self.size else 0


@dataclass(frozen=True, slots=True)
class LinkEntry:
    """A link to what another server has. It takes no chunks."""

    digest: bytes
    name: bytes
    created: int
    target: LinkTarget
    default: bool = False
    hidden: bool = False

    def encode(self) -> bytes:
        """The slot, with zeros wherever nothing is said: the original puts bytes of its stack behind the host."""
        return _LINK.pack(
            self.digest,
            self.target.host_type,
            self.target.host,
            self.target.port,
            self.target.path,
            self.target.kind,
            self.created,
            _HIDDEN * self.hidden | _LINKED | _DEFAULT * self.default,
            self.name,
        )


Entry = FileEntry | LinkEntry


def decode_entry(slot: bytes | bytearray | memoryview, digest_length: int) -> Entry:
    """Read a slot of 256 bytes, whatever it holds: whether it is free or makes sense is for the caller to say."""
    if slot[_FLAGS_AT] & _LINKED:
        digest, host_type, host, port, path, kind, created, flags, name = _LINK.unpack(slot)
        target = LinkTarget(host_type, host, port, _text(path), kind)
        return LinkEntry(
            digest[:digest_length], _text(name), created, target, bool(flags & _DEFAULT), bool(flags & _HIDDEN)
        )
    digest, first, offset, size, mime, encoding, created, flags, name = _FILE.unpack(slot)
    return FileEntry(
        digest[:digest_length],
        _text(name),
        created,
        first,
        offset,
        size,
        _text(mime),
        _text(encoding),
        bool(flags & _DEFAULT),
        bool(flags & _HIDDEN),
    )


def with_default(slot: bytes, default: bool) -> bytes:
    """The same slot, being the default object or not. Nothing else of it changes."""
    flags = slot[_FLAGS_AT] | _DEFAULT if default else slot[_FLAGS_AT] & ~_DEFAULT
    return slot[:_FLAGS_AT] + bytes([flags]) + slot[_FLAGS_AT + 1 :]


def removed(slot: bytes, digest_length: int) -> bytes:
    """The slot of an object after its removal: no digest, and no default flag, which the original leaves to be taken
    for that of a living object. The rest tells where its data is until it is trimmed."""
    cleared = -(-digest_length // 8) * 8
    return bytes(cleared) + with_default(slot, default=False)[cleared:]


def takes_away(before: bytes, after: bytes, digest_length: int) -> bool:
    """Does a change of a slot make an object go, or be the default one no more?"""
    goes = any(before[:digest_length]) and before[:digest_length] != after[:digest_length]
    return goes or bool(before[_FLAGS_AT] & ~after[_FLAGS_AT] & _DEFAULT)


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]
