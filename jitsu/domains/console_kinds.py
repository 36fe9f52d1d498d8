"""What a guest's console is, whoever made it: pipes of QEMU's, or a terminal that Xen's console daemon made."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from jitsu.domains.console_files import ConsoleFiles, consoles_in
from jitsu.domains.xen_console import XenConsole, xen_consoles_in


class Console(Protocol):
    """The console of one domain. Its ends are open files, as the system numbers them."""

    @property
    def kind(self) -> str:
        """By this word `console_of` knows the class."""

    @property
    def domid(self) -> int: ...

    @property
    def service(self) -> str: ...

    @property
    def kept(self) -> str:
        """A file that is there from the moment at which somebody began to keep what is printed."""

    @property
    def shared(self) -> str:
        """Where others than us look for a terminal of this console; empty where nobody does."""

    def open_output(self) -> int:
        """The end at which what the guest prints is read, without waiting. Raises `OSError`.

        At the end of it, a read gives nothing, or fails with EIO.
        """

    def open_input(self) -> int:
        """The end at which the guest is typed to. Raises `OSError` when nobody can be typed to."""

    def capacity(self, output: int) -> int:
        """Bytes at most that may be there to be read after the guest's end."""

    def is_full(self, output: int) -> bool:
        """Does the guest print faster than is read, so that it waits, or what it prints is lost?"""

    def unlink(self) -> None:
        """Remove its files."""


_KINDS: dict[str, type[ConsoleFiles] | type[XenConsole]] = {"pipe": ConsoleFiles, "xen": XenConsole}


def console_of(kind: str, directory: Path, domid: int, service: str) -> Console:
    """The console of a domain whose files lie there. Raises `KeyError` for a kind that there is not."""
    return _KINDS[kind](directory, domid, service)


def all_consoles_in(directory: Path) -> Iterator[Console]:
    """The consoles of all domains whose files lie there, of every kind."""
    yield from consoles_in(directory)
    yield from xen_consoles_in(directory)
