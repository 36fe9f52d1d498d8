"""What guests print, kept: one bounded, rotated log a service.

    LOGS/hello.log      the newest lines
    LOGS/hello.log.1    those before

Every line begins with the time at which it was read, in UTC. Guests are hostile writers: lines are bounded, control
characters are stripped, and the two files together never pass twice `LARGEST_FILE`.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

from jitsu.domains.guest_stream import printable
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
        """Open the log. Raises `HostError` where that is not possible."""
        self._path = directory / f"{service}.log"
        self._partial = b""
        self._lost = False
        try:
            self._file = self._open()
        except OSError as error:
            raise HostError(
                f"console log {self._path}: {(error.strerror or str(error)).lower()}",
                hint="make the directory, or give the user that runs jitsu the right to write there",
            ) from None

    def mark(self, what: str) -> None:
        """Write a line of our own, such as `domain 12 started`."""
        self._flush()
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
        if self._file >= 0:
            self._flush()
            os.close(self._file)
            self._file = -1

    def _flush(self) -> None:
        if text := printable(self._partial):
            self._append([text])
        self._partial = b""

    def _append(self, lines: list[str]) -> None:
        if not lines:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        block = "".join(f"{now} {line}\n" for line in lines).encode()
        try:
            self._rotate(len(block))
            if self._lost:
                os.write(self._file, f"{now} --- console output lost: the log could not be written ---\n".encode())
                self._lost = False
            os.write(self._file, block)
        except OSError:
            # A full disk must end neither the guest nor the daemon; the gap is marked when there is room again.
            self._lost = True

    def _rotate(self, coming: int) -> None:
        """Make room for `coming` bytes, and follow the path when somebody else has rotated it."""
        try:
            status = os.stat(self._path)
            mine = os.fstat(self._file).st_ino == status.st_ino
            if mine and status.st_size + coming <= LARGEST_FILE:
                return
            if status.st_size + coming > LARGEST_FILE:
                os.replace(self._path, self._path.with_suffix(".log.1"))
        except FileNotFoundError:
            pass
        fresh = self._open()
        os.close(self._file)
        self._file = fresh

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)


def read_tail(directory: Path, service: str, lines: int) -> list[str]:
    """The last `lines` lines of a service's console, oldest first; none when it has never printed.

    Raises `HostError` when the log is there but cannot be read.
    """
    text = ""
    for name in (f"{service}.log.1", f"{service}.log"):
        try:
            text += (directory / name).read_text("utf-8", "replace")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise HostError(
                f"console log {directory / name}: {(error.strerror or str(error)).lower()}",
                hint="ask as the user that runs jitsu, or as root",
            ) from None
    return text.splitlines()[-lines:] if lines > 0 else []


def _pieces(line: bytes) -> list[bytes]:
    """A line broken into pieces of at most `LONGEST_LINE` bytes."""
    return [line[at : at + LONGEST_LINE] for at in range(0, len(line), LONGEST_LINE)] or [b""]
