"""The member files of a volume: opened, locked, read and written in runs of chunks.

Every byte that goes to or comes from a member passes here. A member is a regular file or a block device.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from typing import Self

from shfs.errors import HostError, InputError, VolumeBusy, VolumeError
from shfs.geometry import LABEL_SIZE, MOST_MEMBERS, Geometry
from shfs.label import Label, decode_label

BLOCK = 1 << 20
"""Bytes that are read or written at once: memory stays flat however large a file is."""


class Members:
    """Open members, in the order in which they were given until `arrange` puts them into that of the label."""

    def __init__(self, paths: Sequence[str], descriptors: list[int]) -> None:
        self.paths = list(paths)
        self._descriptors = descriptors
        self._settled = False

    @classmethod
    def open(cls, paths: Sequence[str], *, write: bool) -> Self:
        """Open the files. With `write` each is locked against other writers until it is closed.

        Raises InputError for what is no file or device, HostError if the system refuses, VolumeBusy if another writer
        has one of them.
        """
        if not 1 <= len(paths) <= MOST_MEMBERS:
            raise InputError(
                f"{len(paths)} members were given", hint=f"a volume has 1 to {MOST_MEMBERS}: -v MEMBER [-v MEMBER ...]"
            )
        members = cls([], [])
        try:
            for path in paths:
                members._open(os.fspath(path), write=write)
        except BaseException:
            members.close()
            raise
        return members

    def _open(self, path: str, *, write: bool) -> None:
        try:
            descriptor = os.open(path, (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise _refused(path, error, write=write) from None
        self._descriptors.append(descriptor)
        self.paths.append(path)
        status = os.fstat(descriptor)
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISBLK(status.st_mode)):
            what = "a directory" if stat.S_ISDIR(status.st_mode) else "neither a regular file nor a block device"
            raise InputError(f"{path} is {what}", hint="give the image file or the device that holds the volume")
        if any(os.path.samestat(os.fstat(other), status) for other in self._descriptors[:-1]):
            raise InputError(f"{path} was given twice", hint="give each member once")
        if write:
            self._lock(descriptor, path)

    def _lock(self, descriptor: int, path: str) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno != errno.EWOULDBLOCK:
                raise HostError(
                    f"{path} cannot be locked: {error.strerror}", hint="put it on a filesystem that has flock"
                ) from None
            raise VolumeBusy(
                f"{path} is being changed by another process", hint="wait until it is done, and try again"
            ) from None

    def close(self) -> None:
        """Close all, and let go of the locks."""
        while self._descriptors:
            os.close(self._descriptors.pop())

    def __len__(self) -> int:
        return len(self._descriptors)

    def sizes(self) -> list[int]:
        """Bytes of each member."""
        return [os.lseek(descriptor, 0, os.SEEK_END) for descriptor in self._descriptors]

    def are_files(self) -> bool:
        """Are all members regular files?"""
        return all(stat.S_ISREG(os.fstat(descriptor).st_mode) for descriptor in self._descriptors)

    def beginnings(self) -> list[bytes]:
        """The first 4096 bytes of each member, or all that there is. Raises HostError."""
        return [
            self._beginning(descriptor, path) for descriptor, path in zip(self._descriptors, self.paths, strict=True)
        ]

    def labels(self) -> list[Label]:
        """The label of each member, in the order of the members. Raises VolumeError, HostError."""
        return [decode_label(data, path) for data, path in zip(self.beginnings(), self.paths, strict=True)]

    def write_label(self, member: int, data: bytes) -> None:
        """Write the first bytes of a member."""
        self._write_all(member, [memoryview(data)], 0)

    def arrange(self, order: Sequence[int]) -> None:
        """Put the members into another order: place i is for the one that was at `order[i]`."""
        self._descriptors = [self._descriptors[at] for at in order]
        self.paths = [self.paths[at] for at in order]

    def read(self, geometry: Geometry, chunk: int, start: int, length: int) -> Iterator[memoryview]:
        """The `length` bytes that begin `start` bytes behind the beginning of `chunk`, in blocks of at most 1 MiB,
        which are the caller's. Raises VolumeError where a member ends too early."""
        done = 0
        while done < length:
            block = memoryview(bytearray(min(BLOCK, length - done)))
            for span in geometry.spans(chunk, start + done, len(block)):
                self._read_all(span.member, [block[at : at + size] for at, size in span.pieces], span.offset)
            yield block
            done += len(block)

    def write(self, geometry: Geometry, chunk: int, start: int, data: bytes | bytearray | memoryview) -> None:
        """Write bytes that begin `start` bytes behind the beginning of `chunk`. Raises HostError where it cannot."""
        view = memoryview(data)
        for done in range(0, len(view), BLOCK):
            block = view[done : done + BLOCK]
            for span in geometry.spans(chunk, start + done, len(block)):
                self._write_all(span.member, [block[at : at + size] for at, size in span.pieces], span.offset)

    def sync(self) -> None:
        """Returns when everything that was written is on the disks."""
        self._settled = False
        for descriptor, path in zip(self._descriptors, self.paths, strict=True):
            try:
                os.fsync(descriptor)
            except OSError as error:
                raise _refused(path, error, write=True) from None
        self._settled = True

    def settle(self) -> None:
        """Returns when everything that was written by earlier processes is on the disks. One that was killed had not
        waited for it, and what we do because we saw it must not be there before it is."""
        if not self._settled:
            self.sync()

    @staticmethod
    def _beginning(descriptor: int, path: str) -> bytes:
        try:
            return os.pread(descriptor, LABEL_SIZE, 0)
        except OSError as error:
            raise _refused(path, error, write=False) from None

    def _read_all(self, member: int, pieces: list[memoryview], offset: int) -> None:
        wanted = sum(map(len, pieces))
        try:
            got = os.preadv(self._descriptors[member], pieces, offset)
        except OSError as error:
            raise _refused(self.paths[member], error, write=False) from None
        if got < wanted:
            raise VolumeError(
                f"{self.paths[member]} ends {wanted - got} bytes too early",
                hint="it was cut while it was read: take the member from a copy of the volume",
            )

    def _write_all(self, member: int, pieces: list[memoryview], offset: int) -> None:
        while pieces:
            try:
                done = os.pwritev(self._descriptors[member], pieces, offset)
            except OSError as error:
                raise _refused(self.paths[member], error, write=True) from None
            offset += done
            while pieces and done >= len(pieces[0]):
                done -= len(pieces.pop(0))
            if pieces:
                pieces[0] = pieces[0][done:]


_CURES = {
    errno.ENOENT: "look at the name; `shfs mkfs` makes a volume in a file that is there",
    errno.EACCES: "it takes the right to read it, and to write it for a change",
    errno.EROFS: "it is on a read-only filesystem: copy it to another, and change it there",
    errno.ENOSPC: "make room on the disk that holds it; the volume is as it was",
    errno.EISDIR: "give the image file or the device that holds the volume",
    errno.EIO: "the disk that holds it fails: take the volume from a copy",
    errno.EFBIG: "files of this size are not allowed here: look at `ulimit -f`",
}

_ANY_CURE = "look at its name and its rights, and at what the system's log says of it"


_WRONG_PATHS = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ENXIO, errno.ELOOP, errno.ENAMETOOLONG)


def _refused(path: str, error: OSError, *, write: bool) -> HostError | InputError:
    kind = InputError if error.errno in _WRONG_PATHS else HostError
    verb = "written" if write else "read"
    return kind(f"{path} cannot be {verb}: {error.strerror}", hint=_CURES.get(error.errno or 0, _ANY_CURE))
