"""The QEMU driver with real QEMU processes and guests of a few bytes each."""

import asyncio
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from jitsu.domains import qemu
from jitsu.domains.accelerator import PROBE_TURNS, choose_accelerator
from jitsu.domains.accelerator import _run as run_probe
from jitsu.domains.console import LARGEST_FILE
from jitsu.domains.console_keeper import ConsoleKeeper
from jitsu.domains.driver import Domain, DomainEvent, DomainSpec, Happening, Verdict
from jitsu.domains.kernel import Kernel, KernelFormat
from jitsu.domains.probe_guest import probe_guest, pvh_elf
from jitsu.domains.qemu import QemuDriver
from jitsu.domains.qemu_adoption import identity_of, survivors
from jitsu.errors import DomainError
from tests.kept_console import kept_console
from tests.vm.tiny_guests import FLOOD, HALT, POWER_OFF, TICKING, TRIPLE_FAULT, WAIT, saying

pytestmark = pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="needs qemu-system-x86_64")

TCG = Verdict("tcg", "for a test")
INSTANCE = f"test-{os.getpid()}"


class Host:
    """A place for daemons that come and go: their drivers, what they reported, and the domains' files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: list[DomainEvent] = []
        self.drivers: list[QemuDriver] = []
        self.keeper = ConsoleKeeper(path / "run", path / "logs")
        self._news = asyncio.Event()

    def driver(self, instance: str = INSTANCE) -> QemuDriver:
        driver = QemuDriver(instance, self.path / "run", self.path / "saved", self.keeper, TCG, self._take)
        self.drivers.append(driver)
        return driver

    def spec(self, image: bytes, domid: int = 1, *, machine: str = "", tells_ready: bool = True) -> DomainSpec:
        kernel = self.path / f"kernel{domid}"
        kernel.write_bytes(image)
        mac = "52:54:00:00:00:01"
        return DomainSpec("hello", domid, kernel, 16 << 20, "", mac, 1, None, machine, tells_ready, "f,/1")

    def said(self) -> list[str]:
        return [line.split(" ", 1)[1] for line in kept_console(self.path / "logs")]

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.path / "run").iterdir())

    async def happened(self, number: int = 1) -> DomainEvent:
        async with asyncio.timeout(10):
            while len(self.events) < number:
                self._news.clear()
                await self._news.wait()
        return self.events[number - 1]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - a log file has no event to wait for
                await asyncio.sleep(0.01)

    def _take(self, event: DomainEvent) -> None:
        self.events.append(event)
        self._news.set()


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    place = Host(tmp_path)
    yield place
    for driver in place.drivers:
        await driver.close()
    place.keeper.close()
    for pid in survivors(INSTANCE):
        os.kill(pid, signal.SIGKILL)


def alive(domain: Domain) -> bool:
    """Does the process run? A zombie, whose parent has not looked yet, does not."""
    return identity_of(domain.handle) is not None


async def test_a_guest_that_triple_faults_has_crashed(host: Host) -> None:
    driver = host.driver()
    spec = host.spec(saying(b"hello \x1b[2Jfrom a guest\n", TRIPLE_FAULT))
    driver.check(spec)
    domain = await driver.launch(spec, [])
    await host.until(lambda: alive(domain))
    event = await host.happened()
    assert event == DomainEvent(Happening.CRASHED, domain, "the guest ended before QEMU could be asked why")
    assert host.said()[:2] == ["--- domain 1 started ---", "hello from a guest"]
    assert host.files() == []
    assert not alive(domain)


async def test_without_a_ready_port_the_monitor_tells_of_the_end(host: Host) -> None:
    driver = host.driver()
    fault = await driver.launch(host.spec(saying(b"oh\n", WAIT + TRIPLE_FAULT), 1, tells_ready=False), [])
    assert await host.happened() == DomainEvent(
        Happening.CRASHED, fault, "the guest reset itself (a reboot or a triple fault)"
    )
    image = saying(b"bye\n", WAIT + POWER_OFF)
    orderly = await driver.launch(host.spec(image, 2, machine="q35", tells_ready=False), [])
    assert await host.happened(2) == DomainEvent(Happening.EXITED, orderly, "the guest shut down")
    assert host.said() == [
        *("--- domain 1 started ---", "oh"),
        "--- domain 1 ended: the guest reset itself (a reboot or a triple fault) ---",
        *("--- domain 2 started ---", "bye", "--- domain 2 ended: the guest shut down ---"),
    ]


async def test_no_first_word_is_lost(host: Host) -> None:
    """However early the guest speaks, QEMU has our connection before it starts the guest."""
    driver = host.driver()
    for domid in range(1, 11):
        await driver.launch(host.spec(saying(b"first of %d\n" % domid, TRIPLE_FAULT), domid), [])
    await host.happened(10)
    assert {f"first of {domid}" for domid in range(1, 11)} <= set(host.said())


async def test_destroy_leaves_nothing_and_reports_nothing(host: Host) -> None:
    driver = host.driver()
    domain = await driver.launch(host.spec(saying(b"here\n", HALT)), [])
    await host.until(lambda: "here" in host.said())
    console = [f"1.console.hello.{end}" for end in ("in", "kept", "out")]
    assert host.files() == [*console, "1.qmp", "1.ready", "1.stderr"]
    usage = driver.usage(1)
    assert usage is not None
    assert usage.resident > 8 << 20
    await driver.destroy(domain)
    assert driver.usage(1) is None
    assert host.files() == []
    with pytest.raises(ProcessLookupError):
        os.kill(domain.handle, 0)
    await driver.destroy(domain)
    assert host.events == []
    assert host.said()[-1] == "--- domain 1 ended: it was dismissed ---"


async def test_destroy_before_qemu_has_begun(host: Host) -> None:
    driver = host.driver()
    domain = await driver.launch(host.spec(saying(b"here\n", HALT)), [])
    await driver.destroy(domain)
    assert not alive(domain)
    assert (host.files(), host.events) == ([], [])


async def test_a_prepared_guest_runs_when_it_is_resumed_and_not_while_paused(host: Host) -> None:
    driver = host.driver()
    domain = await driver.prepare(host.spec(TICKING), [])
    await asyncio.sleep(0.2)
    assert "tick" not in host.said()
    await driver.resume(domain)
    await host.until(lambda: host.said().count("tick") > 3)
    await driver.pause(domain)
    await asyncio.sleep(0.1)
    paused_at = host.said().count("tick")
    await asyncio.sleep(0.3)
    assert host.said().count("tick") == paused_at
    await driver.resume(domain)
    await host.until(lambda: host.said().count("tick") > paused_at + 3)
    await driver.pause(domain)
    await driver.destroy(domain)
    assert (host.files(), host.events) == ([], [])


async def test_a_second_daemon_adopts_and_destroys(host: Host) -> None:
    first = host.driver()
    domain = await first.launch(host.spec(TICKING), [])
    await host.until(lambda: "tick" in host.said())
    await first.close()
    ticks = host.said().count("tick")
    second = host.driver()
    assert await second.adopt() == [domain]
    assert await second.adopt() == []
    await host.until(lambda: host.said().count("tick") > ticks + 3)
    await second.pause(domain)
    await second.resume(domain)
    await second.destroy(domain)
    assert (host.files(), host.events) == ([], [])
    assert not alive(domain)


async def test_a_daemon_that_was_killed_is_succeeded(host: Host) -> None:
    """Its QEMU is nobody's child that we could wait for, and its end is noticed and told all the same."""
    spec = host.spec(TICKING, 7)
    program = f"""
        import asyncio, os, signal
        from pathlib import Path
        from jitsu.domains.driver import Verdict
        from jitsu.domains.console_keeper import ConsoleKeeper
        from jitsu.domains.driver import DomainSpec
        from jitsu.domains.qemu import QemuDriver
        async def main():
            place = Path({str(host.path)!r})
            keeper = ConsoleKeeper(place / "run", place / "logs")
            driver = QemuDriver({INSTANCE!r}, place / "run", place, keeper, Verdict("tcg", ""), print)
            spec = DomainSpec("hello", 7, Path({str(spec.kernel)!r}), 1 << 24, "", {spec.mac!r}, fingerprint="f,/1")
            print((await driver.launch(spec, [])).handle, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        asyncio.run(main())
    """
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    driver = host.driver()
    expected = Domain("hello", 7, int(done.stdout), "f,/1")
    assert await driver.adopt() == [expected]
    assert host.events == []
    await host.until(lambda: "tick" in host.said())
    os.kill(expected.handle, signal.SIGKILL)
    event = await host.happened()
    assert (event.happening, event.domain) == (Happening.CRASHED, expected)
    assert host.files() == []


async def test_what_cannot_be_adopted_is_ended_and_dead_ones_files_are_removed(host: Host) -> None:
    first = host.driver()
    domains = [await first.launch(host.spec(saying(b"here\n", HALT), domid), []) for domid in (1, 2, 3)]
    await host.until(lambda: host.said().count("here") == 3)
    await first.close()
    (host.path / "run" / "1.console.hello.out").unlink()
    (host.path / "run" / "2.qmp").unlink()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(host.path / "run" / "44.qmp"))
    (host.path / "run" / "44.stderr").touch()
    (host.path / "run" / "lock").touch()
    second = host.driver()
    assert await second.adopt() == [domains[2]]
    assert [alive(domain) for domain in domains] == [False, False, True]
    await second.destroy(domains[2])
    assert host.files() == ["lock"]
    assert host.events == []


async def test_other_instances_and_other_programs_are_not_touched(host: Host) -> None:
    theirs = host.driver(f"{INSTANCE}-other")
    domain = await theirs.launch(host.spec(saying(b"here\n", HALT)), [])
    name = f"guest=jitsu/{INSTANCE}/hello/9/"
    program = "import time; print('up', flush=True); time.sleep(60)"
    pipe = asyncio.subprocess.PIPE
    lookalike = await asyncio.create_subprocess_exec(sys.executable, "-c", program, "-name", name, stdout=pipe)
    stranger = await asyncio.create_subprocess_exec(
        *("qemu-system-x86_64", "-M", "none", "-display", "none", "-S", "-name", f"{name},debug-threads=on")
    )
    try:
        assert lookalike.stdout is not None
        await lookalike.stdout.readline()
        assert await host.driver().adopt() == []
        assert alive(domain)
        assert (lookalike.returncode, stranger.returncode) == (None, None)
    finally:
        for process in (lookalike, stranger):
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        await theirs.destroy(domain)


async def test_a_qemu_that_fails_at_once_is_quoted(host: Host) -> None:
    """A kernel that promises more than the file has: it looks right to us and not to QEMU."""
    image = bytearray(saying(b"here\n", HALT))
    image[52 + 4 : 52 + 8] = struct.pack("<I", 1 << 20)  # the segment's file offset
    driver = host.driver()
    spec = host.spec(bytes(image))
    driver.check(spec)
    with pytest.raises(DomainError) as caught:
        await driver.prepare(spec, [])
    assert caught.value.message == "service hello: QEMU failed with status 1: Error while loading elf kernel"
    domain = await driver.launch(spec, [])
    event = await host.happened()
    assert event == DomainEvent(Happening.CRASHED, domain, "QEMU failed with status 1: Error while loading elf kernel")
    assert host.files() == []
    spec.kernel.write_bytes(b"garbage\n")
    with pytest.raises(DomainError, match="is a text file, not a kernel image"):
        await driver.launch(spec, [])
    assert host.files() == []


@pytest.mark.parametrize(("kind", "machine"), [(KernelFormat.VMLINUX, ""), (KernelFormat.PVH_ELF, "q35")])
async def test_the_other_machines_run(
    host: Host, monkeypatch: pytest.MonkeyPatch, kind: KernelFormat, machine: str
) -> None:
    monkeypatch.setattr(qemu, "recognise", lambda path: Kernel(path, kind, 0))
    driver = host.driver()
    domain = await driver.launch(host.spec(saying(b"here\n", HALT), machine=machine), [])
    await host.until(lambda: "here" in host.said())
    await driver.destroy(domain)
    assert host.events == []


async def test_a_flooding_guest_leaves_the_loop_alone_and_its_log_bounded(host: Host) -> None:
    driver = host.driver()
    domain = await driver.launch(host.spec(pvh_elf(FLOOD)), [])
    await host.until(lambda: any(line.startswith("xxx") for line in host.said()))
    # How long does one turn of the loop take? In this thread's own time, of which nobody else here can take any.
    loop = asyncio.get_running_loop()
    worst = 0.0
    end = loop.time() + 1.0
    while loop.time() < end:
        before = time.thread_time()
        await asyncio.sleep(0.005)
        worst = max(worst, time.thread_time() - before)
    assert worst < 0.05
    await driver.destroy(domain)
    assert sum(path.stat().st_size for path in (host.path / "logs").iterdir()) <= 2 * LARGEST_FILE


@pytest.mark.skipif(not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="needs /dev/net/tun")
async def test_a_tap_lives_as_long_as_its_domain(host: Host) -> None:
    name = f"jt{os.getpid()}"
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        # TUNSETIFF with IFF_TAP | IFF_NO_PI
        fcntl.ioctl(tap, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1002))
        driver = host.driver()
        domain = await driver.launch(host.spec(saying(b"here\n", HALT)), [tap])
    finally:
        os.close(tap)
    await host.until(lambda: "here" in host.said())
    assert name in [interface for _, interface in socket.if_nameindex()]
    await driver.destroy(domain)
    assert name not in [interface for _, interface in socket.if_nameindex()]
    assert host.events == []


def test_the_probe_guest_comes_through_and_the_verdict_holds(tmp_path: Path) -> None:
    guest = tmp_path / "probe.elf"
    guest.write_bytes(probe_guest(PROBE_TURNS))
    path = shutil.which("qemu-system-x86_64")
    assert path is not None
    assert run_probe(path, "tcg", guest, 10).failure == ""
    guest.write_bytes(probe_guest(1 << 31))
    assert run_probe(path, "tcg", guest, 0.2).failure == "did not finish in 200 ms"
    verdict = choose_accelerator(tmp_path / "cache")
    assert choose_accelerator(tmp_path / "cache") == verdict
    assert verdict.reason
