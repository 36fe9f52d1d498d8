"""The two pipes of a guest's console, and where they lie.

    12.console.www.out    what domain 12 of service www prints
    12.console.www.in     what is typed to it
    12.console.www.kept   there from the moment at which somebody began to keep what it prints

QEMU opens both pipes for reading and writing (its chardev `pipe`), so a pipe outlives whoever reads it: what is
printed while nobody reads waits in the pipe, up to `CAPACITY` bytes, and is read by whoever comes next. When it is full
QEMU keeps the guest's serial port busy. A socket would not do: the kernel counts a whole buffer for each of QEMU's
writes, which are of one byte, so that 278 bytes fill it; and QEMU drops what is said while nobody is connected.
"""

import fcntl
import os
import stat
import termios
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jitsu.errors import HostError, ResourceBusy

CAPACITY = 256 * 1024
"""Bytes that wait in the pipe of a guest that prints, where the kernel grants so many (pipe(7))."""


@dataclass(frozen=True, slots=True)
class ConsoleFiles:
    """The console of one domain, in the folder of all domains' files; of a blank monitor while `service` is empty.

    Implements `Console`. Texts and no `Path`s, as in `DomainFiles`.
    """

    directory: Path
    domid: int
    service: str

    kind = "pipe"
    shared = ""

    @property
    def prefix(self) -> str:
        """What QEMU is told: it adds `.in` and `.out`."""
        return f"{self.directory}/{self.domid}.console.{self.service}"

    @property
    def output(self) -> str:
        return self._file("out")

    @property
    def input(self) -> str:
        return self._file("in")

    @property
    def kept(self) -> str:
        return self._file("kept")

    def make(self, group: int | None = None) -> None:
        """Make both pipes, for the owner and perhaps a `group`.

        Raises `ResourceBusy` when there are some, `HostError` otherwise; none is left then.
        """
        made = []
        try:
            for path in (self.output, self.input):
                os.mkfifo(path, 0o600)
                made.append(path)
                if group is not None:
                    os.chown(path, -1, group)
                    os.chmod(path, 0o660)
        except OSError as error:
            for path in made:
                os.unlink(path)
            if isinstance(error, FileExistsError):
                raise ResourceBusy(
                    f"console {self.prefix}: exists already", hint="another domain has this domid"
                ) from None
            raise HostError(f"console {self.prefix}: {error.strerror or error}") from None

    def exists(self) -> bool:
        """Is what the guest prints still to be had?"""
        return os.path.exists(self.output)

    def become(self, service: str) -> "ConsoleFiles":
        """Give it to a service: a blank monitor opened it under no name. Raises `OSError`."""
        named = ConsoleFiles(self.directory, self.domid, service)
        os.rename(self.input, named.input)
        os.rename(self.output, named.output)
        return named

    def unlink(self) -> None:
        for path in (self.output, self.input, self.kept):
            with suppress(FileNotFoundError):
                os.unlink(path)

    def open_output(self) -> int:
        """The end at which what the guest prints is read, without waiting, also before QEMU has its own.

        As long as it is open, nothing of what was printed is lost, even if QEMU is gone. Raises `OSError`.
        """
        fd = _open_pipe(self.output, os.O_RDONLY)
        # Users have a bound for all their pipes together; beyond it, this one stays as it is.
        with suppress(PermissionError):
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, CAPACITY)
        return fd

    def open_input(self) -> int:
        """The end at which the guest is typed to. Raises `OSError`, ENXIO when QEMU is not there yet or any more."""
        return _open_pipe(self.input, os.O_WRONLY)

    def capacity(self, output: int) -> int:
        """Bytes that fit into the pipe."""
        return fcntl.fcntl(output, fcntl.F_GETPIPE_SZ)

    def is_full(self, output: int) -> bool:
        return waiting(output) >= self.capacity(output)

    def _file(self, end: str) -> str:
        return f"{self.prefix}.{end}"


def consoles_in(directory: Path) -> Iterator[ConsoleFiles]:
    """The consoles of all domains whose files lie there; none when there is no such folder."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in names:
        match name.split("."):
            case [domid, "console", service, "out"] if domid.isdecimal():
                yield ConsoleFiles(directory, int(domid), service)


def users_in(directory: Path) -> dict[int, int]:
    """By domid the user that was made for a guest: the group of its console. Others run as this user does."""
    users = {}
    for console in consoles_in(directory):
        with suppress(FileNotFoundError):
            users[console.domid] = os.stat(console.output).st_gid
    return {domid: user for domid, user in users.items() if user != os.getegid()}


def waiting(output: int) -> int:
    """Bytes in the pipe that nobody has read yet."""
    count = array("i", [0])
    fcntl.ioctl(output, termios.FIONREAD, count)
    return count[0]


def _open_pipe(path: str, direction: int) -> int:
    fd = os.open(path, direction | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    if not stat.S_ISFIFO(os.fstat(fd).st_mode):
        os.close(fd)
        raise FileNotFoundError(2, "is no pipe", path)
    return fd
