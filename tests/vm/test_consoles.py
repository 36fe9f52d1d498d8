"""Consoles of real guests: no line is lost to a daemon, a gap is marked, and people can look and type."""

import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jitsu.demo.client import Client, SynCounter
from jitsu.demo.stage import Cast, Stage
from jitsu.domains.console import LARGEST_FILE
from jitsu.domains.console_keeper import GAP, TOO_FAST
from jitsu.domains.probe_guest import pvh_elf
from jitsu.network.namespace import inside
from tests.kept_console import kept_console
from tests.vm.witness import belongings, nothing_is_left

pytestmark = [pytest.mark.usefixtures("private_network"), pytest.mark.timeout(600)]

LINE = re.compile(r"^www: line (\d+)$")
ECHO = (
    b"\x66\xba\xfd\x03"  # mov dx, 0x3fd: the line's status
    b"\xec\xa8\x01\x74\xfb"  # in al, dx / test al, 1 / jz -5: until something was typed
    b"\x66\xba\xf8\x03\xec\xee"  # mov dx, 0x3f8 / in al, dx / out dx, al
    b"\xeb\xef"  # jmp to the start
)
"""A guest that says what is typed to it."""

Stages = Iterator[tuple[Stage, Client]]


@pytest.fixture
def board(hello: Path) -> Stages:
    with Stage([Cast("www", hello)]) as stage, SynCounter(stage.client) as counter:
        yield stage, Client(stage.client, counter)


def console(stage: Stage) -> list[str]:
    return [line.partition(" ")[2] for line in kept_console(stage.config.daemon.state / "console", "www")]


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    tick = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        tick.wait(0.02)
    assert condition()


def numbers(stage: Stage) -> list[int]:
    return [int(match[1]) for line in console(stage) if (match := LINE.match(line))]


class Printer:
    """Has the guest print numbered lines, a few at a time, until it is told to stop; `printed` is the last.

    Its log must hold all of them, which are 9,000; `pause` is in seconds.
    """

    def __init__(self, stage: Stage, pause: float = 0.05) -> None:
        self._pause = pause
        self._address = str(stage.config.services["www"].address)
        self._stage = stage
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.printed = 0

    def __enter__(self) -> "Printer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set() and self.printed < 9000:
            self.printed += ask_to_print(self._stage, 20, self.printed + 1)
            self._over.wait(self._pause)


def ask_to_print(stage: Stage, lines: int, first: int = 1) -> int:
    url = f"http://{stage.config.services['www'].address}/print?lines={lines}&from={first}"
    with inside(stage.client):
        done = subprocess.run(["curl", "-sS", "--fail", "-m", "60", url], capture_output=True, text=True, check=True)
    assert done.stdout == f"printed {lines} lines\n"
    return lines


def test_no_line_is_lost_to_daemons_that_are_killed(board: tuple[Stage, Client], full: bool) -> None:
    stage, client = board
    before = belongings(stage)
    assert client.by_name("www.jitsu.test").status == 200
    consoled = stage.ask("status")["consoled"]
    with Printer(stage) as printer:
        for _ in range(10 if full else 3):
            until(lambda last=printer.printed: printer.printed > last)
            stage.kill_daemon()
            until(lambda last=printer.printed: printer.printed > last)
            stage.start_daemon()
            assert stage.ask("status")["consoled"] == consoled
    until(lambda: numbers(stage)[-1:] == [printer.printed])
    assert numbers(stage) == list(range(1, printer.printed + 1))
    said = console(stage)
    assert [line for line in said if line.startswith("---")] == ["--- domain 1 started ---"]
    stage.ask("stop", service="www")
    nothing_is_left(stage, before)


def test_over_a_consoled_that_is_killed_the_log_marks_the_gap_and_goes_on(
    board: tuple[Stage, Client], full: bool
) -> None:
    stage, client = board
    assert client.by_name("www.jitsu.test").status == 200
    until(lambda: "--- domain 1 started ---" in console(stage))
    kills = 20 if full else 3
    # The more often it is killed at once, the later it is started again.
    with Printer(stage, pause=0.3 if full else 0.05) as printer:
        for _ in range(kills):
            until(lambda last=printer.printed: printer.printed > last)
            killed = stage.ask("status")["consoled"]
            os.kill(killed, signal.SIGKILL)
            until(lambda dead=killed: stage.ask("status")["consoled"] not in (None, dead))
    until(lambda: numbers(stage)[-1:] == [printer.printed])
    said = console(stage)
    gap = f"--- domain 1: {GAP} ---"
    assert said.count(gap) == kills
    # What was printed is there once and in order; where a number is missing, a gap is marked just there.
    before, marked, missing = 0, False, 0
    for line in said:
        marked = marked or line == gap
        if match := LINE.match(line):
            assert int(match[1]) > before
            assert int(match[1]) == before + 1 or marked, f"{before} is followed by {line!r} and no gap is marked"
            missing += int(match[1]) - before - 1
            before, marked = int(match[1]), False
    print(f"{kills} kills of consoled, {printer.printed} lines printed, {missing} of them missing at the marks")


def test_a_guest_that_prints_without_end_stays_within_the_bound_and_loses_nothing(
    board: tuple[Stage, Client], full: bool
) -> None:
    stage, client = board
    assert client.by_name("www.jitsu.test").status == 200
    most = 0
    folder = stage.config.daemon.state / "console"
    # 32 times the two files, or one MiB.
    size = 64 * LARGEST_FILE if full else 1 << 20
    printed = 0
    while printed * len("www: line 12345\n") < size:
        printed += ask_to_print(stage, 20_000, printed + 1)
        most = max(most, sum(path.stat().st_size for path in folder.iterdir()))
    until(lambda: numbers(stage)[-1:] == [printed])
    assert LARGEST_FILE < most <= 2 * LARGEST_FILE
    kept = numbers(stage)
    assert kept == list(range(kept[0], printed + 1))
    assert not any(TOO_FAST in line for line in console(stage))


@contextmanager
def terminal(stage: Stage, *options: str) -> Iterator["Screen"]:
    """`jitsu console www` on a terminal of its own."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "jitsu.cli.main", "console", "-c", str(stage.path), "www", *options]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    screen = Screen(process, ours)
    try:
        yield screen
    finally:
        process.kill()
        process.wait()
        os.close(ours)


class Screen:
    def __init__(self, process: "subprocess.Popen[bytes]", fd: int) -> None:
        self.process = process
        self._fd = fd
        self.seen = b""

    def until(self, text: bytes) -> None:
        while text not in self.seen:
            self.seen += os.read(self._fd, 65536)

    def type(self, keys: bytes) -> None:
        os.write(self._fd, keys)


def test_several_look_and_type_and_one_that_is_killed_harms_nobody(tmp_path: Path) -> None:
    kernel = tmp_path / "echo.elf"
    kernel.write_bytes(pvh_elf(ECHO))
    with Stage([Cast("www", kernel)], sections={"limits": {"boot": 300}}) as stage:
        starting = threading.Thread(target=_start, args=(stage,))
        starting.start()
        until(lambda: "--- domain 1 started ---" in console(stage))
        with terminal(stage) as first, terminal(stage) as second, terminal(stage, "--raw") as raw:
            for screen in (first, second, raw):
                screen.until(b"Ctrl-] leaves\r\n")
                screen.until(b"--- domain 1 started ---\r\n")
            first.type(b"hello\r\x03\x1b[31mred")
            # Ctrl-C is the guest's, and its escape sequence nobody's but who asked for it.
            second.until(b"hellored")
            raw.until(b"hello\r\x03\x1b[31mred")
            second.process.kill()
            first.type(b" and on")
            raw.until(b"red and on")
            first.until(b"hellored and on")
            first.type(b"\x1d")
            assert first.process.wait(20) == 0
            raw.type(b"!")
            raw.until(b"and on!")
            stage.ask("stop", service="www")
            raw.until(b"--- domain 1 ended: it was dismissed ---\r\n")
            assert raw.process.wait(20) == 0
        starting.join()


def _start(stage: Stage) -> None:
    with pytest.raises(Exception, match="www"):
        stage.ask("start", service="www")


def test_without_a_terminal_the_console_is_a_pipe_both_ways(tmp_path: Path) -> None:
    kernel = tmp_path / "echo.elf"
    kernel.write_bytes(pvh_elf(ECHO))
    with Stage([Cast("www", kernel)], sections={"limits": {"boot": 300}}) as stage:
        command = [sys.executable, "-m", "jitsu.cli.main", "console", "-c", str(stage.path)]
        asleep = subprocess.run([*command, "www"], capture_output=True, text=True, check=False)
        assert (asleep.returncode, asleep.stderr) == (
            6,
            "error: service www has no console: no guest of it runs\n"
            " hint: summon one: jitsu start www; or see what the last one printed: jitsu logs www\n",
        )
        starting = threading.Thread(target=_start, args=(stage,))
        starting.start()
        until(lambda: "--- domain 1 started ---" in console(stage))
        with subprocess.Popen([*command, "www"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as looker:
            assert looker.stdin is not None
            assert looker.stdout is not None
            looker.stdin.write("one\ntwo\n")
            looker.stdin.close()
            lines = [looker.stdout.readline() for _ in range(3)]
            assert lines == ["--- domain 1 started ---\n", "one\n", "two\n"]
            stage.ask("stop", service="www")
            assert looker.stdout.read() == "\n--- domain 1 ended: it was dismissed ---\n"
            assert looker.wait(20) == 0
        starting.join()
