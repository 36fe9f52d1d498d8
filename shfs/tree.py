"""A folder, gone through: the files in it that become objects, in an order that is the same everywhere."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from shfs.errors import InputError, ShfsError

Failed = Callable[[str, ShfsError], None]
"""Is told of each file that something is wrong with, and of what: it raises the error, or keeps it."""


def raising(what: str, error: ShfsError) -> None:
    """Every error is the end."""
    raise error


@dataclass(frozen=True, slots=True)
class Found:
    """A file: its path, its path from the folder on, and its size in bytes when it was found. `alone`: it was given by
    itself, and not found in a folder."""

    path: str
    relative: str
    size: int
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files of a folder or an archive are meant. A pattern is one of a shell (`*.css`, `drafts/*`), for the path
    or for its last part; a folder that is excluded is not gone into. `hidden`: those with a dot in front too."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hidden: bool = False

    def enters(self, path: str) -> bool:
        """Is what lies at this path looked at, be it a folder?"""
        hidden = path.rpartition("/")[2].startswith(".")
        return (self.hidden or not hidden) and not _matches(path, self.exclude)

    def takes(self, path: str) -> bool:
        """Is the file at this path meant, if its folders are?"""
        return self.enters(path) and (not self.include or _matches(path, self.include))

    def takes_all_of(self, path: str) -> bool:
        """Is the file at this path meant, and each folder on the way to it?"""
        parts = path.split("/")
        return self.takes(path) and all(self.enters("/".join(parts[:count])) for count in range(1, len(parts)))


@dataclass(frozen=True, slots=True)
class Tree:
    """How folders are gone through. `follow`: symbolic links are what they point to; they are left out else. `tell`
    gets a sentence for whatever is left out that one might miss, `failed` what cannot be looked at."""

    selection: Selection = Selection()
    follow: bool = False
    tell: Callable[[str], None] = lambda note: None
    failed: Failed = raising

    def files(self, paths: Iterable[str]) -> Iterator[Found]:
        """The files that are given, and those in the folders that are given: in that order, and a folder's by the bytes
        of their names."""
        for path in paths:
            try:
                status = os.stat(path)
            except OSError as error:
                self.failed(path, _unreadable(path, error))
                continue
            if stat.S_ISDIR(status.st_mode):
                yield from self._in(path, "", ((status.st_dev, status.st_ino),))
            else:
                yield Found(path, path, status.st_size, alone=True)

    def _in(self, folder: str, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[Found]:
        """The files of a folder whose name within the given one is `prefix`; `above` are it and those that it is in."""
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            self.failed(folder, _unreadable(folder, error))
            return
        for entry in found:
            relative = prefix + entry.name
            if not self.selection.enters(relative):
                continue
            if entry.is_symlink() and not self.follow:
                if self.selection.takes(relative):
                    self.tell(f"{entry.path} is left out: a symbolic link, and not followed without --follow")
                continue
            try:
                status = entry.stat()
            except OSError as error:
                self.failed(entry.path, _unreadable(entry.path, error))
                continue
            if stat.S_ISDIR(status.st_mode):
                identity = (status.st_dev, status.st_ino)
                if identity in above:
                    self.tell(f"{entry.path} is left out: it leads back to a folder that it is in")
                else:
                    yield from self._in(entry.path, f"{relative}/", (*above, identity))
            elif not self.selection.takes(relative):
                continue
            elif stat.S_ISREG(status.st_mode):
                yield Found(entry.path, relative, status.st_size)
            else:
                self.tell(f"{entry.path} is left out: it is no regular file")


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    last = path.rpartition("/")[2]
    return any(fnmatchcase(path, pattern) or fnmatchcase(last, pattern) for pattern in patterns)


def _unreadable(path: str, error: OSError) -> InputError:
    return InputError(f"{path} cannot be read: {error.strerror}", hint="look at its name and its rights")
