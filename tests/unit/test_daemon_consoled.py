"""consoled as a process of its own, the daemon's link to it, and what they say to each other."""

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from jitsu.daemon import companion, console_link
from jitsu.daemon.console_link import ConsoleLink
from jitsu.daemon.sockets import CONSOLED
from jitsu.domains.console_files import ConsoleFiles
from jitsu.domains.console_keeper import GAP, TOO_FAST
from tests.kept_console import kept_console


class Board:
    """A runtime folder and a state folder, and links between them that come and go."""

    def __init__(self, folder: Path) -> None:
        self.runtime, self.state = folder / "run", folder / "state"
        self.domains = self.runtime / "domains"
        self.domains.mkdir(parents=True)
        self.pipes: list[int] = []
        self.links: list[ConsoleLink] = []

    def link(self) -> ConsoleLink:
        link = ConsoleLink(self.runtime, self.state)
        self.links.append(link)
        return link

    def guest(self, domid: int) -> tuple[ConsoleFiles, int]:
        """A console, and QEMU's end of it."""
        files = ConsoleFiles(self.domains, domid, "hello")
        files.make()
        self.pipes.append(os.open(files.output, os.O_RDWR))
        return files, self.pipes[-1]

    def said(self) -> list[str]:
        return [line.partition(" ")[2] for line in kept_console(self.state / "console")]

    def left(self) -> list[str]:
        return sorted(str(path.relative_to(self.runtime)) for path in self.runtime.rglob("*"))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - logs and processes have no event here
            await asyncio.sleep(0.01)


@pytest.fixture
async def board() -> AsyncIterator[Board]:
    with tempfile.TemporaryDirectory(prefix="jitsu-") as folder:
        board = Board(Path(folder))
        yield board
        for link in board.links:
            pid = link.pid
            await link.close()
            if pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for pipe in board.pipes:
            os.close(pipe)


@pytest.fixture
def by_hand(board: Board) -> Iterator[subprocess.Popen[bytes]]:
    """A consoled that no daemon started."""
    program = (
        "import sys; from pathlib import Path; from jitsu.daemon.consoled import consoled;"
        "consoled(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    child = subprocess.Popen([sys.executable, "-c", program, board.runtime, board.state], stderr=subprocess.DEVNULL)
    yield child
    child.terminate()
    assert child.wait(20) == 0


async def asking(board: Board, *requests: dict[str, Any] | bytes) -> list[Any]:
    """Say all of it on one connection, and hear as many answers, or up to its end."""
    reader, writer = await asyncio.open_unix_connection(board.runtime / CONSOLED)
    for request in requests:
        writer.write(request if isinstance(request, bytes) else json.dumps(request).encode() + b"\n")
    async with asyncio.timeout(10):
        answers = [json.loads(await reader.readline() or b"null") for _ in requests]
    writer.close()
    return answers


async def test_a_daemon_starts_one_and_it_ends_with_it(board: Board) -> None:
    link = board.link()
    link.start()
    console, pipe = board.guest(12)
    link.began(console)
    os.write(pipe, b"one\n")
    await until(lambda: link.pid and "one" in board.said())
    pid = link.pid
    assert pid is not None
    os.write(pipe, b"last")
    link.ended(console, "it was dismissed")
    await link.close()
    assert board.said() == [
        *("--- domain 12 started ---", "one", "last"),
        "--- domain 12 ended: it was dismissed ---",
    ]
    assert board.left() == ["domains"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_it_outlives_the_daemon_and_serves_the_next_with_no_byte_lost(board: Board) -> None:
    first, second = board.link(), board.link()
    first.start()
    console, pipe = board.guest(12)
    first.began(console)
    await until(lambda: first.pid)
    pid = first.pid
    # With a guest alive, a daemon that ends does not take it along; nor does one that is killed.
    await first.close()
    os.write(pipe, b"while no daemon runs\n")
    await until(lambda: "while no daemon runs" in board.said())
    second.start()
    await until(lambda: second.pid)
    assert second.pid == pid
    second.began(console)
    second.ended(console, "gone")
    await second.close()
    assert board.said() == [
        *("--- domain 12 started ---", "while no daemon runs"),
        "--- domain 12 ended: gone ---",
    ]
    assert board.left() == ["domains"]


async def test_one_that_is_killed_is_started_again_and_the_gap_is_marked(board: Board) -> None:
    link = board.link()
    link.start()
    console, pipe = board.guest(12)
    brief, last_words = board.guest(13)
    link.began(console)
    link.began(brief)
    os.write(pipe, b"one\n")
    await until(lambda: link.pid and "one" in board.said())
    pid = link.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(lambda: link.pid is None)
    os.write(pipe, b"two\n")
    # Even a guest that is gone before there is another is heard: the daemon holds its pipe.
    os.write(last_words, b"last words\n")
    os.close(last_words)
    board.pipes.remove(last_words)
    link.ended(brief, "gone")
    await until(lambda: "two" in board.said() and not Path(brief.kept).exists())
    assert link.pid not in (None, pid)
    said = board.said()
    assert said.count("one") == said.count("two") == said.count("last words") == 1
    assert said.index("one") < said.index(f"--- domain 12: {GAP} ---") < said.index("two")
    assert said.index(f"--- domain 13: {GAP} ---") < said.index("last words")
    assert said.index("last words") < said.index("--- domain 13 ended: gone ---")
    link.ended(console, "gone")
    await link.close()
    assert board.left() == ["domains"]


async def test_one_that_a_manager_started_is_used_and_left_alone(
    board: Board, by_hand: "subprocess.Popen[bytes]"
) -> None:
    await until((board.runtime / CONSOLED).exists)
    link = board.link()
    link.start()
    await until(lambda: link.pid)
    assert link.pid == by_hand.pid
    console, _ = board.guest(12)
    link.began(console)
    link.ended(console, "gone")
    await link.close()
    assert by_hand.poll() is None
    assert board.said() == ["--- domain 12 started ---", "--- domain 12 ended: gone ---"]
    assert board.left() == ["consoled.lock", "consoled.sock", "domains"]


async def test_there_is_one_for_each_runtime_folder(board: Board, by_hand: "subprocess.Popen[bytes]") -> None:
    await until((board.runtime / CONSOLED).exists)
    command = [sys.executable, "-P", "-m", "jitsu.daemon.consoled", board.runtime, board.state]
    second = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert f"error: another jitsu consoled (process {by_hand.pid}) runs with {board.runtime}\n" in second.stderr
    assert await asking(board, {"do": "status"}) == [
        {"ok": True, "result": {"pid": by_hand.pid, "attached": False, "consoles": 0}}
    ]


async def test_one_that_cannot_begin_is_said_why_and_keeps_nobody_waiting(
    board: Board, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    board.state.mkdir()
    (board.state / "console").write_text("in the way")
    link = board.link()
    link.start()
    console, _ = board.guest(12)
    link.began(console)
    link.ended(console, "gone")
    await until(lambda: any(f"error: directory {board.state}/console: " in r.message for r in caplog.records))
    monkeypatch.setattr(companion, "PATIENCE", 0.2)
    await link.close()
    assert board.left() == ["domains"]


async def test_more_ended_guests_than_are_remembered_leave_nothing_either(
    board: Board, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(console_link, "MOST_ENDED", 3)
    link = board.link()
    before = len(os.listdir("/proc/self/fd"))
    for domid in range(5):
        console, _ = board.guest(domid)
        link.began(console)
        link.ended(console, "gone")
    lost = [record.message for record in caplog.records]
    assert lost == [f"hello: the last words of domain {n} are lost: no consoled takes them" for n in (0, 1)]
    await link.close()
    assert board.left() == ["domains"]
    assert len(os.listdir("/proc/self/fd")) == before + len(board.pipes)


async def test_what_it_is_asked(board: Board, by_hand: "subprocess.Popen[bytes]") -> None:
    path = board.runtime / CONSOLED
    await until(path.exists)
    await until(lambda: stat.S_IMODE(path.stat().st_mode) == 0o660)
    no_sense = "a request is one JSON object a line"
    answers = await asking(
        board,
        *(b"[]\n", b"nonsense\n", b'{"do": "began", "domid": "x"}\n', b"[" * 4000 + b"\n"),
        {"do": "dance"},
        {"do": "view", "service": "hello", "lines": 5, "raw": False},
        {"do": "end"},
    )
    errors = [answer.get("error", {}).get("message") for answer in answers]
    assert errors[:4] == [no_sense] * 4
    assert errors[4:6] == ["there is no request 'dance'", "service hello has no console: no guest of it runs"]
    assert answers[6] == {"ok": True, "result": False}
    assert await asking(board, b"x" * 5000) == [None]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: another user asks")
async def test_what_is_the_daemons_is_refused_to_others(board: Board, by_hand: "subprocess.Popen[bytes]") -> None:
    path = board.runtime / CONSOLED
    await until(path.exists)
    board.runtime.parent.chmod(0o755)
    await until(lambda: stat.S_IMODE(path.stat().st_mode) == 0o660)
    path.chmod(0o666)
    program = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
        's.sendall(b\'{"do": "end"}\\n{"do": "status"}\\n\'); f = s.makefile(); print(f.readline(), f.readline())'
    )
    done = await asyncio.to_thread(
        subprocess.run,
        ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "/usr/bin/python3", "-c", program, path],
        capture_output=True,
        text=True,
        check=True,
    )
    refused, allowed = (json.loads(line) for line in done.stdout.splitlines() if line.strip())
    assert refused["error"]["message"] == "request 'end' is the daemon's"
    assert allowed["ok"]


def viewer(board: Board, service: str, *, raw: bool = False, lines: int = 20) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(str(board.runtime / CONSOLED))
    request = {"do": "view", "service": service, "lines": lines, "raw": raw}
    connection.sendall(json.dumps(request).encode() + b"\n")
    return connection


def heard(connection: socket.socket, end: bytes) -> bytes:
    """What comes, up to `end`."""
    data = b""
    while end not in data:
        piece = connection.recv(65536)
        assert piece, data[-200:]
        data += piece
    return data


async def test_viewers_see_the_last_lines_then_what_comes_and_type(
    board: Board, by_hand: "subprocess.Popen[bytes]"
) -> None:
    await until((board.runtime / CONSOLED).exists)
    link = board.link()
    link.start()
    console, pipe = board.guest(12)
    typed = os.open(console.input, os.O_RDWR)
    board.pipes.append(typed)
    link.began(console)
    os.write(pipe, b"one\ntwo\nthree\n\x1b[31mlogin: ")
    await until(lambda: "three" in board.said())

    def look() -> None:
        with viewer(board, "hello", lines=2) as plain, viewer(board, "hello", raw=True, lines=0) as raw:
            assert heard(plain, b"login: ") == b'{"ok": true, "result": {"domid": 12}}\ntwo\nthree\nlogin: '
            assert heard(raw, b"login: ").endswith(b"}}\n\x1b[31mlogin: ")
            plain.sendall(b"root\r")
            assert os.read(typed, 100) == b"root\r"
            raw.sendall(b"\x03")
            assert os.read(typed, 100) == b"\x03"
            os.write(pipe, b"\x1b[0mwelcome\n")
            assert heard(plain, b"welcome\n") == b"welcome\n"
            assert heard(raw, b"welcome\n") == b"\x1b[0mwelcome\n"
            asyncio.run_coroutine_threadsafe(end(), loop).result(10)
            assert heard(plain, b" ---\n") == b"\n--- domain 12 ended: gone ---\n"
            assert plain.recv(1) == b""

    async def end() -> None:
        link.ended(console, "gone")

    loop = asyncio.get_running_loop()
    await asyncio.to_thread(look)


async def test_a_viewer_that_does_not_read_misses_what_others_see(
    board: Board, by_hand: "subprocess.Popen[bytes]"
) -> None:
    await until((board.runtime / CONSOLED).exists)
    link = board.link()
    link.start()
    console, pipe = board.guest(12)
    os.set_blocking(pipe, True)
    link.began(console)
    await until(lambda: "--- domain 12 started ---" in board.said())
    lines = [b"line %d %s\n" % (number, b"x" * 90) for number in range(20_000)]

    def look() -> None:
        with viewer(board, "hello") as lazy, viewer(board, "hello") as dead, viewer(board, "hello") as keen:
            dead.shutdown(socket.SHUT_WR)
            heard(keen, b"started ---\n")
            writer = subprocess.Popen(
                [sys.executable, "-c", "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"],
                stdin=subprocess.PIPE,
                stdout=pipe,
            )
            assert writer.stdin is not None
            writer.stdin.write(b"".join(lines))
            writer.stdin.close()
            mark = f"\n--- domain 12 {TOO_FAST} ---\n".encode()
            assert heard(keen, lines[-1]).replace(mark, b"") == b"".join(lines)
            assert writer.wait(10) == 0
            late = heard(lazy, b" bytes are left out: you read too slowly ---\n")
            assert b"line 0 x" in late
            assert len(late) < len(b"".join(lines)) / 2
            os.write(pipe, b"and on\n")
            assert heard(lazy, b"and on\n").endswith(b"and on\n")

    await asyncio.to_thread(look)


async def test_a_guest_that_does_not_listen_holds_up_who_types_and_nobody_else(
    board: Board, by_hand: "subprocess.Popen[bytes]"
) -> None:
    await until((board.runtime / CONSOLED).exists)
    link = board.link()
    link.start()
    console, pipe = board.guest(12)
    typed = os.open(console.input, os.O_RDWR)
    board.pipes.append(typed)
    link.began(console)
    await until(lambda: "--- domain 12 started ---" in board.said())

    def look() -> None:
        with viewer(board, "hello") as typist, viewer(board, "hello") as other:
            heard(other, b"started ---\n")
            typist.settimeout(0.3)
            sent = 0
            with suppress(TimeoutError):
                while sent < 64 << 20:
                    sent += typist.send(b"k" * 65536)
            assert sent < 8 << 20, "somewhere all of that is being kept"
            os.write(pipe, b"still here\n")
            assert heard(other, b"still here\n") == b"still here\n"
            got = 0
            while got < sent:
                got += len(os.read(typed, 65536))

    await asyncio.to_thread(look)
