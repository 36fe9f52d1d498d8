"""`jitsu xs` before a store of ours, in which a guest wrote what is not fit for a terminal."""

import base64
import json
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jitsu.cli import xs
from jitsu.xenstore.daemon import Daemon
from jitsu.xenstore.domains import Domains
from jitsu.xenstore.wire import HEADER, Message, Type, joined
from tests.unit.command_line import Jitsu
from tests.unit.golden import expect_golden
from tests.unit.test_cli_completion import completed

HOSTILE = b'\x1b[2J\x1b]0;root\x07ok" (n0)\n\xff\0'


@pytest.fixture
def store() -> Iterator[str]:
    """The socket of a daemon that runs in a thread; of the guests there are 1 and 2, and 1 wrote into its data."""
    with tempfile.TemporaryDirectory(prefix="jitsu-") as name:
        folder = Path(name)
        path = folder / "socket"
        server = Daemon(path, domains=Domains(0, 2), folder=folder / "domains").server
        awake, waker = socket.socketpair()
        server.when_readable(awake.fileno(), server.stop)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            say(path, Type.WRITE, b"/local/domain/1/name\0web")
            say(path, Type.SET_PERMS, joined(b"/local/domain/1/name", b"n0", b"r1"))
            say(path, Type.MKDIR, joined(b"/local/domain/1/data"))
            say(path, Type.SET_PERMS, joined(b"/local/domain/1/data", b"n1"))
            say(folder / "domains/1.sock", Type.WRITE, b"data/text\0" + HOSTILE)
            say(folder / "domains/1.sock", Type.WRITE, b"data/text/below\0" + "grüße".encode())
            yield str(path)
        finally:
            waker.send(b"stop")
            thread.join()
            awake.close()
            waker.close()


def say(path: Path, kind: Type, payload: bytes) -> None:
    """One request, which must succeed."""
    with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rb") as answers:
        connection.connect(str(path))
        connection.sendall(Message(kind, 1, 0, payload).encode())
        answer = HEADER.unpack(answers.read(HEADER.size))
        assert answer[0] == kind


def test_the_tree_with_values_and_permissions_is_fit_for_a_terminal(jitsu: Jitsu, store: str) -> None:
    code, out, err = jitsu("xs", "ls", "-p", "/local/domain/1", "--socket", store)

    assert (code, err) == (0, "")
    expect_golden("cli/xs-ls.txt", out)


def test_a_part_of_the_tree_to_some_depth(jitsu: Jitsu, store: str) -> None:
    below = '/local/domain/1\n├── name = "web"\n└── data = ""\n'
    assert jitsu("xs", "ls", "-d", "1", "/local/domain/1", "--socket", store) == (0, below, "")
    assert (
        jitsu("xs", "ls", "-d", "0", "/local/domain/1/name", "--socket", store)[1] == '/local/domain/1/name = "web"\n'
    )


def test_a_tree_deeper_than_python_recurses(jitsu: Jitsu, store: str) -> None:
    path = "/d" * 1200
    jitsu("xs", "write", path, "bottom", "--socket", store)

    lines = jitsu("xs", "ls", "/d", "--socket", store)[1].splitlines()
    assert len(lines) == 1200
    assert lines[-1].endswith('└── d = "bottom"')


def test_programs_get_the_tree_exactly(jitsu: Jitsu, store: str) -> None:
    rows = json.loads(jitsu("xs", "ls", "-o", "json", "/local/domain/1", "--socket", store)[1])

    assert rows == [
        {"path": "/local/domain/1", "value": "", "permissions": ["n0"]},
        {"path": "/local/domain/1/name", "value": "web", "permissions": ["n0", "r1"]},
        {"path": "/local/domain/1/data", "value": "", "permissions": ["n1"]},
        {"path": "/local/domain/1/data/text", "value": None, "permissions": ["n1"]}
        | {"base64": base64.b64encode(HOSTILE).decode()},
        {"path": "/local/domain/1/data/text/below", "value": "grüße", "permissions": ["n1"]},
    ]


def test_a_guest_sees_what_it_may_see(jitsu: Jitsu, store: str) -> None:
    of_guest = f"{Path(store).parent}/domains/2.sock"

    assert jitsu("xs", "read", "/local/domain/1/data", "--socket", of_guest) == (
        1,
        "",
        "error: read /local/domain/1/data: not permitted (EACCES)\n"
        " hint: the owner and a privileged caller may: jitsu xs ls -p shows who that is\n",
    )


def test_a_value_is_read_without_control_characters(jitsu: Jitsu, store: str) -> None:
    text, name = "/local/domain/1/data/text", "/local/domain/1/name"

    assert jitsu("xs", "read", text, name, "--socket", store) == (0, 'ok" (n0)\ufffd\nweb\n', "")
    assert json.loads(jitsu("xs", "read", name, "-o", "json", "--socket", store)[1]) == [{"path": name, "value": "web"}]


def test_values_are_written_all_or_none(jitsu: Jitsu, store: str) -> None:
    assert jitsu("xs", "write", "--socket", store, "/a/x", "1", "/a/y", "zwölf", "/a/z", "--", "-3") == (0, "", "")
    assert jitsu("xs", "read", "--socket", store, "/a/x", "/a/y", "/a/z")[1] == "1\nzwölf\n-3\n"
    code, out, err = jitsu("xs", "write", "--socket", store, "/b", "1", "/b//c", "2")
    assert (code, out) == (1, "")
    assert err.startswith("error: write /b//c: the daemon takes it for malformed (EINVAL)\n hint: names have")
    assert jitsu("xs", "exists", "--socket", store, "/b") == (1, "", "")


def test_nodes_are_made_and_removed(jitsu: Jitsu, store: str) -> None:
    assert jitsu("xs", "mkdir", "--socket", store, "/a/x", "/a/y") == (0, "", "")
    assert jitsu("xs", "ls", "--socket", store, "/a")[1] == '/a\n├── x = ""\n└── y = ""\n'
    assert jitsu("xs", "exists", "--socket", store, "/a/x", "/a/y") == (0, "", "")
    assert jitsu("xs", "rm", "--socket", store, "/a/x", "/a/nothing") == (0, "", "")
    code, out, _ = jitsu("xs", "exists", "--socket", store, "-o", "json", "/a/x", "/a/y")
    assert (code, json.loads(out)) == (1, [{"path": "/a/x", "exists": False}, {"path": "/a/y", "exists": True}])
    assert jitsu("xs", "rm", "--socket", store, "/no/such") == (
        1,
        "",
        "error: remove /no/such: there is no such node (ENOENT)\n",
    )


def test_permissions_of_one_node_and_of_all_below(jitsu: Jitsu, store: str) -> None:
    def permissions() -> list[list[str]]:
        rows = json.loads(jitsu("xs", "ls", "/local/domain/1", "-o", "json", "--socket", store)[1])
        return [row["permissions"] for row in rows]

    assert jitsu("xs", "chmod", "/local/domain/1", "n2", "--socket", store) == (0, "", "")
    assert permissions() == [["n2"], ["n0", "r1"], ["n1"], ["n1"], ["n1"]]
    assert jitsu("xs", "chmod", "-r", "/local/domain/1", "n0", "b2", "--socket", store) == (0, "", "")
    assert permissions() == [["n0", "b2"]] * 5
    code, _, err = jitsu("xs", "chmod", "-r", "/local/domain/1", "n0", "q2", "--socket", store)
    assert (code, err.splitlines()[0]) == (
        1,
        "error: set the permissions of /local/domain/1: the daemon takes it for malformed (EINVAL)",
    )
    assert permissions() == [["n0", "b2"]] * 5


def test_permissions_of_all_below_change_all_or_not_at_all(jitsu: Jitsu, store: str) -> None:
    """A guest does not own what is at the bottom of its tree, and is told so after it changed what is above."""
    of_guest, data = f"{Path(store).parent}/domains/1.sock", "/local/domain/1/data"
    jitsu("xs", "chmod", f"{data}/text/below", "n0", "r1", "--socket", store)

    code, _, err = jitsu("xs", "chmod", "-r", data, "n1", "r2", "--socket", of_guest)
    assert (code, err.splitlines()[0]) == (
        1,
        f"error: set the permissions of {data}/text/below: not permitted (EACCES)",
    )
    rows = json.loads(jitsu("xs", "ls", data, "-o", "json", "--socket", store)[1])
    assert [row["permissions"] for row in rows] == [["n1"], ["n1"], ["n0", "r1"]]


def test_as_many_events_as_were_asked_for(jitsu: Jitsu, store: str) -> None:
    assert jitsu("xs", "watch", "-n", "2", "/a", "@releaseDomain", "--socket", store) == (0, "/a\n@releaseDomain\n", "")
    out = jitsu("xs", "watch", "-n", "1", "-o", "json", "/a", "--socket", store)[1]
    assert json.loads(out) == {"path": "/a", "missed": False}


def test_nodes_are_completed(jitsu: Jitsu, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XENSTORED_PATH", store)

    assert completed(monkeypatch, jitsu, "jitsu xs read /loc") == ["/local"]
    assert completed(monkeypatch, jitsu, "jitsu xs ls /local/domain/1/") == [
        "/local/domain/1/name",
        "/local/domain/1/data",
    ]
    assert completed(monkeypatch, jitsu, f"jitsu xs rm --socket {store}x /loc") == []
    monkeypatch.setenv("XENSTORED_PATH", "/nowhere")
    assert completed(monkeypatch, jitsu, f"jitsu xs rm --socket {store} /t") == ["/tool"]


def test_the_store_of_the_daemon_is_found_where_there_is_no_other(
    jitsu: Jitsu, store: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("XENSTORED_PATH", "XENSTORED_RUNDIR"):
        monkeypatch.delenv(name, raising=False)
    usual = tmp_path / "xen"
    monkeypatch.setattr(xs, "default_socket", lambda: usual)
    config = tmp_path / "jitsu.toml"
    config.write_text(f'[daemon]\nruntime = "{tmp_path}/run"\n')
    monkeypatch.setenv("JITSU_CONFIG", str(config))
    error = f"error: no XenStore daemon listens on {usual}"
    assert jitsu("xs", "ls", "-d", "0")[2].splitlines()[0] == error

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "xenstore.sock").symlink_to(store)
    assert jitsu("xs", "ls", "-d", "0")[0] == 0
    # One in Xen's place comes first, even if nobody listens there.
    usual.touch()
    assert jitsu("xs", "ls", "-d", "0")[0] != 0


@pytest.mark.parametrize("node", ["/local/domain/1/nothing", "/nothing"])
def test_what_is_not_there(jitsu: Jitsu, store: str, node: str) -> None:
    code, out, err = jitsu("xs", "ls", "-o", "json", node, "--socket", store)

    assert (code, out) == (1, "")
    assert json.loads(err)["message"] == f"list {node}: there is no such node (ENOENT)"


def test_without_a_daemon_it_is_said_how_to_start_one(jitsu: Jitsu) -> None:
    assert jitsu("xs", "ls", "--socket", "/nowhere/socket") == (
        7,
        "",
        "error: no XenStore daemon listens on /nowhere/socket\n"
        " hint: start one with: jitsu xenstored --socket /nowhere/socket\n",
    )


@pytest.mark.parametrize(
    "wrong",
    [("write", "/a"), ("write", "--stdin", "/a", "1"), ("read", "--raw", "/a", "/b"), ("watch", "-n", "0", "/a")],
)
def test_wrong_usage(jitsu: Jitsu, wrong: tuple[str, ...]) -> None:
    assert jitsu("xs", *wrong, "--socket", "/nowhere")[0] == 2
