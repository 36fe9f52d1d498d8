"""The console of a domain of Xen: a pseudo-terminal of xenconsoled's, and where it is written down.

    12.console.www.tty      which terminal xenconsoled made for domain 12 of service www
    12.console.www.shared   a link to the terminal at which `xl console` finds it (`console_share.py`)
    12.console.www.kept     there from the moment at which somebody began to keep what it prints

xenconsoled (tools/console/daemon/io.c) has the guest's ring: it takes what the guest prints, 300 KB/s at most, and
keeps of what nobody reads the first and the last 512 KiB. When it sees that a domain is destroyed it closes the
terminal, and what was not read is lost; a domain that shut down or crashed is there until somebody destroys it.

A terminal has one reader: of two, each would get a part. We are that one, for logs have to be whole, and xenconsoled's
own are there only where it was told so, have no bound, and are one more file for each domain. Whoever else looks is
shown a terminal of ours.
"""

import errno
import fcntl
import os
import stat
import termios
import tty
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

CONSOLE_LIMIT = 1 << 20
"""Bytes that xenconsoled keeps of a console that nobody reads. Without a word of ours it would keep all."""


@dataclass(frozen=True, slots=True)
class XenConsole:
    """The console of one domain, in the folder of all domains' files. Implements `Console`."""

    directory: Path
    domid: int
    service: str

    kind = "xen"

    @property
    def terminal(self) -> str:
        return self._file("tty")

    @property
    def shared(self) -> str:
        return self._file("shared")

    @property
    def kept(self) -> str:
        return self._file("kept")

    def make(self, terminal: str) -> None:
        """Write down which terminal it is, in place of any before. Raises `OSError`.

        The number of one that was closed is given to the next that anybody opens, and a login shell must not be taken
        for a guest: so the moment at which this one was made is written down too.
        """
        status = os.stat(terminal)
        scratch = self._file("new")
        with open(scratch, "w", opener=_private) as file:
            file.write(f"{terminal} {status.st_rdev} {status.st_ctime_ns}\n")
        os.replace(scratch, self.terminal)

    def is_shared(self) -> bool:
        """Is there a terminal for others to look at?"""
        return os.path.exists(self.shared)

    def open_output(self) -> int:
        """The terminal, for reading and writing. Raises `OSError`: ENOENT too when it is another one by now, EIO when
        it is closed at its other end meanwhile."""
        path, device, made = Path(self.terminal).read_text().split()
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        status = os.fstat(fd)
        if not stat.S_ISCHR(status.st_mode) or (status.st_rdev, status.st_ctime_ns) != (int(device), int(made)):
            os.close(fd)
            raise FileNotFoundError(errno.ENOENT, "the terminal of xenconsoled's is gone", path)
        try:
            tty.setraw(fd, termios.TCSANOW)
        except termios.error as error:
            # No OSError, though it says the same.
            os.close(fd)
            raise OSError(*error.args, path) from None
        return fd

    def open_input(self) -> int:
        return self.open_output()

    def capacity(self, output: int) -> int:
        return CONSOLE_LIMIT

    def is_full(self, output: int) -> bool:
        """False: xenconsoled drops what is too much, and says so to nobody."""
        return False

    def unlink(self) -> None:
        for path in (self.terminal, self.shared, self.kept):
            with suppress(FileNotFoundError):
                os.unlink(path)

    def _file(self, end: str) -> str:
        return f"{self.directory}/{self.domid}.console.{self.service}.{end}"


def xen_consoles_in(directory: Path) -> Iterator[XenConsole]:
    """The consoles of Xen's domains whose files lie there; none when there is no such folder."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in names:
        match name.split("."):
            case [domid, "console", service, "tty"] if domid.isdecimal():
                yield XenConsole(directory, int(domid), service)


def unread(terminal: int) -> int:
    """Bytes that wait in an open terminal; none when it was closed at its other end."""
    count = array("i", [0])
    try:
        fcntl.ioctl(terminal, termios.FIONREAD, count)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
    return count[0]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
