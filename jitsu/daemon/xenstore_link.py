"""The daemon's connection to its XenStore, which is a process of its own and may come and go.

Nobody waits for it. What ought to stand in the store is in `DomainStore`, and is written to whichever one answers.
"""

import asyncio
import logging
import socket
import struct
import sys
from pathlib import Path

from jitsu.config import DaemonConfig
from jitsu.daemon.companion import PATIENCE, Companion
from jitsu.daemon.sockets import XENSTORED
from jitsu.domains.domain_store import DomainStore
from jitsu.domains.driver import GUEST_PORTS
from jitsu.xenstore.client import StoreClient
from jitsu.xenstore.link import StoreUnreachable, connected

log = logging.getLogger(__name__)

_MODULE = "jitsu.daemon.xenstored"
_CREDENTIALS = struct.Struct("3i")


class XenstoreLink:
    """Keeps `store` written to the XenStore that listens at `foreign`, or else to one of our own, in the runtime
    folder."""

    def __init__(self, daemon: DaemonConfig, foreign: Path | None, store: DomainStore) -> None:
        self._store = store
        self._path = foreign or daemon.runtime / XENSTORED
        ports = daemon.runtime / "domains" / GUEST_PORTS
        command = [sys.executable, "-P", "-m", _MODULE, str(daemon.runtime), str(ports)]
        self._xenstored = Companion(
            "xenstored",
            None if foreign else command,
            daemon.state / "xenstored.log",
            absent=(StoreUnreachable,),
        )
        self._task: asyncio.Task[None] | None = None
        self.pid: int | None = None
        """The process that keeps the store; None while there is none."""

    @property
    def path(self) -> Path:
        """The socket of the store."""
        return self._path

    def start(self) -> None:
        """Begin to look for a store, from now on until `close`."""
        lost = "guests that speak to it, and those who ask, have none until there is another"
        self._task = asyncio.create_task(self._xenstored.keep(self._dial, self._talk, lost))

    async def close(self) -> None:
        """Have the last changes written; a store of our own ends with us, unless guests are left in it."""
        xenstored = self._xenstored
        if self._task is not None:
            await self._store.settled(PATIENCE)
            unheard = self.pid is None
            xenstored.leaving = True
            self._task.cancel()
            await asyncio.wait([self._task])
            if xenstored.ours and (unheard or self._store.empty):
                await xenstored.put_down()
        xenstored.forget()

    async def _dial(self) -> socket.socket:
        return await connected(str(self._path), PATIENCE)

    async def _talk(self, connection: socket.socket) -> None:
        """Keep the store written until the connection is lost. Raises JitsuError and TimeoutError."""
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, _, _ = _CREDENTIALS.unpack(raw)
        async with await StoreClient.over(connection, str(self._path)) as client:
            self.pid = pid
            self._xenstored.greet(pid, ours=_is_ours(pid))
            log.info("xenstored (process %d) keeps the XenStore %s", pid, self._path)
            try:
                await self._store.keep(client)
            finally:
                self.pid = None


def _is_ours(pid: int) -> bool:
    """Was this process started by a daemon, to end with it?"""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return _MODULE.encode() in file.read().split(b"\0")
    except OSError:
        return False
