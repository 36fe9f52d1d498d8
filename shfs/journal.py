"""The journal: what a change of several slots is about to do, beside the volume, until it is done.

A disk writes one sector whole or not at all, and a table has many. So a change of more than one sector is first written
here, old and new contents of each slot, and is valid from the moment the file has its name. Whoever opens the volume to
change it finishes what the journal says; our readers look through it; every other reader sees each object old or new,
because data is on the disk before its entry is. When all is done the file is emptied, and removed: empty, it promises
nothing, should the disk lose the removal.

    offset  size
    0       8     "SHFSJ\\0\\0\\1"
    8       16    UUID of the volume
    24      8     creation time of the volume
    32      4     number of slots n
    36      516n  for each: its number, 256 bytes before, 256 bytes after
    ..      32    SHA-256 of all the above
"""

import hashlib
import os
import stat
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from shfs.entry import SLOT_SIZE
from shfs.errors import HostError, VolumeError
from shfs.label import Label

_MAGIC = b"SHFSJ\0\0\1"
_HEADER = struct.Struct("<8s16sQI")
_RECORD = struct.Struct(f"<I{SLOT_SIZE}s{SLOT_SIZE}s")
_SEAL_SIZE = 32

_FOR_DEVICES = Path("/var/lib/shfs")
"""Beside a device file is no place for files: it is in memory, and gone with the power."""


@dataclass(frozen=True, slots=True)
class Change:
    """One slot of the table, before and after: 256 bytes each."""

    slot: int
    before: bytes
    after: bytes


def journal_path(label: Label, first_member: str, *, is_file: bool) -> Path:
    """Where the journal of a volume is: beside its first member, or in /var/lib/shfs for devices."""
    if is_file:
        member = Path(os.path.realpath(first_member))
        return member.with_name(f"{member.name}.journal")
    return _FOR_DEVICES / f"{label.volume}.journal"


def write_journal(path: Path, label: Label, changes: list[Change]) -> None:
    """Returns when the changes are certain to be made, by whoever opens the volume next. Raises HostError."""
    body = _HEADER.pack(_MAGIC, label.volume.bytes, label.created, len(changes))
    body += b"".join(_RECORD.pack(change.slot, change.before, change.after) for change in changes)
    unfinished = _unfinished(path)
    try:
        if not path.parent.exists():
            path.parent.mkdir(parents=True)
            sync_folder(path.parent.parent)
        with unfinished.open("wb") as file:
            file.write(body + hashlib.sha256(body).digest())
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        # The caller will say that nothing was done: no promise may be left.
        with suppress(OSError, HostError):
            unfinished.unlink(missing_ok=True)
            discard_journal(path)
        raise HostError(
            f"the journal {path} cannot be written: {error.strerror}",
            hint="a change of several objects needs one: make its folder writable, with room",
        ) from None


def secure_journal(path: Path) -> None:
    """Returns when a journal that was read is certain to be there still after a loss of power: whoever wrote it may
    have been killed before it was. Raises HostError."""
    with _cures(path, "secured"):
        sync_folder(path.parent)


def sweep_journal(path: Path) -> None:
    """Remove what means nothing: a journal that was not complete, or one of which all is done. For writers, whose lock
    makes sure that nobody is at work on it. Raises HostError."""
    with _cures(path, "removed"):
        # On a filesystem that is read-only even the removal of nothing is an error.
        if _unfinished(path).exists():
            _unfinished(path).unlink()
        if path.exists() and not path.stat().st_size:
            discard_journal(path)


def read_journal(path: Path, label: Label) -> list[Change]:
    """The changes that were promised for this volume, none as a rule. Raises VolumeError for a journal that is damaged,
    or another volume's: its promise cannot be kept, and should not be forgotten in silence."""
    try:
        # What is no file, as a pipe, might keep us waiting. It is looked at once it is open: before, a writer that is
        # done may remove it between two looks.
        with open(path, "rb", opener=_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _foreign(path, "is no regular file")
            data = file.read()
            if not os.fstat(file.fileno()).st_size:
                # Done, perhaps while we read it.
                return []
    except FileNotFoundError:
        return []
    except OSError as error:
        raise HostError(
            f"the journal {path} cannot be read: {error.strerror}", hint="it takes the right to read it"
        ) from None
    body, seal = data[:-_SEAL_SIZE], data[-_SEAL_SIZE:]
    if len(body) < _HEADER.size or hashlib.sha256(body).digest() != seal:
        raise _foreign(path, "is damaged")
    magic, volume, created, count = _HEADER.unpack_from(body)
    if magic != _MAGIC or len(body) != _HEADER.size + count * _RECORD.size:
        raise _foreign(path, "is none of ours")
    if (volume, created) != (label.volume.bytes, label.created):
        raise _foreign(path, "is another volume's")
    return [Change(*fields) for fields in _RECORD.iter_unpack(body[_HEADER.size :])]


def still_to_be_made(changes: list[Change], slots: Mapping[int, bytes], path: Path) -> list[Change]:
    """Those of the journal's changes that the table, whose `slots` are given, does not have yet.

    Raises VolumeError if the table was changed past the journal: by the original's tools, or by putting back a copy.
    """
    for change in changes:
        if slots.get(change.slot) not in (change.before, change.after):
            raise _foreign(path, "does not fit the volume, which was changed without it")
    return [change for change in changes if slots[change.slot] != change.after]


def discard_journal(path: Path) -> None:
    """What it promised is done. Returns when the promise is certain not to come back, for it must not be kept over a
    newer change. The file may come back, but empty. Raises HostError."""
    with _cures(path, "removed"), suppress(FileNotFoundError):
        with path.open("r+b") as file:
            file.truncate()
            os.fsync(file.fileno())
        path.unlink()


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


@contextmanager
def _cures(path: Path, verb: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HostError(
            f"the journal {path} cannot be {verb}: {error.strerror}",
            hint="the volume is sound; make the journal's folder writable, and try again",
        ) from None


def sync_folder(folder: Path) -> None:
    """Returns when names that were given, changed and removed in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _foreign(path: Path, what: str) -> VolumeError:
    return VolumeError(
        f"the journal {path} {what}",
        hint="if the volume is to stay as it is, remove the journal; `shfs check` tells whether it is sound",
    )
