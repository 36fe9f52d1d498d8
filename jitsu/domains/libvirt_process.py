"""A QEMU that libvirt runs, watched as one of our own: libvirt says why it ends, its pidfd says that it has ended.

libvirt does not tell the process id of a domain, but writes the domain's uuid on its command line.
"""

import asyncio
import itertools
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from jitsu.domains.driver import Domain, Listener
from jitsu.domains.qemu_process import DomainFiles, QemuProcess

PATIENCE = 1.0
"""Seconds after a process's end in which libvirt may say why. It notices some milliseconds after us."""

_PROC = Path("/proc")


def process_of(uuid: str) -> tuple[int, int] | None:
    """Process id and pidfd of the QEMU that runs the domain `uuid`; None when there is none. Reads all of /proc."""
    for entry in os.listdir(_PROC):
        if entry.isdecimal() and _runs(entry, uuid):
            with suppress(ProcessLookupError):
                pidfd = os.pidfd_open(int(entry))
                # A process id can be given to another process at any time; now the pidfd pins it.
                if _runs(entry, uuid):
                    return int(entry), pidfd
                os.close(pidfd)
    return None


def _runs(pid: str, uuid: str) -> bool:
    try:
        arguments = (_PROC / pid / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    program = os.path.basename(arguments[0])
    return program.startswith(b"qemu-system-") and (b"-uuid", uuid.encode()) in itertools.pairwise(arguments)


class LibvirtProcess(QemuProcess):
    """The QEMU of libvirt's domain `uuid`. It has no monitor of ours: libvirt speaks to it."""

    def __init__(
        self,
        uuid: str,
        domain: Domain,
        pidfd: int,
        files: DomainFiles,
        listener: Listener,
        forget: Callable[[Domain], None],
    ) -> None:
        super().__init__(domain, pidfd, files, listener, forget)
        self.uuid = uuid
        self._reasoned = asyncio.Event()

    def ends_because(self, reason: str) -> None:
        """libvirt or QEMU says why; the first reason is the one."""
        self._shutdown_reason = self._shutdown_reason or reason
        self._reasoned.set()

    def dismiss(self) -> None:
        """Its end is wanted: nothing more is reported, and nobody need say why."""
        self.silence()
        self._dismissed = True

    def send(self, number: signal.Signals) -> None:
        """Signal the process where we may. Where we may not, libvirt alone can end it."""
        with suppress(PermissionError):
            super().send(number)

    def _after_ready(self) -> None:
        """Nothing: libvirt is listened to already."""

    async def _hear_why(self) -> None:
        if not self._dismissed:
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._reasoned.wait()
