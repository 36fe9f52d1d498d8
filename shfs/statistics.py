"""Statistics that a cache exported: how often each digest was asked for (shfs(5), "Statistics").

The text, as caches write it to a block device: a line that says what the columns are, one line for each digest, and a
NUL. What follows the NUL is of an earlier export.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, Self, TypeVar

from shfs.errors import HostError, InputError
from shfs.volume import StoredObject, Volume

_T = TypeVar("_T")

_BLOCK = 1 << 20
_LONGEST_LINE = 1 << 16
"""More than any line of an export has; what is longer is something else."""

_COLUMNS = re.compile(
    r"x(?P<length>[1-9]\d?)k\(hash\);u(?P<counter>[48])g\(laccess\);u(?P=counter)s\(hits\);u(?P=counter)s\(miss\)"
    r"(?P<completed>;u(?P=counter)s\(completed\)(?P<progress>(?:;u(?P=counter)s\((?:\d|[1-9]\d|100)%\))*))?"
)
_NUMBER = re.compile(r"0|[1-9]\d{0,19}")
_LONGEST_DIGEST = 64
_COUNTER_SIZES = (4, 8)


@dataclass(frozen=True, slots=True)
class Access:
    """How a digest was asked for: `last` in Unix seconds, 0 if it never was; requests that found the object (`hits`)
    and that did not (`misses`); transfers that came to their end (`completed`), and to each threshold (`progress`)."""

    digest: bytes
    last: int = 0
    hits: int = 0
    misses: int = 0
    completed: int = 0
    progress: tuple[int, ...] = ()

    def __add__(self, other: Self) -> Self:
        """Both together: counters are summed, the later access counts."""
        return replace(
            self,
            last=max(self.last, other.last),
            hits=self.hits + other.hits,
            misses=self.misses + other.misses,
            completed=self.completed + other.completed,
            progress=tuple(one + more for one, more in zip(self.progress, other.progress, strict=True)),
        )


@dataclass(frozen=True, slots=True)
class Shape:
    """What an export has of each digest: its length in bytes, whether transfers are counted, and the thresholds, in per
    cent, at which their progress is."""

    digest_length: int
    counts_transfers: bool = True
    thresholds: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Statistics:
    """An export. A digest is there twice if it was missed before an object with it was added."""

    shape: Shape
    records: tuple[Access, ...]
    counter_size: int = field(default=4, compare=False)
    """Bytes of a counter: 4 in the original's exports, 8 where sums need it."""

    def encode(self) -> bytes:
        """The text, without the NUL that ends it on a block device."""
        size, shape = self.counter_size, self.shape
        columns = [f"x{shape.digest_length}k(hash)", f"u{size}g(laccess)", f"u{size}s(hits)", f"u{size}s(miss)"]
        if shape.counts_transfers:
            columns.append(f"u{size}s(completed)")
        columns += [f"u{size}s({threshold}%)" for threshold in shape.thresholds]
        lines = [";".join(columns)]
        for record in self.records:
            counters = [record.last, record.hits, record.misses]
            if shape.counts_transfers:
                counters += [record.completed, *record.progress]
            lines.append(";".join([record.digest.hex(), *map(str, counters)]))
        return "".join(f"{line}\n" for line in lines).encode("ascii")


def read_statistics(file: BinaryIO, name: str) -> Statistics:
    """Read an export, as text or as the JSON that `Report.as_json` gives, up to its end or a NUL; `name` is told in
    messages. Raises InputError for anything else, be it cut, torn or damaged; HostError if reading fails.

    An export that was cut at the end of a line, before its NUL, cannot be told from a shorter one.
    """
    blocks = _until_nul(file, name)
    head = next(blocks, b"")
    if not head:
        raise InputError(f"{name} is empty: there is no export in it", hint="`export-stats` on the cache writes one")
    if head.lstrip()[:1] == b"{":
        return _from_json(head + b"".join(blocks), name)
    lines = _lines(head, blocks, name)
    shape, counter_size = _shape(next(lines), name)
    records = tuple(_record(line, number, shape, counter_size, name) for number, line in enumerate(lines, start=2))
    return Statistics(shape, records, counter_size)


def merge(exports: Iterable[Statistics]) -> Statistics:
    """Several exports as one, each digest once: counters are summed, and the latest access counts. Raises InputError if
    they do not have the same columns, or a sum needs more than eight bytes."""
    shape: Shape | None = None
    found: dict[bytes, Access] = {}
    counter_size = _COUNTER_SIZES[0]
    for export in exports:
        if shape is not None and shape != export.shape:
            raise InputError(
                "the exports do not have the same columns",
                hint="those of caches with digests of one length and with the same thresholds can be merged",
            )
        shape = export.shape
        counter_size = max(counter_size, export.counter_size)
        for record in export.records:
            earlier = found.get(record.digest)
            found[record.digest] = record if earlier is None else earlier + record
    if shape is None:
        raise ValueError("nothing to merge")
    most = max((max(_numbers(record)) for record in found.values()), default=0)
    if most >= 1 << 64:
        raise InputError("a sum of the exports is no number of 64 bits", hint="one of them is damaged: leave it out")
    needed = 8 if most >= 1 << 32 else 4
    return Statistics(shape, tuple(found.values()), max(counter_size, needed))


@dataclass(frozen=True, slots=True)
class Report:
    """An export beside a volume, hot digests first: what was asked of each object, and of digests that the volume does
    not have. Without a volume all are in `known`, with None."""

    shape: Shape
    known: list[tuple[Access, StoredObject | None]]
    unknown: list[Access]

    def as_json(self) -> dict[str, Any]:
        """A JSON document, which `read_statistics` reads."""
        return {
            "digest_length": self.shape.digest_length,
            "thresholds": list(self.shape.thresholds) if self.shape.counts_transfers else None,
            "records": [
                self._row(record) | ({} if item is None else {"name": item.name, "type": item.type})
                for record, item in self.known
            ],
            "unknown": [self._row(record) for record in self.unknown],
        }

    def _row(self, record: Access) -> dict[str, Any]:
        row: dict[str, Any] = {
            "digest": record.digest.hex(),
            "last_access": record.last,
            "hits": record.hits,
            "misses": record.misses,
        }
        if self.shape.counts_transfers:
            row |= {"completed": record.completed, "progress": list(record.progress)}
        return row


def report(statistics: Statistics, volume: Volume | None = None) -> Report:
    """Put the records beside the objects of a volume; one that nobody asked for has zeros. Raises InputError if the
    volume's digests are of another length."""
    shape = statistics.shape
    records = {record.digest: record for record in merge([statistics]).records}
    if volume is None:
        return Report(shape, [(record, None) for record in sorted(records.values(), key=_heat)], [])
    length = volume.configuration.digest_length
    if length != shape.digest_length:
        raise InputError(
            f"digests of volume {volume.name} have {length} bytes, and those of the export {shape.digest_length}",
            hint="give the volume of the cache that exported it",
        )
    known = [(_taken(records, item.digest, shape), item) for item in volume.objects()]
    return Report(shape, sorted(known, key=lambda pair: _heat(pair[0])), sorted(records.values(), key=_heat))


def _taken(records: dict[bytes, Access], digest: bytes, shape: Shape) -> Access:
    return records.pop(digest, None) or Access(digest, progress=(0,) * len(shape.thresholds))


def _heat(record: Access) -> tuple[int, int, int, bytes]:
    return -record.hits, -record.misses, -record.last, record.digest


def _numbers(record: Access) -> tuple[int, ...]:
    return record.last, record.hits, record.misses, record.completed, *record.progress


def _until_nul(file: BinaryIO, name: str) -> Iterator[bytes]:
    while True:
        try:
            block = file.read(_BLOCK)
        except OSError as error:
            raise HostError(f"{name} cannot be read: {error.strerror}") from None
        text, nul, _ = block.partition(b"\0")
        if text:
            yield text
        if nul or not block:
            return


def _lines(head: bytes, blocks: Iterator[bytes], name: str) -> Iterator[str]:
    rest, number = head, 1
    while True:
        *whole, rest = rest.split(b"\n")
        for line in whole:
            yield _ascii(line, number, name)
            number += 1
        if len(rest) > _LONGEST_LINE:
            raise _broken(name, number, "it is longer than any line of an export")
        block = next(blocks, b"")
        if not block:
            break
        rest += block
    if rest or number == 1:
        raise _broken(name, number, "it has no end")


def _ascii(line: bytes, number: int, name: str) -> str:
    try:
        return line.decode("ascii")
    except UnicodeDecodeError:
        raise _broken(name, number, "it is no text") from None


def _shape(line: str, name: str) -> tuple[Shape, int]:
    columns = _COLUMNS.fullmatch(line)
    if columns is None:
        raise _broken(name, 1, "it does not say what the columns are")
    thresholds = tuple(map(int, re.findall(r"\((\d+)%\)", columns["progress"] or "")))
    shape = Shape(int(columns["length"]), columns["completed"] is not None, thresholds)
    if problem := _impossible(shape):
        raise _broken(name, 1, problem)
    return shape, int(columns["counter"])


def _impossible(shape: Shape) -> str:
    if not 1 <= shape.digest_length <= _LONGEST_DIGEST:
        return f"no digest has {shape.digest_length} bytes"
    if list(shape.thresholds) != sorted(set(shape.thresholds)):
        return "its thresholds do not rise"
    return ""


def _record(line: str, number: int, shape: Shape, counter_size: int, name: str) -> Access:
    digest, *texts = line.split(";")
    wanted = 3 + shape.counts_transfers + len(shape.thresholds)
    if len(texts) != wanted:
        raise _broken(name, number, f"it has {len(texts) + 1} columns, and there are {wanted + 1}")
    if not re.fullmatch(rf"[0-9a-f]{{{2 * shape.digest_length}}}", digest):
        raise _broken(name, number, f"its digest is none of {2 * shape.digest_length} digits")
    counters = [int(text) if _NUMBER.fullmatch(text) else -1 for text in texts]
    if not all(0 <= counter < 1 << 8 * counter_size for counter in counters):
        raise _broken(name, number, f"one of its numbers is none of {counter_size} bytes")
    last, hits, misses, *transfers = counters
    completed, *progress = transfers or [0]
    return Access(bytes.fromhex(digest), last, hits, misses, completed, tuple(progress))


def _broken(name: str, number: int, what: str) -> InputError:
    return InputError(
        f"{name} is no export, or a damaged one: line {number}: {what}",
        hint="export anew; an export that was broken off runs into what the device held before",
    )


def _from_json(data: bytes, name: str) -> Statistics:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise _no_json(name, "it begins like JSON, and is none") from None
    try:
        thresholds = document["thresholds"]
        shape = Shape(
            _count(document["digest_length"]), thresholds is not None, _counts(thresholds) if thresholds else ()
        )
        if problem := _impossible(shape):
            raise ValueError(problem)
        rows = [*_typed(list, document["records"]), *_typed(list, document["unknown"])]
        records = tuple(_record_of(_typed(dict, row), shape) for row in rows)
    except KeyError as error:
        raise _no_json(name, f"{error} is missing") from None
    except ValueError as error:
        raise _no_json(name, str(error)) from None
    most = max((max(_numbers(record)) for record in records), default=0)
    return Statistics(shape, records, 8 if most >= 1 << 32 else 4)


def _record_of(row: dict[str, Any], shape: Shape) -> Access:
    digest = bytes.fromhex(_typed(str, row["digest"]))
    if len(digest) != shape.digest_length:
        raise ValueError(f"a digest has {len(digest)} bytes, and not {shape.digest_length}")
    completed = _count(row["completed"]) if shape.counts_transfers else 0
    progress = _counts(row["progress"]) if shape.counts_transfers else ()
    if len(progress) != len(shape.thresholds):
        raise ValueError(f"digest {digest.hex()} has {len(progress)} counts of progress")
    return Access(digest, _count(row["last_access"]), _count(row["hits"]), _count(row["misses"]), completed, progress)


def _counts(value: object) -> tuple[int, ...]:
    return tuple(map(_count, _typed(list, value)))


def _count(value: object) -> int:
    number = _typed(int, value)
    if not 0 <= number < 1 << 64:
        raise ValueError("a count is no number of 64 bits")
    return number


def _typed(kind: type[_T], value: object) -> _T:
    if type(value) is not kind:
        raise ValueError(f"there is a {type(value).__name__}, where a {kind.__name__} should be")
    return value


def _no_json(name: str, what: str) -> InputError:
    return InputError(f"{name} is no export: {what}", hint="`shfs stats -o json` writes one in JSON")
