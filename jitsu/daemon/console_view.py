"""Somebody who looks at a guest's console, and types to it, by a connection to `jitsu consoled`."""

import asyncio

from jitsu.domains.console_input import ConsoleInput
from jitsu.domains.console_keeper import KeptConsole
from jitsu.domains.guest_text import PlainText

MOST_UNREAD = 64 * 1024
"""Bytes that wait for a viewer. One who does not take them misses what comes after, and is told how much that was."""

PATIENCE = 2.0
"""Seconds in which a viewer must take the last bytes when the console is gone."""


class ConsoleView:
    """Implements `Viewer`; its maker passes on what the connection's protocol is told.

    With `raw` everything the guest prints is shown as it is, and may do to a terminal what it likes.
    """

    def __init__(self, transport: asyncio.Transport, console: KeptConsole, *, raw: bool) -> None:
        self._transport = transport
        self._console = console
        self._raw = raw
        self._plain = PlainText()
        self._congested = False
        self._skipped = 0
        self._input = ConsoleInput(console.files, transport.pause_reading, transport.resume_reading)
        self._loop = asyncio.get_running_loop()
        transport.set_write_buffer_limits(high=MOST_UNREAD)
        console.look(self)

    def show(self, data: bytes) -> None:
        if self._congested:
            self._skipped += len(data)
        elif shown := data if self._raw else self._plain.feed(data):
            self._transport.write(shown)

    def over(self) -> None:
        self._transport.close()
        self._loop.call_later(PATIENCE, self._transport.abort)

    def pause_writing(self) -> None:
        """More than `MOST_UNREAD` bytes wait."""
        self._congested = True

    def resume_writing(self) -> None:
        """They have been taken."""
        self._congested = False
        if self._skipped:
            self._transport.write(f"\n--- {self._skipped} bytes are left out: you read too slowly ---\n".encode())
            # What came before the hole does not go on after it.
            self._plain, self._skipped = PlainText(), 0

    def type(self, data: bytes) -> None:
        """Type to the guest. While it takes no more, nothing more is read from the viewer."""
        self._input.type(data)

    def close(self) -> None:
        """The viewer is gone."""
        self._console.look_away(self)
        self._input.close()
