"""Debian's two daemons run here without Xen, side by side; ours begins and ends as it promises."""

import subprocess
import sys
from pathlib import Path

from jitsu.xenstore.wire import Type
from tests.peers.xenstore_daemons import c_xenstored, oxenstored
from tests.xenstore_peer import Peer


def test_both_daemons_of_debian_serve_at_once_and_have_nothing_in_common():
    with c_xenstored() as first, oxenstored() as second:
        for daemon in (first, second):
            with Peer(daemon.socket) as peer, Peer(daemon.socket) as watcher:
                assert watcher.ask(Type.WATCH, b"/a", b"token").error is None
                assert watcher.wait_for_event() == (b"/a", b"token")
                assert peer.ask(Type.READ, b"/a/name").error == "ENOENT"
                assert peer.write(b"/a/name", daemon.name.encode()).payload == b"OK\0"
                assert watcher.wait_for_event() == (b"/a/name", b"token")
                assert peer.ask(Type.READ, b"/a/name").payload == daemon.name.encode()


def test_a_domain_may_own_a_node_though_there_is_no_hypervisor():
    """Without a word of the stub the C daemon knows no domain, and says ENOENT: what builds domains would fail."""
    for start in (c_xenstored, oxenstored):
        with start() as daemon, Peer(daemon.socket) as peer:
            peer.write(b"/a", b"")
            assert peer.ask(Type.SET_PERMS, b"/a", b"n7", b"r0").error is None
            assert peer.ask(Type.GET_PERMS, b"/a").payload == b"n7\0r0\0"


def test_ours_says_one_line_when_it_listens_and_ends_on_sigterm_with_its_socket(tmp_path: Path):
    path = tmp_path / "socket"
    command = [sys.executable, "-m", "jitsu.cli.main", "xenstored", "--socket", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        assert str(path) in daemon.stdout.readline()
        with Peer(path) as peer:
            assert peer.write(b"/a", b"1").error is None
            daemon.terminate()
            assert daemon.wait(30) == 0
        assert daemon.stdout.read() == ""
    assert not path.exists()
