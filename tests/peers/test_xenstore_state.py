"""`jitsu xenstored --state`: killed at any instant, told to end, out of room. Nothing that was answered is lost, and
nothing is there that was not asked."""

import os
import random
import resource
import signal
import threading
import time
from pathlib import Path

import pytest

from jitsu.xenstore.wire import Type
from tests.peers.xenstore_builders import BACKENDS, Builder, Nodes, found
from tests.peers.xenstore_daemons import DaemonError, jitsu_xenstored
from tests.xenstore_peer import Peer

CLIENTS = 32
POLICIES = ("off", "normal", "full")


def at_work(builders: list[Builder], path: Path) -> list[threading.Thread]:
    threads = [threading.Thread(target=builder.work, args=(path,)) for builder in builders]
    for thread in threads:
        thread.start()
    return threads


def settled(builders: list[Builder], path: Path, before: Nodes) -> None:
    """What the daemon has is what was promised to each, and what nobody touched."""
    holdings, others = found(path, builders)
    assert others == before
    for builder, holding in zip(builders, holdings, strict=True):
        if not builder.settle(holding):
            pytest.fail(
                f"client {builder.number}: {builder.holding.differences(holding)}; it asked {builder.under_way}"
            )


@pytest.mark.timeout(3600)
def test_killed_at_any_instant_it_has_what_it_acknowledged(tmp_path: Path, full: bool, seeded: random.Random) -> None:
    """32 clients build and take down; the same file serves from kill to kill, under each policy in turn."""
    kills, state = 100 if full else 10, tmp_path / "state"
    builders = [Builder(number, seeded.getrandbits(64)) for number in range(CLIENTS)]
    with jitsu_xenstored("--state", str(state)) as daemon:
        with Peer(daemon.socket) as peer:
            peer.ask(Type.MKDIR, BACKENDS)
        _, before = found(daemon.socket, builders)
    unanswered = 0
    for kill in range(kills):
        with jitsu_xenstored("--state", str(state), "--sync", POLICIES[kill % 3]) as daemon:
            settled(builders, daemon.socket, before)
            threads = at_work(builders, daemon.socket)
            time.sleep(seeded.uniform(0.1, 1.5))  # the random instant
            os.kill(daemon.pid, signal.SIGKILL)
            for thread in threads:
                thread.join()
            unanswered += sum(bool(builder.under_way) for builder in builders)
        assert [builder.surprise for builder in builders if builder.surprise is not None] == []
    with jitsu_xenstored("--state", str(state)) as daemon:
        settled(builders, daemon.socket, before)
    acknowledged = sum(builder.acknowledged for builder in builders)
    print(f"{kills} kills, {acknowledged} acknowledged, {unanswered} without an answer")
    assert acknowledged > 50 * kills
    assert unanswered > kills


def test_told_to_end_it_leaves_one_whole_file(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with jitsu_xenstored("--state", str(state)) as daemon, Peer(daemon.socket) as peer:
        for number in range(100):
            assert peer.write(b"/s/%d" % number, bytes([number])).error is None

    assert list(tmp_path.iterdir()) == [state]
    with jitsu_xenstored("--state", str(state)) as daemon, Peer(daemon.socket) as peer:
        assert [peer.ask(Type.READ, b"/s/%d" % number).payload for number in range(100)] == [
            bytes([number]) for number in range(100)
        ]


def test_a_second_daemon_is_kept_out(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with jitsu_xenstored("--state", str(state)) as daemon, Peer(daemon.socket) as peer:
        with (
            pytest.raises(DaemonError, match="another daemon has its state in"),
            jitsu_xenstored("--state", str(state)),
        ):
            pass
        assert peer.write(b"/s", b"v").error is None


def test_out_of_room_it_ends_and_has_lied_to_nobody(tmp_path: Path) -> None:
    """No file of the daemon's may grow from some moment on."""
    state = tmp_path / "state"
    acknowledged = 0

    def write_on() -> None:
        nonlocal acknowledged
        with jitsu_xenstored("--state", str(state)) as daemon, Peer(daemon.socket) as peer:
            resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (300_000, 300_000))
            try:
                while acknowledged < 2000:
                    assert peer.write(b"/s/%d" % acknowledged, bytes(1000)).error is None
                    acknowledged += 1
            except ConnectionError:
                os.waitid(os.P_PID, daemon.pid, os.WEXITED | os.WNOWAIT)

    with pytest.raises(DaemonError, match=r"(?s)ended by itself: 4; .*state cannot be written: .*\n hint: make room"):
        write_on()
    assert 10 < acknowledged < 2000
    with jitsu_xenstored("--state", str(state)) as daemon, Peer(daemon.socket) as peer:
        there = [peer.ask(Type.READ, b"/s/%d" % number).error for number in range(acknowledged + 1)]
        assert there == [None] * acknowledged + ["ENOENT"]
