"""The daemon's end of the talk with `jitsu consoled`: it is started where none runs, and started again when it dies.

Nobody waits for it. The daemon holds the reading end of every guest's console, without reading, until consoled has said
that all of it is in the log: so nothing that is in a pipe is lost while there is no consoled, even of a guest that ends
meanwhile, and the number of a terminal is not given to another.
"""

import asyncio
import json
import logging
import os
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jitsu.daemon.companion import Companion
from jitsu.daemon.sockets import CONSOLED
from jitsu.domains.console_kinds import Console

log = logging.getLogger(__name__)

TELL_AFTER = 0.1
"""Seconds after a guest's start at which consoled is told: its work there is not on the way to the first answer."""

MOST_ENDED = 256
"""Consoles of guests that are gone that wait for a consoled."""


class ConsoleLink:
    """Implements `Consoles` by the consoled of `runtime`, which keeps its logs in `state`."""

    def __init__(self, runtime: Path, state: Path) -> None:
        self._path = runtime / CONSOLED
        self._consoled = Companion(
            "consoled",
            [sys.executable, "-P", "-m", "jitsu.daemon.consoled", str(runtime), str(state)],
            state / "consoled.log",
            absent=(ConnectionRefusedError, FileNotFoundError),
        )
        self._held: dict[Console, int] = {}
        self._ended: dict[Console, str] = {}
        self._answers: deque[Callable[[Any], None]] = deque()
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self.pid: int | None = None
        """The process that keeps the consoles; None while there is none."""

    def start(self) -> None:
        """Begin to talk with consoled, from now on until `close`."""
        lost = "what guests print waits until there is another"
        self._task = asyncio.create_task(self._consoled.keep(self._dial, self._talk, lost))

    def began(self, console: Console) -> None:
        self._hold(console)
        # What it prints waits meanwhile, and two processors have enough to do with its start.
        asyncio.get_running_loop().call_later(TELL_AFTER, self._tell, console)

    def _tell(self, console: Console) -> None:
        if console in self._held and console not in self._ended:
            self._say("began", console)

    def ended(self, console: Console, why: str) -> None:
        self._hold(console)
        self._ended[console] = why
        if len(self._ended) > MOST_ENDED:
            lost = next(iter(self._ended))
            log.error("%s: the last words of domain %d are lost: no consoled takes them", lost.service, lost.domid)
            lost.unlink()
            self._release(lost)
        self._say("ended", console, why=why)

    async def heard_out(self, service: str) -> None:
        """Wait until nothing is left to be said of a service whose guests are gone, for some seconds at most."""
        await self._consoled.until(lambda: all(console.service != service for console in self._held))

    async def close(self) -> None:
        """Let consoled take in the last words, tell it to end if it is ours, and see that nothing is left of it."""
        consoled = self._consoled
        if self._task is not None:
            await consoled.until(lambda: not self._ended)
            if self._writer is not None:
                self._request({"do": "end"}, self._told_to_end)
                await consoled.until(lambda: self._writer is None or not self._answers)
                if consoled.leaving:
                    await consoled.until(lambda: self._writer is None and not consoled.watched)
            unheard = self.pid is None
            self._task.cancel()
            await asyncio.wait([self._task])
            if unheard:
                # One that never answered.
                await consoled.put_down()
        consoled.forget()
        for console in list(self._ended):
            console.unlink()
        for console in list(self._held):
            self._release(console)

    def _told_to_end(self, ends: Any) -> None:
        self._consoled.leaving = ends is True

    # Holding on to consoles

    def _hold(self, console: Console) -> None:
        if console not in self._held:
            try:
                self._held[console] = console.open_output()
            except OSError as error:
                log.error("%s: console of domain %d: %s", console.service, console.domid, error.strerror)
                self._held[console] = -1

    def _release(self, console: Console) -> None:
        self._ended.pop(console, None)
        fd = self._held.pop(console, -1)
        if fd >= 0:
            os.close(fd)

    # Talking

    def _say(self, what: str, console: Console, **more: str) -> None:
        def answered(_: Any) -> None:
            if what == "ended":
                self._release(console)

        known = {"kind": console.kind, "domid": console.domid, "service": console.service}
        self._request({"do": what, **known, **more}, answered)

    def _request(self, request: dict[str, Any], answered: Callable[[Any], None]) -> None:
        """Ask, if somebody is there; whoever comes later is told of everything that matters then."""
        if self._writer is not None:
            self._writer.write(json.dumps(request).encode() + b"\n")
            self._answers.append(answered)

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self._path)

    async def _talk(self, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        """Tell consoled of everything, and hear its answers until it is gone. Raises OSError or ValueError."""
        reader, writer = streams
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
            self._consoled.news.set()

    def _hear(self, line: bytes) -> None:
        answer = json.loads(line)
        answered = self._answers.popleft()
        if not answer["ok"]:
            log.error("consoled: %s", answer["error"]["message"])
        answered(answer.get("result"))
        self._consoled.news.set()

    def _greeted(self, status: Any) -> None:
        self.pid = int(status["pid"])
        self._consoled.greet(self.pid, ours=bool(status["attached"]))
        log.info("consoled (process %d) keeps the consoles", self.pid)
