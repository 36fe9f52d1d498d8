"""The litmus table over the wire, on ours and on Debian's two daemons."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from jitsu.xenstore.wire import Type, strings
from tests.peers.xenstore_daemons import DAEMONS, Daemon, jitsu_xenstored
from tests.peers.xenstore_litmus import TABLE, Litmus
from tests.xenstore_peer import Answer, Peer

COLUMNS = ("jitsu", "debian-c", "debian-ocaml")


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


def wanted(line: str, column: int) -> str:
    """The line as it must be played: with the answer of this daemon."""
    asked, arrow, answers = line.partition(" -> ")
    columns = answers.split(" | ") if arrow else ["OK"]
    assert len(columns) in (1, len(COLUMNS)), line
    return f"{asked} -> {columns[column % len(columns)]}"


class Stage:
    """The connections of one history, and a store emptied of what histories before it left."""

    def __init__(self, daemon: Daemon, stack: ExitStack) -> None:
        self._peers = {name: stack.enter_context(Peer(daemon.socket)) for name in ("T", "U", "W", "db")}
        self._transactions = {"db": 0}
        for name in strings(self._peers["db"].ask(Type.DIRECTORY, b"/").payload):
            if not name.startswith(b"@"):
                self._peers["db"].ask(Type.RM, b"/" + name)

    def play(self, line: str) -> str:
        """Do what the line says; the line with what really came back."""
        asked = line.partition(" -> ")[0]
        who, verb, *words = asked.split()
        peer = self._peers[who]
        match verb:
            case "start":
                self._transactions[who] = peer.start()
                said = "OK"
            case "watch":
                assert peer.ask(Type.WATCH, words[0].encode(), b"token").error is None
                assert peer.settled() == [(words[0].encode(), b"token")]
                said = "OK"
            case "events":
                said = " ".join(path.decode() for path, _ in peer.settled()) or "-"
            case _:
                said = told(verb, self._ask(peer, verb, words, self._transactions[who]))
        return f"{asked} -> {said}"

    def _ask(self, peer: Peer, verb: str, words: list[str], transaction: int) -> Answer:
        arguments = [word.encode() for word in words]
        match verb:
            case "write":
                return peer.write(arguments[0], arguments[1], transaction)
            case "commit" | "abort":
                return peer.end(transaction, commit=verb == "commit")
            case _:
                return peer.ask(VERBS[verb], *arguments, transaction=transaction)


VERBS = {
    "read": Type.READ,
    "ls": Type.DIRECTORY,
    "perms": Type.GET_PERMS,
    "mkdir": Type.MKDIR,
    "rm": Type.RM,
    "chmod": Type.SET_PERMS,
}


def told(verb: str, answer: Answer) -> str:
    """An answer as the table has it."""
    if answer.error is not None:
        return answer.error
    if verb in ("ls", "perms"):
        return " ".join(name.decode() for name in strings(answer.payload)) or "-"
    return answer.payload.decode().removesuffix("\0") or "-"


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
