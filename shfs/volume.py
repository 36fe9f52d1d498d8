"""A volume, open: its label, its configuration, its objects and what is in them."""

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from shfs.configuration import CONFIGURATION_CHUNK, Configuration, decode_configuration
from shfs.entry import SLOT_SIZE, FileEntry, takes_away
from shfs.errors import InputError, ObjectError, VolumeBusy, VolumeError
from shfs.geometry import Geometry
from shfs.journal import (
    Change,
    discard_journal,
    journal_path,
    read_journal,
    secure_journal,
    still_to_be_made,
    sweep_journal,
)
from shfs.label import Label
from shfs.links import LinkKind, LinkTarget
from shfs.members import Members
from shfs.table import Table

if TYPE_CHECKING:
    from shfs.batch import Batch

PATIENCE = 10.0
"""Seconds after which a reader gives up on a table that is another one whenever it looks."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of a volume. `size` is in bytes and 0 for links, `created` in Unix seconds; `first_chunk` and `offset`
    say where a file's bytes begin; `link` is what a link points at."""

    slot: int
    digest: bytes
    name: str
    created: int
    size: int
    mime: str
    encoding: str
    first_chunk: int
    offset: int
    link: LinkTarget | None
    default: bool
    hidden: bool

    @property
    def type(self) -> str:
        """`file`, or the kind of link: `redirect`, `raw`, `auto`."""
        if self.link is None:
            return "file"
        try:
            return LinkKind(self.link.kind).name.lower()
        except ValueError:
            return f"link-{self.link.kind}"

    @property
    def target(self) -> str | None:
        """The URL that a link points at."""
        return None if self.link is None else self.link.url

    def as_json(self) -> dict[str, Any]:
        """What `shfs ls -o json` prints of it."""
        return {
            "digest": self.digest.hex(),
            "name": self.name,
            "mime": self.mime,
            "size": self.size,
            "type": self.type,
            "target": self.target,
            "default": self.default,
            "hidden": self.hidden,
            "created": self.created,
            "chunk": None if self.link else self.first_chunk,
        }


class Volume:
    """An open volume. Use it as a context manager, or close it."""

    def __init__(self, members: Members, label: Label, configuration: Configuration, *, writable: bool) -> None:
        self.members = members
        self.label = label
        self.configuration = configuration
        self.writable = writable
        self.journal = journal_path(label, members.paths[0], is_file=members.are_files())
        self.table = self._read_table()

    @classmethod
    def open(cls, paths: Sequence[str], *, write: bool = False) -> Self:
        """Open the volume whose members are given, in any order; with `write` no other process of ours changes it
        meanwhile, and what an earlier one left half done is finished.

        Raises VolumeError if they are no volume, not all of one, or contradict each other; InputError, HostError,
        VolumeBusy as `Members.open`.
        """
        members = Members.open(paths, write=write)
        try:
            label = assemble(members)
            (block,) = members.read(label.geometry, CONFIGURATION_CHUNK, 0, label.geometry.chunk_size)
            configuration = decode_configuration(bytes(block), label.geometry, name_of(label))
            return cls(members, label, configuration, writable=write)
        except BaseException:
            members.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the members, and let go of the lock."""
        self.members.close()

    @property
    def geometry(self) -> Geometry:
        """Members, stripes, chunks."""
        return self.label.geometry

    @property
    def name(self) -> str:
        """The name of the volume."""
        return name_of(self.label)

    def remount(self) -> None:
        """Read the table again, as a reader does to see what was changed since it looked."""
        self.table = self._read_table()
        self.changed()

    def changed(self) -> None:
        """The table is another now: what was made of it is forgotten."""
        self.__dict__.pop("default", None)

    def objects(self) -> Iterator[StoredObject]:
        """All objects, in the order of the table."""
        return (self.stored(slot) for slot in self.table.living())

    def removed(self) -> Iterator[StoredObject]:
        """What is left of removed objects, in the order of the table: their digest is all zeros."""
        return (self.stored(slot) for slot in self.table.removed())

    def find(self, digest: bytes) -> StoredObject | None:
        """The object with that digest."""
        slot = self.table.find(digest)
        return None if slot is None else self.stored(slot)

    def named(self, name: str) -> StoredObject | None:
        """The first object, in the order of the table, with that name."""
        slots = self.table.all_named(encode_text(name))
        return self.stored(slots[0]) if slots else None

    def has_several(self, name: str) -> bool:
        """Do several objects have that name?"""
        return len(self.table.all_named(encode_text(name))) > 1

    def get(self, wanted: str, *, unique: bool = False) -> StoredObject:
        """The object that a user means: `?HEX` or a whole digest in hexadecimal, or a name. Raises ObjectError if there
        is none, or with `unique` if several have the name."""
        found = None
        if not wanted.startswith("?"):
            slots = self.table.all_named(encode_text(wanted))
            if unique and len(slots) > 1:
                raise ObjectError(
                    f"{len(slots)} objects on volume {self.name} are named {wanted}", hint="give the digest of one"
                )
            found = self.stored(slots[0]) if slots else None
        if found is None:
            with suppress(ValueError):
                found = self.find(bytes.fromhex(wanted.removeprefix("?")))
        if found is None:
            raise ObjectError(
                f"there is no object {wanted} on volume {self.name}", hint="`shfs ls` lists names and digests"
            )
        return found

    @cached_property
    def default(self) -> StoredObject | None:
        """The object that is served for an empty request: the last one with the flag, as readers take it."""
        found = None
        for item in self.objects():
            if item.default:
                found = item
        return found

    def read(self, item: StoredObject, start: int = 0, length: int | None = None) -> Iterator[memoryview]:
        """The bytes of a file, from `start` on, `length` of them or all, in blocks of at most 1 MiB. Raises
        VolumeError if the entry speaks of what lies outside the volume, or upon its own structures; ObjectError for a
        link."""
        if item.link is not None:
            raise ObjectError(f"{item.name} is a link to {item.target}", hint="its bytes are on another server")
        self.check_run(item)
        left = max(item.size - start, 0)
        return self.members.read(
            self.geometry, item.first_chunk, item.offset + start, left if length is None else min(length, left)
        )

    def check_run(self, item: StoredObject) -> None:
        """Raises VolumeError unless the bytes of a file lie where bytes of files can lie."""
        last = item.first_chunk + self.geometry.chunks_of(item.offset + item.size)
        if item.size and not (item.first_chunk > CONFIGURATION_CHUNK and last <= self.geometry.chunks):
            raise VolumeError(
                f"object {item.digest.hex()} ({item.name}) says it has chunks {item.first_chunk} to {last - 1},"
                f" of a volume of {self.geometry.chunks}",
                hint="`shfs check` lists everything that is damaged",
            )

    def batch(self, **options: Any) -> "Batch":
        """Changes that are made together, when the block ends without an exception; see `Batch` for the options."""
        from shfs.batch import Batch

        return Batch(self, **options)

    def stored(self, slot: int) -> StoredObject:
        """What a slot holds, be it removed or not."""
        entry = self.table.entry(slot)
        text = (entry.name, entry.created)
        if isinstance(entry, FileEntry):
            place = (entry.size, decode_text(entry.mime), decode_text(entry.encoding), entry.first_chunk, entry.offset)
            link = None
        else:
            place, link = (0, "", "", 0, 0), entry.target
        return StoredObject(
            slot, entry.digest, decode_text(text[0]), text[1], *place, link, entry.default, entry.hidden
        )

    def write_slots(self, slots: Sequence[int]) -> None:
        """Write slots of the table, in whole sectors, to each copy of it, and wait until they are on the disks."""
        self._write_slots(self.table.raw, slots)
        self.members.sync()

    def write_changes(self, changes: Sequence[Change]) -> None:
        """Write the slots of changes that the table has and the journal promises, and wait until they are on the disks.

        What comes is written before what goes: a reader that knows no journal and looks meanwhile finds an object that
        is replaced old or new, and not neither.
        """
        length = self.configuration.digest_length
        going = [change for change in changes if takes_away(change.before, change.after, length)]
        gone = {change.slot for change in going}
        raw = bytearray(self.table.raw)
        for change in going:
            raw[change.slot * SLOT_SIZE : (change.slot + 1) * SLOT_SIZE] = change.before
        self._write_slots(raw, [change.slot for change in changes if change.slot not in gone])
        self.write_slots([*gone])

    def _write_slots(self, raw: bytearray, slots: Sequence[int]) -> None:
        for table in self.configuration.tables():
            for first, count in _runs(sorted({slot & ~1 for slot in slots})):
                at = first * SLOT_SIZE
                self.members.write(self.geometry, table, at, raw[at : at + count * SLOT_SIZE])

    def _read_table(self) -> Table:
        if self.writable:
            sweep_journal(self.journal)
        raw, promised = self._read_slots(), read_journal(self.journal, self.label)
        if not self.writable:
            # A writer may be at work. What is the same before and after the journal was read was so when it was read.
            deadline = time.monotonic() + PATIENCE
            while (again := self._read_slots()) != raw:
                if time.monotonic() > deadline:
                    raise VolumeBusy(f"volume {self.name} is changed all the time", hint="try again when it is done")
                raw, promised = again, read_journal(self.journal, self.label)
        table = Table(self.configuration, raw)
        if promised:
            self._finish(table, promised)
        return table

    def _read_slots(self) -> bytearray:
        size = self.configuration.slots * SLOT_SIZE
        raw = bytearray()
        for block in self.members.read(self.geometry, self.configuration.table, 0, size):
            raw += block
        return raw

    def _finish(self, table: Table, promised: list[Change]) -> None:
        """Make the changes that somebody promised who is gone; a reader makes them in its own memory only."""
        slots = {change.slot: table.slot(change.slot) for change in promised}
        for change in still_to_be_made(promised, slots, self.journal):
            table.put(change.slot, change.after)
        if self.writable:
            secure_journal(self.journal)
            self.table = table
            self.write_changes(promised)
            discard_journal(self.journal)


def assemble(members: Members) -> Label:
    """The label that all members agree upon, with the members put in its order. Raises VolumeError."""
    labels = members.labels()
    first = labels[0]
    for label, path in zip(labels, members.paths, strict=True):
        if label.members != first.members:
            raise VolumeError(
                f"{path} belongs to another volume than {members.paths[0]}",
                hint=f"volume {name_of(first)} has {len(first.members)} members: give all of them, and no other",
            )
        if _without_member(label) != _without_member(first):
            raise VolumeError(
                f"the labels of {members.paths[0]} and {path} contradict each other",
                hint="`shfs check` says how; take the damaged member from a copy",
            )
    given = [label.member for label in labels]
    for at, path in enumerate(members.paths):
        if given[at] in given[:at]:
            raise VolumeError(f"{path} is there twice, perhaps as a copy", hint="give each member once")
    missing = [str(at) for at, member in enumerate(first.members) if member not in given]
    if missing:
        raise VolumeError(
            f"volume {name_of(first)} has {len(first.members)} members, and {len(missing)} of them "
            f"{'is' if len(missing) == 1 else 'are'} not given: {', '.join(missing)}",
            hint="give all members: -v MEMBER -v MEMBER ...",
        )
    members.arrange([given.index(member) for member in first.members])
    label = labels[given.index(first.members[0])]
    check_sizes(members, label)
    return label


def check_sizes(members: Members, label: Label) -> None:
    """Raises VolumeError unless each member has the bytes that the label speaks of."""
    for path, size in zip(members.paths, members.sizes(), strict=True):
        if size < label.geometry.least_member:
            raise VolumeError(
                f"{path} has {size} bytes, and volume {name_of(label)} needs {label.geometry.least_member} of it",
                hint="it was cut: take the member from a copy of the volume",
            )
    if label.geometry.chunks <= CONFIGURATION_CHUNK:
        raise VolumeError(
            f"the label of volume {name_of(label)} is damaged: it speaks of {label.geometry.chunks} chunks",
            hint="take the members from a copy of the volume",
        )


def encode_text(text: str) -> bytes:
    """A name as its bytes on disk: UTF-8, other bytes as Python's surrogates. Raises InputError for a NUL, and for half
    a letter, as JSON can have it."""
    if "\0" in text:
        raise InputError(f"{text!r} has a NUL", hint="NUL ends a text on the volume: leave it out")
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise InputError(f"{text!r} is no text", hint="it has half of a pair of surrogates: leave it out") from None


def decode_text(field: bytes) -> str:
    """The text of a field; `encode_text` gives the same bytes again."""
    return field.decode("utf-8", "surrogateescape")


def name_of(label: Label) -> str:
    """The name of a volume, or its UUID if it has none."""
    return decode_text(label.name) or str(label.volume)


def _without_member(label: Label) -> tuple[uuid.UUID, bytes, int, Geometry, int]:
    return label.volume, label.name, label.created, label.geometry, label.encoding


def _runs(sectors: list[int]) -> Iterator[tuple[int, int]]:
    """Runs of sectors that lie together, as first slot and number of slots."""
    first = 0
    for at, slot in enumerate(sectors):
        if at + 1 == len(sectors) or sectors[at + 1] != slot + 2:
            yield sectors[first], 2 * (at + 1 - first)
            first = at + 1
