"""The command channel: the host's end, and the agent itself at the other end of a socket."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from boards.channel import Channel
from jitsu.errors import DomainError

SERVE = "import sys; from boards.agent import serve; serve(int(sys.argv[1]))"


@pytest.fixture
def agent() -> Iterator[tuple[Channel, "subprocess.Popen[bytes]"]]:
    """A channel to an agent, which is a process of this machine, and may do here what it does in dom0."""
    ours, theirs = socket.socketpair()
    number = theirs.fileno()
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(number)], pass_fds=[number])
    theirs.close()
    channel = Channel("some-board", ours)
    yield channel, process
    process.kill()
    process.wait()
    channel.close()


@pytest.fixture
def channel(agent: tuple[Channel, "subprocess.Popen[bytes]"]) -> Channel:
    return agent[0]


def test_a_command_and_how_it_ended(channel: Channel) -> None:
    outcome = channel.run(["sh", "-c", "cat; echo trouble >&2; exit 3"], input="said\n")

    assert (outcome.rc, outcome.out, outcome.err) == (3, "said\n", "trouble\n")


def test_a_command_that_a_signal_ended(channel: Channel) -> None:
    assert channel.run(["sh", "-c", "kill -15 $$"]).rc == -15


def test_output_that_is_no_text_comes_through(channel: Channel) -> None:
    outcome = channel.run(["cat"], input="\udcff\u00e9")

    assert outcome.out.encode("utf-8", "surrogateescape") == b"\xff\xc3\xa9"


def test_a_program_that_is_not_there(channel: Channel) -> None:
    with pytest.raises(DomainError, match=r"board some-board: run: FileNotFoundError: .*no-such-program"):
        channel.run(["no-such-program"])


def test_a_command_that_takes_too_long(channel: Channel) -> None:
    with pytest.raises(DomainError) as caught:
        channel.run(["sh", "-c", "echo begun; sleep 1000 & wait"], timeout=0.5)

    assert caught.value.message == "board some-board: sh -c 'echo begun; sleep 1000 & wait': not done within 0.5 s"
    assert caught.value.hint == "it said: begun"


def test_commands_run_side_by_side(channel: Channel, tmp_path: Path) -> None:
    """The first waits for what the second does."""
    os.mkfifo(tmp_path / "between")
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.append(channel.run(["cat", str(tmp_path / "between")]).out))
    reader.start()

    channel.run(["sh", "-c", f"echo through >{tmp_path}/between"])
    reader.join()

    assert said == ["through\n"]


@pytest.mark.parametrize("size", [0, 1, (1 << 17) - 1, 1 << 17, (1 << 17) + 1, 1_000_003])
def test_files_of_any_size(channel: Channel, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    there = tmp_path / "there"
    there.write_text("what was there before, and longer")

    channel.put(content, str(there), 0o640)

    assert there.read_bytes() == content
    assert there.stat().st_mode & 0o777 == 0o640
    assert channel.get(str(there)) == content


def test_a_file_that_is_not_there(channel: Channel) -> None:
    with pytest.raises(DomainError, match="get: FileNotFoundError"):
        channel.get("/no/such/file")


def test_a_request_that_is_none_is_refused_and_no_other_suffers(channel: Channel) -> None:
    misshapen: list[tuple[str, dict[str, Any]]] = [("sing", {}), ("run", {"command": 7}), ("put", {"path": "/x"})]
    for do, fields in misshapen:
        with pytest.raises(DomainError, match=f"board some-board: {do}: "):
            channel.ask(do, 20, **fields)

    assert channel.run(["true"]).rc == 0


def test_no_answer_in_time(channel: Channel) -> None:
    with pytest.raises(DomainError, match=r"run: no answer within 0\.2 s"):
        channel.ask("run", 0.2, command=["sleep", "5"], timeout=5)

    assert channel.run(["true"]).rc == 0


def test_who_waits_when_the_board_ends_is_told(agent: tuple[Channel, "subprocess.Popen[bytes]"]) -> None:
    channel, process = agent
    threading.Timer(0.3, process.kill).start()

    with pytest.raises(DomainError, match="board some-board: run: the board has ended"):
        channel.ask("run", 60, command=["sleep", "0.8"], timeout=60)
    with pytest.raises(DomainError, match="board some-board: run: the board has ended"):
        channel.run(["true"])
