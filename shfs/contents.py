"""Contents compared with digests: whether what lies in an object's chunks is what its entry says."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from shfs import digests
from shfs.configuration import Configuration
from shfs.digests import HashFunction
from shfs.entry import Entry, FileEntry, LinkEntry
from shfs.errors import ShfsError
from shfs.geometry import Geometry
from shfs.links import spellings
from shfs.members import Members

_AHEAD = 16
"""Objects for each thread that wait for their turn."""

Job = tuple[int, Entry]
"""An entry and the number of its slot."""


@dataclass(frozen=True, slots=True)
class Content:
    """What was found in the chunks of an object. `true` is its digest, None where the volume's digests are given by
    hand; `compatible` is that of all but a last chunk that is full, as the original computes it, None where there is no
    such chunk; `padding`: are there bytes behind the end that are not zero? `failure` says why it could not be read."""

    true: bytes | None = None
    compatible: bytes | None = None
    padding: bool = False
    failure: str = ""

    def covers(self, digest: bytes) -> bool:
        """Is it the object's, as far as can be known?"""
        return not self.failure and (self.true is None or digest in (self.true, self.compatible))


class Contents:
    """The contents of a volume. `provider`: where digests come from that were given by hand, if that is known;
    `progress` is told how many more bytes were read."""

    def __init__(
        self,
        members: Members,
        geometry: Geometry,
        configuration: Configuration,
        *,
        provider: digests.Factory | None = None,
        progress: Callable[[int], None] = lambda more: None,
    ) -> None:
        self._members = members
        self._geometry = geometry
        self._configuration = configuration
        self._provider = provider
        self._progress = progress
        self._lock = threading.Lock()

    def of(self, entry: FileEntry) -> Content:
        """Read a file that lies within the volume."""
        try:
            return self._read(entry)
        except ShfsError as error:
            return Content(failure=error.message)

    def of_all(self, jobs: Iterable[tuple[int, FileEntry]], threads: int) -> Iterator[tuple[int, FileEntry, Content]]:
        """Read many files, several at a time; yields them in their order, with the numbers of their slots."""
        waiting: deque[tuple[int, FileEntry, Future[Content]]] = deque()
        with ThreadPoolExecutor(threads) as pool:
            try:
                for number, entry in jobs:
                    waiting.append((number, entry, pool.submit(self.of, entry)))
                    if len(waiting) > _AHEAD * threads:
                        yield _settled(waiting.popleft())
                while waiting:
                    yield _settled(waiting.popleft())
            finally:
                pool.shutdown(cancel_futures=True)

    def of_link(self, entry: LinkEntry) -> list[bytes]:
        """The digests that a link has if its URL was written in one of the usual ways, the most usual first; none where
        digests are given by hand."""
        if self._hasher() is None:
            return []
        found = []
        for url in spellings(entry.target):
            hasher = self._hasher()
            assert hasher is not None  # noqa: S101 - it was not None the last time
            hasher.update(url)
            found.append(hasher.digest())
        return found

    def _hasher(self) -> digests.Hasher | None:
        function, length = self._configuration.function, self._configuration.digest_length
        if function is not HashFunction.MANUAL:
            return digests.new(function, length)
        return None if self._provider is None else self._provider(length)

    def _read(self, entry: FileEntry) -> Content:
        size, unit = entry.size, self._geometry.chunk_size
        covered = digests.compat_length(size, unit)
        behind = -(entry.offset + size) % unit if size else 0
        hasher = self._hasher()
        compatible = None
        padding = False
        done = 0
        for block in self._members.read(self._geometry, entry.first_chunk, entry.offset, size + behind):
            content = block[: max(size - done, 0)]
            if hasher is not None and content:
                if done <= covered < done + len(content) and covered < size:
                    hasher.update(content[: covered - done])
                    compatible = hasher.digest()
                    content = content[covered - done :]
                hasher.update(content)
            if done + len(block) > size:
                padding = padding or any(bytes(block[max(size - done, 0) :]))
            done += len(block)
            with self._lock:
                self._progress(len(block))
        return Content(None if hasher is None else hasher.digest(), compatible, padding)


def _settled(waiting: tuple[int, FileEntry, Future[Content]]) -> tuple[int, FileEntry, Content]:
    number, entry, future = waiting
    return number, entry, future.result()
