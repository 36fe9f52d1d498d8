"""A tar archive as it comes: its files on their way into a volume, without one of them being on a disk between.

Every compression that Python knows is read, from a pipe too, and its checksums are verified; every form of tar that
tarfile reads (ustar, GNU, pax), with long names and sparse files. An archive must have its end: a block of zeros.
"""

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, BinaryIO, Self, cast

from shfs.addition import Addition
from shfs.errors import HostError, InputError
from shfs.members import BLOCK
from shfs.naming import Naming, plain_path
from shfs.tree import Selection

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PACKED: tuple[tuple[bytes, Callable[[IO[bytes]], io.BufferedIOBase]], ...] = (
    (b"\x1f\x8b", lambda source: gzip.GzipFile(fileobj=source)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\0", lzma.LZMAFile),
    (b"\x5d\0\0", lzma.LZMAFile),
)
"""What packed data begins with, and what unpacks it."""

_ZSTD = b"\x28\xb5\x2f\xfd"
_LONGEST_BEGINNING = 6


def additions(source: io.RawIOBase, what: str, selection: Selection, naming: Naming) -> Iterator[Addition]:
    """The files of an archive that are meant, each of which must be read before the next one is asked for. `what` is
    what messages call the archive.

    A hard link is another name of a file before it, and adds nothing. Raises InputError for an archive that is none, is
    damaged or has no end; HostError if it cannot be read.
    """
    taken: set[str] = set()
    with _understood(what):
        stream = _unpacked(source, what)
        with tarfile.open(fileobj=stream, mode="r|", bufsize=BLOCK, tarinfo=_Header) as archive:
            while (member := archive.next()) is not None:
                # All of them would be kept, for going back, which a stream cannot.
                archive.members.clear()  # type: ignore[attr-defined]
                path, told = plain_path(member.name), f"{member.name} of {what}"
                if member.isdir() or not selection.takes_all_of(path):
                    continue
                if member.islnk():
                    if plain_path(member.linkname) not in taken:
                        naming.tell(f"{told} is left out: a hard link to {member.linkname}, which was left out")
                elif not member.isreg():
                    kind = "a symbolic link" if member.issym() else "no regular file"
                    naming.tell(f"{told} is left out: it is {kind}")
                elif (name := naming.name(path, told)) is not None:
                    taken.add(path)
                    file = cast(IO[bytes], archive.extractfile(member))
                    content = _Content(file, told, what)
                    yield Addition(cast(BinaryIO, content), name, naming.type(path, told), size=member.size)
        # Checksums come last.
        while stream.read(BLOCK):
            pass


class _Header(tarfile.TarInfo):
    """One that says what is wrong with it. tarfile takes a damaged one for the end of the archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error} at byte {archive.offset}") from None


class _Content:
    """The bytes of one file of an archive."""

    def __init__(self, file: IO[bytes], name: str, archive: str) -> None:
        self._file = file
        self._archive = archive
        self.name = name

    def readinto(self, block: "WriteableBuffer") -> int:
        """As that of a file."""
        with _understood(self._archive):
            return cast(io.BufferedReader, self._file).readinto(block)


class _Begun(io.RawIOBase):
    """A stream whose `beginning` was looked at, to be read from its beginning."""

    def __init__(self, source: io.RawIOBase) -> None:
        self._source = source
        self.beginning = b""
        while len(self.beginning) < _LONGEST_BEGINNING and (
            more := source.read(_LONGEST_BEGINNING - len(self.beginning))
        ):
            self.beginning += more
        self._again = self.beginning

    def readable(self) -> bool:
        return True

    def readinto(self, block: "WriteableBuffer") -> int | None:
        if not self._again:
            return self._source.readinto(block)
        view = memoryview(block)
        part, self._again = self._again[: len(view)], self._again[len(view) :]
        view[: len(part)] = part
        return len(part)


def _unpacked(source: io.RawIOBase, what: str) -> io.BufferedIOBase:
    begun = _Begun(source)
    stream = io.BufferedReader(begun, BLOCK)
    if begun.beginning.startswith(_ZSTD):
        raise InputError(f"{what} is packed with zstd", hint="unpack it: zstd -dc FILE | shfs import VOLUME -")
    for beginning, unpack in _PACKED:
        if begun.beginning.startswith(beginning):
            return unpack(stream)
    return stream


@contextmanager
def _understood(what: str) -> Iterator[None]:
    """What the libraries raise becomes an error that names the archive."""
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
        raise _damaged(what, error) from error
    except OSError as error:
        if error.errno is None:
            raise _damaged(what, error) from error
        raise HostError(f"{what} cannot be read: {error.strerror}") from None


def _damaged(what: str, error: Exception) -> InputError:
    return InputError(
        f"{what} is no tar archive, or is damaged or cut: {error}",
        hint="nothing was added; `tar -tf` shows how far it goes",
    )
