"""The check of a volume: all that breaks a rule of the format, contradicts itself, or is not what its digest says.

The format has no checksum, so a check is as good as what a volume says twice: labels on several members, a backup
table, digests of content, and the rules. shfs(5), "What cannot be seen", lists what is left.
"""

import bisect
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import pairwise
from typing import NamedTuple

from shfs import digests
from shfs.allocator import Run
from shfs.configuration import (
    BEST_FIT,
    CONFIGURATION_CHUNK,
    CONFIGURATION_SIZE,
    FIRST_TABLE_CHUNK,
    Configuration,
    decode_configuration,
)
from shfs.contents import Content, Contents
from shfs.entry import SLOT_SIZE, Entry, FileEntry
from shfs.entry_rules import Breach, Rules
from shfs.errors import VolumeBusy, VolumeError
from shfs.findings import Fault, Finding, Report, Severity
from shfs.journal import Change, journal_path, read_journal, still_to_be_made
from shfs.label_rules import Labels, read_labels
from shfs.members import Members
from shfs.table import Table
from shfs.volume import PATIENCE, decode_text, name_of

Progress = Callable[[int, int], None]
"""Is told of (bytes done, bytes in all)."""


def check(
    paths: Sequence[str],
    *,
    data: bool = True,
    threads: int = 2,
    provider: digests.Factory | None = None,
    progress: Progress = lambda done, whole: None,
) -> Report:
    """Check the volume whose members are given, in any order. `data`: compare contents with digests too, `threads`
    objects at a time, of which `progress` is told; `provider`: where digests come from that are given by hand.

    Raises VolumeError for what is no volume or not all of one, and as `Members.open`. Whatever else is wrong is in the
    report. Nothing is written, and no lock taken: of a volume that is being changed it may tell what is not so.
    """
    with closing(Members.open(paths, write=False)) as members:
        return Examination(members, data=data, threads=threads, provider=provider, progress=progress).report


class Twin(NamedTuple):
    """A slot that table and backup table do not have alike: what each has, and which is to be believed."""

    main: bytes
    backup: bytes
    right: bytes


class Examination:
    """A volume that was checked, and what it takes to repair it. `members` are in the label's order; without a
    `configuration` nothing else could be looked at. `twins` are slots that differ between the tables, `contents` what
    was found in files that are not as their entries say, `slack` the tables with bytes behind their last slot.

    `table` is the main one; with `believe` it is what the two tables together make believe, and so are the findings."""

    configuration: Configuration | None = None
    table: Table
    rules: Rules

    def __init__(
        self,
        members: Members,
        *,
        data: bool = True,
        threads: int = 2,
        provider: digests.Factory | None = None,
        progress: Progress = lambda done, whole: None,
        believe: bool = False,
    ) -> None:
        self.members = members
        self.labels: Labels = read_labels(members)
        self.label = self.labels.label
        self.report = Report(name_of(self.label))
        self.twins: dict[int, Twin] = {}
        self.contents: dict[int, Content] = {}
        self.slack: list[int] = []
        self._data = data
        self._threads = threads
        self._provider = provider
        self._progress = progress
        self._believe = believe
        self.report.findings += self.labels.findings
        if self._read_configuration():
            self._read_tables()
            self._look_at_slots()
            self._look_at_contents()

    def _find(self, severity: Severity, fault: Fault, where: str, message: str, *, repairable: bool = False) -> None:
        self.report.findings.append(Finding(severity, fault, where, message, repairable=repairable))

    def _find_in_slot(self, number: int, slot: bytes, breach: Breach) -> None:
        entry = self.rules.entry(slot)
        digest = None if self.rules.is_free(slot) else entry.digest
        name = decode_text(entry.name) if any(slot) else None
        self.report.findings.append(
            Finding(
                breach.severity,
                breach.fault,
                f"slot {number}",
                breach.message,
                number,
                digest,
                name,
                breach.repairable,
            )
        )

    # Configuration and tables.

    def _read_configuration(self) -> bool:
        geometry = self.label.geometry
        data = b"".join(map(bytes, self.members.read(geometry, CONFIGURATION_CHUNK, 0, geometry.chunk_size)))
        where = "configuration"
        if any(data[CONFIGURATION_SIZE:]):
            message = "there are bytes behind it in its chunk"
            self._find(Severity.ERROR, Fault.CONFIGURATION, where, message, repairable=True)
        try:
            configuration = decode_configuration(data, geometry, self.report.volume)
        except VolumeError as error:
            self._find(Severity.ERROR, Fault.CONFIGURATION, where, error.message)
            return False
        self.configuration = configuration
        if configuration.table != FIRST_TABLE_CHUNK:
            message = f"the table begins at chunk {configuration.table}, and it always does at {FIRST_TABLE_CHUNK}"
            self._find(Severity.ERROR, Fault.CONFIGURATION, where, message)
        if configuration.allocator == BEST_FIT:
            message = "its allocator is best fit, with which the original tool finds no room"
            self._find(Severity.NOTE, Fault.CONFIGURATION, where, message)
        if configuration.slots % (geometry.chunk_size // SLOT_SIZE):
            message = "the table does not fill its last chunk: original MiniCache guests die of that when they remount"
            self._find(Severity.NOTE, Fault.CONFIGURATION, where, message)
        return True

    def _read_tables(self) -> None:
        assert self.configuration is not None  # noqa: S101 - the caller made sure
        configuration = self.configuration
        self.rules = Rules(self.label.geometry, configuration)
        raws, promised = self._snapshot()
        copies = [Table(configuration, raw) for raw in raws]
        for first, where, raw in zip(configuration.tables(), ("table", "backup table"), raws, strict=False):
            if any(raw[configuration.slots * SLOT_SIZE :]):
                self.slack.append(first)
                self._find(Severity.ERROR, Fault.UNUSED, where, "there are bytes behind its last slot", repairable=True)
        self.table = copies[0]
        for change in promised:
            for copy in copies:
                copy.put(change.slot, change.after)
        for backup in copies[1:]:
            self._compare(backup)

    def _snapshot(self) -> tuple[list[bytearray], list[Change]]:
        """The tables, and the changes of a journal that are still to be made in them. A writer may be at work: what is
        the same before and after the journal was read was so when it was read. Raises VolumeBusy."""
        journal = journal_path(self.label, self.members.paths[0], is_file=self.members.are_files())
        deadline = time.monotonic() + PATIENCE
        before, promised, failure = None, list[Change](), ""
        while (raws := self._raw_tables()) != before:
            if time.monotonic() > deadline:
                raise VolumeBusy(f"volume {self.report.volume} is changed all the time", hint="check it when that ends")
            before, failure = raws, ""
            try:
                promised = read_journal(journal, self.label)
                slots = {one.slot: bytes(raws[0][one.slot * SLOT_SIZE :][:SLOT_SIZE]) for one in promised}
                still_to_be_made(promised, slots, journal)
            except VolumeError as error:
                promised, failure = [], f"{error.message}: {error.hint}"
        if failure:
            self._find(Severity.ERROR, Fault.JOURNAL, "journal", failure)
        if promised:
            message = f"{journal} promises {len(promised)} changes of slots: the next change of the volume makes them"
            self._find(Severity.NOTE, Fault.JOURNAL, "journal", message, repairable=True)
        return raws, promised

    def _raw_tables(self) -> list[bytearray]:
        assert self.configuration is not None  # noqa: S101 - the caller made sure
        geometry = self.label.geometry
        whole = self.configuration.table_chunks(geometry.chunk_size) * geometry.chunk_size
        raws = []
        for first in self.configuration.tables():
            raw = bytearray()
            for block in self.members.read(geometry, first, 0, whole):
                raw += block
            raws.append(raw)
        return raws

    def _compare(self, backup: Table) -> None:
        for number in _differing(self.table.raw, backup.raw):
            main, other = self.table.slot(number), backup.slot(number)
            right = main
            # A removed object is left with its fields. A slot that is all zeros has lost what the backup has.
            wiped = not any(main) and not self.rules.is_free(other)
            if self._worth(number, other) > self._worth(number, main) or (wiped and self._worth(number, other)[0]):
                right = other
            self.twins[number] = Twin(main, other, right)
            which = "table" if right is main else "backup table"
            breach = Breach(
                Severity.ERROR,
                Fault.COPIES,
                f"table and backup table do not have the same in it; that of the {which} is to be believed",
                repairable=True,
            )
            self._find_in_slot(number, main if any(main) else other, breach)
            if self._believe:
                self.table.put(number, right)

    def _worth(self, number: int, slot: bytes) -> tuple[bool, int]:
        """How much sense a slot makes: without errors, and the fewer notes the better."""
        entry = self.rules.entry(slot)
        found = list(self.rules.breaches(number, slot))
        if not self.rules.is_free(slot):
            found += self._breaches_of_link(entry)
            if self._data and isinstance(entry, FileEntry) and self.rules.is_readable(entry):
                found += self._breaches_of_content(entry, self._reader().of(entry))
        errors = sum(breach.severity is Severity.ERROR for breach in found)
        return not errors, errors - len(found)

    # Slots.

    def _look_at_slots(self) -> None:
        defaults, runs, seen, lost = [], [], dict[bytes, int](), 0
        for number in self._used():
            slot = self.table.slot(number)
            for breach in self.rules.breaches(number, slot):
                self._find_in_slot(number, slot, breach)
            if self.rules.is_free(slot):
                self.report.removed += 1
                continue
            entry = self.rules.entry(slot)
            if isinstance(entry, FileEntry):
                self.report.files += 1
                self.report.bytes += entry.size
            else:
                self.report.links += 1
                for breach in self._breaches_of_link(entry):
                    self._find_in_slot(number, slot, breach)
            if entry.default:
                defaults.append(number)
            if run := self.rules.run(entry):
                runs.append((*run, number))
            belongs = self.rules.belongs(entry.digest, number)
            lost += not belongs
            if belongs and (first := seen.setdefault(entry.digest, number)) != number:
                message = f"its digest is in slot {first}, too, where readers find it"
                self._find_in_slot(number, slot, Breach(Severity.ERROR, Fault.TWICE, message, repairable=True))
        if lost > 1 and 2 * lost > self.report.files + self.report.links:
            message = f"readers find {lost} objects in no bucket: the numbers of the hash table may be what is damaged"
            self._find(Severity.ERROR, Fault.CONFIGURATION, "configuration", message)
        for number in defaults if len(defaults) > 1 else []:
            message = f"it is one of {len(defaults)} default objects: readers take that in slot {defaults[-1]}"
            breach = Breach(Severity.NOTE, Fault.DEFAULT, message, repairable=number != defaults[-1])
            self._find_in_slot(number, self.table.slot(number), breach)
        runs.sort()
        self._look_for_overlaps(runs)
        self._look_at_removed([(first, count) for first, count, _ in runs])

    def _used(self) -> Iterator[int]:
        """The slots with anything in them."""
        nothing = bytes(SLOT_SIZE)
        raw = bytes(self.table.raw)
        return (at // SLOT_SIZE for at in range(0, len(raw), SLOT_SIZE) if raw[at : at + SLOT_SIZE] != nothing)

    def _breaches_of_link(self, entry: Entry) -> Iterable[Breach]:
        if isinstance(entry, FileEntry):
            return
        usual = Contents.of_link(self._reader(), entry)
        if usual and entry.digest not in usual:
            message = f"its digest is that of no usual way to write {entry.target.url}"
            yield Breach(Severity.NOTE, Fault.DIGEST, message)

    def _look_for_overlaps(self, runs: list[tuple[int, int, int]]) -> None:
        """Each run is compared with the one, of those that begin before it, that ends last."""
        furthest: tuple[int, int, int] | None = None
        for run in runs:
            if furthest is not None and run[0] < furthest[0] + furthest[1]:
                for one, other in ((furthest, run), (run, furthest)):
                    digest = self.rules.entry(self.table.slot(other[2])).digest.hex()
                    last = min(sum(run[:2]), sum(furthest[:2])) - 1
                    message = f"chunks {run[0]} to {last} are those of object {digest} in slot {other[2]}, too"
                    breach = Breach(Severity.ERROR, Fault.OVERLAP, message)
                    self._find_in_slot(one[2], self.table.slot(one[2]), breach)
            if furthest is None or sum(run[:2]) > sum(furthest[:2]):
                furthest = run

    def _look_at_removed(self, living: list[Run]) -> None:
        taken = merged(living)
        for number in self.table.removed():
            slot = self.table.slot(number)
            if (run := self.rules.run(self.rules.entry(slot))) and touches(taken, run):
                message = "the chunks of what was removed from it were given to another object"
                self._find_in_slot(number, slot, Breach(Severity.NOTE, Fault.REMOVED, message))

    # Contents.

    def _reader(self, progress: Callable[[int], None] = lambda more: None) -> Contents:
        assert self.configuration is not None  # noqa: S101 - the caller made sure
        return Contents(
            self.members, self.label.geometry, self.configuration, provider=self._provider, progress=progress
        )

    def _look_at_contents(self) -> None:
        if not self._data:
            return
        jobs = [(number, entry) for number in self.table.living() if (entry := self._readable(number))]
        whole = sum(entry.size for _, entry in jobs)
        done = 0

        def progress(more: int) -> None:
            nonlocal done
            done += more
            self._progress(min(done, whole), whole)

        for number, entry, content in self._reader(progress).of_all(jobs, self._threads):
            self.report.read += entry.size
            for breach in self._breaches_of_content(entry, content):
                self.contents[number] = content
                self._find_in_slot(number, self.table.slot(number), breach)

    def _readable(self, number: int) -> FileEntry | None:
        entry = self.rules.entry(self.table.slot(number))
        return entry if isinstance(entry, FileEntry) and self.rules.is_readable(entry) else None

    def _breaches_of_content(self, entry: FileEntry, content: Content) -> Iterator[Breach]:
        if content.failure:
            yield Breach(Severity.ERROR, Fault.DIGEST, f"it cannot be read: {content.failure}")
            return
        if content.true is not None and entry.digest != content.true:
            if entry.digest == content.compatible:
                message = "its digest is the original tool's, which leaves its last chunk out: that one is not checked"
                yield Breach(Severity.NOTE, Fault.DIGEST, message)
            elif are_close(entry.digest, content.true):
                message = f"its digest is damaged: that of its content is {content.true.hex()}"
                yield Breach(Severity.ERROR, Fault.DIGEST, message, repairable=True)
            else:
                message = f"its content is damaged: it has the digest {content.true.hex()}"
                yield Breach(Severity.ERROR, Fault.DIGEST, message)
        if content.padding:
            repairable = content.true is not None and content.covers(entry.digest)
            message = "there are bytes behind its end in its last chunk"
            yield Breach(Severity.ERROR, Fault.PADDING, message, repairable=repairable)


def are_close(digest: bytes, other: bytes) -> bool:
    """Do digests differ in so few bits that one of them must be the other, damaged? Those of different contents differ
    in about half of them."""
    different = int.from_bytes(digest, "big") ^ int.from_bytes(other, "big")
    return different.bit_count() <= len(digest) // 2


def touches(merged: list[Run], run: Run) -> bool:
    """Does a run share a chunk with one of those that `merged` made?"""
    at = bisect.bisect(merged, (run[0] + run[1], 0))
    return at > 0 and sum(merged[at - 1]) > run[0]


def merged(runs: list[Run]) -> list[Run]:
    """Sorted runs without overlaps, of sorted ones."""
    found: list[Run] = []
    for first, count in runs:
        if found and first <= sum(found[-1]):
            start = found[-1][0]
            found[-1] = (start, max(sum(found[-1]), first + count) - start)
        else:
            found.append((first, count))
    return found


def _differing(main: bytearray, backup: bytearray) -> Iterator[int]:
    """The slots that are not alike."""
    for first, end in pairwise([*range(0, len(main), 256 * SLOT_SIZE), len(main)]):
        if main[first:end] != backup[first:end]:
            for at in range(first, end, SLOT_SIZE):
                if main[at : at + SLOT_SIZE] != backup[at : at + SLOT_SIZE]:
                    yield at // SLOT_SIZE
