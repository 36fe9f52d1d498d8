"""Emulated boards with real Xen: they boot, are saved and restored, take commands and files, and hear the wire."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from boards.definition import read
from boards.emulator import EmulatedBoard
from boards.snapshots import booted, restored
from jitsu.errors import DomainError
from tests.hil.conftest import EMULATED
from tests.hil.idle_guests import idle_guest

# An image is built and a board booted the first time.
pytestmark = pytest.mark.timeout(1800)

PATIENCE = 60.0

OF_ITS_OWN = "import os, time; print(os.urandom(16).hex(), time.time())"


def await_truth(question: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + PATIENCE
    while not question():
        assert time.monotonic() < give_up, f"never: {what}"
        time.sleep(0.1)


def running_programs(board: EmulatedBoard) -> list[str]:
    """The names of dom0's processes."""
    return board.check("sh", "-c", "cat /proc/[0-9]*/comm 2>/dev/null || true").split()


def command_lines() -> str:
    """Of all processes on this machine."""
    return subprocess.run(["ps", "-e", "-ww", "-o", "args"], capture_output=True, text=True, check=True).stdout


@pytest.mark.soak
@pytest.mark.parametrize("name", EMULATED)
def test_a_board_boots_from_power(name: str) -> None:
    with booted(read(name), "xenstored") as board:
        console = board.log.read_text(errors="replace")
        listed = board.check("xl", "list")

    assert "Xen version 4.17" in console
    assert listed.splitlines()[1].split()[:2] == ["Domain-0", "0"]


@pytest.mark.parametrize("xenstored", ["xenstored", pytest.param("oxenstored", marks=pytest.mark.soak)])
@pytest.mark.parametrize("name", EMULATED)
def test_xl_and_the_store_answer_on_a_restored_board(name: str, xenstored: str) -> None:
    with restored(read(name), xenstored) as board:
        listed = board.check("xl", "list")
        store = board.check("xenstore-ls", "/local/domain/0")
        programs = running_programs(board)

    assert listed.splitlines()[1].split()[:2] == ["Domain-0", "0"]
    assert 'name = "Domain-0"' in store
    assert {"xenstored", "oxenstored"} & set(programs) == {xenstored}
    assert "xenconsoled" in programs


def test_a_board_without_a_xenstored_takes_one_later() -> None:
    with restored(read("qemu-virt-armv7"), "none") as board:
        before = running_programs(board)
        board.check("xenstored", "--pid-file", "/run/xen/xenstored.pid")
        await_truth(lambda: board.run("xenstore-exists", "/").rc == 0, "a store that answers")
        board.check("/usr/lib/xen-4.17/bin/xen-init-dom0")
        listed = board.check("xl", "list")

    assert {"xenstored", "oxenstored", "xenconsoled"} & set(before) == set()
    assert listed.splitlines()[1].split()[:2] == ["Domain-0", "0"]


def test_frames_go_both_ways(board: EmulatedBoard) -> None:
    wire = board.board.wire
    with board.lan.inside():
        inwards = subprocess.run(
            ["ping", "-c", "3", "-i", "0.3", "-W", "20", str(wire.address.ip)],
            capture_output=True,
            text=True,
            check=False,
        )
    outwards = board.run("ping", "-c", "3", "-W", "20", str(wire.gateway))

    assert " 0% packet loss" in inwards.stdout
    assert " 0% packet loss" in outwards.out


def test_a_domain_with_a_vif_comes_and_goes(board: EmulatedBoard) -> None:
    before = board.check("xenstore-ls", "-f")
    kind = "pvh" if board.board.architecture == "amd64" else ""
    board.put(idle_guest(board.board.architecture), "/tmp/idle")
    lines = ['name = "idle"', 'kernel = "/tmp/idle"', "memory = 32", 'vif = ["bridge=xenbr0"]']
    board.put("\n".join([*lines, f'type = "{kind}"' if kind else ""]).encode(), "/tmp/idle.cfg")

    board.check("xl", "create", "-q", "/tmp/idle.cfg", timeout=300)
    listed = board.check("xl", "list")
    ports = board.check("ip", "-br", "link", "show", "master", "xenbr0")
    board.check("xl", "destroy", "idle", timeout=300)

    assert "idle" in listed
    assert "vif1.0" in ports
    assert "vif1.0" not in board.check("ip", "-br", "link", "show", "master", "xenbr0")
    assert board.check("xl", "list").count("\n") == 2
    left = set(board.check("xenstore-ls", "-f").splitlines()) - set(before.splitlines())
    # xl itself leaves the empty folders in which the domain's own were.
    assert {line for line in left if not line.endswith('= ""')} == set()


def test_a_restored_board_has_the_time_and_secrets_of_its_own() -> None:
    told = []
    for _ in range(2):
        with restored(read("qemu-virt-armv7"), "xenstored") as board:
            told.append(board.check("python3", "-c", OF_ITS_OWN).split())
            # dom0's clock goes on from what it was told, as fast as the emulation: within a minute is right.
            assert abs(float(told[-1][1]) - time.time()) < PATIENCE

    assert told[0][0] != told[1][0]


def test_what_one_board_writes_no_other_sees() -> None:
    armv7 = read("qemu-virt-armv7")
    with restored(armv7, "xenstored") as one, restored(armv7, "xenstored") as other:
        one.put(b"mine", "/root/mine")
        one.check("sync")

        assert one.get("/root/mine") == b"mine"
        assert other.run("cat", "/root/mine").rc == 1


def test_files_of_any_bytes_and_size_go_both_ways(armv7: EmulatedBoard, tmp_path: Path) -> None:
    content = os.urandom(300_001)
    local = tmp_path / "local"
    local.write_bytes(content)

    armv7.put(local, "/tmp/there", 0o700)
    armv7.put(b"", "/tmp/empty")

    assert armv7.get("/tmp/there") == content
    assert armv7.get("/tmp/empty") == b""
    assert armv7.check("stat", "-c", "%a", "/tmp/there") == "700\n"


def test_a_command_that_takes_too_long_is_killed_with_all_that_it_started(armv7: EmulatedBoard) -> None:
    with pytest.raises(DomainError, match="not done within 2 s"):
        armv7.run("sh", "-c", "sleep 1234 & sleep 1234", timeout=2)

    assert "sleep 1234" not in armv7.check("ps", "-o", "args")


def test_orphans_are_reaped(armv7: EmulatedBoard) -> None:
    armv7.check("sh", "-c", "for i in 1 2 3 4 5; do (sleep 0.1 >/dev/null 2>&1 &); done")

    def nobody_is_left() -> bool:
        states = armv7.check("ps", "-o", "stat,comm").splitlines()
        return not any("sleep" in line or line.startswith("Z") for line in states)

    await_truth(nobody_is_left, "the orphans were reaped")


def test_an_agent_that_is_killed_is_started_again(armv7: EmulatedBoard) -> None:
    [before] = armv7.check("pidof", "python3").split()
    # By the serial console: whatever the agent is at is lost with it.
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as console:
        console.settimeout(PATIENCE)
        console.connect(str(armv7.serial))
        console.sendall(f"kill -9 {before}; echo killed $((6 * 7))\n".encode())
        seen = b""
        while b"killed 42" not in seen:
            seen += console.recv(4096)

    assert armv7.check("pidof", "python3").split() != [before]


def test_a_board_that_dies_is_told_of_at_once(armv7: EmulatedBoard) -> None:
    with pytest.raises(DomainError, match="the board has ended"):
        armv7.run("sh", "-c", "echo c >/proc/sysrq-trigger")

    with pytest.raises(DomainError, match="the board has ended"):
        armv7.run("true")
    assert "Kernel panic" in armv7.log.read_text(errors="replace")


def test_jitsu_of_this_checkout_runs_in_dom0(board: EmulatedBoard) -> None:
    board.install_jitsu()

    assert board.check("jitsu", "--version").startswith("jitsu, version ")
    # All that it imports is there. How long that takes is for others to measure.
    modules = "jitsu.daemon.serve, jitsu.cli.top, dns, dnslib, pyroute2, rich, h11, _cffi_backend"
    board.check("python3", "-c", f"import {modules}", timeout=900)
    assert board.check("find", "/opt/jitsu", "-name", "*.pyc") != ""


def test_a_command_from_the_command_line(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("to the board\n")
    jitsu = [sys.executable, "-m", "jitsu.cli.main", "board", "run", "qemu-virt-armv7"]
    copies = ["--put", f"{source}:/tmp/there", "--get", f"/tmp/back:{target}"]
    script = "cat /tmp/there; tr a-z A-Z </tmp/there >/tmp/back; echo trouble >&2; exit 7"

    ended = subprocess.run([*jitsu, *copies, "--", "sh", "-c", script], capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stdout) == (7, "to the board\n")
    assert ended.stderr.splitlines()[-1] == "trouble"
    assert target.read_text() == "TO THE BOARD\n"


@pytest.mark.parametrize("command", [pytest.param("boot", marks=pytest.mark.soak), "shell"])
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_serial_console_is_a_shell(command: str, end: signal.Signals, tmp_path: Path) -> None:
    jitsu = [sys.executable, "-m", "jitsu.cli.main", "board", command, "qemu-virt-armv7"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}

    with subprocess.Popen(jitsu, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"echo answer $((6 * 7))\n")
        process.stdin.flush()
        seen = b""
        while b"answer 42" not in seen:
            seen += (piece := os.read(process.stdout.fileno(), 4096))
            assert piece, seen
        process.send_signal(end)

    assert b"Xen version 4.17" in seen if command == "boot" else True
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_a_board_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with restored(read("qemu-virt-armv7"), "xenstored"):
        folders = list(tmp_path.iterdir())
        assert str(tmp_path) in command_lines()

    assert len(folders) == 2
    assert list(tmp_path.iterdir()) == []
    assert str(tmp_path) not in command_lines()
