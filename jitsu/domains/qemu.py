"""The direct driver: one QEMU process a domain, nothing between it and us.

The way from a summon to the guest's first instruction is `QemuDriver.launch`: bind two sockets, connect to one, make
the console's pipes, posix_spawn. Everything else (the pidfd's reader, the console, the monitor) waits until QEMU is on
its own way.

A guest's state is saved to a file and restored from it by a descriptor handed to the monitor (QMP `getfd`, `fd:`), for
the sandbox forbids QEMU to run a program. It is restored into a blank monitor: a QEMU that has everything but a guest.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from jitsu.domains.accelerator import KVM, find_qemu
from jitsu.domains.confinement import SPARE_FILE_SIZE, Confinement
from jitsu.domains.console_files import ConsoleFiles, consoles_in, users_in
from jitsu.domains.console_keeper import UNSEEN, Consoles
from jitsu.domains.disk_images import DiskImage
from jitsu.domains.domain_store import DomainStore
from jitsu.domains.driver import Capabilities, Domain, DomainSpec, Ending, Listener, Saver, Usage, Verdict
from jitsu.domains.guest_users import GuestUsers, as_user
from jitsu.domains.kernel import recognise
from jitsu.domains.process_usage import usage_of
from jitsu.domains.qemu_adoption import pidfd_of, survivors, tenant_of
from jitsu.domains.qemu_arguments import MIB, Q35, Descriptors, Identity, machine_for, qemu_arguments
from jitsu.domains.qemu_process import DISMISSED, DomainFiles, QemuProcess, connect, listen, remove_dead_files
from jitsu.domains.qemu_spec import check_saved_disks, check_spec, images_of
from jitsu.domains.snapshots import Snapshots
from jitsu.domains.spawn import spawn
from jitsu.errors import DomainError, HostError, JitsuError

log = logging.getLogger(__name__)

RESTORE_LIMIT = 10.0
"""Seconds that QEMU may take to restore a guest: a unikernel takes 3 ms, a large one as long as its state is read."""

SAVE_LIMIT = 120.0
"""Seconds that QEMU may take to save one."""

_SAVE_LOOK = 0.01
_UNBOUNDED = 1 << 40


class QemuDriver:
    """Builds domains as QEMU processes of this user. Implements `Driver` and `Saver`.

    `instance` tells this host's daemons apart and must be held by one daemon at a time. `runtime_dir` is this
    instance's own: it holds the domains' sockets and is cleared of what dead domains left behind; in `guest-ports` are
    those on which a XenStore's server finds the guests, which nobody but this user can enter. `snapshots` takes
    saved states. `consoles` is told of every console. `store` hears guests that speak to the XenStore. `verdict` says
    which accelerator to use. `uids` are users, each of them for one guest at a time; with none, guests run as the
    daemon does.
    """

    def __init__(
        self,
        instance: str,
        runtime_dir: Path,
        snapshots: Path,
        consoles: Consoles,
        verdict: Verdict,
        listener: Listener,
        *,
        store: DomainStore | None = None,
        uids: range = range(0),
    ) -> None:
        """Make `runtime_dir` where it is missing. Raises `HostError` when that fails."""
        try:
            runtime_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Guests' users pass through to the pipes of their own consoles; all else in it is the owner's alone.
            runtime_dir.chmod(0o711 if uids else 0o700)
        except OSError as error:
            raise HostError(f"directory {runtime_dir}: {error.strerror or error}") from None
        self._instance = instance
        self._runtime_dir = runtime_dir
        self._saved = snapshots
        self._consoles = consoles
        self._verdict = verdict
        self._listener = listener
        self._store = store if store is not None else DomainStore()
        self._users = GuestUsers(uids)
        self._qemu = ""
        self._kept: Snapshots | None = None
        self._processes: dict[int, QemuProcess] = {}

    def capabilities(self) -> Capabilities:
        return Capabilities(name="qemu", accelerator=self._verdict.accelerator, pause=True, snapshot=True)

    def is_taken(self, domid: int) -> bool:
        return False

    def check(self, spec: DomainSpec) -> None:
        """Say what stands against this spec: kernel, machine, initrd, memory, or a QEMU that is not installed."""
        check_spec(spec)
        self._program()
        self._check_users(spec)

    async def prepare(self, spec: DomainSpec, taps: Sequence[int]) -> Domain:
        """Build the domain, paused. Returns when QEMU's monitor answers, some 25 ms after QEMU was started."""
        return await self._answering(self._start(spec, taps, paused=True), f"service {spec.service}")

    async def launch(self, spec: DomainSpec, taps: Sequence[int]) -> Domain:
        """Start QEMU; returns once it executes. One that fails after that is a domain that crashed."""
        process = self._start(spec, taps, paused=False)
        if not (spec.tells_ready or spec.store_port):
            # Nothing will tell when the guest serves, so there is no better moment to be told why it ends.
            process.connect_monitor()
        return process.domain

    async def resume(self, domain: Domain) -> None:
        """Say `cont`, and do not wait for its answer: the guest's own word comes as soon. A QEMU that refuses is ended,
        and reported as crashed."""
        process = self._process(domain)
        qmp = await process.monitor()
        if process.was_ready:
            process.wake()
        qmp.begin("cont").add_done_callback(lambda done: self._went_on(process, done))

    def _went_on(self, process: QemuProcess, going: "asyncio.Future[Any]") -> None:
        if not going.cancelled() and going.exception() is not None:
            log.warning("domain %d (%s): %s", process.domain.domid, process.domain.service, going.exception())
            process.send(signal.SIGKILL)

    async def pause(self, domain: Domain) -> None:
        await (await self._process(domain).monitor()).execute("stop")

    def saver(self) -> Saver:
        return self

    def shape(self, spec: DomainSpec) -> str:
        """Memory, vcpus, machine, ports and disks. A q35 depends on its kernel, so nothing fits it but itself.

        Raises `DomainError` for a disk with which no guest can be saved.
        """
        check_saved_disks(spec)
        machine = machine_for(spec, recognise(spec.kernel))
        ports = "+".join(name for name, has in (("ready", spec.tells_ready), ("store", spec.store_port)) if has)
        disks = "".join(f"/{disk.path}" for disk in spec.disks)
        return "" if machine is Q35 else f"{machine}/{-(-spec.memory // MIB)}/{spec.vcpus}/{ports}{disks}"

    async def blank(self, spec: DomainSpec, taps: Sequence[int]) -> Domain:
        """Start QEMU without a guest. Returns when its monitor answers, some 25 ms later."""
        blank = replace(spec, service="", fingerprint="")
        return await self._answering(self._start(blank, taps, incoming=True), f"blank monitor {spec.domid}")

    async def restore(self, blank: Domain, spec: DomainSpec) -> Domain:
        process = self._process(blank)
        domain = replace(blank, service=spec.service, fingerprint=spec.fingerprint)
        identity = Identity(self._instance, spec.service, blank.domid, spec.fingerprint)
        process.silence()
        try:
            await self._load(process, domain, spec, identity)
        except JitsuError as error:
            # What was not restored is gone a moment later by itself, and has said why.
            await process.ended(within=0.1)
            why = process.end or error.message
            await process.destroy(signal.SIGKILL)
            raise DomainError(f"service {spec.service}: not restored: {why}") from None
        process.speak()
        return process.domain

    async def _load(self, process: QemuProcess, domain: Domain, spec: DomainSpec, identity: Identity) -> None:
        """Give a blank monitor its guest. Raises DomainError."""
        files = DomainFiles(self._runtime_dir, domain.domid)
        console = self._console(process.domain)
        if not all(map(DiskImage.is_same, process.images, images_of(spec))):
            raise DomainError("the monitor was given another disk, which has been replaced since")
        state = self._snapshots().open(spec)
        process.become(domain)
        try:
            self._consoles.began(console.become(spec.service))
            # First of all: a daemon that finds this process must know whose guest runs in it.
            files.name_tenant(identity.encode())
            # It waits, in the socket or the store, until there is a guest to read it.
            process.wake()
            qmp = await process.monitor()
            await qmp.execute("getfd", {"fdname": "state"}, fd=state)
            await qmp.execute("migrate-incoming", {"uri": "fd:state"})
        except OSError as error:
            raise DomainError(f"domain {domain.domid}: {error}") from None
        finally:
            os.close(state)
        if not await process.runs(within=RESTORE_LIMIT):
            self.discard(spec)
            raise DomainError(f"it does not run after {RESTORE_LIMIT:g} s")

    async def save(self, domain: Domain, spec: DomainSpec) -> None:
        """Save the state by a migration to the file. The guest runs until all but its last pages are written."""
        process = self._process(domain)
        if process.images != tuple(images_of(spec)):
            raise DomainError(f"service {spec.service}: not saved: its disks were changed while it booted")
        qmp = await process.monitor()
        with self._snapshots().writing(spec) as fd:
            await qmp.execute("getfd", {"fdname": "state"}, fd=fd)
            await qmp.execute("migrate-set-parameters", {"max-bandwidth": _UNBOUNDED})
            await qmp.execute("migrate", {"uri": "fd:state"})
            end = asyncio.get_running_loop().time() + SAVE_LIMIT
            while (status := (await qmp.execute("query-migrate")).get("status")) != "completed":
                if status in ("failed", "cancelled") or asyncio.get_running_loop().time() > end:
                    raise DomainError(f"service {spec.service}: its state cannot be saved: migration {status}")
                await asyncio.sleep(_SAVE_LOOK)

    def restorable(self, spec: DomainSpec) -> bool:
        return self._snapshots().usable(spec)

    async def examine(self, spec: DomainSpec) -> bool:
        return not await asyncio.to_thread(self._snapshots().examine, spec)

    def discard(self, spec: DomainSpec) -> None:
        self._snapshots().discard(spec)

    def prune(self, specs: Iterable[DomainSpec]) -> None:
        self._snapshots().prune(specs)

    async def destroy(self, domain: Domain, patience: float = 0.0) -> Ending:
        """End QEMU by SIGTERM, then SIGKILL. A guest is asked by a line on its ready port, and by its power button."""
        process = self._processes.get(domain.domid)
        if process is None or process.domain.handle != domain.handle:
            return Ending.ENDED

        async def power_button() -> None:
            await (await process.monitor()).execute("system_powerdown")

        if patience and await process.shut_down(patience, power_button):
            return Ending.SHUT_DOWN
        return Ending.KILLED if await process.destroy() is signal.SIGKILL else Ending.ENDED

    def is_ending(self, domid: int) -> bool:
        process = self._processes.get(domid)
        return process is not None and process.is_ending

    def usage(self, domid: int) -> Usage | None:
        process = self._processes.get(domid)
        return usage_of(process.domain.handle) if process is not None else None

    async def adopt(self) -> list[Domain]:
        """Take over the QEMU processes of this instance and user that answer on all their sockets; kill the others."""
        known = {process.domain.handle for process in self._processes.values()}
        users = users_in(self._runtime_dir)
        found = {pid: who for pid, who in survivors(self._instance, users).items() if pid not in known}
        for identity in found.values():
            if identity.domid in users:
                self._users.keep(identity.domid, users[identity.domid])
        taken = await asyncio.gather(*(self._adopt(pid, identity, users) for pid, identity in found.items()))
        remove_dead_files(self._runtime_dir, self._processes)
        for console in list(consoles_in(self._runtime_dir)):
            if console.domid in self._processes:
                self._consoles.began(console)
            else:
                self._bury(console, UNSEEN)
        # Nothing of them was reported so far: the caller learns of a domain before the domain's first event.
        adopted = [process for process in taken if process is not None and not process.end]
        for process in adopted:
            process.speak()
        return [process.domain for process in adopted]

    async def close(self) -> None:
        await asyncio.gather(*(process.let_go() for process in self._processes.values()))
        self._processes.clear()

    def _snapshots(self) -> Snapshots:
        """The saved states that this QEMU with this accelerator made."""
        if self._kept is None:
            status = os.stat(self._program())
            maker = f"{self._program()} {status.st_size} {status.st_mtime_ns} {self._verdict.accelerator}"
            self._kept = Snapshots(self._saved, maker)
        return self._kept

    def _program(self) -> str:
        """QEMU's path, looked for once. Raises `HostError` when it is not installed."""
        if not self._qemu:
            self._qemu = find_qemu()
        return self._qemu

    async def _answering(self, process: QemuProcess, who: str) -> Domain:
        """The domain of a QEMU that was just started, once its monitor answers. Raises DomainError; it is gone then."""
        process.silence()
        try:
            await process.monitor()
        except DomainError as error:
            # A QEMU that fails closes its monitor a moment before it is gone; one that lives on does not answer.
            await process.ended(within=0.5)
            await process.destroy()
            why = error.message if process.end == DISMISSED else process.end
            raise DomainError(f"{who}: {why}") from None
        except asyncio.CancelledError:
            # Whoever stopped waiting holds no domain; none may be left.
            process.send(signal.SIGKILL)
            raise
        if process.end:
            raise DomainError(f"{who}: {process.end}")
        process.speak()
        return process.domain

    def _start(
        self, spec: DomainSpec, taps: Sequence[int], *, paused: bool = False, incoming: bool = False
    ) -> QemuProcess:
        """Bind the sockets, connect to them, start QEMU, and watch it."""
        kernel = recognise(spec.kernel)
        images = images_of(spec)
        files = DomainFiles(self._runtime_dir, spec.domid)
        if spec.store_port:
            files.make_guest_ports()
        console = ConsoleFiles(self._runtime_dir, spec.domid, spec.service)
        with ExitStack() as ours, ExitStack() as undo:
            listeners: dict[str, int] = {}
            ports = [path for path, has in ((files.ready, spec.tells_ready), (files.store, spec.store_port)) if has]
            for path in (files.qmp, *ports):
                listeners[path] = ours.enter_context(listen(path)).fileno()
                undo.callback(os.unlink, path)
            ready = undo.enter_context(connect(files.ready)) if spec.tells_ready else None
            user = self._users.take(spec.domid)
            undo.callback(self._users.release, spec.domid)
            console.make(user)
            undo.callback(console.unlink)
            fds = Descriptors(listeners[files.qmp], listeners.get(files.ready), tuple(taps), listeners.get(files.store))
            arguments = qemu_arguments(
                self._program(),
                spec,
                kernel,
                self._instance,
                self._verdict.accelerator,
                fds,
                console.prefix,
                images=images,
                paused=paused,
                attended=True,
                incoming=incoming,
            )
            undo.callback(files.forget_complaint)
            written = max((image.size for image in images if image.disk.writable), default=0)
            confinement = Confinement(max(spec.memory + SPARE_FILE_SIZE, written), user, self._groups())
            pid, pidfd = spawn(arguments, [*listeners.values(), *taps], files.stderr, confinement)
            undo.pop_all()
        process = self._watch(Domain(spec.service, spec.domid, pid, spec.fingerprint), pidfd, files)
        process.images = tuple(images)
        if not incoming:
            self._consoles.began(console)
        if ready is not None:
            process.hear_ready(ready)
        elif spec.store_port:
            process.hear_store(self._store, booted=incoming)
        return process

    async def _adopt(self, pid: int, identity: Identity, users: Mapping[int, int]) -> QemuProcess | None:
        """Take over one process, silent as yet; None when it is gone or had to be killed."""
        files = DomainFiles(self._runtime_dir, identity.domid)
        tenant = tenant_of(identity, files.tenant)
        pidfd = pidfd_of(pid, identity, users)
        if pidfd is None:
            return None
        who = tenant or identity
        process = self._watch(Domain(who.service, identity.domid, pid, who.fingerprint), pidfd, files)
        process.silence()
        try:
            if tenant is None:
                raise DomainError(f"domain {identity.domid}: a blank monitor")
            if not self._console(process.domain).exists():
                raise DomainError(f"domain {identity.domid}: its console is gone")
            status = (await (await process.monitor()).execute("query-status")).get("status")
            if status not in ("running", "paused"):
                raise DomainError(f"domain {identity.domid}: it is {status}")
            resting = status == "paused"
            process.become(replace(process.domain, paused=resting))
            if files.has_ready_port():
                process.hear_ready(connect(files.ready), booted=resting)
            elif files.has_store_port():
                process.hear_store(self._store, booted=True)
            if not resting:
                # A copy must not be heard before it has secrets of its own.
                process.wake(strict=not identity.service)
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
        self._bury(self._console(domain), self._processes.pop(domain.domid).end)

    def _groups(self) -> tuple[int, ...]:
        """What a guest's user must be in beside its own group: that of /dev/kvm where it is used."""
        return (KVM.stat().st_gid,) if self._users.uids and self._verdict.accelerator == "kvm" else ()

    def _check_users(self, spec: DomainSpec) -> None:
        """Say what a guest's user may not get at. Raises `DomainError`, or `HostError` when there can be no users."""
        if not self._users.uids:
            return
        wanted = [(spec.kernel, os.R_OK), (self._runtime_dir, os.X_OK)]
        wanted += [(spec.initrd, os.R_OK)] if spec.initrd is not None else []
        wanted += [(disk.path, os.R_OK | os.W_OK if disk.writable else os.R_OK) for disk in spec.disks]
        wanted += [(KVM, os.R_OK | os.W_OK)] if self._verdict.accelerator == "kvm" else []
        user = self._users.uids[0]
        with as_user(user, self._groups()):
            closed = [path for path, mode in wanted if not os.access(path, mode)]
        if closed:
            raise DomainError(
                f"service {spec.service}: user {user}, as which it is to run, may not use {closed[0]}",
                hint="open it and the folders above it to all (chmod a+rX), or leave out [limits] uids",
            )

    def _console(self, domain: Domain) -> ConsoleFiles:
        return ConsoleFiles(self._runtime_dir, domain.domid, domain.service)

    def _bury(self, console: ConsoleFiles, why: str) -> None:
        """A console whose domain is gone. That of a blank monitor has printed nothing."""
        self._users.release(console.domid)
        if console.service:
            self._consoles.ended(console, why)
        else:
            console.unlink()

    def _process(self, domain: Domain) -> QemuProcess:
        process = self._processes.get(domain.domid)
        if process is None or process.domain.handle != domain.handle:
            raise DomainError(
                f"domain {domain.domid} ({domain.service}): is not running here", hint="summon the service again"
            )
        return process
