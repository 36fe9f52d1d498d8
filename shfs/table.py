"""The hash table: where an object's entry may stand, and how it is found again (SHFS 2.01).

A digest belongs to one bucket and to no other; a bucket is so many slots that lie together. The table is read whole, as
every reader does, and found through an index that is made when something is first looked for.
"""

import struct
from collections.abc import Iterator
from functools import cached_property

from shfs.configuration import Configuration
from shfs.entry import NAME_AT, NAME_SIZE, SLOT_SIZE, Entry, decode_entry

_BUCKET_BYTES = 4
"""The original means to take eight, and keeps them in a variable of four."""


class Table:
    """The slots of a volume, as bytes of 256 each. Changes are made here and are the caller's to write."""

    def __init__(self, configuration: Configuration, raw: bytes | bytearray) -> None:
        self._configuration = configuration
        self._digests = struct.Struct(f"{configuration.digest_length}s{SLOT_SIZE - configuration.digest_length}x")
        self.raw = bytearray(memoryview(raw)[: configuration.slots * SLOT_SIZE])

    def slot(self, number: int) -> bytes:
        """The 256 bytes of a slot."""
        return bytes(self.raw[number * SLOT_SIZE : (number + 1) * SLOT_SIZE])

    def put(self, number: int, slot: bytes) -> None:
        """Change a slot."""
        if "_index" in self.__dict__:
            self._forget(number)
        self.raw[number * SLOT_SIZE : (number + 1) * SLOT_SIZE] = slot
        if "_index" in self.__dict__:
            self._remember(number)

    def entry(self, number: int) -> Entry:
        """What a slot says, be it free or not."""
        return decode_entry(self.slot(number), self._configuration.digest_length)

    def is_free(self, number: int) -> bool:
        """Is there no object in the slot? That is so if its digest is all zeros."""
        return not any(self._digest(number))

    def is_removed(self, number: int) -> bool:
        """Is the slot free, with a removed object's fields in it?"""
        return self.is_free(number) and any(self.slot(number))

    def living(self) -> Iterator[int]:
        """The slots with an object, in the order of the table."""
        nothing = bytes(self._configuration.digest_length)
        for number, (digest,) in enumerate(self._digests.iter_unpack(bytes(self.raw))):
            if digest != nothing:
                yield number

    def removed(self) -> Iterator[int]:
        """The slots with a removed object."""
        length = self._configuration.digest_length
        no_digest, nothing = bytes(length), bytes(SLOT_SIZE)
        raw = bytes(self.raw)
        for at in range(0, len(raw), SLOT_SIZE):
            slot = raw[at : at + SLOT_SIZE]
            if slot != nothing and slot[:length] == no_digest:
                yield at // SLOT_SIZE

    def find(self, digest: bytes) -> int | None:
        """The slot of the object with that digest."""
        return self._index.get(digest)

    def all_named(self, name: bytes) -> list[int]:
        """The slots of the objects with that name, in the order of the table: names need not be unique, and readers
        take the first."""
        return sorted(self._names.get(name, ()))

    def bucket(self, digest: bytes) -> int:
        """Which bucket the digest belongs to: its first four bytes as a little-endian number, modulo their count."""
        return int.from_bytes(digest[:_BUCKET_BYTES], "little") % self._configuration.buckets

    def slots_of(self, bucket: int) -> range:
        """The slots of a bucket."""
        first = bucket * self._configuration.entries
        return range(first, first + self._configuration.entries)

    def _digest(self, number: int) -> bytearray:
        at = number * SLOT_SIZE
        return self.raw[at : at + self._configuration.digest_length]

    @cached_property
    def _index(self) -> dict[bytes, int]:
        # Of two slots with one digest the first is found, as by a reader that goes through the bucket.
        return {bytes(self._digest(number)): number for number in reversed([*self.living()])}

    @cached_property
    def _names(self) -> dict[bytes, set[int]]:
        names: dict[bytes, set[int]] = {}
        for number in self.living():
            names.setdefault(self._name(number), set()).add(number)
        return names

    def _name(self, number: int) -> bytes:
        at = number * SLOT_SIZE + NAME_AT
        return bytes(self.raw[at : at + NAME_SIZE]).partition(b"\0")[0]

    def _forget(self, number: int) -> None:
        digest = bytes(self._digest(number))
        if self._index.get(digest) == number:
            del self._index[digest]
        self._names.get(self._name(number), set()).discard(number)

    def _remember(self, number: int) -> None:
        if not self.is_free(number):
            self._index[bytes(self._digest(number))] = number
            self._names.setdefault(self._name(number), set()).add(number)
