"""CONTROL: what an operator asks of the daemon itself, as `xenstore-control` sends it.

    check                        the tree is whole                      memreport   what there is of everything
    quota [set NAME VALUE]       limits for domains                     log WORD    on, off
    print TEXT                   into the daemon's log                  help        the commands
    restrict PATH on|off         mark a directory (permissions.py)

`restrict` is also for a guest that owns the directory; the others are for domain 0.
"""

import logging
from collections.abc import Callable

from jitsu.xenstore.operations import OK
from jitsu.xenstore.paths import canonical
from jitsu.xenstore.peer import Peer
from jitsu.xenstore.store import Store
from jitsu.xenstore.wire import Message, StoreError, Type, strings

log = logging.getLogger(__name__)

COMPILED = not __file__.endswith(".py")
"""By mypyc, with all that a request passes through (setup.py)?"""

_FOR_GUESTS = frozenset({b"restrict"})


class Control:
    """Adds its handler to a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        store.handlers[Type.CONTROL] = self._control
        self._commands: dict[bytes, Callable[[Peer, list[bytes]], bytes]] = {
            b"check": self._check,
            b"help": self._help,
            b"log": self._log,
            b"memreport": self._memreport,
            b"print": self._print,
            b"quota": self._quota,
            b"restrict": self._restrict,
        }

    def _control(self, peer: Peer, message: Message) -> bytes:
        words = strings(message.payload)
        command = words[0] if words else b""
        if peer.domid and command not in _FOR_GUESTS:
            raise StoreError("EACCES", f"domain {peer.domid} does not control this daemon")
        if command not in self._commands:
            raise StoreError("EINVAL", f"{command!r} is not a command", hint="try help")
        return self._commands[command](peer, words[1:])

    def _check(self, peer: Peer, words: list[bytes]) -> bytes:
        """Does what can be reached from the root agree with what there is?"""
        tree = self._store.tree
        reached = sum(1 for _ in tree.walk())
        special = sum(1 for name in ("@introduceDomain", "@releaseDomain") if tree.node(name) is not None)
        if reached + special != len(tree):
            log.error("the tree has %d nodes, of which %d can be reached", len(tree), reached)
            raise StoreError("EIO", "the tree is not whole")
        return OK

    def _help(self, peer: Peer, words: list[bytes]) -> bytes:
        if words:
            raise StoreError("EINVAL", "help about all commands, or none")
        return b"commands: " + b" ".join(sorted(self._commands)) + b"\0"

    def _log(self, peer: Peer, words: list[bytes]) -> bytes:
        if words not in ([b"on"], [b"off"]):
            raise StoreError("EINVAL", "log on, or log off")
        logging.getLogger("jitsu.xenstore").setLevel(logging.DEBUG if words == [b"on"] else logging.INFO)
        return OK

    def _memreport(self, peer: Peer, words: list[bytes]) -> bytes:
        store = self._store
        tree = store.tree
        lines = [
            f"nodes {len(tree)}, {sum(tree.weight.values())} bytes, {tree.remembered} records for open transactions",
            f"connections {len(store.peers)}, watches {len(store.watches)}, domains {len(store.domains)}",
            f"code {'compiled' if COMPILED else 'interpreted'}",
            *(f"domain {domid} nodes {tree.owned[domid]}" for domid in sorted(tree.owned) if tree.owned[domid]),
        ]
        text = "\n".join(lines).encode()
        return text[:4000] + b"\0"

    def _print(self, peer: Peer, words: list[bytes]) -> bytes:
        if len(words) != 1:
            raise StoreError("EINVAL", "one text to print")
        log.info("%s", ascii(words[0].decode(errors="replace"))[1:-1])
        return OK

    def _quota(self, peer: Peer, words: list[bytes]) -> bytes:
        quotas = self._store.quotas
        if not words:
            return "\n".join(f"{name} {quotas.limit(name)}" for name in quotas.names()).encode() + b"\0"
        if len(words) != 3 or words[0] != b"set" or not words[2].isdigit() or len(words[2]) > 18:
            raise StoreError("EINVAL", "quota, or quota set NAME VALUE")
        quotas.set(words[1].decode("ascii", "replace"), int(words[2]))
        return OK

    def _restrict(self, peer: Peer, words: list[bytes]) -> bytes:
        if len(words) != 2 or words[1] not in (b"on", b"off"):
            raise StoreError("EINVAL", "restrict PATH on, or off")
        return self._store.restrict(peer, canonical(words[0], peer.home), words[1] == b"on")
