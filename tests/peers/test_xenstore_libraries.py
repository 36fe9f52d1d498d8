"""Clients' libraries, with ours and with Debian's C daemon: libxenstore from C, which toolstacks use, and pyxs."""

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import pyxs
from pyxs.exceptions import PyXSError

from tests.peers.xenstore_daemons import DAEMONS, Daemon, compiled, with_debian_libraries

LIBXENSTORE_CLIENT = Path(__file__).with_name("libxenstore_client.c")


@pytest.fixture(scope="module", params=("jitsu", "debian-c"))
def daemon(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    with DAEMONS[request.param]() as daemon:
        yield daemon


@pytest.fixture
def client(daemon: Daemon) -> Iterator[pyxs.Client]:
    with pyxs.Client(unix_socket_path=str(daemon.socket)) as client:
        client.delete(b"/py")
        yield client


def test_a_program_of_libxenstore_gets_right_answers_only(daemon: Daemon, tmp_path: Path):
    """What they are is in the program, which says which one was wrong."""
    program = compiled(LIBXENSTORE_CLIENT, tmp_path / "client", "-lxenstore", "-lxentoolcore")
    environment = with_debian_libraries() | {"XENSTORED_PATH": str(daemon.socket)}
    ended = subprocess.run([program], env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_pyxs_reads_writes_lists_and_removes(client: pyxs.Client):
    client[b"/py/a"] = b"1"
    client.mkdir(b"/py/b")
    assert client[b"/py/a"] == b"1"
    assert client.read(b"/py/b") == b""
    assert client.read(b"/py/missing", b"instead") == b"instead"
    assert client.list(b"/py") == [b"a", b"b"]
    assert client.exists(b"/py/a")
    assert [top for top, _, _ in client.walk(b"/py")] == [b"/py", b"/py/a", b"/py/b"]
    del client[b"/py/a"]
    assert not client.exists(b"/py/a")
    with pytest.raises(PyXSError):
        client.read(b"/py/a")


def test_pyxs_sets_permissions(client: pyxs.Client):
    client.mkdir(b"/py")
    client.set_perms(b"/py", [b"n5", b"r0", b"b7"])
    assert client.get_perms(b"/py") == [b"n5", b"r0", b"b7"]
    with pytest.raises(PyXSError):
        client.set_perms(b"/py/missing", [b"n5"])


def test_pyxs_asks_about_domains(client: pyxs.Client):
    assert client.get_domain_path(7) == b"/local/domain/7"
    assert client.is_domain_introduced(0)
    assert not client.is_domain_introduced(7)


def test_pyxs_commits_and_rolls_back(daemon: Daemon, client: pyxs.Client):
    with pyxs.Client(unix_socket_path=str(daemon.socket)) as other:
        client.transaction()
        client[b"/py/a"] = b"1"
        assert not other.exists(b"/py/a")
        assert client.commit()
        assert other[b"/py/a"] == b"1"
        client.transaction()
        client[b"/py/a"] = b"2"
        client.rollback()
        assert other[b"/py/a"] == b"1"


def test_pyxs_is_told_that_a_transaction_has_to_be_done_again(daemon: Daemon, client: pyxs.Client):
    with pyxs.Client(unix_socket_path=str(daemon.socket)) as other:
        client[b"/py/counter"] = b"1"
        client.transaction()
        assert client[b"/py/counter"] == b"1"
        other[b"/py/counter"] = b"2"
        client[b"/py/counter"] = b"3"
        assert not client.commit()
        assert client[b"/py/counter"] == b"2"


def test_counters_of_pyxs_clients_lose_no_step(daemon: Daemon, client: pyxs.Client):
    """Four threads count in transactions, and again when they are told so: no step may be lost."""
    client[b"/py/counter"] = b"0"
    steps, threads = 15, 4

    def count() -> None:
        with pyxs.Client(unix_socket_path=str(daemon.socket)) as own:
            for _ in range(steps):
                while True:
                    own.transaction()
                    own[b"/py/counter"] = b"%d" % (int(own[b"/py/counter"]) + 1)
                    if own.commit():
                        break

    counting = [threading.Thread(target=count) for _ in range(threads)]
    for thread in counting:
        thread.start()
    for thread in counting:
        thread.join()
    assert client[b"/py/counter"] == b"%d" % (steps * threads)


def test_pyxs_is_told_of_changes(daemon: Daemon, client: pyxs.Client):
    with pyxs.Client(unix_socket_path=str(daemon.socket)) as other, client.monitor() as monitor:
        monitor.watch(b"/py/w", b"token")
        events = monitor.wait()
        assert next(events) == (b"/py/w", b"token")
        other[b"/py/w/below"] = b"1"
        assert next(events) == (b"/py/w/below", b"token")
        other.delete(b"/py/w")
        assert next(events) == (b"/py/w", b"token")
        monitor.unwatch(b"/py/w", b"token")
