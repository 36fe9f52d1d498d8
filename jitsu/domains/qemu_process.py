"""One QEMU process from outside: watched by pidfd, heard on two sockets.

The sockets exist before the process does. Each of them listens when QEMU inherits it, so that the daemon connects
without waiting for anybody, what the guest says first is in good hands, and a later daemon finds the same paths.
"""

import asyncio
import errno
import os
import re
import signal
import socket
from collections.abc import Awaitable, Callable, Container, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jitsu.domains.disk_images import DiskImage
from jitsu.domains.domain_store import DomainStore
from jitsu.domains.driver import GUEST_PORTS, Domain, DomainEvent, Happening, Listener
from jitsu.domains.guest_text import printable
from jitsu.domains.qmp import QmpClient
from jitsu.domains.readiness import Readiness
from jitsu.domains.ready_port import ReadyPort
from jitsu.domains.store_readiness import StoreReadiness
from jitsu.errors import DomainError, HostError, ResourceBusy

PATIENCE = 2.0
"""Seconds that QEMU has to end by itself before it is killed."""

ASKED_EVERY = 2.0
"""Seconds after which a guest is asked again to shut down."""

FILE_KINDS = ("qmp", "ready", "stderr", "tenant")
"""The names after the dot of a domain's files; those of its console are `ConsoleFiles`."""

DISMISSED = "it was dismissed"
"""The end of a process that ended because it was told to."""

_BACKLOG = 4

_END_REASONS = {
    "guest-reset": "the guest reset itself (a reboot or a triple fault)",
    "guest-panic": "the guest panicked",
    "host-signal": "QEMU was ended by a signal from outside",
    "host-qmp-quit": "QEMU was ended through its monitor",
    "host-error": "QEMU ended itself after an error",
}


@dataclass(frozen=True, slots=True)
class DomainFiles:
    """Where a domain's sockets, QEMU's own messages, and for a blank monitor that became a service's domain the name of
    that lie: `DOMID.qmp`, `.ready`, `.stderr`, `.tenant`. The port to the XenStore is `guest-ports/DOMID.sock`.

    Texts and no `Path`s: the interpreter remembers every part of those (`sys.intern`), and domids never come again.
    """

    directory: Path
    domid: int

    @property
    def qmp(self) -> str:
        return f"{self.directory}/{self.domid}.qmp"

    @property
    def ready(self) -> str:
        return f"{self.directory}/{self.domid}.ready"

    @property
    def store(self) -> str:
        return f"{self.directory}/{GUEST_PORTS}/{self.domid}.sock"

    @property
    def stderr(self) -> str:
        return f"{self.directory}/{self.domid}.stderr"

    @property
    def tenant(self) -> str:
        return f"{self.directory}/{self.domid}.tenant"

    def name_tenant(self, name: str) -> None:
        """Write down whose domain a blank monitor became. Raises `OSError`."""
        with open(self.tenant, "w", encoding="ascii") as record:
            record.write(name)

    def make_guest_ports(self) -> None:
        """The folder of the ports to the XenStore: whoever may enter it can be any guest. Raises `HostError`."""
        folder = os.path.dirname(self.store)
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
        except OSError as error:
            raise HostError(f"directory {folder}: {error.strerror or error}") from None

    def has_ready_port(self) -> bool:
        """Was the domain given a port to say `ready` on?"""
        return os.path.exists(self.ready)

    def has_store_port(self) -> bool:
        """Was it given one to the XenStore?"""
        return os.path.exists(self.store)

    def complaint(self) -> str:
        """The last thing QEMU itself said, or nothing."""
        with suppress(OSError), open(self.stderr, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 2048))
            lines = [printable(line).strip() for line in file.read(2048).splitlines()]
            # Its "info:" lines tell of sockets that wait for a client.
            spoken = [line for line in lines if line and " info: " not in line]
            return re.sub(r"^qemu-system-\w+: ", "", spoken[-1]) if spoken else ""
        return ""

    def forget_complaint(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self.stderr)

    def unlink(self) -> None:
        for path in (self.qmp, self.ready, self.store, self.stderr, self.tenant):
            with suppress(FileNotFoundError):
                os.unlink(path)


def files_in(directory: Path) -> Iterator[tuple[int, Path]]:
    """The files of domains that lie there, each with its domid; not those of consoles. Raises `OSError`."""
    for path in (*directory.iterdir(), *(directory / GUEST_PORTS).glob("*.sock")):
        domid, _, kind = path.name.partition(".")
        if kind in (*FILE_KINDS, "sock") and domid.isdecimal():
            yield int(domid), path


def remove_dead_files(directory: Path, living: Container[int]) -> None:
    """Remove the files of all domains but these. Raises `OSError`."""
    for domid, path in files_in(directory):
        if domid not in living:
            path.unlink(missing_ok=True)


def listen(path: str) -> socket.socket:
    """A listening Unix socket at a new `path`. Raises `ResourceBusy` when there is one, `HostError` otherwise."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ResourceBusy(f"socket {path}: exists already", hint="another domain has this domid") from None
        raise HostError(f"socket {path}: {error.strerror or error}", hint="choose a shorter runtime path") from None
    return listener


def connect(path: str) -> socket.socket:
    """A connection to the listening socket at `path`, made at once or not at all. Raises `DomainError`."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        connection.connect(path)
    except OSError as error:
        connection.close()
        raise DomainError(f"socket {path}: {error.strerror or error}") from None
    return connection


class QemuProcess:
    """A QEMU that runs, and its domain. `pidfd` is the process's; this object closes it.

    `forget` is called once, when the process is gone and its files are removed, before the listener hears of it.
    """

    def __init__(
        self, domain: Domain, pidfd: int, files: DomainFiles, listener: Listener, forget: Callable[[Domain], None]
    ) -> None:
        self.domain = domain
        self.end = ""
        """Why the process ended, for people; empty while it runs."""
        self.images: tuple[DiskImage, ...] = ()
        """Its disks as they were when it was started; none for one that was adopted."""
        self._pidfd = pidfd
        self._files = files
        self._listener = listener
        self._forget = forget
        self._loop = asyncio.get_running_loop()
        self._gone = asyncio.Event()
        self._silent = False
        self._dismissed = False
        self._unsaid: list[DomainEvent] = []
        self._ready: Readiness | None = None
        self._runs = asyncio.Event()
        self._qmp: asyncio.Task[QmpClient] | None = None
        self._shutdown_reason = ""
        self._burial: asyncio.Task[None] | None = None
        self._loop.add_reader(pidfd, self._process_ended)

    def hear_ready(self, ready: socket.socket, *, booted: bool = False) -> None:
        """Wait for the guest to say that it listens; the connection is this object's from here on.

        One that `booted` has said so before, and is waited for as soon as it is woken.
        """
        self._ready = ReadyPort(ready, self._became_ready, booted=booted)

    def hear_store(self, store: DomainStore, *, booted: bool = False) -> None:
        """The same by the XenStore."""
        self._ready = StoreReadiness(store, self.domain.domid, self._became_ready, booted=booted)

    @property
    def was_ready(self) -> bool:
        """Has the guest said that it listens? Never of a guest that does not say so."""
        return self._ready is not None and self._ready.said

    def wake(self, *, strict: bool = True) -> None:
        """Tell a guest that says `ready` that it goes on after a rest (see `Readiness.wake`). Raises `DomainError`."""
        if self._ready is not None:
            self._ready.wake(strict=strict)

    def become(self, domain: Domain) -> None:
        """A blank monitor gets its domain; from here on that is whose events are reported."""
        self.domain = domain

    async def runs(self, within: float) -> bool:
        """Wait up to `within` seconds for the guest to run, after a restore. Does it? Not if the process ends."""
        waiting = {asyncio.create_task(event.wait()) for event in (self._runs, self._gone)}
        await asyncio.wait(waiting, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        return self._runs.is_set() and not self._gone.is_set()

    def silence(self) -> None:
        """Keep what happens from the listener until `speak`."""
        self._silent = True

    def speak(self) -> None:
        """Report what happens from now on, and what did since `silence`, from the event loop."""
        self._silent = False
        for event in self._unsaid:
            self._loop.call_soon(self._report, event.happening, event.detail)
        self._unsaid.clear()

    async def monitor(self) -> QmpClient:
        """The connection to QEMU's monitor, made when first asked for. Raises `DomainError`."""
        task = self.connect_monitor()
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled():
                raise
            raise DomainError(f"domain {self.domain.domid} ({self.domain.service}): was let go") from None

    def connect_monitor(self) -> "asyncio.Task[QmpClient]":
        """Begin to connect to QEMU's monitor, if nobody has yet."""
        if self._qmp is None:
            self._qmp = asyncio.create_task(QmpClient.connect(self._files.qmp, self._take_event))
            # Whoever needs the connection asks for it again; a failure nobody needed is no news.
            self._qmp.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._qmp

    async def shut_down(self, within: float, power_button: Callable[[], Awaitable[object]]) -> bool:
        """Ask the guest to shut down, and wait up to `within` seconds for the process to be gone. Is it?

        It is asked again and again: one that has just begun to serve may not listen to its button yet.
        `power_button` presses it, and may raise `DomainError`. Nothing more is reported.
        """
        self.silence()
        self._dismissed = True
        deadline = self._loop.time() + within
        while (left := deadline - self._loop.time()) > 0:
            if self._ready is not None:
                self._ready.stop()
            # Not every machine has one, and a monitor that does not answer is ended soon.
            with suppress(DomainError, TimeoutError):
                async with asyncio.timeout(left):
                    await power_button()
            if await self.ended(within=min(ASKED_EVERY, max(0.0, deadline - self._loop.time()))):
                return True
        return False

    async def destroy(self, *signals: signal.Signals) -> signal.Signals:
        """End the process by each of `signals` (SIGTERM, then SIGKILL), waiting `PATIENCE` seconds for each to work;
        the one that did.

        Nothing more is reported. Raises `DomainError` if the process survives.
        """
        self.silence()
        self._dismissed = True
        for number in signals or (signal.SIGTERM, signal.SIGKILL):
            self.send(number)
            if await self.ended(within=PATIENCE):
                return number
        raise DomainError(
            f"domain {self.domain.domid} ({self.domain.service}): QEMU process {self.domain.handle} does not die",
            hint=f"see what it waits for: cat /proc/{self.domain.handle}/stack",
        )

    @property
    def is_ending(self) -> bool:
        """Has it ended, which is told in a moment?"""
        return self._burial is not None

    async def ended(self, within: float) -> bool:
        """Wait up to `within` seconds for the process to be gone, with all that was its own. Is it?"""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._gone.wait()
        return self._gone.is_set()

    def send(self, number: signal.Signals) -> None:
        """Signal the process, and nobody else even when its number has been given away."""
        if self._pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    async def let_go(self) -> None:
        """Stop watching and hearing the process, which runs on."""
        self.silence()
        if self._burial is not None:
            await self._burial
            return
        self._stop_watching()
        if self._ready is not None:
            self._ready.drain()
        if self._qmp is not None:
            self._qmp.cancel()
            await self._hang_up(self._qmp)

    def _became_ready(self, line: str) -> None:
        self._runs.set()
        self._report(Happening.READY, line)
        self._after_ready()

    def _after_ready(self) -> None:
        # Only now: whatever the monitor costs is off the way to the first answer.
        self.connect_monitor()

    def _take_event(self, name: str, data: dict[str, Any]) -> None:
        if name == "SHUTDOWN" and isinstance(reason := data.get("reason"), str):
            self._shutdown_reason = printable(reason.encode())
        elif name == "RESUME":
            self._runs.set()

    def _process_ended(self) -> None:
        status = self._reap()
        self._stop_watching()
        self._burial = asyncio.create_task(self._bury(status))

    async def _bury(self, status: "os.waitid_result | None") -> None:
        """Hear the last words, find out why the process ended, remove what is left, report."""
        if self._ready is not None:
            self._ready.drain()
        await self._hear_why()
        good = self._shutdown_reason == "guest-shutdown"
        self.end = "the guest shut down" if good else self._why(status)
        self._files.unlink()
        self._forget(self.domain)
        self._gone.set()
        self._report(Happening.EXITED if good else Happening.CRASHED, self.end)

    async def _hear_why(self) -> None:
        """Wait for whoever can tell why the process ended; it has ended already."""
        if self._qmp is not None:
            # What a dead process said is in the socket already, its end included: this is quick.
            with suppress(DomainError, TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await (await self.monitor()).closed()
            await self._hang_up(self._qmp)

    def _why(self, status: "os.waitid_result | None") -> str:
        complaint = self._files.complaint()
        because = f": {complaint}" if complaint else ""
        exited = status is not None and status.si_code == os.CLD_EXITED
        if status is not None and exited and status.si_status != 0:
            return f"QEMU failed with status {status.si_status}{because}"
        if self._dismissed:
            return DISMISSED
        if status is not None and not exited:
            number = status.si_status
            return f"QEMU was killed by signal {number} ({signal.strsignal(number)}){because}"
        if self._shutdown_reason:
            return _END_REASONS.get(self._shutdown_reason, f"QEMU ended ({self._shutdown_reason})")
        return f"QEMU ended{because}" if complaint else "the guest ended before QEMU could be asked why"

    def _reap(self) -> "os.waitid_result | None":
        """Collect the exit status; None for an adopted process, whose status is its new parent's to collect."""
        try:
            return os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            return None

    def _stop_watching(self) -> None:
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    @staticmethod
    async def _hang_up(qmp: "asyncio.Task[QmpClient]") -> None:
        await asyncio.wait([qmp])
        if not qmp.cancelled() and not qmp.exception():
            await qmp.result().close()

    def _report(self, happening: Happening, detail: str) -> None:
        event = DomainEvent(happening, self.domain, detail)
        if self._silent:
            self._unsaid.append(event)
        else:
            self._listener(event)
