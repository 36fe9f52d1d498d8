"""The direct driver: one QEMU process a domain, nothing between it and us.

The way from a summon to the guest's first instruction is `QemuDriver.launch`: bind three sockets, connect to two,
posix_spawn. Everything else (the pidfd's reader, the console log, the monitor) waits until QEMU is on its own way.
"""

import asyncio
import signal
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from jitsu.domains.accelerator import Verdict, find_qemu
from jitsu.domains.console import ConsoleLog
from jitsu.domains.driver import Capabilities, Domain, DomainSpec, Listener
from jitsu.domains.kernel import recognise
from jitsu.domains.qemu_adoption import pidfd_of, survivors
from jitsu.domains.qemu_arguments import Descriptors, Identity, qemu_arguments
from jitsu.domains.qemu_process import DISMISSED, FILE_KINDS, DomainFiles, QemuProcess, connect, listen, spawn
from jitsu.domains.qemu_spec import check_spec
from jitsu.errors import DomainError, HostError


class QemuDriver:
    """Builds domains as QEMU processes of this user. Implements `Driver`.

    `instance` tells this host's daemons apart and must be held by one daemon at a time. `runtime_dir` is this
    instance's own: it holds the domains' sockets and is cleared of what dead domains left behind. `logs` takes
    the consoles. `verdict` says which accelerator to use.
    """

    def __init__(self, instance: str, runtime_dir: Path, logs: Path, verdict: Verdict, listener: Listener) -> None:
        """Make both directories where they are missing. Raises `HostError` when that fails."""
        for directory, mode in ((runtime_dir, 0o700), (logs, 0o750)):
            try:
                directory.mkdir(mode=mode, parents=True, exist_ok=True)
            except OSError as error:
                raise HostError(f"directory {directory}: {error.strerror or error}") from None
        self._instance = instance
        self._runtime_dir = runtime_dir
        self._logs = logs
        self._verdict = verdict
        self._listener = listener
        self._qemu = ""
        self._processes: dict[int, QemuProcess] = {}

    def capabilities(self) -> Capabilities:
        return Capabilities(name="qemu", accelerator=self._verdict.accelerator, pause=True, snapshot=False)

    def check(self, spec: DomainSpec) -> None:
        """Say what stands against this spec: kernel, machine, initrd, memory, or a QEMU that is not installed."""
        check_spec(spec)
        find_qemu()

    async def prepare(self, spec: DomainSpec, taps: Sequence[int]) -> Domain:
        """Build the domain, paused. Returns when QEMU's monitor answers, some 25 ms after QEMU was started."""
        process = self._start(spec, taps, paused=True)
        process.silence()
        try:
            await process.monitor()
        except DomainError as error:
            # A QEMU that fails closes its monitor a moment before it is gone; one that lives on does not answer.
            await process.ended(within=0.5)
            await process.destroy()
            why = error.message if process.end == DISMISSED else process.end
            raise DomainError(f"service {spec.service}: {why}") from None
        except asyncio.CancelledError:
            # Whoever stopped waiting holds no domain; none may be left.
            process.send(signal.SIGKILL)
            raise
        if process.end:
            raise DomainError(f"service {spec.service}: {process.end}")
        process.speak()
        return process.domain

    async def launch(self, spec: DomainSpec, taps: Sequence[int]) -> Domain:
        """Start QEMU; returns once it executes. One that fails after that is a domain that crashed."""
        process = self._start(spec, taps, paused=False)
        if not spec.tells_ready:
            # Nothing will tell when the guest serves, so there is no better moment to be told why it ends.
            process.connect_monitor()
        return process.domain

    async def resume(self, domain: Domain) -> None:
        await (await self._process(domain).monitor()).execute("cont")

    async def pause(self, domain: Domain) -> None:
        await (await self._process(domain).monitor()).execute("stop")

    async def destroy(self, domain: Domain) -> None:
        process = self._processes.get(domain.domid)
        if process is not None and process.domain.handle == domain.handle:
            await process.destroy()

    async def adopt(self) -> list[Domain]:
        """Take over the QEMU processes of this instance and user that answer on all their sockets; kill the others."""
        known = {process.domain.handle for process in self._processes.values()}
        found = {pid: who for pid, who in survivors(self._instance).items() if pid not in known}
        taken = await asyncio.gather(*(self._adopt(pid, identity) for pid, identity in found.items()))
        for path in self._runtime_dir.iterdir():
            domid, _, kind = path.name.partition(".")
            if kind in FILE_KINDS and domid.isdecimal() and int(domid) not in self._processes:
                path.unlink(missing_ok=True)
        # Nothing of them was reported so far: the caller learns of a domain before the domain's first event.
        adopted = [process for process in taken if process is not None and not process.end]
        for process in adopted:
            process.speak()
        return [process.domain for process in adopted]

    async def close(self) -> None:
        await asyncio.gather(*(process.let_go() for process in self._processes.values()))
        self._processes.clear()

    def _start(self, spec: DomainSpec, taps: Sequence[int], *, paused: bool) -> QemuProcess:
        """Bind the sockets, connect to them, start QEMU, and watch it."""
        kernel = recognise(spec.kernel)
        if not self._qemu:
            self._qemu = find_qemu()
        files = DomainFiles(self._runtime_dir, spec.domid)
        with ExitStack() as ours, ExitStack() as undo:
            listeners = []
            for path in (files.qmp, files.console, *((files.ready,) if spec.tells_ready else ())):
                listeners.append(ours.enter_context(listen(path)))
                undo.callback(path.unlink)
            numbers = [listener.fileno() for listener in listeners]
            console = undo.enter_context(connect(files.console))
            ready = undo.enter_context(connect(files.ready)) if spec.tells_ready else None
            log = ConsoleLog(self._logs, spec.service)
            undo.callback(log.close)
            fds = Descriptors(numbers[0], numbers[1], numbers[2] if spec.tells_ready else None, tuple(taps))
            arguments = qemu_arguments(
                self._qemu,
                spec,
                kernel,
                self._instance,
                self._verdict.accelerator,
                fds,
                paused=paused,
                attended=True,
            )
            undo.callback(files.stderr.unlink, missing_ok=True)
            pid, pidfd = spawn(arguments, [*numbers, *taps], files.stderr)
            undo.pop_all()
        process = self._watch(Domain(spec.service, spec.domid, pid, spec.fingerprint), pidfd, files)
        log.mark(f"domain {spec.domid} started")
        process.hear_console(log, console)
        if ready is not None:
            process.hear_ready(ready)
        return process

    async def _adopt(self, pid: int, identity: Identity) -> QemuProcess | None:
        """Take over one process, silent as yet; None when it is gone or had to be killed."""
        # First of all, and outside of what ends a domain: that a log cannot be written is no fault of the guest's.
        log = ConsoleLog(self._logs, identity.service)
        pidfd = pidfd_of(pid, identity)
        if pidfd is None:
            log.close()
            return None
        files = DomainFiles(self._runtime_dir, identity.domid)
        process = self._watch(Domain(identity.service, identity.domid, pid, identity.fingerprint), pidfd, files)
        process.silence()
        log.mark(f"domain {identity.domid} adopted; what it printed meanwhile is lost")
        try:
            process.hear_console(log, connect(files.console))
            if files.ready.exists():
                process.hear_ready(connect(files.ready))
            await process.monitor()
        except DomainError:
            # What does not die even now stays silent and watched, and holds up nobody's start.
            with suppress(DomainError):
                await process.destroy(signal.SIGKILL)
            return None
        return process

    def _watch(self, domain: Domain, pidfd: int, files: DomainFiles) -> QemuProcess:
        process = QemuProcess(domain, pidfd, files, self._listener, self._forget)
        self._processes[domain.domid] = process
        return process

    def _forget(self, domain: Domain) -> None:
        del self._processes[domain.domid]

    def _process(self, domain: Domain) -> QemuProcess:
        process = self._processes.get(domain.domid)
        if process is None or process.domain.handle != domain.handle:
            raise DomainError(
                f"domain {domain.domid} ({domain.service}): is not running here", hint="summon the service again"
            )
        return process
