"""Every kind of request, well and badly formed, answered by ours as by Debian's C daemon: but for what is listed."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from jitsu.xenstore.wire import Type, strings
from tests.peers.xenstore_daemons import Daemon, c_xenstored, jitsu_xenstored
from tests.peers.xenstore_differences import DIFFERENCES
from tests.peers.xenstore_probes import OWN, PROBES, TREE, Probe, Request
from tests.xenstore_peer import Answer, Peer


@pytest.fixture(scope="module")
def ours() -> Iterator[Daemon]:
    with jitsu_xenstored() as daemon:
        yield daemon


@pytest.fixture(scope="module")
def debian() -> Iterator[Daemon]:
    with c_xenstored() as daemon:
        yield daemon


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_a_request_is_answered_as_by_the_c_daemon(ours: Daemon, debian: Daemon, probe: Probe):
    difference = DIFFERENCES.get(probe.name)
    if difference is None:
        assert outcome(ours, probe) == outcome(debian, probe)
        return
    ours_told = outcome(ours, probe)
    assert ours_told.told == difference.ours, difference.why
    if difference.ours.startswith("E"):
        assert (ours_told.events, ours_told.tree) == ("", untouched(ours)), "an error changed the store"
    if difference.debian is not None:
        assert outcome(debian, probe).told == difference.debian, "Debian's daemon has changed"


def test_every_difference_is_one_of_a_probe():
    assert set(DIFFERENCES) <= {probe.name for probe in PROBES}
    assert len({probe.name for probe in PROBES}) == len(PROBES)


class Outcome(NamedTuple):
    """What the client was answered and told, which events a watcher of everything got, what the store then held."""

    told: str
    events: str
    tree: str


def outcome(daemon: Daemon, probe: Probe) -> Outcome:
    with Peer(daemon.socket) as peer, Peer(daemon.socket) as watcher:
        clear(watcher)
        assert watcher.ask(Type.WATCH, b"/", b"all").error is None
        own = 0
        for request in probe.before:
            answer = ask(peer, request, own)
            assert answer.error is None or request.payload == b"X\0", (probe, request, answer)
            if request.type == Type.TRANSACTION_START:
                own = int(answer.payload.rstrip(b"\0"))
        peer.settled()
        watcher.settled()
        told = shown(probe.request.type, ask(peer, probe.request, own))
        if seen := events(peer):
            told += f" then {seen}"
        return Outcome(told, events(watcher), tree(watcher, b"/p"))


def untouched(daemon: Daemon) -> str:
    with Peer(daemon.socket) as peer:
        clear(peer)
        return tree(peer, b"/p")


def ask(peer: Peer, request: Request, own: int) -> Answer:
    return peer.request(request.type, own if request.transaction == OWN else request.transaction, request.payload)


def clear(peer: Peer) -> None:
    """The store as every probe finds it."""
    for name in strings(peer.ask(Type.DIRECTORY, b"/").payload):
        assert peer.ask(Type.RM, b"/" + name).error is None
    for path, value, permissions in TREE:
        assert peer.write(path, value).error is None
        assert peer.ask(Type.SET_PERMS, path, *permissions.split()).error is None


def shown(kind: int, answer: Answer) -> str:
    """An answer without what may differ from one daemon to another: the generation in front of a part."""
    if answer.error is not None:
        return answer.error
    if kind == Type.DIRECTORY_PART:
        return f"generation {answer.payload.partition(bytes(1))[2]!r}"
    return f"{answer.payload!r}"


def events(peer: Peer) -> str:
    return " ".join(f"{path.decode()}:{token.decode()}" for path, token in peer.settled())


def tree(peer: Peer, path: bytes) -> str:
    """All that is at a path and below, in order."""
    value = peer.ask(Type.READ, path)
    if value.error is not None:
        return f"{path.decode()} {value.error}"
    permissions = b" ".join(strings(peer.ask(Type.GET_PERMS, path).payload)).decode()
    below = (tree(peer, path + b"/" + name) for name in strings(peer.ask(Type.DIRECTORY, path).payload))
    return "\n".join((f"{path.decode()} {value.payload!r} ({permissions})", *below))
