"""A process beside the daemon, which outlives it: started where none runs, watched, and started again when it dies.

It listens on a unix socket. Systemd may keep it, or an earlier daemon have left it; then it is only watched.
"""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from jitsu.domains.spawn import spawn
from jitsu.errors import JitsuError

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds in which systemd must have started its own again, and in which one that was told to end must have."""

START_PATIENCE = 60.0
"""Seconds in which one that was started must answer: on a slow board its imports alone take ten."""

SHORTEST_BACKOFF, LONGEST_BACKOFF, SHORT_LIFE = 0.1, 5.0, 1.0
"""Seconds before one is started again that did not live for `SHORT_LIFE` seconds; they double."""

_T = TypeVar("_T")


class Companion:
    """`name` is what the log calls it, `command` starts it (None: somebody else does), `complaints` takes what it says
    before it ends. `dial` connects to it, or raises one of `absent` when nobody listens."""

    def __init__(
        self, name: str, command: list[str] | None, complaints: Path, *, absent: tuple[type[Exception], ...]
    ) -> None:
        self._name = name
        self._command = command
        self._complaints = complaints
        self._absent = absent
        self._pidfd = -1
        self.ours = command is not None
        """It ends with us: a daemon has started it, or will."""
        self.leaving = False
        """We need it no longer, and it has been told."""
        self.news = asyncio.Event()
        """Set when something happened that somebody may wait for."""

    @property
    def watched(self) -> bool:
        """Does a process run that is watched?"""
        return self._pidfd >= 0

    async def keep(self, dial: Callable[[], Awaitable[_T]], talk: Callable[[_T], Awaitable[None]], lost: str) -> None:
        """Talk with it until we leave; `talk` returns when it is gone. `lost` is what to say of the time without it."""
        backoff = SHORTEST_BACKOFF
        while True:
            begin = time.monotonic()
            try:
                await talk(await self._reach(dial))
            except (OSError, ValueError, JitsuError) as error:
                log.error("%s: %s", self._name, error)
            if self.leaving:
                return
            log.warning("%s is gone; %s", self._name, lost)
            if time.monotonic() - begin < SHORT_LIFE:
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, LONGEST_BACKOFF)
            else:
                backoff = SHORTEST_BACKOFF

    def greet(self, pid: int, *, ours: bool) -> None:
        """It answers; this is its process."""
        self.ours = ours
        if not self.watched:
            # Another daemon's, or systemd's: it is watched all the same.
            with suppress(ProcessLookupError):
                self._watch(os.pidfd_open(pid))

    def forget(self) -> None:
        """Collect the process if it has ended and was ours; one that lives is let go."""
        if self.watched:
            pidfd, self._pidfd = self._pidfd, -1
            asyncio.get_running_loop().remove_reader(pidfd)
            with suppress(ChildProcessError):
                os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
            os.close(pidfd)
            self.news.set()

    async def put_down(self) -> None:
        """Tell it to end, and wait until it has, for PATIENCE seconds."""
        if self.watched:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)
            await self.until(lambda: not self.watched)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it is so, for PATIENCE seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while not condition():
                    self.news.clear()
                    await self.news.wait()

    async def _reach(self, dial: Callable[[], Awaitable[_T]]) -> _T:
        """A connection to it; it is started if need be. Raises OSError with what stands against that."""
        if self._command is None:
            return await dial()
        if not self.ours:
            # Its supervisor will start it again; if not, one of our own is better than none.
            with suppress(TimeoutError):
                return await self._answering(dial, PATIENCE)
            self.ours = True
        with suppress(*self._absent):
            return await dial()
        try:
            self._complaints.parent.mkdir(parents=True, exist_ok=True)
            _, pidfd = spawn(self._command, [], str(self._complaints))
            self._watch(pidfd)
            return await self._answering(dial, START_PATIENCE)
        except JitsuError as error:
            raise OSError(f"cannot be started: {error}") from error
        except TimeoutError:
            raise OSError(f"cannot be started: it does not answer within {START_PATIENCE:g} s") from None

    async def _answering(self, dial: Callable[[], Awaitable[_T]], patience: float) -> _T:
        """Wait until somebody listens. Raises TimeoutError, or OSError with the last words of one that ended."""
        started = self.watched
        async with asyncio.timeout(patience):
            while True:
                with suppress(*self._absent):
                    return await dial()
                if started and not self.watched:
                    raise OSError(f"cannot be started: {_last_line(self._complaints)}")
                await asyncio.sleep(0.02)

    def _watch(self, pidfd: int) -> None:
        self._pidfd = pidfd
        asyncio.get_running_loop().add_reader(pidfd, self.forget)


def _last_line(path: Path) -> str:
    try:
        said = path.read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return next((line for line in reversed(said) if not line.startswith(" hint:")), "it said nothing")
