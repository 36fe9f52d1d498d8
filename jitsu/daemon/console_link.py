"""The daemon's end of the talk with `jitsu consoled`: it is started where none runs, and started again when it dies.

Nobody waits for it. The daemon holds the reading end of every guest's pipe, without reading, until consoled has said
that all of it is in the log: so nothing is lost while there is no consoled, even of a guest that ends meanwhile.
"""

import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from jitsu.daemon.consoled import SOCKET_NAME
from jitsu.domains.console_files import ConsoleFiles
from jitsu.domains.qemu_process import spawn
from jitsu.errors import JitsuError

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds in which a consoled that was started must answer, in which systemd must have started its own again, and
in which one that was told to end must have."""

SHORTEST_BACKOFF, LONGEST_BACKOFF, SHORT_LIFE = 0.1, 5.0, 1.0
"""Seconds before a consoled is started again that did not live for `SHORT_LIFE` seconds; they double. What guests print
meanwhile waits in their pipes."""

TELL_AFTER = 0.1
"""Seconds after a guest's start at which consoled is told: its work there is not on the way to the first answer."""

MOST_ENDED = 256
"""Consoles of guests that are gone that wait for a consoled."""


class ConsoleLink:
    """Implements `Consoles` by the consoled of `runtime`, which keeps its logs in `state`."""

    def __init__(self, runtime: Path, state: Path) -> None:
        self._path = runtime / SOCKET_NAME
        self._command = [sys.executable, "-P", "-m", "jitsu.daemon.consoled", str(runtime), str(state)]
        self._complaints = state / "consoled.log"
        self._held: dict[ConsoleFiles, int] = {}
        self._ended: dict[ConsoleFiles, str] = {}
        self._answers: deque[Callable[[Any], None]] = deque()
        self._writer: asyncio.StreamWriter | None = None
        self._process = -1
        self._attached = True
        self._ending = False
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.pid: int | None = None
        """The process that keeps the consoles; None while there is none."""

    def start(self) -> None:
        """Begin to talk with consoled, from now on until `close`."""
        self._task = asyncio.create_task(self._keep())

    def began(self, console: ConsoleFiles) -> None:
        self._hold(console)
        # What it prints waits meanwhile, and two processors have enough to do with its start.
        asyncio.get_running_loop().call_later(TELL_AFTER, self._tell, console)

    def _tell(self, console: ConsoleFiles) -> None:
        if console in self._held and console not in self._ended:
            self._say("began", console)

    def ended(self, console: ConsoleFiles, why: str) -> None:
        self._hold(console)
        self._ended[console] = why
        if len(self._ended) > MOST_ENDED:
            lost = next(iter(self._ended))
            log.error("%s: the last words of domain %d are lost: no consoled takes them", lost.service, lost.domid)
            lost.unlink()
            self._release(lost)
        self._say("ended", console, why=why)

    async def heard_out(self, service: str) -> None:
        """Wait until nothing is left to be said of a service whose guests are gone, for PATIENCE seconds at most."""
        await self._until(lambda: all(console.service != service for console in self._held), PATIENCE)

    async def close(self) -> None:
        """Let consoled take in the last words, tell it to end if it is ours, and see that nothing is left of it."""
        if self._task is not None:
            await self._until(lambda: not self._ended, PATIENCE)
            if self._writer is not None:
                self._request({"do": "end"}, self._told_to_end)
                await self._until(lambda: self._writer is None or not self._answers, PATIENCE)
                if self._ending:
                    await self._until(lambda: self._writer is None and self._process < 0, PATIENCE)
            unheard = self.pid is None
            self._task.cancel()
            await asyncio.wait([self._task])
            if self._process >= 0 and unheard:
                # One that never answered.
                await self._put_down()
        self._forget_process()
        for console in list(self._ended):
            console.unlink()
        for console in list(self._held):
            self._release(console)

    async def _put_down(self) -> None:
        signal.pidfd_send_signal(self._process, signal.SIGTERM)
        await self._until(lambda: self._process < 0, PATIENCE)

    def _told_to_end(self, ends: Any) -> None:
        self._ending = ends is True

    # Holding on to pipes

    def _hold(self, console: ConsoleFiles) -> None:
        if console not in self._held:
            try:
                self._held[console] = console.open_output()
            except OSError as error:
                log.error("%s: console of domain %d: %s", console.service, console.domid, error.strerror)
                self._held[console] = -1

    def _release(self, console: ConsoleFiles) -> None:
        self._ended.pop(console, None)
        fd = self._held.pop(console, -1)
        if fd >= 0:
            os.close(fd)

    # Talking

    def _say(self, what: str, console: ConsoleFiles, **more: str) -> None:
        def answered(_: Any) -> None:
            if what == "ended":
                self._release(console)

        self._request({"do": what, "domid": console.domid, "service": console.service, **more}, answered)

    def _request(self, request: dict[str, Any], answered: Callable[[Any], None]) -> None:
        """Ask, if somebody is there; whoever comes later is told of everything that matters then."""
        if self._writer is not None:
            self._writer.write(json.dumps(request).encode() + b"\n")
            self._answers.append(answered)

    async def _keep(self) -> None:
        backoff = SHORTEST_BACKOFF
        while True:
            begin = time.monotonic()
            try:
                await self._talk(*await self._connect())
            except (OSError, ValueError) as error:
                log.error("consoled: %s", error)
            if self._ending:
                return
            log.warning("consoled is gone; what guests print waits in their pipes until there is another")
            if time.monotonic() - begin < SHORT_LIFE:
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, LONGEST_BACKOFF)
            else:
                backoff = SHORTEST_BACKOFF

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Tell consoled of everything, and hear its answers until it is gone. Raises OSError or ValueError."""
        self._writer = writer
        try:
            self._request({"do": "daemon"}, self._greeted)
            for console, why in self._ended.items():
                self._say("ended", console, why=why)
            for console in self._held.keys() - self._ended.keys():
                self._say("began", console)
            while line := await reader.readline():
                self._hear(line)
        finally:
            self.pid, self._writer = None, None
            self._answers.clear()
            writer.close()
            self._news.set()

    def _hear(self, line: bytes) -> None:
        answer = json.loads(line)
        answered = self._answers.popleft()
        if not answer["ok"]:
            log.error("consoled: %s", answer["error"]["message"])
        answered(answer.get("result"))
        self._news.set()

    def _greeted(self, status: Any) -> None:
        self.pid, self._attached = int(status["pid"]), bool(status["attached"])
        if self._process < 0:
            # Another daemon's, or systemd's: it is watched all the same.
            with suppress(ProcessLookupError):
                self._watch(os.pidfd_open(self.pid))
        log.info("consoled (process %d) keeps the consoles", self.pid)

    # Starting it

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to consoled, which is started if need be. Raises OSError with what stands against it."""
        if not self._attached:
            # Its supervisor will start it again; if not, one of our own is better than none.
            with suppress(TimeoutError):
                return await self._answering()
            self._attached = True
        with suppress(ConnectionRefusedError, FileNotFoundError):
            return await asyncio.open_unix_connection(self._path)
        try:
            self._start()
            return await self._answering()
        except (JitsuError, TimeoutError) as error:
            raise OSError(f"cannot be started: {error or 'it does not answer'}") from error

    async def _answering(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Wait until somebody listens. Raises TimeoutError, or OSError with the last words of one that ended."""
        ours = self._process >= 0
        async with asyncio.timeout(PATIENCE):
            while True:
                with suppress(ConnectionRefusedError, FileNotFoundError):
                    return await asyncio.open_unix_connection(self._path)
                if ours and self._process < 0:
                    raise OSError(f"cannot be started: {_last_line(self._complaints)}")
                await asyncio.sleep(0.02)

    def _start(self) -> None:
        self._complaints.parent.mkdir(parents=True, exist_ok=True)
        _, pidfd = spawn(self._command, [], str(self._complaints))
        self._watch(pidfd)

    def _watch(self, pidfd: int) -> None:
        self._process = pidfd
        asyncio.get_running_loop().add_reader(pidfd, self._forget_process)

    def _forget_process(self) -> None:
        """Collect the process if it has ended and was ours; one that lives is let go."""
        if self._process >= 0:
            pidfd, self._process = self._process, -1
            asyncio.get_running_loop().remove_reader(pidfd)
            with suppress(ChildProcessError):
                os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
            os.close(pidfd)
            self._news.set()

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until it is so, for so many seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not condition():
                    self._news.clear()
                    await self._news.wait()


def _last_line(path: Path) -> str:
    try:
        said = path.read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return next((line for line in reversed(said) if not line.startswith(" hint:")), "it said nothing")
