"""What guests print, kept: one bounded, rotated log a service.

    LOGS/hello.log      the newest lines
    LOGS/hello.log.1    those before

Every line begins with the time at which it was read, in UTC. Guests are hostile writers: lines are bounded, control
characters are stripped, and the two files together never pass twice `LARGEST_FILE`.
`ConsoleLog` writes them, in `jitsu consoled`; `ConsoleReader` reads them, in whoever wants to know.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from jitsu.domains.guest_text import printable
from jitsu.errors import HostError

LARGEST_FILE = 256 * 1024
"""Bytes in one of the two files."""

LONGEST_LINE = 1024
"""Bytes of the guest's in one line; a longer one is broken."""


class ConsoleLog:
    """The log of one service's console, for as long as one domain of it runs.

    Two of them, for a domain that ends and the one that follows it, may write to the same file.
    """

    def __init__(self, directory: Path, service: str) -> None:
        self._path = directory / f"{service}.log"
        self._partial = b""
        self._lost = False
        self._file = -1

    @property
    def unfinished(self) -> bytes:
        """The line that has no end yet, as the guest wrote it."""
        return self._partial

    def mark(self, what: str) -> None:
        """Write a line of our own, such as `domain 12 started`; an unfinished line ends before it."""
        self._flush()
        self.note(what)

    def note(self, what: str) -> None:
        """Write a line of our own, and let an unfinished one go on after it."""
        self._append([f"--- {what} ---"])

    def feed(self, data: bytes) -> None:
        """Take what the guest printed, a few KiB at most; whole lines are written, the rest waits for its end."""
        *whole, self._partial = (self._partial + data).split(b"\n")
        lines = [piece for line in whole for piece in _pieces(line)]
        if len(self._partial) >= LONGEST_LINE:
            *full, self._partial = _pieces(self._partial)
            lines += full
        self._append([text for line in lines if (text := printable(line))])

    def close(self) -> None:
        """Write the unfinished line and close the file; may be called twice."""
        self._flush()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _flush(self) -> None:
        if text := printable(self._partial):
            self._append([text])
        self._partial = b""

    def _append(self, lines: list[str]) -> None:
        if not lines:
            return
        now = _stamp(datetime.now(UTC))
        block = "".join(f"{now} {line}\n" for line in lines).encode()
        try:
            self._rotate(len(block))
            if self._lost:
                os.write(self._file, f"{now} --- console output lost: the log could not be written ---\n".encode())
                self._lost = False
            os.write(self._file, block)
        except OSError:
            # A full disk, or a folder that is gone, must end nobody; the gap is marked when it can be written again.
            self._lost = True

    def _rotate(self, coming: int) -> None:
        """Make room for `coming` bytes, and follow the path when somebody else has rotated it."""
        try:
            status = os.stat(self._path)
            mine = self._file >= 0 and os.fstat(self._file).st_ino == status.st_ino
            if mine and status.st_size + coming <= LARGEST_FILE:
                return
            if status.st_size + coming > LARGEST_FILE:
                os.replace(self._path, self._path.with_suffix(".log.1"))
        except FileNotFoundError:
            pass
        fresh = self._open()
        if self._file >= 0:
            os.close(self._file)
        self._file = fresh

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)


class ConsoleReader:
    """Reads the console of one service, and then what is added to it, across every rotation."""

    def __init__(self, directory: Path, service: str) -> None:
        self._path = directory / f"{service}.log"
        self._file: FileIO | None = None
        self._partial = b""

    def read(self) -> list[str]:
        """The lines that came since the last call, oldest first; the first call gives all that are kept.

        Raises `HostError` when the log is there but cannot be read.
        """
        *whole, self._partial = (self._partial + b"".join(self._added())).split(b"\n")
        return [line.decode("utf-8", "replace") for line in whole]

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._file is not None:
            self._file.close()

    def _added(self) -> Iterator[bytes]:
        if self._file is not None:
            # Asked before the rest is read: once there is a newer file, nothing more is written to this one.
            rotated = not _is_at(self._path, self._file)
            yield self._file.readall()
            if not rotated:
                return
        # In this order: a rotation in between gives one file twice, and the other order would miss one.
        now, before = self._open(self._path), self._open(self._path.with_suffix(".log.1"))
        for file in filter(None, (before, now)):
            if self._file is not None and os.path.sameopenfile(file.fileno(), self._file.fileno()):
                file.close()
                continue
            yield file.readall()
            self.close()
            self._file = file

    def _open(self, path: Path) -> FileIO | None:
        try:
            return FileIO(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise HostError(
                f"console log {path}: {(error.strerror or str(error)).lower()}",
                hint="ask as the user that runs jitsu, or as root",
            ) from None


def erase(directory: Path, service: str) -> None:
    """Remove the log of a service that is no more. Raises `HostError`."""
    path = directory / f"{service}.log"
    for file in (path, path.with_suffix(".log.1")):
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise HostError(f"console log {file}: {(error.strerror or str(error)).lower()}") from None


def newest(lines: list[str], count: int | None, since: datetime | None = None) -> list[str]:
    """Of lines of a console the last `count`, or all, and none from before `since`."""
    if since is not None:
        earliest = _stamp(since)
        lines = [line for line in lines if line >= earliest]
    return lines if count is None else lines[max(0, len(lines) - count) :]


def _stamp(moment: datetime) -> str:
    """A time as it stands before a line. In this form, times sort as texts do."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _is_at(path: Path, file: FileIO) -> bool:
    """Is the file still the one of that name? Also while there is none of it, in the middle of a rotation."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return True


def _pieces(line: bytes) -> list[bytes]:
    """A line broken into pieces of at most `LONGEST_LINE` bytes."""
    return [line[at : at + LONGEST_LINE] for at in range(0, len(line), LONGEST_LINE)] or [b""]
