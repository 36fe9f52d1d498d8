"""One file on its way into a volume: read once, hashed and copied into chunks that nobody else has."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from shfs.allocator import Run
from shfs.digests import Hasher
from shfs.errors import HostError, InputError, ShfsError
from shfs.members import BLOCK
from shfs.volume import Volume

_MOST_TOGETHER = 16
"""Small files that one thread reads together, and that are open meanwhile."""


@dataclass(frozen=True, slots=True)
class Addition:
    """A file to be added: a path, or a stream of which `size` bytes are taken. `name` is the last part of the path
    unless it is given; `digest` is needed where a volume's digests are given by hand, and must be the true one where
    they are not. `must_be_new`: it is an error if the volume has the object already."""

    source: str | os.PathLike[str] | BinaryIO
    name: str | None = None
    mime: str = ""
    encoding: str = ""
    digest: bytes | None = None
    size: int = 0
    must_be_new: bool = False

    @property
    def what(self) -> str:
        """What messages call it."""
        if isinstance(self.source, str | os.PathLike):
            return os.fspath(self.source)
        return str(getattr(self.source, "name", "")) or self.name or "the stream"

    @property
    def given_name(self) -> str:
        """The name that its object gets."""
        if self.name is not None:
            return self.name
        return Path(self.source).name if isinstance(self.source, str | os.PathLike) else ""


class Source:
    """The opened file of an addition. `size` is in bytes, and what is copied, whatever becomes of the file."""

    def __init__(self, addition: Addition) -> None:
        self.addition = addition
        self.is_path = isinstance(addition.source, str | os.PathLike)
        if isinstance(addition.source, str | os.PathLike):
            self._file, self.size = _opened(os.fspath(addition.source))
        else:
            self._file, self.size = addition.source, addition.size

    def fill(self, block: memoryview) -> None:
        """Read as many bytes as the block has. Raises InputError if the file has fewer, HostError if it fails."""
        done = 0
        while done < len(block):
            try:
                got = self._file.readinto(block[done:])  # type: ignore[attr-defined]
            except OSError as error:
                raise HostError(f"{self.addition.what} cannot be read: {error.strerror}") from None
            if not got:
                raise InputError(
                    f"{self.addition.what} became shorter while it was read", hint="add it when it is complete"
                )
            done += got

    def close(self) -> None:
        """Close the file, unless it is the caller's."""
        if self.is_path:
            self._file.close()


@dataclass(frozen=True, slots=True)
class Target:
    """The volume that copies go to. `dry`: nothing is written. `progress` is told of each block's bytes, by whichever
    thread has read it."""

    volume: Volume
    dry: bool
    progress: Callable[[int], None]

    @property
    def chunk_size(self) -> int:
        """Bytes in a chunk."""
        return self.volume.geometry.chunk_size

    def write(self, chunk: int, start: int, data: memoryview) -> None:
        """Write bytes that begin `start` bytes behind the beginning of a chunk."""
        if not self.dry:
            self.volume.members.write(self.volume.geometry, chunk, start, data)


class Copy:
    """A source that is hashed, in this thread or another, and copied into a run of chunks. `texts` are the fields of
    the entry that it will have: name, MIME type, encoding. The digest is that of its first `covered` bytes.

    A file of one block is kept until it is known to be wanted, and needs its chunks only then. A larger one has them
    from the beginning, so that it is read once; if it turns out to be there already it was written to free chunks for
    nothing.
    """

    def __init__(
        self,
        target: Target,
        source: Source,
        texts: tuple[bytes, bytes, bytes],
        hasher: Hasher | None,
        covered: int,
    ) -> None:
        self._target = target
        self.source = source
        self.addition = source.addition
        self.texts = texts
        self.run: Run | None = None
        self._hasher = hasher
        self._covered = covered
        self._kept: memoryview | None = None
        self._error: ShfsError | None = None

    @property
    def is_small(self) -> bool:
        """Is it kept in memory until it gets its chunks?"""
        return self.source.size <= BLOCK

    @property
    def first_chunk(self) -> int:
        """Where it was copied to; 0 before it has its chunks."""
        return 0 if self.run is None else self.run[0]

    def read(self) -> None:
        """Read and hash all of it, and write it if it has its chunks. What goes wrong, `digest` raises."""
        try:
            self._read()
        except ShfsError as error:
            self._error = error

    def digest(self) -> bytes | None:
        """The digest, once it is read; None where there is no hasher. Raises InputError or HostError if it could not
        be read or written."""
        if self._error is not None:
            raise self._error
        return None if self._hasher is None else self._hasher.digest()

    def settle(self, run: Run) -> None:
        """Chunks for what was kept."""
        self.run = run
        if self._kept is not None:
            self._target.write(run[0], 0, self._kept)

    def _read(self) -> None:
        """Nothing but its chunks and the hasher is changed: it may be in another thread."""
        size = self.source.size
        end = -size % self._target.chunk_size
        buffer = memoryview(bytearray(min(size, BLOCK) + end))
        try:
            for done in range(0, size, BLOCK):
                want = min(BLOCK, size - done)
                self.source.fill(buffer[:want])
                if self._hasher is not None and done < self._covered:
                    self._hasher.update(buffer[: min(want, self._covered - done)])
                padding = end if done + want == size else 0
                buffer[want : want + padding] = bytes(padding)
                if self.run is None:
                    self._kept = buffer
                else:
                    self._target.write(self.run[0], done, buffer[: want + padding])
                self._target.progress(want)
        finally:
            self.source.close()


class Reading:
    """Copies that are read one after the other: a large file, a stream, or so many small files as are a block together.
    To hand each small file to a thread by itself would take as long as to read it."""

    def __init__(self) -> None:
        self.copies: list[Copy] = []
        self._size = 0
        self._future: Future[None] | None = None

    def takes(self, copy: Copy) -> bool:
        """Is it one of them, now?"""
        fits = len(self.copies) < _MOST_TOGETHER and self._size + copy.source.size <= BLOCK
        if self.copies and not (fits and copy.source.is_path):
            return False
        self.copies.append(copy)
        self._size += copy.source.size
        return True

    def begin(self, pool: ThreadPoolExecutor) -> None:
        """Read in a thread of the pool; a stream is read at once, since the next one comes behind it."""
        if all(copy.source.is_path for copy in self.copies):
            self._future = pool.submit(self._read)
        else:
            self._read()

    def wait(self) -> list[Copy]:
        """The copies, once they are read."""
        if self._future is not None:
            self._future.result()
        return self.copies

    def cancel(self) -> None:
        """They are not wanted any more."""
        if self._future is None or self._future.cancel():
            for copy in self.copies:
                copy.source.close()

    def _read(self) -> None:
        for copy in self.copies:
            copy.read()


def readings(copies: Iterable[Copy]) -> Iterator[Reading]:
    """What is read together, in the order of the copies. A stream is given away before the next copy is asked for."""
    reading = Reading()
    try:
        for copy in copies:
            if not reading.takes(copy):
                yield reading
                reading = Reading()
                reading.takes(copy)
            if not copy.source.is_path:
                yield reading
                reading = Reading()
        if reading.copies:
            yield reading
    except BaseException:
        reading.cancel()
        raise


def _opened(path: str) -> tuple[BinaryIO, int]:
    try:
        # A FIFO without a writer would keep us waiting at its door.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", hint="look at its name and its rights") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        what = "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise InputError(f"{path} is {what}", hint="an object is made of a regular file")
    return os.fdopen(descriptor, "rb", buffering=0), status.st_size
