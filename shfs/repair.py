"""The repair of a volume: what a check found wrong is set right from whatever says it better.

That is, from the other labels, from the backup table, from digests of content, from what the format leaves no choice
about. What nothing is known about is left alone: a damaged object is removed only if that is asked for.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from shfs import digests
from shfs.check import Examination, Progress
from shfs.configuration import CONFIGURATION_CHUNK, CONFIGURATION_SIZE
from shfs.entry import SLOT_SIZE, FileEntry, removed, with_default
from shfs.entry_rules import DIGEST_SIZE, ENCODING, FLAGS_AT, KNOWN_FLAGS, MIME, NAME, PATH, TAIL
from shfs.findings import Fault, Finding, Report
from shfs.members import Members
from shfs.volume import Volume, decode_text

_DAMAGE = (Fault.DIGEST, Fault.LINK, Fault.PLACE)
"""Errors for which an object is removed if that is asked for."""


@dataclass(frozen=True, slots=True)
class Repair:
    """One thing that was set right, or is to be. `digest` and `name` are those of the object that it is about."""

    where: str
    message: str
    digest: bytes | None = None
    name: str | None = None

    def as_json(self) -> dict[str, Any]:
        """What `shfs check --repair -o json` prints of it."""
        return {
            "where": self.where,
            "object": None if self.digest is None else self.digest.hex(),
            "name": self.name,
            "message": self.message,
        }


def repair(
    paths: Sequence[str],
    *,
    remove_damaged: bool = False,
    dry_run: bool = False,
    data: bool = True,
    threads: int = 2,
    provider: digests.Factory | None = None,
    progress: Progress = lambda done, whole: None,
) -> tuple[list[Repair], Report]:
    """Set right what a check finds and something says how; what was done, and the report of a second check. With
    `remove_damaged` objects that are damaged are removed. With `dry_run` nothing is done, and the report is that of the
    volume as it is. The other parameters are those of `check`, and so are the errors.

    Labels are written one by one, each in one sector; entries all together, as a batch is.
    """
    with closing(Members.open(paths, write=not dry_run)) as members:

        def examine(*, believe: bool) -> Examination:
            return Examination(
                members, data=data, threads=threads, provider=provider, progress=progress, believe=believe
            )

        found = examine(believe=True)
        plan = _Plan(found, remove_damaged)
        if dry_run:
            return plan.repairs, found.report
        plan.carry_out()
        return plan.repairs, examine(believe=False).report


@dataclass
class _Plan:
    """What is to be done about an examined volume. `slots`: what each slot that changes is to hold; `zeros`: what is to
    be zeros, as chunk, first byte, number of bytes."""

    found: Examination
    remove_damaged: bool
    repairs: list[Repair] = field(default_factory=list)
    slots: dict[int, bytes] = field(default_factory=dict)
    zeros: list[tuple[int, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        findings = self.found.report.findings
        if not self.found.labels.certain:
            return
        for finding in findings:
            if finding.repairable and finding.fault in (Fault.LABEL, Fault.CONFIGURATION, Fault.JOURNAL):
                self.repairs.append(Repair(finding.where, f"set right: {finding.message}"))
        if not self._slots_can_be_trusted():
            return
        for number, twin in self.found.twins.items():
            which = "table" if twin.right == twin.main else "backup table"
            self._put(number, twin.right, f"both tables have now what the {which} had")
        self._plan_slack()
        by_slot: dict[int, list[Finding]] = {}
        for finding in findings:
            if finding.slot is not None and finding.fault is not Fault.COPIES:
                by_slot.setdefault(finding.slot, []).append(finding)
        # Entries that stay where they are go first: those that move need to know which slots are free.
        moving = {number for number, found in by_slot.items() if any(one.fault is Fault.BUCKET for one in found)}
        for number in sorted(by_slot, key=lambda number: (number in moving, number)):
            self._plan_slot(number, by_slot[number])

    def carry_out(self) -> None:
        """Do it all. Raises HostError, and then some labels may be set right and others not; entries are set right all
        or none."""
        found, members = self.found, self.found.members
        if not found.labels.certain:
            return
        for at, data in enumerate(members.beginnings()):
            if data != found.labels.of(at):
                members.write_label(at, found.labels.of(at))
        unit = found.label.geometry.chunk_size
        if any(one.fault is Fault.CONFIGURATION and one.repairable for one in found.report.findings):
            zeros = bytes(unit - CONFIGURATION_SIZE)
            members.write(found.label.geometry, CONFIGURATION_CHUNK, CONFIGURATION_SIZE, zeros)
        for chunk, start, length in self.zeros:
            members.write(found.label.geometry, chunk, start, bytes(length))
        members.sync()
        if found.configuration is None or not self._slots_can_be_trusted():
            return
        volume = Volume(members, found.label, found.configuration, writable=True)
        with volume.batch() as batch:
            for number, slot in self.slots.items():
                batch.put_slot(number, slot)

    def _slots_can_be_trusted(self) -> bool:
        """Is the table where and what the configuration says? What a wrong one makes of entries is no reason to change
        them; nor is a journal that does not fit."""
        if self.found.configuration is None:
            return False
        return not any(
            one.is_error and not one.repairable and one.fault in (Fault.CONFIGURATION, Fault.JOURNAL)
            for one in self.found.report.findings
        )

    def _slot(self, number: int) -> bytes:
        return self.slots.get(number, self.found.table.slot(number))

    def _put(self, number: int, slot: bytes, message: str) -> None:
        entry = self.found.rules.entry(self.found.table.slot(number))
        digest = entry.digest if any(entry.digest) else None
        self.slots[number] = slot
        self.repairs.append(Repair(f"slot {number}", message, digest, decode_text(entry.name)))

    def _plan_slack(self) -> None:
        if self.found.configuration is None:
            return
        used = self.found.configuration.slots * SLOT_SIZE
        unit = self.found.label.geometry.chunk_size
        for first in self.found.slack:
            self.zeros.append((first, used, self.found.configuration.table_chunks(unit) * unit - used))
            self.repairs.append(Repair(f"table at chunk {first}", "zeros behind its last slot"))

    def _plan_slot(self, number: int, findings: list[Finding]) -> None:
        errors = {one.fault for one in findings if one.is_error}
        repairable = {one.fault for one in findings if one.repairable}
        if Fault.TWICE in errors:
            self._remove(self._worse_of_two(number), "removed: its digest is in another slot, too")
            return
        if Fault.PLACE in repairable:
            self._remove(number, "removed: its chunks are none that an object can have")
            return
        damaged = any(one.is_error and one.fault in _DAMAGE and not one.repairable for one in findings)
        if damaged and self.remove_damaged:
            self._remove(number, "removed: it is damaged")
            return
        if Fault.DIGEST in repairable:
            self._correct_digest(number)
        clean = self._clean(self._slot(number))
        if clean != self._slot(number):
            self._put(number, clean, "zeros where nothing is, and no flags without a meaning")
        if Fault.DEFAULT in repairable:
            self._put(number, with_default(self._slot(number), default=False), "no default flag: it did not count")
        if Fault.PADDING in repairable and Fault.OVERLAP not in errors:
            self._zero_padding(number)
        if Fault.BUCKET in errors:
            self._move(number)

    def _worse_of_two(self, number: int) -> int:
        """The slot to be removed of two with one digest: this one, which readers do not find, unless only its content
        is what the digest says."""
        first = min(self._others_with(self._digest(number), number), default=number)
        damaged = {one.slot for one in self.found.report.findings if one.fault in _DAMAGE and one.is_error}
        return first if first in damaged and number not in damaged else number

    def _clean(self, slot: bytes) -> bytes:
        """The slot with zeros where the format has none of anybody's bytes: readers see the same object."""
        rules, data = self.found.rules, bytearray(slot)
        length = rules.configuration.digest_length
        data[length:DIGEST_SIZE] = bytes(DIGEST_SIZE - length)
        data[TAIL] = bytes(TAIL.stop - TAIL.start)
        data[FLAGS_AT] &= KNOWN_FLAGS
        if rules.is_free(slot):
            return bytes(data)
        is_file = isinstance(rules.entry(slot), FileEntry)
        for place in (NAME, MIME, ENCODING) if is_file else (NAME, PATH):
            text = bytes(data[place]).partition(b"\0")[0]
            # Behind an empty path there may be anything.
            if text or place is not PATH:
                data[place] = text.ljust(place.stop - place.start, b"\0")
        return bytes(data)

    def _correct_digest(self, number: int) -> None:
        true = self.found.contents[number].true
        if true is None:
            return
        if self._others_with(true, number):
            self._remove(number, f"removed: its content is that of object {true.hex()}")
        else:
            slot = self._slot(number)
            self._put(number, true + slot[len(true) :], f"its digest is now that of its content, {true.hex()}")

    def _zero_padding(self, number: int) -> None:
        entry = self.found.rules.entry(self._slot(number))
        if isinstance(entry, FileEntry):
            unit = self.found.label.geometry.chunk_size
            end = entry.offset + entry.size
            self.zeros.append((entry.first_chunk, end, -end % unit))
            self.repairs.append(Repair(f"slot {number}", "zeros behind its end", entry.digest, decode_text(entry.name)))

    def _move(self, number: int) -> None:
        """Into the bucket in which readers look for it, unless its digest, set right, belongs where it is."""
        slot, rules = self._slot(number), self.found.rules
        digest = rules.entry(slot).digest
        if rules.is_free(slot) or rules.belongs(digest, number):
            return
        places = self.found.table.slots_of(self.found.table.bucket(digest))
        free = next((place for place in places if not any(self._slot(place))), None)
        if self._others_with(digest, number):
            self._remove(number, "removed: readers find the same digest in another slot")
        elif free is None:
            self._remove(number, "removed: it was where no reader finds it, and the bucket of its digest is full")
        else:
            self._put(number, bytes(SLOT_SIZE), f"moved to slot {free}, where readers look for it")
            self.slots[free] = slot

    def _remove(self, number: int, message: str) -> None:
        length = self.found.rules.configuration.digest_length
        self._put(number, removed(self._clean(self._slot(number)), length), message)

    def _others_with(self, digest: bytes, number: int) -> list[int]:
        return [other for other in self._living() if other != number and self._digest(other) == digest]

    def _living(self) -> Iterator[int]:
        yield from {*self.found.table.living(), *self.slots}

    def _digest(self, number: int) -> bytes:
        return self._slot(number)[: self.found.rules.configuration.digest_length]
