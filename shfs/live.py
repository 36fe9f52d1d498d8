"""A volume that may be changed while it is served: it is looked at again when its files are not what they were."""

import os
import stat
import threading
import time
from collections.abc import Sequence
from typing import Self

from shfs.volume import Volume

_SETTLED = 100_000_000
"""Nanoseconds after which a file's time tells of a further change: the kernel's clock for it has coarse steps."""

Mark = tuple[object, ...]


class _Edition:
    """The volume as it was when it was opened, and how many read it."""

    def __init__(self, volume: Volume, mark: Mark) -> None:
        self.volume = volume
        self.mark = mark
        self.readers = 0


class Lease:
    """The right to read an edition of the volume until it is closed, however often the volume changes meanwhile."""

    def __init__(self, live: "LiveVolume", edition: _Edition) -> None:
        self._live = live
        self._edition: _Edition | None = edition
        self.volume = edition.volume

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give it back. May be called again."""
        edition, self._edition = self._edition, None
        if edition is not None:
            self._live.give_back(edition)


class LiveVolume:
    """A volume for readers that stay, in any number of threads.

    Whether it was changed is told by the times of its members and its journal. For a device they say nothing: there the
    table is read again once a second.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        """Raises what `Volume.open` raises."""
        self._paths = list(paths)
        self._lock = threading.Lock()
        self._edition = self._open()

    def lease(self) -> Lease:
        """The volume as it is now. Raises what `Volume.open` raises; the next one may succeed again."""
        with self._lock:
            if self._edition.mark != self._mark(self._edition.volume):
                self._renew()
            self._edition.readers += 1
            return Lease(self, self._edition)

    def last_lease(self) -> Lease:
        """The volume as it was when it could last be read."""
        with self._lock:
            self._edition.readers += 1
            return Lease(self, self._edition)

    def give_back(self, edition: _Edition) -> None:
        """Called by a lease."""
        with self._lock:
            edition.readers -= 1
            if not edition.readers and edition is not self._edition:
                edition.volume.close()

    def close(self) -> None:
        """Close the volume. Leases must have been given back."""
        self._edition.volume.close()

    def _renew(self) -> None:
        before = self._edition
        self._edition = self._open()
        if not before.readers:
            before.volume.close()

    def _open(self) -> _Edition:
        # The mark is older than what is read: a change between the two is found at the next look.
        paths = _looked_at(self._paths)
        volume = Volume.open(self._paths)
        journal = _looked_at([str(volume.journal)])
        return _Edition(volume, (*paths, *journal, _is_settled(paths)))

    def _mark(self, volume: Volume) -> Mark:
        return (*_looked_at(self._paths), *_looked_at([str(volume.journal)]), True)


def _looked_at(paths: Sequence[str]) -> Mark:
    """What is another once the files are changed or replaced."""
    return tuple(map(_look, paths))


def _look(path: str) -> Mark:
    try:
        status = os.stat(path)
    except OSError:
        return ()
    if stat.S_ISBLK(status.st_mode):
        return status.st_rdev, int(time.monotonic())
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _is_settled(looks: Mark) -> bool:
    """Would a change from now on be seen in the files' times?"""
    now = time.time_ns()
    times = [look[3] for look in looks if isinstance(look, tuple) and len(look) == 4]
    return all(abs(now - int(at)) > _SETTLED for at in times)
