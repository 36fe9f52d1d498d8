"""A terminal for those who look for a console in another place than `jitsu console`: Xen's `xl console`.

Of what is printed while nobody looks, or more quickly than it is read, the first fills the terminal, some tens of KiB,
and the last waits behind it. What is between is left out, as xenconsoled does it.
"""

import asyncio
import os
import termios
import tty
from contextlib import suppress

from jitsu.domains.console_input import ConsoleInput
from jitsu.domains.console_kinds import Console

MOST_AT_ONCE = 4096

MOST_WAITING = 64 * 1024
"""Bytes that have no room in the terminal yet."""


class ConsoleShare:
    """A pseudo-terminal at which one console can be looked at, and be typed to. Implements `Viewer`.

    Its place is `shared` of the console, a link that leads to the terminal.
    """

    def __init__(self, console: Console) -> None:
        """Raises `OSError`; then there is none."""
        self._place = console.shared
        self._waiting = b""
        self._loop = asyncio.get_running_loop()
        # While nobody looks, our own copy of the other end keeps the terminal.
        self._ours, self._theirs = os.openpty()
        try:
            os.set_blocking(self._ours, False)
            tty.setraw(self._theirs, termios.TCSANOW)
            scratch = f"{self._place}.new"
            with suppress(FileNotFoundError):
                os.unlink(scratch)
            os.symlink(os.ttyname(self._theirs), scratch)
            os.replace(scratch, self._place)
        except OSError:
            self._close_ends()
            raise
        self._input = ConsoleInput(console, self._pause, self._resume)
        self._resume()

    def show(self, data: bytes) -> None:
        self._waiting = (self._waiting + data)[-MOST_WAITING:]
        self._write()

    def over(self) -> None:
        self._loop.remove_reader(self._ours)
        self._loop.remove_writer(self._ours)
        self._input.close()
        self._close_ends()
        with suppress(FileNotFoundError):
            os.unlink(self._place)

    def _write(self) -> None:
        with suppress(BlockingIOError):
            self._waiting = self._waiting[os.write(self._ours, self._waiting) :]
        if self._waiting:
            self._loop.add_writer(self._ours, self._write)
        else:
            self._loop.remove_writer(self._ours)

    def _typed(self) -> None:
        try:
            data = os.read(self._ours, MOST_AT_ONCE)
        except BlockingIOError:
            return
        self._input.type(data)

    def _pause(self) -> None:
        self._loop.remove_reader(self._ours)

    def _resume(self) -> None:
        self._loop.add_reader(self._ours, self._typed)

    def _close_ends(self) -> None:
        os.close(self._ours)
        os.close(self._theirs)
