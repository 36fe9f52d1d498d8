"""Keeps consoles: what every guest prints is read, logged, and shown to whoever looks on.

`Consoles` is what a driver tells of its domains. `ConsoleKeeper` is the whole of it in one process; in life it runs in
`jitsu consoled`, and the driver's words reach it by a socket, so that a daemon that ends takes no console along.
"""

import asyncio
import errno
import logging
import os
from pathlib import Path
from typing import Protocol

from jitsu.domains.console import ConsoleLog, ConsoleReader, newest
from jitsu.domains.console_kinds import Console, all_consoles_in
from jitsu.domains.console_share import ConsoleShare
from jitsu.errors import DomainError, HostError

log = logging.getLogger(__name__)

MOST_AT_ONCE = 16 * 1024
REST = 0.01
"""Bytes read at once, and seconds for which a pipe is left alone then: 1.6 MB/s of each guest at most, which is more
than an emulated serial port brings. One that is faster waits for its port."""

GAP = "consoled was started again: at the end of what it read last, lines may be missing"
TOO_FAST = "printed faster than it was read: it waited for its serial port here, or what it printed is lost"
ANOTHER = "its console was closed and is another one: lines before this may be missing"
UNSEEN = "it ended while no daemon ran"


class Consoles(Protocol):
    """Told by a driver of the consoles of its domains. Nothing of it waits, or fails."""

    def began(self, console: Console) -> None:
        """A domain was started, restored, or adopted; then this may be no news. Or its console is another now."""

    def ended(self, console: Console, why: str) -> None:
        """It is gone. What it printed is still taken in; then its files are removed."""


class Viewer(Protocol):
    """Somebody who looks at a console."""

    def show(self, data: bytes) -> None:
        """The guest printed this, or it is a line of ours; the viewer must neither wait nor fail."""

    def over(self) -> None:
        """The console is gone; nothing more is shown."""


class KeptConsole:
    """One guest's console, read in the running event loop until it ends."""

    def __init__(self, files: Console, logs: Path) -> None:
        """Begin to read. Raises `OSError` when there is nothing to read from."""
        self.files = files
        self.hung_up = False
        """Whether the other end is closed: the guest is gone, and all it printed has been read."""
        self._output = files.open_output()
        self._doubtful = 0
        self._viewers: list[Viewer] = []
        self._log = ConsoleLog(logs, files.service)
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._output, self._readable)

    def open_again(self) -> None:
        """Begin to read anew where it is another console than before. Raises `OSError`."""
        output = self.files.open_output()
        if os.path.sameopenfile(output, self._output):
            os.close(output)
            return
        self._pause()
        os.close(self._output)
        self._output, self.hung_up = output, False
        self.mark(f"domain {self.files.domid}: {ANOTHER}")
        self._resume()

    def mark(self, what: str) -> None:
        """Write a line of our own into the log, and show it."""
        self._log.mark(what)
        self._show_line(what)

    def look(self, viewer: Viewer) -> None:
        """Show from now on what is printed, beginning with the line that is not complete yet."""
        self._viewers.append(viewer)
        if self._log.unfinished:
            viewer.show(self._log.unfinished)

    def look_away(self, viewer: Viewer) -> None:
        if viewer in self._viewers:
            self._viewers.remove(viewer)

    def end(self, why: str) -> None:
        """Take in what is left, say why the domain ended, and remove its files."""
        left = self.files.capacity(self._output)
        while left > 0 and (data := self._read()):
            left -= len(data)
            self._take(data)
        self.mark(f"domain {self.files.domid} ended: {why}")
        self.close()
        self.files.unlink()

    def close(self) -> None:
        """Stop reading, write the unfinished line, and see viewers off; what is printed from now on waits."""
        self._pause()
        os.close(self._output)
        self._log.close()
        for viewer in tuple(self._viewers):
            viewer.over()

    def _readable(self) -> None:
        if not self._doubtful and self.files.is_full(self._output):
            self._doubtful = self.files.capacity(self._output)
        data = self._read()
        if data is None:
            return
        self._pause()
        if not data:
            self.hung_up = True
            return
        self._timer = self._loop.call_later(REST, self._resume)
        self._take(data)

    def _take(self, data: bytes) -> None:
        self._log.feed(data)
        self._show(data)
        if self._doubtful:
            # What may be missing comes after all that was in the full pipe.
            self._doubtful = max(0, self._doubtful - len(data))
            if not self._doubtful:
                self._log.note(f"domain {self.files.domid} {TOO_FAST}")
                self._show_line(f"domain {self.files.domid} {TOO_FAST}")

    def _show_line(self, what: str) -> None:
        self._show(f"\n--- {what} ---\n".encode())

    def _show(self, data: bytes) -> None:
        for viewer in tuple(self._viewers):
            viewer.show(data)

    def _read(self) -> bytes | None:
        """A piece of what was printed; empty when the guest is gone, None when there is nothing just now."""
        try:
            return os.read(self._output, MOST_AT_ONCE)
        except BlockingIOError:
            return None
        except OSError as error:
            # What a terminal says that is just being closed.
            if error.errno != errno.EIO:
                raise
            return b""

    def _resume(self) -> None:
        self._timer = None
        self._loop.add_reader(self._output, self._readable)

    def _pause(self) -> None:
        self._loop.remove_reader(self._output)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class ConsoleKeeper:
    """All consoles of one instance: `directory` has their files, `logs` takes what is printed.

    Implements `Consoles`, in the running event loop.
    """

    def __init__(self, directory: Path, logs: Path) -> None:
        """Make the folder of the logs where it is missing. Raises `HostError` when that fails."""
        try:
            logs.mkdir(mode=0o750, parents=True, exist_ok=True)
        except OSError as error:
            raise HostError(
                f"directory {logs}: {(error.strerror or str(error)).lower()}",
                hint="give the user that runs jitsu the right to write there, or name another: [daemon] state",
            ) from None
        self._directory = directory
        self._logs = logs
        self._consoles: dict[int, KeptConsole] = {}

    def __len__(self) -> int:
        """How many guests have a console here that has not hung up."""
        return sum(not console.hung_up for console in self._consoles.values())

    def find(self) -> None:
        """Keep every console that is there: those of an earlier keeper, and those of which nobody told one."""
        for files in all_consoles_in(self._directory):
            if files.service:
                self.began(files)

    def began(self, console: Console) -> None:
        try:
            if console.domid in self._consoles:
                self._consoles[console.domid].open_again()
                return
            kept = self._consoles[console.domid] = KeptConsole(console, self._logs)
        except OSError as error:
            _complain(console, error)
            return
        kept.mark(
            f"domain {console.domid}: {GAP}" if os.path.exists(console.kept) else f"domain {console.domid} started"
        )
        os.close(os.open(console.kept, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        if console.shared:
            try:
                kept.look(ConsoleShare(console))
            except OSError as error:
                _complain(console, error)

    def ended(self, console: Console, why: str) -> None:
        if console.domid not in self._consoles:
            # Nobody told of its beginning, or this keeper began after its end.
            self.began(console)
        kept = self._consoles.pop(console.domid, None)
        if kept is not None:
            kept.end(why)
        else:
            unheard = ConsoleLog(self._logs, console.service)
            unheard.mark(f"domain {console.domid} ended unheard: {why}")
            unheard.close()
            console.unlink()

    def end_abandoned(self) -> None:
        """End every console whose guest is gone, when there is no daemon that would say why."""
        for kept in [kept for kept in self._consoles.values() if kept.hung_up]:
            self.ended(kept.files, UNSEEN)

    def console_of(self, service: str) -> KeptConsole:
        """The console of the service's newest guest. Raises `DomainError` when none runs."""
        running = [domid for domid, kept in self._consoles.items() if kept.files.service == service]
        if not running:
            raise DomainError(
                f"service {service} has no console: no guest of it runs",
                hint=f"summon one: jitsu start {service}; or see what the last one printed: jitsu logs {service}",
            )
        return self._consoles[max(running)]

    def recent(self, service: str, count: int) -> list[str]:
        """The last lines that are kept of a service, without the times before them."""
        reader = ConsoleReader(self._logs, service)
        try:
            return [line.partition(" ")[2] for line in newest(reader.read(), count)]
        finally:
            reader.close()

    def close(self) -> None:
        """Let go of every console: what guests print from now on waits for the next keeper."""
        for kept in self._consoles.values():
            kept.close()
        self._consoles.clear()


def _complain(console: Console, error: OSError) -> None:
    log.error("%s: console of domain %d: %s", console.service, console.domid, error.strerror)
