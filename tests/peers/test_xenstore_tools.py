"""Xen's command-line tools, as Debian ships them, with ours and with the C daemon that they were made for."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jitsu.xenstore.wire import Type, strings
from tests.peers.xenstore_daemons import DAEMONS, Daemon, debian, with_debian_libraries
from tests.xenstore_peer import Peer

PATIENCE = 60
TESTS_OF_XEN = (
    *("read 1", "read 2000", "write 1", "write 2000", "dir", "rm node", "rm dir"),
    *("ta empty", "ta empty x", "ta rmw", "ta rmw x", "ta err"),
)


class Shell:
    """Runs tools that connect to one daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self.environment = with_debian_libraries() | {"XENSTORED_PATH": str(daemon.socket)}
        # xenstore-ls draws as wide as the terminal is.
        self.environment.pop("COLUMNS", None)

    def run(self, tool: str, *words: str) -> tuple[int, str, str]:
        """Exit code, output and errors."""
        ended = subprocess.run(
            [where(tool), *words], env=self.environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        return ended.returncode, ended.stdout, ended.stderr

    def said(self, tool: str, *words: str) -> str:
        code, output, errors = self.run(tool, *words)
        assert (code, errors) == (0, ""), (tool, words)
        return output

    def refused(self, tool: str, *words: str) -> str:
        code, output, errors = self.run(tool, *words)
        assert code != 0, (tool, words, output)
        return output + errors


def where(tool: str) -> Path:
    return debian() / ("usr/lib/xen-4.17/bin" if tool == "test-xenstore" else "usr/bin") / tool


@pytest.fixture(scope="module", params=("jitsu", "debian-c"))
def daemon(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    with DAEMONS[request.param]() as daemon:
        yield daemon


@pytest.fixture
def shell(daemon: Daemon) -> Shell:
    """With a store that holds nothing."""
    with Peer(daemon.socket) as peer:
        for name in strings(peer.ask(Type.DIRECTORY, b"/").payload):
            assert peer.ask(Type.RM, b"/" + name).error is None
    return Shell(daemon)


def test_what_is_written_is_read(shell: Shell):
    shell.said("xenstore-write", "/a/b", "one", "/a/c", "two words")
    assert shell.said("xenstore-read", "/a/b", "/a/c") == "one\ntwo words\n"
    assert shell.said("xenstore-read", "-p", "/a/b", "/a/c") == "/a/b: one\n/a/c: two words\n"
    assert shell.refused("xenstore-read", "/a/b", "/nothing") == "one\nxenstore-read: couldn't read path /nothing\n"
    shell.said("xenstore-write", "/a/control", r"a\tb\n")
    assert shell.said("xenstore-read", "/a/control") == "a\\tb\\n\n"
    assert shell.said("xenstore-read", "-R", "/a/control") == "a\tb\n"


def test_values_that_are_written_together_are_all_written_or_none(shell: Shell):
    assert shell.refused("xenstore-write", "/a", "1", "/a.b", "2") == "xenstore-write: could not write path /a.b\n"
    assert shell.run("xenstore-exists", "/a") == (1, "", "")


def test_exists_is_an_exit_code(shell: Shell):
    shell.said("xenstore-write", "/a/b", "")
    assert shell.run("xenstore-exists", "/a/b") == (0, "", "")
    assert shell.run("xenstore-exists", "/a", "/a/c") == (1, "", "")


def test_a_directory_is_listed_in_the_order_of_its_making(shell: Shell):
    for name in ("z", "a", "m"):
        shell.said("xenstore-write", f"/d/{name}", "")
    assert shell.said("xenstore-list", "/d") == "z\na\nm\n"
    assert shell.said("xenstore-list", "-p", "/d") == "/d/z\n/d/a\n/d/m\n"
    assert shell.said("xenstore-list", "/d/z") == ""
    assert shell.refused("xenstore-list", "/nothing") == "xenstore-list: could not list path /nothing\n"


def test_a_directory_whose_names_do_not_fit_into_a_message_is_listed(shell: Shell):
    names = [f"{n:03}-{'x' * 90}" for n in range(100)]
    shell.said("xenstore-write", *(word for name in names for word in (f"/d/{name}", "")))
    assert shell.said("xenstore-list", "/d") == "".join(f"{name}\n" for name in names)


def test_a_tree_is_shown_with_values_and_permissions(shell: Shell):
    shell.said("xenstore-write", "/d/b", "one", "/d/b/deep", "", "/d/c", "two words")
    shell.said("xenstore-chmod", "/d/b", "n5", "r7", "b0")
    assert shell.said("xenstore-ls", "/d") == 'b = "one"\n deep = ""\nc = "two words"\n'
    assert shell.said("xenstore-ls", "-f", "/d") == '/d/b = "one"\n/d/b/deep = ""\n/d/c = "two words"\n'
    assert shell.said("xenstore-ls", "-fp", "/d").splitlines() == [
        '/d/b = "one"   (n5,r7,b0)',
        '/d/b/deep = ""   (n0)',
        '/d/c = "two words"   (n0)',
    ]
    assert (
        shell.refused("xenstore-ls", "/nothing") == "xenstore-ls: xs_directory (/nothing): No such file or directory\n"
    )


def test_permissions_are_set_for_one_node_and_for_all_below_and_above(shell: Shell):
    shell.said("xenstore-write", "/d/b/deep", "", "/d/c", "")
    shell.said("xenstore-chmod", "-r", "/d", "n3", "r4")
    assert permissions(shell, "/") == {"/d": "n3,r4", "/d/b": "n3,r4", "/d/b/deep": "n3,r4", "/d/c": "n3,r4"}
    shell.said("xenstore-chmod", "-u", "/d/b/deep", "b5")
    assert permissions(shell, "/") == {"/d": "b5", "/d/b": "b5", "/d/b/deep": "b5", "/d/c": "n3,r4"}
    assert "Invalid permission" in shell.refused("xenstore-chmod", "/d", "x5")
    assert shell.refused("xenstore-chmod", "/nothing", "n5") != ""


def test_a_removal_takes_what_is_below_and_tidies_what_is_empty_above(shell: Shell):
    shell.said("xenstore-write", "/d/b/deep/er", "1", "/d/c", "2", "/alone/in/here", "3")
    shell.said("xenstore-rm", "/d/b")
    assert shell.said("xenstore-ls", "-f", "/d") == '/d/c = "2"\n'
    shell.said("xenstore-rm", "-t", "/alone/in/here")
    assert shell.run("xenstore-exists", "/alone") == (1, "", "")
    shell.said("xenstore-rm", "/d/missing")
    assert shell.refused("xenstore-rm", "/d/x/y") == "xenstore-rm: could not remove path /d/x/y\n"
    assert shell.refused("xenstore-rm", "/") == "xenstore-rm: could not remove path /\n"


def test_a_watch_prints_every_change_from_its_registration_on(shell: Shell):
    watch = subprocess.Popen(
        [where("xenstore-watch"), "-n", "5", "/w"], env=shell.environment, stdout=subprocess.PIPE, text=True
    )
    with watch:
        assert watch.stdout is not None
        assert watch.stdout.readline() == "/w\n"
        shell.said("xenstore-write", "/elsewhere", "1")
        shell.said("xenstore-write", "/w/a/b", "1")
        shell.said("xenstore-write", "/w/c", "1", "/w/d", "1")
        shell.said("xenstore-rm", "/w")
        assert watch.stdout.read().splitlines() == ["/w/a/b", "/w/c", "/w/d", "/w"]
    assert watch.returncode == 0


def test_xens_own_test_program_passes_all_its_tests(shell: Shell):
    """Each checks what it does and is timed: a name, a colon and nanoseconds. It ends with 1 at the first failure."""
    output = shell.said("test-xenstore", "-i", "3")
    assert tuple(line.partition(":")[0].strip() for line in output.splitlines()) == TESTS_OF_XEN
    # It works below domain 0's home, and removes what it made there.
    assert set(permissions(shell, "/")) == {"/local", "/local/domain", "/local/domain/0"}


def test_xens_own_test_program_passes_several_times_at_once(shell: Shell):
    """Its tests use one tree for each process, and transactions."""
    running = [
        subprocess.Popen(
            [where("test-xenstore"), "-r", "1"], env=shell.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for _ in range(4)
    ]
    for process in running:
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == os.EX_OK, output


def permissions(shell: Shell, path: str) -> dict[str, str]:
    """Of everything below a path."""
    lines = (line.split() for line in shell.said("xenstore-ls", "-fp", path).splitlines())
    return {words[0]: words[-1].strip("()") for words in lines}
