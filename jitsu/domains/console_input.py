"""What is typed to a guest, on its way into the guest's console."""

import asyncio
import os
from collections.abc import Callable

from jitsu.domains.console_kinds import Console


class ConsoleInput:
    """Types to one console, in the running event loop, for somebody of whom more is wanted (`resume`) or not (`pause`).

    While the guest takes no more, nothing more is to be asked for. What nobody can hear is dropped.
    """

    def __init__(self, console: Console, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._console = console
        self._pause = pause
        self._resume = resume
        self._typed = b""
        self._input = -1
        self._loop = asyncio.get_running_loop()

    def type(self, data: bytes) -> None:
        self._typed += data
        self._pass_on()

    def close(self) -> None:
        """Type no more; may be called twice."""
        if self._input >= 0:
            self._loop.remove_writer(self._input)
            os.close(self._input)
            self._input = -1

    def _pass_on(self) -> None:
        try:
            if self._input < 0:
                self._input = self._console.open_input()
            written = os.write(self._input, self._typed)
        except BlockingIOError:
            written = 0
        except OSError:
            # The guest is not there yet, or any more: nobody hears what is typed.
            self.close()
            written = len(self._typed)
        self._typed = self._typed[written:]
        if self._typed:
            self._pause()
            self._loop.add_writer(self._input, self._pass_on)
        else:
            if self._input >= 0:
                self._loop.remove_writer(self._input)
            self._resume()
