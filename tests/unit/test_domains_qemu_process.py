"""The QEMU driver against a program in QEMU's place: what it inherits, how it says ready, how it ends."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from jitsu.domains.console_files import consoles_in
from jitsu.domains.console_keeper import ConsoleKeeper
from jitsu.domains.driver import Domain, DomainEvent, DomainSpec, Happening, Verdict
from jitsu.domains.probe_guest import pvh_elf
from jitsu.domains.qemu import QemuDriver
from jitsu.domains.qemu_process import DomainFiles
from jitsu.errors import DomainError, HostError, ResourceBusy
from tests.kept_console import kept_console

# Connects the chardevs as QEMU does and then runs the `script` of the test, which has them as files.
PROGRAM = """#!{python} -IS
import json, os, re, signal, socket, sys, time
fds = dict(re.findall(r"socket,id=(\\w+),fd=(\\d+)", " ".join(sys.argv)))
listening = {{name: socket.socket(fileno=int(fd)) for name, fd in fds.items()}}
def accept(name):
    if name == "console":
        return open(re.search(r"pipe,id=console,path=(\\S+)", " ".join(sys.argv))[1] + ".out", "r+b", buffering=0)
    return listening[name].accept()[0].makefile("rwb", buffering=0)
def monitor(*events):
    qmp = accept("qmp")
    qmp.write(b'{{"QMP": {{}}}}\\n')
    qmp.write(b'{{"return": {{}}, "id": %d}}\\n' % json.loads(qmp.readline())["id"])
    for event in events:
        qmp.write(json.dumps(event).encode() + b"\\n")
    return qmp
{script}
"""


class Listened(list[DomainEvent]):
    """The events that came, and a way to wait for more."""

    def __init__(self) -> None:
        super().__init__()
        self._news = asyncio.Event()

    def __call__(self, event: DomainEvent) -> None:
        self.append(event)
        self._news.set()

    async def count(self, number: int, timeout: float = 5.0) -> None:
        async with asyncio.timeout(timeout):
            while len(self) < number:
                self._news.clear()
                await self._news.wait()


def said(tmp_path: Path) -> list[str]:
    """What the console's log holds, without the times."""
    return [line.split(" ", 1)[1] for line in kept_console(tmp_path / "logs")]


@pytest.fixture
def spec(tmp_path: Path) -> DomainSpec:
    kernel = tmp_path / "kernel"
    kernel.write_bytes(pvh_elf(b"\xfa\xf4\xeb\xfc"))
    return DomainSpec("hello", 12, kernel, 16 << 20, "name=hello", "52:54:00:00:00:01", fingerprint="f")


@asynccontextmanager
async def driving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> AsyncIterator[tuple[QemuDriver, Listened]]:
    """A driver whose QEMU runs `script`; afterwards nothing of it may be left."""
    program = tmp_path / "bin" / "qemu-system-x86_64"
    program.parent.mkdir()
    program.write_text(PROGRAM.format(python=sys.executable, script=script))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    events = Listened()
    keeper = ConsoleKeeper(tmp_path / "run", tmp_path / "logs")
    driver = QemuDriver("test", tmp_path / "run", tmp_path / "saved", keeper, Verdict("tcg", ""), events)
    try:
        yield driver, events
    finally:
        for process in list(driver._processes.values()):
            await process.destroy(signal.SIGKILL)
        await driver.close()
        keeper.close()
    assert list((tmp_path / "run").iterdir()) == []


async def test_ready_is_reported_once_and_an_orderly_end_is_told_from_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: DomainSpec
) -> None:
    script = """
console, ready = accept("console"), accept("ready")
console.write(b"booting\\n")
ready.write(b"rea"); time.sleep(0.02)
ready.write(b"dy hello 5123\\nready hello 5124\\n"); time.sleep(0.02)
ready.write(b"ready hello 5125\\n")
monitor({"event": "SHUTDOWN", "data": {"guest": True, "reason": "guest-shutdown"}})
console.write(b"bye\\n")
"""
    async with driving(tmp_path, monkeypatch, script) as (driver, events):
        domain = await driver.launch(spec, [])
        assert events == []
        await events.count(2)
        assert events == [
            DomainEvent(Happening.READY, domain, "ready hello 5123"),
            DomainEvent(Happening.EXITED, domain, "the guest shut down"),
        ]
        assert domain == Domain("hello", 12, domain.handle, "f")
        await driver.destroy(domain)
        with pytest.raises(DomainError, match=r"domain 12 \(hello\): is not running here"):
            await driver.pause(domain)
    lines = said(tmp_path)
    assert lines == [
        *("--- domain 12 started ---", "booting", "bye"),
        "--- domain 12 ended: the guest shut down ---",
    ]


@pytest.mark.parametrize(
    ("end", "detail"),
    [
        ("sys.exit(0)", "the guest ended before QEMU could be asked why"),
        (
            "print('qemu-system-x86_64: first\\nqemu-system-x86_64: no \\x1b[31mRAM\\n', file=sys.stderr); sys.exit(1)",
            "QEMU failed with status 1: no RAM",
        ),
        ("os.kill(os.getpid(), 9); time.sleep(9)", "QEMU was killed by signal 9 (Killed)"),
        ("os.kill(os.getpid(), 36); time.sleep(9)", "QEMU was killed by signal 36 (Real-time signal 2)"),
        (
            "accept('ready').write(b'ready\\n');"
            "monitor({'event': 'SHUTDOWN', 'data': {'reason': 'guest-reset'}}); sys.exit(0)",
            "the guest reset itself (a reboot or a triple fault)",
        ),
        (
            "accept('ready').write(b'ready\\n');"
            "monitor({'event': 'SHUTDOWN', 'data': {'reason': 'new\\x1b[0m-one'}}); sys.exit(0)",
            "QEMU ended (new-one)",
        ),
    ],
)
async def test_every_other_end_is_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: DomainSpec, end: str, detail: str
) -> None:
    async with driving(tmp_path, monkeypatch, end) as (driver, events):
        domain = await driver.launch(spec, [])
        await events.count(2 if "ready" in end else 1)
        assert events[-1] == DomainEvent(Happening.CRASHED, domain, detail)


async def test_hostile_ready_ports_say_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: DomainSpec
) -> None:
    script = r"""
ready = accept("ready")
for line in (b"", b"readyhello 1", b"\xff\x00\x1b[2J", b"x" * 300 + b"ready 1", b"ready " + b"x" * 300, b" ready x"):
    ready.write(line + b"\n")
ready.write(b"y" * 10000)
time.sleep(0.2)
ready.write(b"\nready \x1b[31mhello 7\n")
time.sleep(60)
"""
    async with driving(tmp_path, monkeypatch, script) as (driver, events):
        await driver.launch(spec, [])
        await asyncio.sleep(0.15)
        assert events == []
        await events.count(1)
        assert events[0].detail == "ready hello 7"


async def test_what_is_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: DomainSpec) -> None:
    """The two sockets and the tap under their numbers, no secret of the daemon's, a session of its own."""
    script = """
console = accept("console")
inherited = []
for name in os.listdir("/proc/self/fd"):
    try:
        inherited.append(name + " " + os.readlink("/proc/self/fd/" + name).split(":")[0])
    except FileNotFoundError:
        pass  # the one that listed the directory
console.write(("\\n".join(inherited) + "\\n").encode())
console.write(f"env {sorted(set(os.environ) - {'LC_CTYPE'})}\\n".encode())
console.write(f"leads {os.getsid(0) == os.getpid()}\\n".encode())
time.sleep(60)
"""
    monkeypatch.setenv("SECRET", "of the daemon")
    tap = tmp_path / "tap"
    tap.touch()
    fd, kept = os.open(tap, os.O_RDWR), os.open(spec.kernel, os.O_RDONLY)
    async with driving(tmp_path, monkeypatch, script) as (driver, events):
        domain = await driver.launch(spec, [fd])
        os.close(fd)
        await asyncio.sleep(0.3)
        await driver.destroy(domain)
        assert events == []
    os.close(kept)
    lines = said(tmp_path)
    assert f"{fd} {tap}" in lines
    assert "env ['PATH']" in lines
    assert "leads True" in lines
    assert not any(str(spec.kernel) in line for line in lines)
    assert f"1 {tmp_path}/run/12.stderr" in lines
    assert "0 /dev/null" in lines
    # QMP and ready.
    assert sum(line.endswith(" socket") for line in lines) == 2


async def test_a_qemu_that_ignores_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: DomainSpec
) -> None:
    script = "signal.signal(signal.SIGTERM, signal.SIG_IGN); accept('console').write(b'deaf\\n'); time.sleep(60)"
    monkeypatch.setattr("jitsu.domains.qemu_process.PATIENCE", 0.3)
    async with driving(tmp_path, monkeypatch, script) as (driver, events):
        domain = await driver.launch(spec, [])
        await asyncio.sleep(0.3)
        begin = time.monotonic()
        await asyncio.gather(driver.destroy(domain), driver.destroy(domain))
        assert 0.25 < time.monotonic() - begin < 0.6
        with pytest.raises(ProcessLookupError):
            os.kill(domain.handle, 0)
        assert events == []


async def test_a_driver_that_closes_lets_the_process_and_its_console_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: DomainSpec
) -> None:
    script = """
console, ready = accept("console"), accept("ready")
console.write(b"one\\n")
ready.write(b"ready hello 1\\n")
time.sleep(0.2)
console.write(b"two, when no driver is there\\n")
time.sleep(60)
"""
    async with driving(tmp_path, monkeypatch, script) as (driver, events):
        domain = await driver.launch(spec, [])
        await events.count(1)
        await driver.close()
        async with asyncio.timeout(5):
            while "two, when no driver is there" not in said(tmp_path):  # noqa: ASYNC110 - a log has no event
                await asyncio.sleep(0.01)
        os.kill(domain.handle, signal.SIGKILL)
        await asyncio.to_thread(os.waitpid, domain.handle, 0)
        DomainFiles(tmp_path / "run", 12).unlink()
        [console] = consoles_in(tmp_path / "run")
        console.unlink()
    assert said(tmp_path) == ["--- domain 12 started ---", "one", "two, when no driver is there"]


async def test_prepare_fails_with_the_words_of_a_qemu_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: DomainSpec
) -> None:
    script = """
print("qemu-system-x86_64: bad luck", file=sys.stderr)
for each in listening.values():
    each.close()
time.sleep(0.1)
sys.exit(1)
"""
    async with driving(tmp_path, monkeypatch, script) as (driver, events):
        with pytest.raises(DomainError) as caught:
            await driver.prepare(spec, [])
        assert caught.value.message == "service hello: QEMU failed with status 1: bad luck"
        await asyncio.sleep(0.05)
        assert events == []


async def test_a_prepare_that_is_cancelled_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: DomainSpec
) -> None:
    async with driving(tmp_path, monkeypatch, "time.sleep(60)") as (driver, events):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await driver.prepare(spec, [])
        for process in list(driver._processes.values()):
            assert await process.ended(within=2)
        assert events == []


async def test_a_domid_is_used_once_and_another_domains_sockets_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: DomainSpec
) -> None:
    async with driving(tmp_path, monkeypatch, "time.sleep(60)") as (driver, events):
        domain = await driver.launch(spec, [])
        with pytest.raises(ResourceBusy) as caught:
            await driver.launch(spec, [])
        assert caught.value.message == f"socket {tmp_path}/run/12.qmp: exists already"
        assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
            *("12.console.hello.in", "12.console.hello.kept", "12.console.hello.out"),
            *("12.qmp", "12.ready", "12.stderr"),
        ]
        stranger = Domain("hello", 12, domain.handle + 1)
        await driver.destroy(stranger)
        os.kill(domain.handle, 0)
        await driver.destroy(domain)
        assert events == []


async def test_a_launch_that_fails_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: DomainSpec
) -> None:
    async with driving(tmp_path, monkeypatch, "") as (driver, events):
        driver._qemu = str(tmp_path / "gone")
        open_files = len(os.listdir("/proc/self/fd"))
        with pytest.raises(HostError, match="gone: cannot be started: No such file or directory"):
            await driver.launch(spec, [])
        assert len(os.listdir("/proc/self/fd")) == open_files
        assert events == []


@pytest.mark.parametrize(
    ("memory", "cmdline", "says"),
    [
        (1 << 20, "", "service hello: 1 MiB of memory are too few"),
        (1 << 60, "", "service hello: 1099511627776 MiB of memory are more than this host has"),
        (16 << 20, "a\0b", "service hello: the command line has a NUL character in it"),
    ],
)
def test_check(tmp_path: Path, spec: DomainSpec, memory: int, cmdline: str, says: str) -> None:
    driver = QemuDriver(
        "test",
        tmp_path / "run",
        tmp_path / "saved",
        ConsoleKeeper(tmp_path, tmp_path),
        Verdict("tcg", ""),
        lambda event: None,
    )
    refused = DomainSpec("hello", 1, spec.kernel, memory, cmdline, "52:54:00:00:00:01")
    with pytest.raises(DomainError) as caught:
        driver.check(refused)
    assert caught.value.message == says


def test_check_of_files_and_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: DomainSpec) -> None:
    driver = QemuDriver(
        "test",
        tmp_path / "run",
        tmp_path / "saved",
        ConsoleKeeper(tmp_path, tmp_path),
        Verdict("tcg", ""),
        lambda event: None,
    )
    absent = tmp_path / "absent"
    with pytest.raises(DomainError, match=r"initrd .*absent is missing or cannot be read"):
        driver.check(DomainSpec("hello", 1, spec.kernel, 1 << 24, "", "", initrd=absent))
    with pytest.raises(DomainError, match="no such file"):
        driver.check(DomainSpec("hello", 1, absent, 1 << 24, "", ""))
    monkeypatch.setenv("PATH", str(absent))
    with pytest.raises(HostError, match="qemu-system-x86_64 is not in PATH"):
        driver.check(spec)
    with pytest.raises(HostError, match="Not a directory"):
        QemuDriver(
            "test",
            spec.kernel / "run",
            tmp_path / "saved",
            ConsoleKeeper(tmp_path, tmp_path),
            Verdict("tcg", ""),
            lambda event: None,
        )


def test_a_complaint_is_the_last_line_that_is_one(tmp_path: Path) -> None:
    files = DomainFiles(tmp_path, 3)
    assert files.complaint() == ""
    Path(files.stderr).write_text(
        "x" * 5000 + "\nqemu-system-x86_64: -kernel: no\nqemu-system-x86_64: -chardev: info: QEMU waiting for you\n\n"
    )
    assert files.complaint() == "-kernel: no"
