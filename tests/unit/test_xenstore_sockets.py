"""The daemon's sockets: who may connect, what was left there, what comes over them that is no message."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jitsu.xenstore.wire import HEADER, Message, Type
from tests.peers.xenstore_daemons import jitsu_xenstored
from tests.xenstore_domains import domains, done
from tests.xenstore_peer import Peer

COMMAND = (sys.executable, "-m", "jitsu.cli.main", "xenstored", "--domains", "0-3")


def refused(*options: str) -> tuple[int, str]:
    """The exit code and the words of a daemon that does not start."""
    ended = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode, ended.stderr


def test_sockets_are_for_their_owner_only():
    with domains() as host:
        assert stat.S_IMODE(host.folder.stat().st_mode) == 0o700
        for domid in (0, 1, 40):
            assert stat.S_IMODE(host.socket(domid).stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: another user")
def test_another_user_is_refused_by_the_kernels_word(tmp_path):
    """Also where the modes of folder and socket would let him in."""
    with domains() as host:
        for path in (host.daemon.socket.parent, host.folder.parent, host.folder):
            path.chmod(0o755)
        for domid in (0, 1):
            host.socket(domid).chmod(0o666)
            message = Message(Type.GET_DOMAIN_PATH, 1, 0, b"1\0").encode()
            script = (
                "import os, socket, sys; os.setgid(65534); os.setuid(65534)\n"
                "there = socket.socket(socket.AF_UNIX); there.connect(sys.argv[1])\n"
                "try:\n    there.sendall(bytes.fromhex(sys.argv[2])); print(len(there.recv(99)))\n"
                "except OSError:\n    print(0)\n"
            )
            program = [sys.executable, "-c", script, str(host.socket(domid)), message.hex()]
            said = subprocess.run(program, capture_output=True, text=True, timeout=60, check=True, cwd="/").stdout
            assert said == "0\n"
            done(host[domid].ask(Type.GET_DOMAIN_PATH, b"1"))


def test_a_socket_that_is_left_is_replaced_and_one_that_lives_is_not(tmp_path):
    with domains() as host:
        done(host[0].write(b"/a", b"v"))
        code, words = refused("--socket", str(host.daemon.socket))
        assert code == 5
        assert "another daemon listens on" in words
        free = tmp_path / "free"
        code, words = refused("--socket", str(free), "--domain-sockets", str(host.folder))
        assert code == 5
        assert not free.exists()
        assert done(host[0].ask(Type.READ, b"/a")) == b"v", "the living one has not noticed"
        done(host.connect(1).ask(Type.GET_DOMAIN_PATH, b"1"))
        folder = host.folder
        os.kill(host.daemon.pid, signal.SIGKILL)
        assert eventually(lambda: not listens(host.daemon.socket))
        assert host.socket(1).exists(), "nobody could remove it"
        with jitsu_xenstored("--domains", "0-40", "--domain-sockets", str(folder)), Peer(host.socket(1)) as peer:
            done(peer.ask(Type.GET_DOMAIN_PATH, b"1"))


def test_sigterm_removes_the_sockets_and_nothing_else(tmp_path):
    path, folder = tmp_path / "s", tmp_path / "d"
    daemon = subprocess.Popen([*COMMAND, "--socket", str(path), "--domain-sockets", str(folder)])
    try:
        assert eventually(lambda: listens(path))
        assert listens(folder / "1.sock")
        (folder / "mine").write_text("x")
    finally:
        daemon.terminate()
        assert daemon.wait(30) == 0
    assert sorted(tmp_path.rglob("*")) == [folder, folder / "mine"]


def test_what_is_no_socket_is_left_alone(tmp_path):
    place = tmp_path / "socket"
    place.write_text("precious")
    code, words = refused("--socket", str(place))
    assert (code, place.read_text()) == (5, "precious")
    assert "is no socket" in words


@pytest.mark.parametrize("place", ["/tmp/" + "x" * 120, "/nowhere/at/all/socket"])
def test_a_path_that_cannot_be(place):
    code, words = refused("--socket", place)
    assert code == 4
    assert "cannot be made" in words


@pytest.mark.parametrize("length", [4097, 65536, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("domid", [0, 1])
def test_too_long_a_message_ends_the_connection_at_once_and_harms_nothing_else(host, domid, length):
    peer = host.connect(domid)
    done(peer.ask(Type.WATCH, b"/w", b"t"))
    begun = peer.start()
    first = Message(Type.WRITE, 9, 0, (b"/before%d" if not domid else b"before%d") % length + b"\0v")
    peer.send_bytes(first.encode() + HEADER.pack(Type.WRITE, 10, begun, length) + bytes(100))
    with pytest.raises(ConnectionError):
        list(iter(peer.receive, None))
    again = host.connect(domid)
    assert again.ask(Type.TRANSACTION_END, b"T", transaction=begun).error == "ENOENT"
    assert again.ask(Type.GET_DOMAIN_PATH, b"7").error is None
    exact = b"/" + b"n" * (4096 - 2)
    assert again.request(Type.READ, 0, exact + b"\0").error in ("ENOENT", "EINVAL", "EACCES"), "4096 is not too long"


def test_parts_of_messages_that_never_end(host):
    """Many who say half a sentence, and nothing more, and one who says his byte by byte."""
    silent = [host.connect(1 + number % 3) for number in range(60)]
    for number, peer in enumerate(silent):
        peer.send_bytes(
            HEADER.pack(Type.WRITE, 1, 0, 4096)[: number % 17] if number % 2 else HEADER.pack(11, 1, 0, 4096)
        )
    for byte in Message(Type.WRITE, 1, 0, b"/slow\0v").encode():
        host[0].send_bytes(bytes([byte]))
        done(host[2].ask(Type.GET_DOMAIN_PATH, b"2"))
    assert host[0].receive() == Message(Type.WRITE, 1, 0, b"OK\0")
    for peer in silent:
        peer.close()
    assert done(host.connect(0).ask(Type.READ, b"/slow")) == b"v"


@pytest.fixture(scope="module")
def host():
    with domains() as running:
        yield running
        assert "Traceback" not in running.log()


def test_more_connections_than_there_are_descriptors(tmp_path):
    """Who is connected is served, who is refused hears it at once, and domain 0 has a place while guests have none."""
    path, log = tmp_path / "s", (tmp_path / "log").open("wb")
    limited = ["prlimit", "--nofile=120", *COMMAND, "--socket", str(path), "--domain-sockets", str(tmp_path / "d")]
    daemon = subprocess.Popen(limited, stdout=log, stderr=log)
    peers: list[Peer] = []
    try:
        assert eventually(lambda: listens(path))

        def served(place: Path) -> bool:
            peers.append(Peer(place))
            try:
                return peers[-1].ask(Type.GET_DOMAIN_PATH, b"1").error is None
            except ConnectionError:
                return False

        guests = [served(tmp_path / "d" / f"{domid}.sock") for domid in (1, 2, 3) for _ in range(60)]
        assert 50 < sum(guests) < 100
        assert guests == sorted(guests, reverse=True), "first come, first served"
        assert served(path), "some are left for domain 0"
        of_domain_0 = [served(path) for _ in range(60)]
        assert not all(of_domain_0)
        assert peers[0].ask(Type.GET_DOMAIN_PATH, b"1").error is None
        peers[1].close()
        assert eventually(lambda: served(path)), "a place that is free again is given again"
        assert b"Traceback" not in (tmp_path / "log").read_bytes()
        assert daemon.poll() is None
    finally:
        daemon.terminate()
        assert daemon.wait(30) == 0
        log.close()
        for peer in peers:
            peer.close()


def listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def eventually(holds) -> bool:
    """Does it hold before long?"""
    deadline = time.monotonic() + 30
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
