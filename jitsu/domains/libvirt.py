"""The libvirt driver: domains that a libvirt daemon builds, and that virsh and virt-manager know.

Transient domains: what ends is gone, and nothing is left defined. libvirt builds and ends them; the console, the ready
port and the process itself are watched by us, as with the direct driver. So a libvirt daemon that is started again, or
is away, costs no running guest anything. It has a price: some 0.3 s a launch, most of which libvirt spends on asking
QEMU about the processor (400 questions), and 0.2 s a dismissal.
"""

import asyncio
import json
import logging
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jitsu.domains.accelerator import find_qemu
from jitsu.domains.console_files import ConsoleFiles, consoles_in
from jitsu.domains.console_keeper import UNSEEN, Consoles
from jitsu.domains.domain_store import DomainStore
from jitsu.domains.driver import Capabilities, Domain, DomainSpec, Ending, Listener, Usage, Verdict
from jitsu.domains.kernel import recognise
from jitsu.domains.libvirt_connection import LibvirtConnection
from jitsu.domains.libvirt_process import LibvirtProcess, process_of
from jitsu.domains.libvirt_xml import DOMAIN_TYPES, METADATA, RESTING, domain_xml, identity_in, plug_commands
from jitsu.domains.process_usage import usage_of
from jitsu.domains.qemu_arguments import Identity
from jitsu.domains.qemu_process import DomainFiles, connect, remove_dead_files
from jitsu.domains.qemu_spec import check_spec, images_of
from jitsu.errors import DomainError, HostError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Found:
    """A domain of this instance that libvirt runs."""

    identity: Identity
    uuid: str
    running: bool
    resting: bool
    """It was paused by us, and not left half-built."""


class LibvirtDriver:
    """Builds domains through libvirt. Implements `Driver`; made by `open`.

    `uri` is of a QEMU on this host (`qemu:///system`): taps cannot be handed to another. `instance`, `runtime_dir`,
    `consoles`, `verdict` and `store` are as the direct driver has them.
    """

    def __init__(
        self,
        uri: str,
        instance: str,
        runtime_dir: Path,
        consoles: Consoles,
        verdict: Verdict,
        listener: Listener,
        *,
        store: DomainStore | None = None,
    ) -> None:
        """Raises `HostError` without libvirt-python or without QEMU."""
        self._instance = instance
        self._runtime_dir = runtime_dir
        self._consoles = consoles
        self._verdict = verdict
        self._listener = listener
        self._store = store if store is not None else DomainStore()
        self._qemu = find_qemu()
        self._libvirt = LibvirtConnection(uri, self._ends_because, self._libvirt_is_back)
        self._processes: dict[int, LibvirtProcess] = {}
        self._building: set[int] = set()
        self._sweep: asyncio.Task[Any] | None = None

    async def open(self) -> None:
        """Connect, and have libvirt look at QEMU now: when it has not yet, that takes it seconds.

        Raises `HostError` when libvirt does not answer, has no QEMU for the accelerator, or when the directory cannot
        be made.
        """
        await self._libvirt.open()
        kind = DOMAIN_TYPES[self._verdict.accelerator]
        try:
            await self._libvirt.call(
                self._qemu, lambda libvirt: libvirt.getDomainCapabilities(self._qemu, "x86_64", "microvm", kind)
            )
        except DomainError as error:
            await self._libvirt.close()
            raise HostError(error.message, hint=error.hint) from None
        try:
            self._runtime_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            # The user as whom libvirt runs QEMU passes through to the pipes of a console.
            self._runtime_dir.chmod(0o711)
        except OSError as error:
            await self._libvirt.close()
            raise HostError(f"directory {self._runtime_dir}: {error.strerror or error}") from None

    def capabilities(self) -> Capabilities:
        return Capabilities(name="libvirt", accelerator=self._verdict.accelerator, pause=True, snapshot=False)

    def is_taken(self, domid: int) -> bool:
        return False

    def check(self, spec: DomainSpec) -> None:
        check_spec(spec)

    async def prepare(self, spec: DomainSpec, taps: Sequence[int]) -> Domain:
        """Build the domain, paused. Takes libvirt some 0.3 s."""
        return (await self._build(spec, taps, run=False)).domain

    async def launch(self, spec: DomainSpec, taps: Sequence[int]) -> Domain:
        """Build the domain and let it run; returns when it does."""
        return (await self._build(spec, taps, run=True)).domain

    async def resume(self, domain: Domain) -> None:
        process = self._process(domain)
        process.silence()
        try:
            if process.was_ready:
                process.wake()
            await self._libvirt.call(_subject(domain), _resumption(process.uuid))
        finally:
            process.speak()

    async def pause(self, domain: Domain) -> None:
        uuid = self._process(domain).uuid
        await self._libvirt.call(_subject(domain), lambda libvirt: _rest(libvirt.lookupByUUIDString(uuid)))

    def saver(self) -> None:
        """None: a state that libvirt saves belongs to one domain and one tap, and is no copy for many."""

    async def destroy(self, domain: Domain, patience: float = 0.0) -> Ending:
        process = self._processes.get(domain.domid)
        if process is None or process.domain.handle != domain.handle:
            return Ending.ENDED

        async def power_button() -> None:
            await self._libvirt.call(_subject(domain), _power_button(process.uuid))

        shut_down = patience > 0 and await process.shut_down(patience, power_button)
        # Also of a domain that is gone: libvirt may not have noticed yet.
        number = await self._end(process)
        if shut_down:
            return Ending.SHUT_DOWN
        return Ending.KILLED if number is signal.SIGKILL else Ending.ENDED

    def is_ending(self, domid: int) -> bool:
        process = self._processes.get(domid)
        return process is not None and process.is_ending

    def usage(self, domid: int) -> Usage | None:
        process = self._processes.get(domid)
        return usage_of(process.domain.handle) if process is not None else None

    async def adopt(self) -> list[Domain]:
        """Take over the domains of this instance that libvirt runs; end those that were not finished."""
        found = await self._libvirt.call(f"instance {self._instance}", self._domains)
        taken = await asyncio.gather(*(self._adopt(each) for each in found))
        remove_dead_files(self._runtime_dir, self._processes)
        for console in list(consoles_in(self._runtime_dir)):
            if console.domid in self._processes:
                self._consoles.began(console)
            else:
                self._consoles.ended(console, UNSEEN)
        adopted = [process for process in taken if process is not None and not process.end]
        for process in adopted:
            process.speak()
        return [process.domain for process in adopted]

    async def close(self) -> None:
        await asyncio.gather(*(process.let_go() for process in self._processes.values()))
        self._processes.clear()
        if self._sweep is not None:
            self._sweep.cancel()
        await self._libvirt.close()

    # Building.

    async def _build(self, spec: DomainSpec, taps: Sequence[int], *, run: bool) -> LibvirtProcess:
        kernel = recognise(spec.kernel)
        files = DomainFiles(self._runtime_dir, spec.domid)
        if spec.store_port:
            files.make_guest_ports()
        console = self._console(spec.service, spec.domid)
        xml = domain_xml(
            self._qemu,
            spec,
            kernel,
            self._instance,
            self._verdict.accelerator,
            files,
            console.prefix,
            len(taps),
            images_of(spec),
        )
        console.make()
        # Our own copies: whoever gives up waiting closes the caller's while a thread still hands them over.
        copies = [os.dup(tap) for tap in taps]
        self._building.add(spec.domid)
        work = asyncio.create_task(self._build_all(spec, xml, copies, files, console, run=run))
        try:
            process = await asyncio.shield(work)
        except asyncio.CancelledError:
            # Whoever stopped waiting holds no domain; none may be left.
            work.add_done_callback(self._nobody_wants)
            raise
        # Here and not in the task, which ends some turns of the loop before its caller goes on: a guest that is ready
        # by now would be heard of before it is known.
        process.speak()
        return process

    async def _build_all(
        self, spec: DomainSpec, xml: str, taps: list[int], files: DomainFiles, console: ConsoleFiles, *, run: bool
    ) -> LibvirtProcess:
        subject = f"service {spec.service}"
        process = None
        try:
            try:
                uuid = await self._libvirt.call(subject, lambda libvirt: _create(libvirt, subject, xml, taps))
            finally:
                for tap in taps:
                    os.close(tap)
            process = await self._watch(Identity(self._instance, spec.service, spec.domid, spec.fingerprint), uuid)
            if process is None:
                raise DomainError(f"{subject}: QEMU ended as soon as libvirt had started it")
            self._consoles.began(console)
            if spec.tells_ready:
                process.hear_ready(connect(files.ready))
            elif spec.store_port:
                process.hear_store(self._store)
            if run:
                await self._libvirt.call(subject, _resumption(uuid))
        except DomainError as error:
            if process is None:
                console.unlink()
                raise
            why = process.end or error.message.removeprefix(f"{subject}: ")
            with suppress(DomainError):
                await self._end(process)
            raise DomainError(f"{subject}: {why}", hint=error.hint) from None
        finally:
            self._building.discard(spec.domid)
        return process

    def _nobody_wants(self, work: "asyncio.Task[LibvirtProcess]") -> None:
        if not work.cancelled() and work.exception() is None:
            self._sweep = asyncio.create_task(self._end(work.result()))

    async def _watch(self, identity: Identity, uuid: str) -> LibvirtProcess | None:
        """Watch the QEMU of libvirt's domain, silent as yet; None when there is none."""
        found = await asyncio.to_thread(process_of, uuid)
        if found is None:
            return None
        pid, pidfd = found
        domain = Domain(identity.service, identity.domid, pid, identity.fingerprint)
        files = DomainFiles(self._runtime_dir, identity.domid)
        process = LibvirtProcess(uuid, domain, pidfd, files, self._listener, self._forget)
        process.silence()
        self._processes[identity.domid] = process
        return process

    # Ending.

    async def _end(self, process: LibvirtProcess) -> signal.Signals:
        """End a domain through libvirt, or, where libvirt cannot, by a signal to its process, and by which. Raises
        `DomainError`."""
        process.dismiss()
        with suppress(DomainError):
            await self._libvirt.call(_subject(process.domain), _destruction(process.uuid))
        return await process.destroy()

    def _forget(self, domain: Domain) -> None:
        end = self._processes.pop(domain.domid).end
        self._consoles.ended(self._console(domain.service, domain.domid), end)

    def _console(self, service: str, domid: int) -> ConsoleFiles:
        return ConsoleFiles(self._runtime_dir, domid, service)

    # What libvirt says.

    def _ends_because(self, uuid: str, reason: str) -> None:
        for process in self._processes.values():
            if process.uuid == uuid:
                process.ends_because(reason)

    def _libvirt_is_back(self) -> None:
        self._sweep = asyncio.create_task(self._end_strangers())

    async def _end_strangers(self) -> None:
        """End domains of this instance that nobody here knows: libvirt was lost while it built them."""
        try:
            found = await self._libvirt.call(f"instance {self._instance}", self._domains)
            for each in found:
                domid = each.identity.domid
                if domid not in self._building and domid not in self._processes:
                    log.warning("%s: domain %d was left half-built; it is ended", each.identity.service, domid)
                    await self._libvirt.call(f"domain {domid}", _destruction(each.uuid))
        except DomainError as error:
            log.warning("%s", error.message)

    # Adoption.

    def _domains(self, libvirt: Any) -> list[_Found]:
        """In a thread: every domain of this instance that libvirt runs, known by its metadata."""
        import libvirt as library

        found = []
        for domain in libvirt.listAllDomains(library.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            # A domain that ends meanwhile, or has no metadata of ours, is no concern of ours.
            with suppress(library.libvirtError):
                identity = identity_in(domain.metadata(library.VIR_DOMAIN_METADATA_ELEMENT, METADATA))
                if identity is not None and identity.instance == self._instance:
                    state = domain.state()[0]
                    resting = state == library.VIR_DOMAIN_PAUSED and _was_laid_to_rest(domain)
                    running = state == library.VIR_DOMAIN_RUNNING
                    found.append(_Found(identity, domain.UUIDString(), running, resting))
        return found

    async def _adopt(self, found: _Found) -> LibvirtProcess | None:
        """Take over one domain, silent as yet; None when it is gone or had to be ended."""
        identity = found.identity
        process = await self._watch(identity, found.uuid)
        if process is None:
            return None
        files = DomainFiles(self._runtime_dir, identity.domid)
        try:
            if not self._console(identity.service, identity.domid).exists():
                raise DomainError(f"{_subject(process.domain)}: its console is gone")
            if not found.running and not found.resting:
                raise DomainError(f"{_subject(process.domain)}: was not let run by the daemon that built it")
            process.become(replace(process.domain, paused=found.resting))
            if files.has_ready_port():
                process.hear_ready(connect(files.ready), booted=found.resting)
            elif files.has_store_port():
                process.hear_store(self._store, booted=True)
            if found.running:
                process.wake(strict=False)
        except DomainError:
            with suppress(DomainError):
                await self._end(process)
            return None
        return process

    def _process(self, domain: Domain) -> LibvirtProcess:
        process = self._processes.get(domain.domid)
        if process is None or process.domain.handle != domain.handle:
            raise DomainError(f"{_subject(domain)}: is not running here", hint="summon the service again")
        return process


def _subject(domain: Domain) -> str:
    return f"domain {domain.domid} ({domain.service})"


def _rest(domain: Any) -> None:
    """In a thread: pause a domain. The mark comes first: a guest that runs with it is none the worse."""
    import libvirt as library

    live = library.VIR_DOMAIN_AFFECT_LIVE
    domain.setMetadata(library.VIR_DOMAIN_METADATA_ELEMENT, "<resting/>", "jitsu-rest", RESTING, live)
    domain.suspend()


def _was_laid_to_rest(domain: Any) -> bool:
    """In a thread: does the domain bear the mark of `_rest`?"""
    import libvirt as library

    try:
        domain.metadata(library.VIR_DOMAIN_METADATA_ELEMENT, RESTING)
    except library.libvirtError:
        return False
    return True


def _destruction(uuid: str) -> Callable[[Any], Any]:
    return lambda libvirt: libvirt.lookupByUUIDString(uuid).destroy()


def _power_button(uuid: str) -> Callable[[Any], Any]:
    return lambda libvirt: libvirt.lookupByUUIDString(uuid).shutdown()


def _resumption(uuid: str) -> Callable[[Any], Any]:
    return lambda libvirt: libvirt.lookupByUUIDString(uuid).resume()


def _create(libvirt: Any, subject: str, xml: str, taps: list[int]) -> str:
    """In a thread: build a domain, paused, and plug its taps in. Its uuid. Raises libvirtError or `DomainError`."""
    import libvirt as library
    import libvirt_qemu

    domain = libvirt.createXML(xml, library.VIR_DOMAIN_START_PAUSED)
    try:
        for nic, tap in enumerate(taps):
            # Only the first command takes the descriptor.
            for command, files in zip(plug_commands(nic, f"fd{nic}"), ([tap], [], []), strict=True):
                answer, _ = libvirt_qemu.qemuMonitorCommandWithFiles(domain, json.dumps(command), files, 0)
                if (problem := json.loads(answer).get("error")) is not None:
                    raise DomainError(f"{subject}: its tap cannot be plugged in: {problem.get('desc')}")
    except (library.libvirtError, DomainError):
        with suppress(library.libvirtError):
            domain.destroy()
        raise
    return str(domain.UUIDString())
