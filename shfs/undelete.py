"""Removed objects: which of them can be had back, and with which digest.

Removing an object clears its digest and leaves the rest of its slot. So whoever can say the digest has the object back,
as long as nobody took its chunks. The digest is computed from the content, or, for links, from the usual ways to write
the URL; what tells that it is the right one is that readers look for it in the bucket in which the slot is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from shfs import digests
from shfs.check import merged, touches
from shfs.contents import Contents
from shfs.digests import HashFunction
from shfs.entry import Entry, FileEntry
from shfs.entry_rules import Rules
from shfs.errors import InputError, ObjectError
from shfs.volume import StoredObject, Volume


@dataclass(frozen=True, slots=True)
class RemovedObject:
    """What is left of a removed object. `digest` is what it had, if that is known; `problem` says why it cannot be had
    back, and is empty if it can."""

    item: StoredObject
    digest: bytes | None
    problem: str = ""

    @property
    def can_be_had(self) -> bool:
        """Can it be had back without being told its digest?"""
        return not self.problem and self.digest is not None

    def as_json(self) -> dict[str, object]:
        """What `shfs undelete --list -o json` prints of it."""
        digest = None if self.digest is None else self.digest.hex()
        return self.item.as_json() | {"slot": self.item.slot, "digest": digest, "problem": self.problem or None}


class Undelete:
    """The removed objects of an open volume. `provider`: where digests come from that were given by hand."""

    def __init__(self, volume: Volume, *, provider: digests.Factory | None = None) -> None:
        self._volume = volume
        self._rules = Rules(volume.geometry, volume.configuration)
        self._contents = Contents(volume.members, volume.geometry, volume.configuration, provider=provider)
        self._computes = volume.configuration.function is not HashFunction.MANUAL or provider is not None
        runs = [self._rules.run(volume.table.entry(slot)) for slot in volume.table.living()]
        self._taken = merged(sorted(run for run in runs if run))
        self._overtaken = dict(self._overtakers())

    def removed(self) -> Iterator[RemovedObject]:
        """All of them, in the order of the table. Files are read."""
        return map(self.look_at, self._volume.table.removed())

    def look_at(self, slot: int) -> RemovedObject:
        """The one in that slot. Raises ObjectError if there is none."""
        volume = self._volume
        if not volume.table.is_removed(slot):
            raise ObjectError(f"slot {slot} holds no removed object", hint="`shfs undelete --list` lists them")
        item, entry = volume.stored(slot), volume.table.entry(slot)
        problem = self._problem_of_place(slot, entry)
        if problem:
            return RemovedObject(item, None, problem)
        if not self._computes:
            return RemovedObject(item, None)
        if isinstance(entry, FileEntry):
            content = self._contents.of(entry)
            if content.failure:
                return RemovedObject(item, None, content.failure)
            if content.padding:
                return RemovedObject(item, None, "its chunks were written over")
            candidates = [one for one in (content.true, content.compatible) if one is not None]
        else:
            candidates = self._contents.of_link(entry)
        digest = next((one for one in candidates if any(one) and self._rules.belongs(one, slot)), None)
        if digest is None and isinstance(entry, FileEntry):
            return RemovedObject(item, None, "its chunks were written over: what is there belongs in another bucket")
        if digest is not None and volume.find(digest) is not None:
            return RemovedObject(item, digest, "the volume has an object with its digest")
        return RemovedObject(item, digest)

    def wanted(self, given: str) -> int:
        """The slot that a user means: `slot:N`, or the name of a removed object. Raises ObjectError if there is none,
        or several have the name."""
        prefix, _, number = given.partition(":")
        if prefix == "slot" and number.isdecimal():
            if int(number) >= self._volume.configuration.slots:
                raise ObjectError(f"there is no slot {number}", hint="`shfs undelete --list` lists removed objects")
            return int(number)
        slots = [item.slot for item in self._volume.removed() if item.name == given]
        if len(slots) == 1:
            return slots[0]
        if slots:
            which = ", ".join(f"slot:{slot}" for slot in slots)
            raise ObjectError(f"{len(slots)} removed objects were named {given}", hint=f"say which: {which}")
        raise ObjectError(f"no removed object was named {given}", hint="`shfs undelete --list` lists them")

    def digest_for(self, slot: int, given: bytes | None) -> bytes:
        """The digest with which the object in a slot is put back. `given`: what the user says it was. Raises
        ObjectError if it cannot be had back, InputError if its digest must be given, or is another one."""
        one = self.look_at(slot)
        what = f"{one.item.name} (slot {slot})"
        if one.problem:
            raise ObjectError(f"{what} cannot be had back: {one.problem}", hint="take it from a copy, and add it anew")
        if given is None:
            if one.digest is None:
                raise InputError(f"the digest of {what} is not known", hint="give it: --digest HEX")
            return one.digest
        wanted = self._volume.configuration.digest_length
        if len(given) != wanted or not any(given):
            raise InputError(f"{given.hex()} is no digest of volume {self._volume.name}", hint=f"it has {wanted} bytes")
        is_file = one.item.link is None
        if is_file and one.digest is not None and given not in self._of_content(slot):
            raise InputError(f"the digest of {what} is {one.digest.hex()}, and not the one given")
        return given

    def _of_content(self, slot: int) -> tuple[bytes | None, ...]:
        entry = self._volume.table.entry(slot)
        assert isinstance(entry, FileEntry)  # noqa: S101 - the caller made sure
        content = self._contents.of(entry)
        return content.true, content.compatible

    def _problem_of_place(self, slot: int, entry: Entry) -> str:
        if not self._rules.is_readable(entry):
            return "its chunks are none that an object can have" if isinstance(entry, FileEntry) else "it leads nowhere"
        run = self._rules.run(entry)
        if run is not None and touches(self._taken, run):
            return "its chunks were given to another object"
        if slot in self._overtaken:
            return f"its chunks were given to what is removed from slot {self._overtaken[slot]}, too"
        return ""

    def _overtakers(self) -> Iterator[tuple[int, int]]:
        """Slots whose chunks another removed object had, perhaps later, each with the slot of that one."""
        table = self._volume.table
        runs = sorted(
            (*run, entry.created, slot)
            for slot in table.removed()
            if (run := self._rules.run(entry := table.entry(slot)))
        )
        for at, (first, count, created, slot) in enumerate(runs):
            for other_first, _, other_created, other in runs[at + 1 :]:
                if other_first >= first + count:
                    break
                if other_created >= created:
                    yield slot, other
                if created >= other_created:
                    yield other, slot
