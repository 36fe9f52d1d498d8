"""`jitsu serve` as systemd runs it: inherited sockets, notifications, the units. Only systemd itself is missing."""

import fcntl
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import jitsu.daemon
from jitsu.daemon.client import ask
from jitsu.demo.stage import interface_names
from jitsu.domains.probe_guest import pvh_elf
from tests.kept_console import kept_console
from tests.open_files import open_files

UNITS = Path(jitsu.daemon.__file__).parent / "units"
BOARD = "10.9.0.1"
PATIENCE = 20.0
IP_FREEBIND = 15
"""From linux/in.h; the socket module has no name for it."""

LAUNCHER = """
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[1], sys.argv[1:])
"""
"""A process that becomes the daemon: LISTEN_PID is known only to itself."""

READ_ONLY = 'mount --bind "$1" "$1"; mount -o remount,bind,ro /; [ ! -w / ]; shift; exec "$@"'
"""A shell that leaves only the folder $1 writable to the command after it."""


class Manager:
    """NOTIFY_SOCKET: `heard` are the messages with the time at which each came."""

    def __init__(self) -> None:
        self.address = f"@jitsu-manager-{os.getpid()}-{time.monotonic_ns()}"
        self.heard: list[tuple[float, str]] = []
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind("\0" + self.address[1:])
        self._ear = threading.Thread(target=self._listen)
        self._ear.start()

    def _listen(self) -> None:
        while message := self._sock.recv(4096).decode():
            self.heard.append((time.monotonic(), message))

    def messages(self) -> list[str]:
        return [message for _, message in self.heard]

    def wait_for(self, start: str) -> str:
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            for message in self.messages():
                if message.startswith(start):
                    return message
            time.sleep(0.02)
        raise AssertionError(f"no {start} in {self.messages()}")

    def close(self) -> None:
        self._sock.shutdown(socket.SHUT_RD)
        self._ear.join()
        self._sock.close()


class Host:
    """A folder with a configuration of one service whose guest runs and never gets ready."""

    def __init__(self, folder: Path, manager: Manager) -> None:
        self.folder = folder
        self.runtime, self.control, self.log = folder / "run", folder / "control.sock", folder / "log"
        self.command = [sys.executable, "-m", "jitsu.cli.main", "serve", "-c", str(folder / "jitsu.toml")]
        self.manager = manager
        (folder / "guest.elf").write_bytes(pvh_elf(b"\xf4\xeb\xfd"))
        (folder / "jitsu.toml").write_text(
            f'[daemon]\nruntime = "{self.runtime}"\nstate = "{folder}/state"\n'
            f'[network]\naddress = "{BOARD}/24"\n'
            '[service.www]\nkernel = "guest.elf"\naddress = "10.9.0.10"\nmemory = "8 MiB"\n'
        )

    @contextmanager
    def serve(
        self, *prefix: str, inherited: Sequence[socket.socket] = (), code: int = 0, **variables: str
    ) -> Iterator[int]:
        """Run the daemon with sockets on the descriptors from 3 on. Yields its process id; it must end with `code`."""
        environment = {"PATH": os.environ["PATH"], "NOTIFY_SOCKET": self.manager.address, **variables}
        if inherited:
            environment["LISTEN_FDS"] = str(len(inherited))
            prefix = (sys.executable, "-c", LAUNCHER, *prefix)
        with self.log.open("wb") as log:
            child = subprocess.Popen(
                [*prefix, *self.command],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=lambda: _place([sock.fileno() for sock in inherited]),
                close_fds=False,
            )
        try:
            yield child.pid
        finally:
            # Whatever went wrong: in good order first, or its guest outlives the test.
            child.terminate()
            try:
                ended = child.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                child.kill()
                ended = child.wait()
        assert ended == code, self.said()

    def console(self) -> str:
        return "\n".join(kept_console(self.folder / "state" / "console", "www"))

    def said(self) -> str:
        return self.log.read_text(errors="replace")


def _place(descriptors: list[int]) -> None:
    """Put descriptors on 3, 4, ... in this order, where none of them may lie in the way of another."""
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 100) for descriptor in descriptors]
    for number, descriptor in enumerate(high, 3):
        os.dup2(descriptor, number)


def dig(name: str, *options: str, at: str = BOARD, port: int = 53) -> str:
    done = subprocess.run(
        ["dig", f"@{at}", "-p", str(port), "+short", "+tries=1", f"+time={PATIENCE:.0f}", *options, name],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def ps(control: Path) -> list[dict[str, Any]]:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(control))
        client.sendall(b'{"do": "ps"}\n')
        rows: list[dict[str, Any]] = json.loads(client.recv(65536))["result"]
        return rows


def wait_until(condition: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < give_up:
        time.sleep(0.02)
    assert condition()


def listening(family: int, kind: int, address: Any) -> socket.socket:
    """A socket as systemd makes it of a .socket unit with FreeBind=yes."""
    sock = socket.socket(family, kind)
    if family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
    sock.bind(address)
    if kind == socket.SOCK_STREAM:
        sock.listen()
    return sock


@pytest.fixture
def host(private_network: None) -> Iterator[Host]:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory(prefix="jitsu-systemd-") as folder:
        manager = Manager()
        try:
            yield Host(Path(folder), manager)
        finally:
            manager.close()
        assert interface_names() == ["lo"]


@pytest.fixture
def sockets(host: Host) -> Iterator[list[socket.socket]]:
    """What jitsu.socket lists: UDP, TCP and control; the bridge's address is nobody's yet."""
    with ExitStack() as stack:
        made = [
            listening(socket.AF_INET, socket.SOCK_DGRAM, (BOARD, 53)),
            listening(socket.AF_INET, socket.SOCK_STREAM, (BOARD, 53)),
            listening(socket.AF_UNIX, socket.SOCK_STREAM, str(host.control)),
        ]
        yield [stack.enter_context(sock) for sock in made]


def test_questions_are_answered_through_inherited_sockets(host: Host, sockets: list[socket.socket]) -> None:
    with host.serve(inherited=sockets):
        host.manager.wait_for("READY=1")

        assert dig("ns.jitsu.test") == BOARD
        assert dig("ns.jitsu.test", "+tcp") == BOARD
        assert [row["state"] for row in ps(host.control)] == ["asleep"]
        assert not (host.runtime / "control.sock").exists()
    assert "[dns] listen is ignored: 2 sockets were handed over" in host.said()
    assert host.control.exists()


def test_a_guest_inherits_neither_sockets_nor_environment(host: Host, sockets: list[socket.socket]) -> None:
    ours = {f"socket:[{os.fstat(sock.fileno()).st_ino}]" for sock in sockets}
    with host.serve(inherited=sockets) as daemon:
        host.manager.wait_for("READY=1")
        assert ours <= set(open_files(daemon))
        assert dig("www.jitsu.test") == "10.9.0.10"

        (row,) = ps(host.control)
        assert ours & set(open_files(row["pid"])) == set()
        environment = Path(f"/proc/{row['pid']}/environ").read_bytes()
        assert re.findall(rb"NOTIFY|WATCHDOG|LISTEN", environment) == []


def test_ready_a_steady_sign_of_life_and_stopping(host: Host) -> None:
    with host.serve(WATCHDOG_USEC="600000"):
        assert host.manager.wait_for("READY=1") == "READY=1\nSTATUS=0 of 1 services of jitsu.test awake"
        # Ready is ready: the very next thing is answered.
        assert dig("ns.jitsu.test") == BOARD
        time.sleep(3)
    *before, last = host.manager.messages()
    assert last.startswith("STOPPING=1\n")
    assert before[0].startswith("READY=1")

    beats = [at for at, message in host.manager.heard if message == "WATCHDOG=1"]
    gaps = [later - earlier for earlier, later in pairwise(beats)]
    assert 0.28 < sum(gaps) / len(gaps) < 0.4
    assert max(gaps) < 0.6


def test_without_a_manager_nothing_happens(host: Host) -> None:
    with host.serve(NOTIFY_SOCKET=""):
        give_up = time.monotonic() + PATIENCE
        while "serving 1 services" not in host.said() and time.monotonic() < give_up:
            time.sleep(0.05)
        assert dig("ns.jitsu.test") == BOARD
        assert ask(host.runtime, "status")["zone"] == "jitsu.test"
    assert host.manager.heard == []
    assert "ignored" not in host.said()
    assert " WARNING " not in host.said()


def test_half_of_what_dns_needs_is_refused(host: Host, sockets: list[socket.socket]) -> None:
    with host.serve(inherited=sockets[:1], code=3) as daemon:
        os.waitid(os.P_PID, daemon, os.WEXITED | os.WNOWAIT)
    assert "error: for DNS only UDP was handed over\n hint: give the .socket unit both " in host.said()


def test_the_first_question_to_systemds_own_socket_starts_the_daemon_and_is_answered(host: Host) -> None:
    # It passes on what it inherited: the first makes the datagram socket, the second the stream sockets.
    activate = "systemd-socket-activate"
    datagram = (activate, "--datagram", "--listen=127.0.0.1:5300")
    streams = (activate, "--listen=127.0.0.1:5300", f"--listen={host.control}")
    with host.serve(*datagram, f"--setenv=NOTIFY_SOCKET={host.manager.address}", *streams, "--setenv=NOTIFY_SOCKET"):
        give_up = time.monotonic() + PATIENCE
        while "Listening on 127.0.0.1:5300" not in host.said() and time.monotonic() < give_up:
            time.sleep(0.02)

        assert dig("ns.jitsu.test", at="127.0.0.1", port=5300) == BOARD
        assert dig("ns.jitsu.test", "+tcp", at="127.0.0.1", port=5300) == BOARD
        assert host.manager.wait_for("READY=1")
    assert host.control.exists()


def setting(name: str) -> list[str]:
    """The words of a setting in jitsu.service."""
    (line,) = re.findall(rf"^{name}=(.*)$", (UNITS / "jitsu.service").read_text(), re.MULTILINE)
    return str(line).split()


def test_the_sandbox_of_the_unit_leaves_enough(host: Host, sockets: list[socket.socket]) -> None:
    # ProtectSystem=strict: all is read-only but what the unit names; TMPDIR stands for PrivateTmp=.
    assert setting("ProtectSystem") == ["strict"]
    strict = ("/usr/bin/unshare", "--mount", "sh", "-ec", READ_ONLY, "sh", str(host.folder))
    bounding = ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in setting("CapabilityBoundingSet"))
    confined = (*strict, "setpriv", "--no-new-privs", f"--bounding-set=-all,{bounding}")
    with host.serve(*confined, inherited=sockets, TMPDIR=str(host.folder)) as daemon:
        host.manager.wait_for("READY=1")

        assert "CapEff:\t0000000000003000\n" in Path(f"/proc/{daemon}/status").read_text()
        assert dig("www.jitsu.test") == "10.9.0.10"


def test_systemd_finds_no_fault_with_the_units(tmp_path: Path) -> None:
    names = ["jitsu-consoled.service", "jitsu-xenstored.service", "jitsu.service", "jitsu.socket"]
    assert sorted(path.name for path in UNITS.iterdir()) == names
    store = "xenstored --socket /run/jitsu/xenstore.sock --state /run/jitsu/xenstore.db --sync off"
    store += " --guest-ports /run/jitsu/domains/guest-ports"
    commands = ("consoled", store, "serve", "")
    for name, command in zip(names, commands, strict=True):
        unit = (UNITS / name).read_text()
        assert not command or f"ExecStart=/usr/local/bin/jitsu {command}\n" in unit
        (tmp_path / name).write_text(unit.replace("/usr/local/bin/jitsu", "/bin/true"))

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *names], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_daemon_leaves_a_consoled_that_systemd_started_to_systemd(host: Host) -> None:
    """One that dies is not replaced by one of the daemon's own while systemd may be about to start it again."""
    command = [*host.command[:3], "consoled", *host.command[4:]]
    environment = {"PATH": os.environ["PATH"], "NOTIFY_SOCKET": host.manager.address}
    # As the unit has it: no capability is left.
    confined = ("setpriv", "--no-new-privs", "--bounding-set=-all")
    children = []
    try:
        children.append(subprocess.Popen([*confined, *command], env=environment, stderr=subprocess.DEVNULL))
        assert host.manager.wait_for("READY=1") == "READY=1\nSTATUS=keeping 0 consoles"
        with host.serve():
            host.manager.wait_for("READY=1\nSTATUS=0 of 1")
            wait_until(lambda: ask(host.runtime, "status")["consoled"] == children[0].pid)
            assert dig("www.jitsu.test") == "10.9.0.10"
            wait_until(lambda: "domain 1 started" in host.console())
            children[0].kill()
            wait_until(lambda: ask(host.runtime, "status")["consoled"] is None)
            children.append(subprocess.Popen([*confined, *command], env=environment, stderr=subprocess.DEVNULL))
            wait_until(lambda: ask(host.runtime, "status")["consoled"] == children[1].pid)
            wait_until(lambda: "consoled was started again" in host.console())
        # The daemon has ended, and this one is not its own.
        assert children[1].poll() is None
        assert sorted(path.name for path in host.runtime.iterdir()) == ["consoled.lock", "consoled.sock"]
    finally:
        for child in children:
            child.terminate()
            child.wait(PATIENCE)


def test_a_watchdog_has_time_for_more_than_one_sign_of_life() -> None:
    assert float(setting("WatchdogSec")[0]) >= 10
    assert setting("KillMode") == ["process"]
