"""Saved states of guests: files in the state folder that outlive daemon and host.

    STATE/snapshots/SERVICE.KEY

KEY stands for everything that a state fits: the guest's definition, where it is on the network, QEMU's own file, the
accelerator. A file begins with a header of `HEADER_SIZE` bytes that has the length and a digest of what follows; QEMU
reads and writes what follows. The digest is checked once, away from any summon; a file that changed since is not used.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path

from jitsu.domains.driver import DomainSpec
from jitsu.errors import DomainError

log = logging.getLogger(__name__)

HEADER_SIZE = 512
_MAGIC = "jitsu snapshot 1"
_PIECE = 1 << 20

Stamp = tuple[int, int, int]
"""Inode, size and time of modification in nanoseconds."""


class Snapshots:
    """The saved states of one daemon. `folder` is made when the first is; `maker` is what makes them, as a text:
    another QEMU or accelerator is another maker, whose states are of no use."""

    def __init__(self, folder: Path, maker: str) -> None:
        self._folder = folder
        self._maker = maker
        self._good: dict[Path, Stamp] = {}

    def path(self, spec: DomainSpec) -> Path:
        told = {name: str(value) for name, value in asdict(replace(spec, domid=0)).items()}
        # What a guest remembers of a disk counts as long as the disk is what it was.
        disks = [_stamp_of(disk.path) for disk in spec.disks]
        key = hashlib.blake2s(json.dumps([self._maker, told, disks]).encode(), digest_size=8).hexdigest()
        return self._folder / f"{spec.service}.{key}"

    def usable(self, spec: DomainSpec) -> bool:
        """Is there a state for this spec that was found good, and did not change since?"""
        path = self.path(spec)
        try:
            return self._good.get(path) == _stamp(os.stat(path))
        except OSError:
            return False

    def examine(self, spec: DomainSpec) -> str:
        """Read the state of this spec in full; what is wrong with it, or nothing. Blocks: for a thread.

        One that is missing is said to be so, one that is damaged is removed.
        """
        path = self.path(spec)
        try:
            with path.open("rb") as file:
                stamp = _stamp(os.fstat(file.fileno()))
                header = _read_header(file.read(HEADER_SIZE))
                digest = hashlib.blake2b(digest_size=32)
                while piece := file.read(_PIECE):
                    digest.update(piece)
        except FileNotFoundError:
            return "there is none"
        except OSError as error:
            return f"{path}: {error.strerror or error}"
        if header != (stamp[1] - HEADER_SIZE, digest.hexdigest()):
            self.discard(spec)
            return f"{path} was damaged"
        self._good[path] = stamp
        return ""

    def open(self, spec: DomainSpec) -> int:
        """A descriptor from which QEMU can read the state of this spec. Raises `DomainError`."""
        path = self.path(spec)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            raise DomainError(f"snapshot {path}: {error.strerror or error}") from None
        if self._good.get(path) != _stamp(os.fstat(fd)):
            os.close(fd)
            raise DomainError(f"snapshot {path}: it changed since it was examined")
        os.lseek(fd, HEADER_SIZE, os.SEEK_SET)
        return fd

    @contextmanager
    def writing(self, spec: DomainSpec) -> Iterator[int]:
        """A descriptor into which QEMU can write the state of this spec; what was written counts if the block ends
        well, and takes the place of every other state of the service. Raises `DomainError`."""
        path = self.path(spec)
        fresh = path.with_name(f".{path.name}")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise DomainError(f"snapshot {path}: {error.strerror or error}") from None
        try:
            os.lseek(fd, HEADER_SIZE, os.SEEK_SET)
            yield fd
            os.pwrite(fd, _header(fd), 0)
            os.replace(fresh, path)
            self._good[path] = _stamp(os.fstat(fd))
        except OSError as error:
            raise DomainError(f"snapshot {path}: {error.strerror or error}") from None
        finally:
            os.close(fd)
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
        for other in self._files():
            if other.name.partition(".")[0] == spec.service and other != path:
                self._remove(other)

    def discard(self, spec: DomainSpec) -> None:
        """Let go of the state of this spec, if there is one."""
        self._remove(self.path(spec))

    def prune(self, specs: Iterable[DomainSpec]) -> None:
        """Remove every state that is of none of these specs."""
        kept = {self.path(spec) for spec in specs}
        for path in self._files():
            if path not in kept:
                self._remove(path)

    def _files(self) -> list[Path]:
        try:
            return list(self._folder.iterdir())
        except OSError:
            return []

    def _remove(self, path: Path) -> None:
        self._good.pop(path, None)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("snapshot %s cannot be removed: %s", path, error.strerror or error)


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _stamp_of(path: Path) -> Stamp | None:
    try:
        return _stamp(os.stat(path))
    except OSError:
        return None


def _header(fd: int) -> bytes:
    """The header for what has been written behind it."""
    length = os.fstat(fd).st_size - HEADER_SIZE
    digest = hashlib.blake2b(digest_size=32)
    at = HEADER_SIZE
    while piece := os.pread(fd, _PIECE, at):
        digest.update(piece)
        at += len(piece)
    return json.dumps([_MAGIC, length, digest.hexdigest()]).encode().ljust(HEADER_SIZE - 1) + b"\n"


def _read_header(block: bytes) -> tuple[int, str] | None:
    """Length and digest of what follows; None where the block is no header."""
    try:
        magic, length, digest = json.loads(block)
    except (ValueError, TypeError):
        return None
    return (length, digest) if magic == _MAGIC else None
