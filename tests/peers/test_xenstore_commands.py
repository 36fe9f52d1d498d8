"""`jitsu xs` beside Debian's xenstore tools, on every daemon: what one of them wrote the other reads."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.peers.xenstore_daemons import DAEMONS, Daemon, debian, with_debian_libraries

JITSU = [sys.executable, "-m", "jitsu.cli.main", "xs"]


class Tools:
    """Both kinds of commands, for one daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self.environment = with_debian_libraries() | {"XENSTORED_PATH": str(daemon.socket)}

    def ours(self, *words: str, given: bytes = b"") -> bytes:
        return self._output([*JITSU, *words], given)

    def theirs(self, name: str, *words: str) -> bytes:
        return self._output([str(debian() / "usr/bin" / f"xenstore-{name}"), *words])

    def _output(self, command: list[str], given: bytes = b"") -> bytes:
        return subprocess.run(command, env=self.environment, input=given, stdout=subprocess.PIPE, check=True).stdout


@pytest.fixture(params=DAEMONS)
def tools(request: pytest.FixtureRequest) -> Iterator[Tools]:
    with DAEMONS[request.param]() as daemon:
        yield Tools(daemon)


def test_what_we_write_they_read(tools: Tools) -> None:
    tools.ours("write", "/vm/name", "web", "/vm/text", "zwölf")
    tools.ours("write", "--stdin", "/vm/raw", given=bytes(range(256)))
    tools.ours("mkdir", "/vm/empty", "/vm/gone")
    tools.ours("chmod", "/vm/name", "n3", "r5")
    tools.ours("rm", "/vm/gone")

    assert tools.theirs("read", "/vm/name", "/vm/empty") == b"web\n\n"
    assert tools.theirs("read", "-R", "/vm/text").rstrip(b"\n") == "zwölf".encode()
    assert tools.theirs("read", "-R", "/vm/raw").rstrip(b"\n") == bytes(range(256))
    assert sorted(tools.theirs("list", "/vm").split()) == [b"empty", b"name", b"raw", b"text"]
    assert b"(n3,r5)" in tools.theirs("ls", "-p", "/vm")


def test_what_they_write_we_read(tools: Tools) -> None:
    tools.theirs("write", "-s", "/vm/name", "web", "/vm/device/0/state", "4")
    tools.theirs("chmod", "-s", "/vm/name", "r3", "b5")

    assert tools.ours("read", "/vm/name", "/vm/device/0/state") == b"web\n4\n"
    assert tools.ours("read", "--raw", "/vm/name") == b"web"
    rows = json.loads(tools.ours("ls", "/vm", "-o", "json"))
    assert {row["path"]: (row["value"], row["permissions"][1:]) for row in rows} == {
        "/vm": ("", []),
        "/vm/name": ("web", ["b5"]),
        "/vm/device": ("", []),
        "/vm/device/0": ("", []),
        "/vm/device/0/state": ("4", []),
    }
    assert tools.ours("exists", "/vm/name") == b""


def test_events_are_printed_as_they_come(tools: Tools) -> None:
    watching = subprocess.Popen(
        [*JITSU, "watch", "-n", "3", "/vm"], env=tools.environment, stdout=subprocess.PIPE, text=True
    )
    with watching:
        assert watching.stdout is not None
        assert watching.stdout.readline() == "/vm\n"
        tools.theirs("write", "/vm/name", "web")
        assert watching.stdout.readline() == "/vm/name\n"
        tools.theirs("rm", "/vm/name")
        assert watching.stdout.readline() == "/vm/name\n"
    assert watching.returncode == 0


def test_ctrl_c_ends_a_watch(tools: Tools) -> None:
    with subprocess.Popen(
        [*JITSU, "watch", "/vm"], env=tools.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline() == b"/vm\n"
        watching.send_signal(2)
        assert watching.communicate() == (b"", b"")
    assert watching.returncode == 130


def test_a_deep_tree_is_shown_and_changed(tools: Tools) -> None:
    path = "/d" * 400
    tools.ours("write", path, "bottom")

    assert b'd = "bottom"\n' in tools.ours("ls")
    tools.ours("chmod", "-r", "/d", "n1")
    assert tools.ours("ls", "-d", "0", "-p", path).decode() == f'{path} = "bottom" (n1)\n'
