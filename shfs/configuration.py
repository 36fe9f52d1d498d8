"""The configuration: chunk 1, which says where the hash table is and how it is made (SHFS 2.01, 27 bytes)."""

import struct
from dataclasses import dataclass

from shfs.digests import HashFunction
from shfs.entry import SLOT_SIZE
from shfs.errors import VolumeError
from shfs.geometry import Geometry

_FIELDS = struct.Struct("<QQBBIIB")

CONFIGURATION_CHUNK = 1
CONFIGURATION_SIZE = _FIELDS.size
FIRST_TABLE_CHUNK = 2

FIRST_FIT, BEST_FIT = 0, 1
"""Allocators, by the number that the configuration has for them. The original reads best fit and never finds room."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """`table` and `backup` are first chunks, `backup` 0 where there is none; `digest_length` is in bytes."""

    table: int
    backup: int
    function: HashFunction
    digest_length: int
    buckets: int
    entries: int
    allocator: int = FIRST_FIT

    @property
    def slots(self) -> int:
        """How many entries the table can hold."""
        return self.buckets * self.entries

    def table_chunks(self, chunk_size: int) -> int:
        """How many chunks the table takes."""
        return -(-self.slots // (chunk_size // SLOT_SIZE))

    def tables(self) -> tuple[int, ...]:
        """The first chunk of each copy of the table, the main one first."""
        return (self.table, self.backup) if self.backup else (self.table,)

    def encode(self, chunk_size: int) -> bytes:
        """The whole chunk."""
        fields = _FIELDS.pack(
            self.table,
            self.backup,
            self.function,
            self.digest_length,
            self.buckets,
            self.entries,
            self.allocator,
        )
        return fields.ljust(chunk_size, b"\0")


def decode_configuration(data: bytes, geometry: Geometry, volume: str) -> Configuration:
    """Read chunk 1 of the volume of that name. Raises VolumeError for whatever would lead a reader astray: tables that
    are empty, lie outside the volume or upon each other, digests of no length."""
    table, backup, function, length, buckets, entries, allocator = _FIELDS.unpack_from(data)
    try:
        function = HashFunction(function)
    except ValueError:
        raise _damaged(volume, f"there is no hash function {function}") from None
    if not 1 <= length <= 64:
        raise _damaged(volume, f"a digest has {length} bytes, and not 1 to 64")
    if length not in function.lengths:
        raise _damaged(volume, f"{function.label} has no digests of {length} bytes")
    if not buckets or not entries or buckets * entries > 0xFFFFFFFF:
        raise _damaged(volume, f"the table has {buckets} buckets of {entries} entries")
    if allocator not in (FIRST_FIT, BEST_FIT):
        raise _damaged(volume, f"there is no allocator {allocator}")
    found = Configuration(table, backup, function, length, buckets, entries, allocator)
    size = found.table_chunks(geometry.chunk_size)
    for first, what in ((table, "table"), (backup, "backup table")):
        if first == 0 and what == "backup table":
            continue
        if first < FIRST_TABLE_CHUNK or first + size > geometry.chunks:
            raise _damaged(
                volume, f"the {what} takes chunks {first} to {first + size - 1} of a volume of {geometry.chunks}"
            )
    if backup and abs(table - backup) < size:
        raise _damaged(volume, "the table and its backup overlap")
    return found


def _damaged(volume: str, what: str) -> VolumeError:
    return VolumeError(
        f"the configuration of volume {volume} is damaged: {what}", hint="take the members from a copy of the volume"
    )
