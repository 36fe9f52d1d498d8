"""Changes of a volume that are made together: objects added, linked, removed, made the default.

The order is what keeps readers and crashes from harm. Data goes to free chunks only and is on the disk before an entry
speaks of it; chunks of removed objects are not free before `trim`, since readers that have not remounted still read
them; and the entries change in one sector, which a disk writes whole or not at all, or through the journal.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import BinaryIO, Self

from shfs import digests
from shfs.addition import Addition, Copy, Reading, Source, Target, readings
from shfs.allocator import Allocator, Run
from shfs.digests import HashFunction
from shfs.entry import (
    ENCODING_SIZE,
    MIME_SIZE,
    NAME_SIZE,
    SLOT_SIZE,
    SLOTS_IN_A_SECTOR,
    FileEntry,
    LinkEntry,
    removed,
    with_default,
)
from shfs.errors import InputError, ObjectError, ShfsError, VolumeFull
from shfs.journal import Change, discard_journal, write_journal
from shfs.links import LinkKind, LinkTarget, name_of_link, parse_link
from shfs.room import living_runs, room_of, run_of, used_runs
from shfs.volume import StoredObject, Volume, encode_text

_AHEAD = 2
"""Readings that wait for a thread, or to be settled, beside one for each thread."""

Failed = Callable[[Addition, ShfsError], None]
"""Is told of each file that cannot be added, and why."""


class Batch:
    """A set of changes. Nothing of it is on the volume before `commit`, and all of it is afterwards.

    As a context manager it commits at the end of the block, or forgets everything if the block raised.

    `reuse_removed`: every reader has remounted since the last removal, or there is none: removed objects' chunks and
    slots are free. `compat_digest`: digests as the original makes them, which leaves out the last chunk of a file that
    fills it. `strategy`: an allocator other than the volume's. `provider`: where digests of a volume with digests given
    by hand come from, if not from the caller: see `digests.provider`. `now`: the Unix time that new entries have.
    `dry`: everything is tried and nothing written, on a volume opened for reading too. `progress` is told of each
    block's bytes as they are read, from several threads.
    """

    def __init__(
        self,
        volume: Volume,
        *,
        reuse_removed: bool = False,
        compat_digest: bool = False,
        strategy: int | None = None,
        provider: digests.Factory | None = None,
        now: int | None = None,
        dry: bool = False,
        progress: Callable[[int], None] = lambda count: None,
    ) -> None:
        if not volume.writable and not dry:
            raise ValueError("the volume was opened for reading")
        if volume.journal.exists():
            # A commit failed with its promise made: it is kept before anything else is begun.
            volume.remount()
        if reuse_removed:
            # Their removal is on the disks before anything is written over them.
            volume.members.settle()
        self._volume = volume
        self._dry = dry
        self._target = Target(volume, dry, progress)
        self._reuse_removed = reuse_removed
        self._compat_digest = compat_digest
        self._provider = provider
        self._now = int(time.time()) if now is None else now
        self._before: dict[int, bytes] = {}
        self._rewritten: set[int] = set()
        self._wrote_data = False
        self._runs_are_checked = False
        chosen = volume.configuration.allocator if strategy is None else strategy
        self._allocator = Allocator(volume.geometry.chunks, used_runs(volume, reuse_removed), chosen)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.commit()
        else:
            self.forget()

    @property
    def free_chunks(self) -> int:
        """Chunks that new objects can have."""
        return self._allocator.free

    def add(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        *,
        name: str | None = None,
        mime: str = "",
        encoding: str = "",
        digest: bytes | None = None,
        size: int = 0,
    ) -> StoredObject:
        """Add a file, which is read once; see `Addition`. Raises InputError for what cannot be stored, VolumeFull where
        there is no room for it, ObjectError if the volume has an object with its digest."""
        addition = Addition(source, name, mime, encoding, digest, size, must_be_new=True)
        copy = self._copying(addition)
        copy.read()
        return self._stored(copy)[0]

    def add_all(
        self,
        additions: Iterable[Addition],
        *,
        threads: int = 2,
        failed: Failed | None = None,
    ) -> Iterator[tuple[Addition, StoredObject, bool]]:
        """Add many files, several of which are read at a time; yields each with its object, in their order, and whether
        the object is new. An object that was there, or is the same as one before it, is not added again. Streams are
        read one by one, in their order. With `failed` a file that cannot be added is told to it, and the others are
        added; without, its error is raised."""
        waiting: deque[Reading] = deque()
        with ThreadPoolExecutor(threads) as pool:
            try:
                for reading in readings(self._copies(additions, failed)):
                    reading.begin(pool)
                    waiting.append(reading)
                    if len(waiting) > threads + _AHEAD:
                        yield from self._settled(waiting.popleft(), failed)
                while waiting:
                    yield from self._settled(waiting.popleft(), failed)
            finally:
                for reading in waiting:
                    reading.cancel()

    def link(
        self, url: str, kind: LinkKind = LinkKind.REDIRECT, *, name: str | None = None, digest: bytes | None = None
    ) -> StoredObject:
        """Add a link. Its digest is that of the URL as it was written."""
        volume = self._volume
        target = parse_link(url, kind)
        function = volume.configuration.function
        if function is not HashFunction.MANUAL or (self._provider is not None and digest is None):
            hasher = self._hasher()
            hasher.update(url.encode("utf-8", "surrogateescape"))
            computed = hasher.digest()
            if digest not in (None, computed):
                raise other_digest(url, computed)
            digest = computed
        entry = LinkEntry(
            accepted_digest(self._volume, digest, url),
            text_field(name_of_link(url) if name is None else name, NAME_SIZE, "name"),
            self._now,
            target,
        )
        existing = volume.find(entry.digest)
        if existing is not None:
            raise _exists(existing, url)
        slot = self._slot_for(entry.digest)
        self._put(slot, entry.encode())
        return volume.stored(slot)

    def remove(self, digest: bytes) -> StoredObject:
        """Remove an object. Its chunks stay reserved, and it can be had back, until `trim`."""
        item = self._existing(digest)
        self._put(item.slot, removed(self._volume.table.slot(item.slot), self._volume.configuration.digest_length))
        return item

    def amend(
        self,
        digest: bytes,
        *,
        name: str | None = None,
        mime: str | None = None,
        encoding: str | None = None,
        target: LinkTarget | None = None,
    ) -> StoredObject:
        """Change what an entry says of its object, in its slot: readers see the old entry or the new one. Data, digest
        and creation time stay. Raises InputError for what an entry cannot hold, ObjectError if there is no such object,
        or it is a link and has no type and encoding, or a file and has no target."""
        volume, item = self._volume, self._existing(digest)
        entry = volume.table.entry(item.slot)
        if name is not None:
            entry = replace(entry, name=text_field(name, NAME_SIZE, "name"))
        if isinstance(entry, LinkEntry):
            if mime is not None or encoding is not None:
                raise ObjectError(f"{item.name} is a link", hint="its type is for the other server to say")
            entry = entry if target is None else replace(entry, target=target)
        else:
            if target is not None:
                raise ObjectError(f"{item.name} is a file", hint="remove it, and add the link")
            if mime is not None:
                entry = replace(entry, mime=text_field(mime, MIME_SIZE, "MIME type"))
            if encoding is not None:
                entry = replace(entry, encoding=text_field(encoding, ENCODING_SIZE, "content encoding"))
        self._put(item.slot, entry.encode())
        return volume.stored(item.slot)

    def set_default(self, digest: bytes | None) -> None:
        """Make an object the one that is served for an empty request, instead of any other; None for no object."""
        wanted = None if digest is None else self._existing(digest).slot
        for item in list(self._volume.objects()):
            if item.default != (item.slot == wanted):
                self._put(item.slot, with_default(self._volume.table.slot(item.slot), item.slot == wanted))

    def trim(self) -> int:
        """Forget the objects that were removed before this batch: what they took is free from the next one on. Returns
        how many chunks that is."""
        kept = room_of(self._volume).kept
        for slot in [slot for slot in self._volume.table.removed() if self._was_free(slot)]:
            self._put(slot, bytes(SLOT_SIZE))
        return kept - room_of(self._volume).kept

    def put_back(self, slot: int, digest: bytes) -> StoredObject:
        """Give the removed object in a slot its digest again. The caller knows that it is the right one; this makes
        sure that readers would find it there, and that nobody took its chunks."""
        volume = self._volume
        if not volume.table.is_removed(slot):
            raise ObjectError(f"slot {slot} holds no removed object", hint="`shfs undelete --list` lists them")
        if slot not in volume.table.slots_of(volume.table.bucket(digest)):
            raise InputError(f"{digest.hex()} is not the digest that the object in slot {slot} had")
        if (existing := volume.find(digest)) is not None:
            raise _exists(existing, f"the object in slot {slot}")
        run = run_of(volume, slot)
        if run and any(_overlap(run, other) for other in living_runs(volume)):
            raise ObjectError(f"the chunks of the object in slot {slot} were given to another object")
        if run:
            self._allocator.reserve(*run)
        self._put(slot, digest + volume.table.slot(slot)[len(digest) :])
        return volume.stored(slot)

    def put_slot(self, slot: int, content: bytes) -> None:
        """Put the 256 bytes of a slot as they are, in every copy of the table, be it that this one has them already.
        For who repairs a table: nothing is made sure of."""
        self._put(slot, content)
        self._rewritten.add(slot)

    def commit(self) -> None:
        """Make it all true. Returns when it is on the disks. Raises HostError, and then the volume is as it was, unless
        it was the very last step that failed: there may be a journal, with which whoever opens the volume next makes it
        true, or a single sector of entries that was written and could not be synced."""
        volume = self._volume
        if self._dry:
            self.forget()
            return
        changes = [
            Change(slot, before, after)
            for slot, before in sorted(self._before.items())
            if (after := volume.table.slot(slot)) != before or slot in self._rewritten
        ]
        if not changes:
            self._before.clear()
            return
        try:
            if self._wrote_data:
                volume.members.sync()
            volume.members.settle()
            sectors = {change.slot // SLOTS_IN_A_SECTOR for change in changes}
            needs_journal = len(sectors) * len(volume.configuration.tables()) > 1
            if needs_journal:
                write_journal(volume.journal, volume.label, changes)
                # From here on it is promised: if the writing fails, whoever opens the volume next goes on with it.
                self._before.clear()
                volume.write_changes(changes)
            else:
                volume.write_slots([change.slot for change in changes])
        except BaseException:
            self.forget()
            if not volume.journal.exists():
                # What could not be synced is there nevertheless, and readers see it.
                volume.remount()
            raise
        self._before.clear()
        if needs_journal:
            discard_journal(volume.journal)

    def forget(self) -> None:
        """Undo everything since the last commit. Data that was written lies in free chunks, where it harms nobody."""
        for slot, before in self._before.items():
            self._volume.table.put(slot, before)
        self._before.clear()
        self._volume.changed()

    def _hasher(self) -> digests.Hasher:
        """A fresh one, of the volume's function and length."""
        configuration = self._volume.configuration
        if configuration.function is HashFunction.MANUAL and self._provider is not None:
            return self._provider(configuration.digest_length)
        return digests.new(configuration.function, configuration.digest_length)

    def _copying(self, addition: Addition) -> Copy:
        """The chunks for a file, and what copies it there. Raises InputError, VolumeFull."""
        volume = self._volume
        if addition.digest is not None:
            accepted_digest(self._volume, addition.digest, addition.what)
        texts = (
            text_field(addition.given_name, NAME_SIZE, "name"),
            text_field(addition.mime, MIME_SIZE, "MIME type"),
            text_field(addition.encoding, ENCODING_SIZE, "content encoding"),
        )
        source = Source(addition)
        by_hand = volume.configuration.function is HashFunction.MANUAL and self._provider is None
        unit = volume.geometry.chunk_size
        covered = digests.compat_length(source.size, unit) if self._compat_digest else source.size
        copy = Copy(self._target, source, texts, None if by_hand else self._hasher(), covered)
        if not copy.is_small:
            try:
                copy.settle(self._take(source.size, addition.what))
            except BaseException:
                source.close()
                raise
        return copy

    def _copies(self, additions: Iterable[Addition], failed: Failed | None) -> Iterator[Copy]:
        """Those that can be begun."""
        for addition in additions:
            try:
                copy = self._copying(addition)
            except ShfsError as error:
                if failed is None:
                    raise
                failed(addition, error)
            else:
                yield copy

    def _settled(self, reading: Reading, failed: Failed | None) -> Iterator[tuple[Addition, StoredObject, bool]]:
        """Those that were read and have an object now."""
        for copy in reading.wait():
            try:
                item, is_new = self._stored(copy)
            except ShfsError as error:
                if failed is None:
                    raise
                failed(copy.addition, error)
            else:
                yield copy.addition, item, is_new

    def _stored(self, copy: Copy) -> tuple[StoredObject, bool]:
        """Wait for a copy and give it an entry, unless the volume has the object. Is it new?"""
        volume, size = self._volume, copy.source.size
        try:
            digest = self._digest_of(copy.addition, copy.digest())
            if (existing := volume.find(digest)) is not None and copy.addition.must_be_new:
                raise _exists(existing, copy.addition.what)
            if existing is None:
                slot = self._slot_for(digest)
                if copy.run is None:
                    copy.settle(self._take(size, copy.addition.what))
                self._wrote_data = self._wrote_data or size > 0
        except BaseException:
            self._give_back(copy)
            raise
        if existing is not None:
            self._give_back(copy)
            return existing, False
        name, mime, encoding = copy.texts
        self._put(slot, FileEntry(digest, name, self._now, copy.first_chunk, 0, size, mime, encoding).encode())
        return volume.stored(slot), True

    def _give_back(self, copy: Copy) -> None:
        if copy.run is not None:
            self._allocator.give_back(*copy.run)

    def _digest_of(self, addition: Addition, computed: bytes | None) -> bytes:
        if computed is not None and addition.digest not in (None, computed):
            raise other_digest(addition.what, computed)
        return accepted_digest(self._volume, addition.digest if computed is None else computed, addition.what)

    def _take(self, size: int, what: str) -> Run:
        """Chunks for a file. Raises VolumeFull, and VolumeError if an object says it has chunks outside of the volume:
        where its data really is nobody knows, and it could be written over. It can be removed."""
        volume = self._volume
        if not self._runs_are_checked:
            for item in volume.objects():
                volume.check_run(item)
            self._runs_are_checked = True
        wanted = volume.geometry.chunks_of(size)
        first = self._allocator.take(wanted)
        if first is not None:
            return first, wanted
        kept = 0 if self._reuse_removed else room_of(volume).kept
        cure = f"; `shfs trim` frees {kept} chunks of removed objects" if kept else ""
        unit = volume.geometry.chunk_size
        raise VolumeFull(
            f"there is no room for {what} on volume {volume.name}: it takes {max(wanted, 1)} chunks of {unit} bytes",
            hint=f"{self._allocator.free} chunks are free, {self._allocator.largest} of them together{cure}",
        )

    def _slot_for(self, digest: bytes) -> int:
        """The lowest slot of the digest's bucket that is free, of removed objects too. Raises VolumeFull."""
        table = self._volume.table
        bucket = table.bucket(digest)
        for slot in table.slots_of(bucket):
            if table.is_free(slot) and (not table.is_removed(slot) or (self._reuse_removed and self._was_free(slot))):
                return slot
        waiting = sum(table.is_removed(slot) for slot in table.slots_of(bucket))
        raise VolumeFull(
            f"bucket {bucket} of volume {self._volume.name} is full, to which object {digest.hex()} belongs",
            hint=f"`shfs trim` frees {waiting} of its entries"
            if waiting
            else "make the volume with more entries for each bucket: `shfs mkfs --entries`",
        )

    def _was_free(self, slot: int) -> bool:
        """Was there no object in the slot before this batch? What the batch itself removes no reader has forgotten yet,
        whatever the caller knows of earlier removals."""
        before = self._before.get(slot)
        return before is None or not any(before[: self._volume.configuration.digest_length])

    def _existing(self, digest: bytes) -> StoredObject:
        item = self._volume.find(digest)
        if item is None:
            raise ObjectError(
                f"there is no object {digest.hex()} on volume {self._volume.name}", hint="`shfs ls` lists digests"
            )
        return item

    def _put(self, slot: int, content: bytes) -> None:
        self._before.setdefault(slot, self._volume.table.slot(slot))
        self._volume.table.put(slot, content)
        self._volume.changed()


def text_field(text: str, size: int, what: str) -> bytes:
    """The bytes of a field. Raises InputError for what does not fit: nothing is cut."""
    field = encode_text(text)
    if len(field) > size:
        raise InputError(
            f"the {what} {text!r} has {len(field)} bytes", hint=f"an entry holds {size}: give a shorter one"
        )
    return field


def accepted_digest(volume: Volume, digest: bytes | None, what: str) -> bytes:
    """The digest, if an entry of the volume can have it. Raises InputError, which calls the object `what`."""
    wanted = volume.configuration.digest_length
    if digest is None:
        raise InputError(
            f"{what} needs a digest, since those of volume {volume.name} are given by hand",
            hint=f"--digest HEX, or `digest` in a manifest, of {2 * wanted} digits",
        )
    if len(digest) != wanted:
        raise InputError(
            f"the digest of {what} has {len(digest)} bytes",
            hint=f"on volume {volume.name} it has {wanted}, which is {2 * wanted} digits",
        )
    if not any(digest):
        raise InputError(
            f"the digest of {what} is all zeros, which means `no object` in a volume",
            hint="CRC gives it to an empty file: use another hash function, or leave the file out",
        )
    return digest


def other_digest(what: str, computed: bytes) -> InputError:
    """The error of a file or URL whose digest is not the one that was given."""
    return InputError(f"the digest of {what} is {computed.hex()}, and not the one given", hint="it may be damaged")


def _overlap(run: Run, other: Run) -> bool:
    return run[0] < other[0] + other[1] and other[0] < run[0] + run[1]


def _exists(item: StoredObject, what: str) -> ShfsError:
    return ObjectError(
        f"{what} is on the volume already, as object {item.digest.hex()} named {item.name!r}",
        hint="the same content is stored once; `shfs rm` removes it",
    )
