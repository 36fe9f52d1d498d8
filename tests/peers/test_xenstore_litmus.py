"""The litmus table over the wire, on ours and on Debian's two daemons."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from jitsu.xenstore.wire import Type, strings
from tests.peers.xenstore_daemons import DAEMONS, Daemon, jitsu_xenstored
from tests.peers.xenstore_litmus import TABLE, Litmus
from tests.peers.xenstore_stage import COLUMNS, Stage, told, wanted
from tests.xenstore_peer import Peer


@pytest.fixture(scope="module", params=COLUMNS)
def daemon(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    with DAEMONS[request.param]() as daemon:
        yield daemon


@pytest.mark.parametrize("litmus", TABLE, ids=lambda litmus: litmus.name)
def test_litmus(daemon: Daemon, litmus: Litmus, request: pytest.FixtureRequest):
    column = COLUMNS.index(request.node.callspec.params["daemon"])
    with ExitStack() as stack:
        stage = Stage(daemon, stack)
        played = [stage.play(line) for line in litmus.script]
    assert "\n".join(played) == "\n".join(wanted(line, column) for line in litmus.script), litmus.meaning


def test_what_two_transactions_of_a_domain_create_counts_together(tmp_path: Path):
    """Neither writes the other's count over with its own. Ours only: no other daemon has sockets for domains."""
    with jitsu_xenstored("--domains", "0-3", "--domain-sockets", str(tmp_path)) as daemon, ExitStack() as stack:
        toolstack = stack.enter_context(Peer(daemon.socket))
        assert toolstack.ask(Type.INTRODUCE, b"3", b"1", b"1").error is None
        toolstack.write(b"/local/domain/3", b"")
        toolstack.ask(Type.SET_PERMS, b"/local/domain/3", b"n3")
        assert toolstack.ask(Type.SET_QUOTA, b"3", b"nodes", b"10").error is None
        first, second = (stack.enter_context(Peer(tmp_path / "3.sock")) for _ in range(2))

        assert both_create(first, second, 4) == ("OK", "OK")
        assert first.write(b"ninth", b"").error is None
        assert first.write(b"eleventh-with-the-home", b"").error == "ENOSPC"
        first.ask(Type.RM, b"ninth")
        assert both_create(first, second, 1, b"more") == ("OK", "ENOSPC")
        assert len(strings(toolstack.ask(Type.DIRECTORY, b"/local/domain/3").payload)) == 9


def both_create(first: Peer, second: Peer, number: int, name: bytes = b"name") -> tuple[str, str]:
    """Nodes of their own in overlapping transactions, of which each fits by itself; how each ends."""
    transactions = {first: first.start(), second: second.start()}
    for peer, transaction in transactions.items():
        for n in range(number):
            path = b"%s-%d-of-%d" % (name, n, peer is first)
            assert peer.write(path, b"", transaction).error is None
    return told("commit", first.end(transactions[first])), told("commit", second.end(transactions[second]))
