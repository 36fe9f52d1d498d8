"""The rules that a slot of the table keeps by itself: what a check can say of it without reading any content."""

from collections.abc import Iterator
from dataclasses import dataclass

from shfs.allocator import Run
from shfs.configuration import FIRST_TABLE_CHUNK, Configuration
from shfs.entry import SLOT_SIZE, Entry, FileEntry, LinkEntry, decode_entry
from shfs.findings import Fault, Severity
from shfs.geometry import Geometry
from shfs.links import HostType, LinkKind, LinkTarget
from shfs.table import Table

KNOWN_FLAGS = 1 | 4 | 8
FLAGS_AT = 180
DIGEST_SIZE = 64
TAIL = slice(245, SLOT_SIZE)
NAME = slice(181, 245)
MIME, ENCODING = slice(88, 120), slice(120, 136)
PATH = slice(100, 171)

_NOT_IN_A_HOST = frozenset(b"/?#@" + bytes(range(0x21)))
_NOT_IN_A_PATH = frozenset(b"\x7f" + bytes(range(0x21))) - frozenset(b"\t\f")
"""The original's parser lets a tab and a form feed pass, and an empty fragment."""


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that a slot breaks, or, as a note, something strange about it."""

    severity: Severity
    fault: Fault
    message: str
    repairable: bool = False


class Rules:
    """The rules of one volume, which depend on its geometry and configuration."""

    def __init__(self, geometry: Geometry, configuration: Configuration) -> None:
        self.geometry = geometry
        self.configuration = configuration
        self._places = Table(configuration, b"")
        size = configuration.table_chunks(geometry.chunk_size)
        self.structures: list[tuple[Run, str]] = [
            ((0, FIRST_TABLE_CHUNK), "label or configuration"),
            *(((first, size), "table or backup table") for first in configuration.tables()),
        ]

    def entry(self, slot: bytes) -> Entry:
        """What a slot says."""
        return decode_entry(slot, self.configuration.digest_length)

    def is_free(self, slot: bytes) -> bool:
        """Is there no object in the slot?"""
        return not any(slot[: self.configuration.digest_length])

    def belongs(self, digest: bytes, number: int) -> bool:
        """Do readers look for the digest in the slot of that number?"""
        return number in self._places.slots_of(self._places.bucket(digest))

    def breaches(self, number: int, slot: bytes) -> Iterator[Breach]:
        """All that is wrong or strange about the slot of that number."""
        entry = self.entry(slot)
        if any(slot[self.configuration.digest_length : DIGEST_SIZE]):
            yield _error(Fault.UNUSED, "there are bytes behind its digest", repairable=True)
        if any(slot[TAIL]):
            yield _error(Fault.UNUSED, "there are bytes behind its name's field, where nothing is", repairable=True)
        if unknown := slot[FLAGS_AT] & ~KNOWN_FLAGS:
            yield _error(Fault.FLAGS, f"it has flags without a meaning: {unknown:#04x}", repairable=True)
        if self.is_free(slot):
            if entry.default:
                message = "it is free and has the default flag: original readers serve what was removed from it"
                yield Breach(Severity.NOTE, Fault.DEFAULT, message, repairable=True)
            return
        if not self.belongs(entry.digest, number):
            bucket = self._places.bucket(entry.digest)
            message = f"it is in bucket {number // self.configuration.entries}, and readers look in {bucket} for it"
            yield _error(Fault.BUCKET, message, repairable=True)
        yield from _text(slot[NAME], "name")
        if isinstance(entry, FileEntry):
            yield from _text(slot[MIME], "MIME type")
            yield from _text(slot[ENCODING], "content encoding")
            yield from self._place(entry)
        else:
            # Of an empty path the original writes nothing: what was in the slot before stays.
            if entry.target.path:
                yield from _text(slot[PATH], "path")
            yield from _link(entry.target)

    def _place(self, entry: FileEntry) -> Iterator[Breach]:
        first, count = entry.run(self.geometry.chunk_size)
        if entry.offset:
            message = f"it begins at byte {entry.offset} of its first chunk: readers honour that, no writer does it"
            yield Breach(Severity.NOTE, Fault.PLACE, message)
            if entry.offset >= self.geometry.chunk_size:
                yield _error(Fault.PLACE, f"it begins behind its first chunk, which has {self.geometry.chunk_size}")
        # An empty file has no chunk; the number that stands there was free when it was added.
        last = first + max(count, 1)
        if last > self.geometry.chunks:
            message = f"it says it has chunks {first} to {last - 1}, of a volume of {self.geometry.chunks}"
            yield _error(Fault.PLACE, message, repairable=True)
            return
        for (start, size), what in self.structures:
            if first < start + size and start < last:
                yield _error(
                    Fault.PLACE,
                    f"it says it has chunks {first} to {last - 1}, which are those of {what}",
                    repairable=True,
                )

    def run(self, entry: Entry) -> Run | None:
        """The chunks of an object that has some, and has them within the volume."""
        if isinstance(entry, LinkEntry) or not entry.size:
            return None
        first, count = entry.run(self.geometry.chunk_size)
        return (first, count) if first + count <= self.geometry.chunks else None

    def is_readable(self, entry: Entry) -> bool:
        """Can the entry be served: is a file within the data area, does a link lead somewhere?"""
        found = self._place(entry) if isinstance(entry, FileEntry) else _link(entry.target)
        return all(breach.severity is Severity.NOTE for breach in found)


def _error(fault: Fault, message: str, *, repairable: bool = False) -> Breach:
    return Breach(Severity.ERROR, fault, message, repairable)


def _text(field: bytes, what: str) -> Iterator[Breach]:
    text, _, rest = field.partition(b"\0")
    if any(rest):
        yield _error(Fault.UNUSED, f"there are bytes behind the NUL that ends its {what}", repairable=True)
    try:
        printable = text.decode().isprintable()
    except UnicodeDecodeError:
        yield Breach(Severity.NOTE, Fault.TEXT, f"its {what} is no UTF-8: {text!r}")
    else:
        if not printable:
            yield Breach(Severity.NOTE, Fault.TEXT, f"its {what} has characters that cannot be printed: {text!r}")


def _link(target: LinkTarget) -> Iterator[Breach]:
    if target.kind not in [*LinkKind]:
        yield _error(Fault.LINK, f"there are no links of type {target.kind}")
    if target.port == 0:
        yield _error(Fault.LINK, "its port is 0")
    if target.host_type == HostType.NAME:
        host = target.host.partition(b"\0")[0]
        if not host:
            yield _error(Fault.LINK, "its host is empty")
        elif not _NOT_IN_A_HOST.isdisjoint(host):
            yield _error(Fault.LINK, f"its host cannot be one: {host!r}")
    elif target.host_type == HostType.IPV6:
        yield Breach(Severity.NOTE, Fault.LINK, "its host is an IPv6 address, which no reader of SHFS 2.01 connects to")
    elif target.host_type != HostType.IPV4:
        yield _error(Fault.LINK, f"there are no hosts of type {target.host_type}")
    if not _NOT_IN_A_PATH.isdisjoint(target.path):
        yield _error(Fault.LINK, f"its path cannot be one: {target.path!r}")
    elif b"#" in target.path:
        yield Breach(Severity.NOTE, Fault.LINK, f"its path has a fragment, which no server is sent: {target.path!r}")
