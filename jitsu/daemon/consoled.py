"""`jitsu consoled`: a process of its own that holds every guest's console and keeps what they print.

`jitsu serve` starts one where none runs, or uses the one that systemd started; `console_session.py` says how they talk.
It is small and does nothing else, so that it has no reason to end: guests print on, and are heard, while `jitsu serve`
is restarted or was killed. When this one is killed, what is printed waits in the guests' pipes for the next.
"""

import asyncio
import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from jitsu.daemon.console_session import ConsoleSession
from jitsu.daemon.lock import runtime_folder
from jitsu.daemon.sockets import CONSOLED
from jitsu.daemon.systemd import Systemd
from jitsu.domains.console_keeper import ConsoleKeeper
from jitsu.errors import HostError, JitsuError

MOST_SESSIONS = 64
LONELY = 60.0
"""Seconds without a daemon and without a guest after which one that a daemon started ends by itself."""

log = logging.getLogger(__name__)


class Consoled:
    """One consoled. `attached` is one that `jitsu serve` started and that ends with it, once no guest is left."""

    def __init__(self, runtime: Path, state: Path, *, attached: bool) -> None:
        self.domains = runtime / "domains"
        self.keeper = ConsoleKeeper(self.domains, state / "console")
        self.sessions: set[ConsoleSession] = set()
        self._runtime = runtime
        self._attached = attached
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Keep consoles until SIGTERM, SIGINT, or the word of a daemon. Raises JitsuError if that cannot begin."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        systemd = Systemd()
        with runtime_folder(self._runtime, kind="consoled") as runtime:
            path = runtime / CONSOLED
            self.keeper.find()
            server = await self._listen(path)
            systemd.notify("READY=1", f"STATUS=keeping {len(self.keeper)} consoles")
            pastimes = [asyncio.create_task(work) for work in (self._watch(), systemd.stay_alive())]
            try:
                await self._stop.wait()
            finally:
                for pastime in pastimes:
                    pastime.cancel()
                server.close()
                for session in tuple(self.sessions):
                    session.close()
                self.keeper.close()
                path.unlink(missing_ok=True)

    def status(self) -> dict[str, Any]:
        return {"pid": os.getpid(), "attached": self._attached, "consoles": len(self.keeper)}

    def asked_to_end(self) -> bool:
        """A daemon that ends in good order asks; guests that a daemon before it left alive keep us."""
        if not self._attached or len(self.keeper):
            return False
        self._stop.set()
        return True

    async def _listen(self, path: Path) -> asyncio.Server:
        try:
            # One that another left is replaced: the lock says that it is dead.
            with suppress(FileNotFoundError):
                os.unlink(path)
            server = await asyncio.get_running_loop().create_unix_server(self._session, path)
            os.chmod(path, 0o660)
        except OSError as error:
            raise HostError(
                f"socket {path} cannot be made: {error.strerror}",
                hint="look at the owner and the rights of [daemon] runtime",
            ) from error
        return server

    def _session(self) -> asyncio.Protocol:
        # A protocol that does nothing lets whoever is too many wait; the daemon has its connection by then.
        return ConsoleSession(self) if len(self.sessions) < MOST_SESSIONS else _Refusal()

    async def _watch(self) -> None:
        """End what a daemon started when neither a daemon nor a guest has been there for `LONELY` seconds."""
        lonely = 0.0
        while self._attached and lonely < LONELY:
            await asyncio.sleep(LONELY / 12)
            company = len(self.keeper) > 0 or any(session.is_daemon for session in self.sessions)
            lonely = 0.0 if company else lonely + LONELY / 12
        if self._attached:
            self.keeper.end_abandoned()
            self._stop.set()


class _Refusal(asyncio.Protocol):
    """There are too many connections already."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def consoled(runtime: Path, state: Path, *, attached: bool = False) -> None:
    """Run in the foreground until told to stop. Raises JitsuError."""

    async def main() -> None:
        await Consoled(runtime, state, attached=attached).run()

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(message)s")
    asyncio.run(main())


if __name__ == "__main__":
    # As `jitsu serve` starts it: RUNTIME STATE. The configuration may be in the middle of being edited.
    try:
        consoled(Path(sys.argv[1]), Path(sys.argv[2]), attached=True)
    except JitsuError as failure:
        sys.exit(f"error: {failure.message}\n hint: {failure.hint}")
