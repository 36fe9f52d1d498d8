"""The caretaker: notices when somebody takes away what the daemon stands on, says so, and puts it back."""

import asyncio
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from jitsu.daemon.control import ControlServer
from jitsu.daemon.lock import take_lock
from jitsu.errors import JitsuError
from jitsu.network.host import HostNetwork
from jitsu.summon.summoner import Summoner
from jitsu.synjitsu.sentinel import Sentinel

log = logging.getLogger(__name__)

ROUND = 0.5
"""Seconds between two looks: three netlink messages and four system calls about files, some 100 us."""

LEAST_ROOM = 64 * 1024
"""Bytes of free disk below which nothing can be relied on to be kept."""


@dataclass(frozen=True, slots=True)
class Premises:
    """The runtime folder of a running daemon, the domains' folder in it, and who listens on the control socket."""

    runtime: Path
    domains: Path
    control: ControlServer


class Caretaker:
    """Looks after the bridge, the sentinel's port, the uplink and the runtime folder; and at the disk of `state`, which
    it cannot help. `port` is the sentinel's descriptor; it is the caretaker's from here on, and closed by `leave`."""

    def __init__(self, network: HostNetwork, sentinel: Sentinel, summoner: Summoner, port: int, state: Path) -> None:
        self._network, self._sentinel, self._summoner = network, sentinel, summoner
        self._port = port
        self._state = state
        self._trouble = ""
        self._full = False
        self._locks: list[int] = []

    def leave(self) -> None:
        """Close the sentinel's tap, which goes with it, and the locks."""
        for descriptor in (self._port, *self._locks):
            os.close(descriptor)

    async def walk(self, premises: Premises) -> None:
        """Look, and mend, for ever. What cannot be mended is tried again at every look, and said once."""
        mode = premises.domains.stat().st_mode & 0o777
        while True:
            await asyncio.sleep(ROUND)
            try:
                damage = self._network.damage()
                if damage:
                    await self._mend_network(damage)
                if not _is_whole(premises):
                    await self._mend_folder(premises, mode)
                self._look_at_disk()
                self._trouble = ""
            except (JitsuError, OSError) as error:
                self._complain(error)

    async def _mend_network(self, damage: str) -> None:
        if not self._trouble:
            log.error("%s; it is put back now", damage)
        fresh = await self._network.mend()
        if fresh is not None:
            self._sentinel.move_to(fresh)
            os.close(self._port)
            self._port = fresh
        self._summoner.plug_again()
        log.warning("the network is whole again: %s", damage)
        await self._sentinel.announce()
        await self._network.announce()

    async def _mend_folder(self, premises: Premises, mode: int) -> None:
        """Make the folder again. The sockets of guests that live are gone with it: they are served, but the next daemon
        cannot adopt them."""
        log.error("runtime folder %s was removed; it is made again", premises.runtime)
        premises.runtime.mkdir(mode=0o755, parents=True, exist_ok=True)
        premises.domains.mkdir(mode=0o700, exist_ok=True)
        premises.domains.chmod(mode)
        if not (premises.runtime / "lock").exists():
            self._locks.append(take_lock(premises.runtime / "lock"))
        await premises.control.stop()
        await premises.control.start()

    def _look_at_disk(self) -> None:
        disk = os.statvfs(self._state)
        full = disk.f_bavail * disk.f_frsize < LEAST_ROOM
        if full and not self._full:
            log.error("the disk of %s is full: what guests print is lost until there is room", self._state)
        elif self._full and not full:
            log.warning("there is room again on the disk of %s", self._state)
        self._full = full

    def _complain(self, error: JitsuError | OSError) -> None:
        if str(error) != self._trouble:
            hint = error.hint if isinstance(error, JitsuError) else ""
            log.error("it cannot be put back: %s%s", error, f" (hint: {hint})" if hint else "")
        self._trouble = str(error)


def _is_whole(premises: Premises) -> bool:
    return (premises.runtime / "lock").exists() and premises.domains.is_dir() and premises.control.is_reachable()
