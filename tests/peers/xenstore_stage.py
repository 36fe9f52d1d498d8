"""The litmus table played to a running daemon, line by line."""

from contextlib import ExitStack

from jitsu.xenstore.wire import Type, strings
from tests.peers.xenstore_daemons import Daemon
from tests.xenstore_peer import Answer, Peer

COLUMNS = ("jitsu", "debian-c", "debian-ocaml")


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
