"""Clients that build domains and take them down as libxl does, and know at any instant what they were promised.

What a client changes nobody else does, so what it was answered says what there must be, whatever the others do. When
the daemon dies, one request of each client may be under way: it was carried out, or it was not.
"""

import random
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from jitsu.xenstore.wire import Type, joined, strings
from tests.xenstore_peer import Answer, Peer

DOMIDS = 1000
"""Of each client."""

BACKENDS = b"/local/domain/0/backend/vif"
SHARED = (b"/local/domain", b"/vm", b"/libxl", BACKENDS)
"""Directories in which all clients make nodes. They belong to domain 0, for nobody else to read."""

_OF_CLIENT = re.compile(rb"(?:/local/domain/0/backend/vif|/local/domain|/vm|/libxl)/([1-9][0-9]*)(?:/.*)?")


class Node(NamedTuple):
    """What the wire has of one: its value, and its permissions with their NULs."""

    value: bytes
    perms: bytes = b"n0\0"


Nodes = dict[bytes, Node]
"""By path, those of one directory in their order."""


class Holding(NamedTuple):
    """What there is of a client's in the store: its nodes, and which of its domains are introduced."""

    nodes: Nodes
    domains: frozenset[int] = frozenset()

    def same(self, other: "Holding") -> bool:
        """Is it equal, and the children of each node in the same order?"""
        return self == other and _children(self.nodes) == _children(other.nodes)

    def differences(self, other: "Holding") -> str:
        """Against what was found."""
        missing = {path: node for path, node in self.nodes.items() if other.nodes.get(path) != node}
        more = {path: node for path, node in other.nodes.items() if self.nodes.get(path) != node}
        order = "" if missing or more else f", {list(self.nodes)} became {list(other.nodes)}"
        return f"nodes {missing} became {more}, domains {set(self.domains)} became {set(other.domains)}{order}"


class Change(NamedTuple):
    """A request that changes something: its type, a path or a domid, and a value or permissions."""

    kind: Type
    what: bytes
    value: bytes = b""

    @property
    def payload(self) -> bytes:
        if self.kind == Type.WRITE:
            return self.what + b"\0" + self.value
        if self.kind == Type.INTRODUCE:
            return joined(self.what, b"1", b"1")
        return self.what + b"\0" + self.value


def after(holding: Holding, changes: list[Change]) -> Holding:
    """What domain 0's changes make of it, by the protocol's rules."""
    nodes, domains = dict(holding.nodes), holding.domains
    for kind, what, value in changes:
        if kind in (Type.WRITE, Type.MKDIR):
            _make(nodes, what)
            if kind == Type.WRITE:
                nodes[what] = nodes[what]._replace(value=value)
        elif kind == Type.RM:
            _remove(nodes, what)
        elif kind == Type.SET_PERMS:
            nodes[what] = nodes[what]._replace(perms=value)
        elif kind == Type.INTRODUCE:
            domains |= {int(what)}
        else:
            assert kind == Type.RELEASE
            domains -= {int(what)}
            for path, node in list(nodes.items()):
                owner, *others = strings(node.perms)
                if owner[1:] == what:
                    _remove(nodes, path)
                elif path in nodes:
                    nodes[path] = node._replace(perms=joined(owner, *(word for word in others if word[1:] != what)))
    return Holding(nodes, domains)


def _make(nodes: Nodes, path: bytes) -> None:
    if path in SHARED or path in nodes:
        return
    above = path.rpartition(b"/")[0]
    _make(nodes, above)
    nodes[path] = Node(b"", nodes[above].perms if above in nodes else b"n0\0")


def _remove(nodes: Nodes, path: bytes) -> None:
    for each in [each for each in nodes if each == path or each.startswith(path + b"/")]:
        del nodes[each]


def _children(nodes: Nodes) -> dict[bytes, list[bytes]]:
    children: dict[bytes, list[bytes]] = {}
    for path in nodes:
        children.setdefault(path.rpartition(b"/")[0], []).append(path)
    return children


class Builder:
    """One client. `holding` is what it was promised, `under_way` what it asked and got no answer to."""

    def __init__(self, number: int, seed: int) -> None:
        self.number = number
        self.holding = Holding({})
        self.under_way: list[Change] = []
        self.acknowledged = 0
        """Requests and commits that changed something."""
        self.again = 0
        """Transactions that had to be begun again."""
        self.surprise: Exception | None = None
        self._random = random.Random(seed)
        self._built = 0

    @property
    def domids(self) -> range:
        return range(1 + DOMIDS * self.number, 1 + DOMIDS * (self.number + 1))

    @property
    def recent(self) -> set[int]:
        """Domids that may be introduced: those last built, and whatever it was promised."""
        last = {self.domids[number % DOMIDS] for number in range(max(0, self._built - 10), self._built)}
        return last | self.holding.domains

    def work(self, path: Path) -> None:
        """Build domains and take them down until the daemon dies."""
        try:
            with Peer(path) as peer:
                for domid in sorted({int(found) for found in map(_domid_of, self.holding.nodes) if found}):
                    self._take_down(peer, domid)
                while True:
                    domid = self.domids[self._built % DOMIDS]
                    self._built += 1
                    self._build(peer, domid)
                    if self._built % 2:
                        self._take_down(peer, domid)
                        self._take_down(peer, max(domid - 1, self.domids[0]))
        except (ConnectionError, TimeoutError) as error:
            if isinstance(error, TimeoutError):
                self.surprise = error
        except AssertionError as error:
            self.surprise = error

    def settle(self, found: Holding) -> bool:
        """Is what was found what was promised, with what was under way or without it? It counts from now on."""
        done = after(self.holding, self.under_way)
        promised = [holding for holding in (self.holding, done) if holding.same(found)]
        if promised:
            self.holding, self.under_way = promised[0], []
        return bool(promised)

    def _build(self, peer: Peer, domid: int) -> None:
        home, vm, libxl = b"/local/domain/%d" % domid, b"/vm/%d" % domid, b"/libxl/%d" % domid
        front, back = home + b"/device/vif/0", b"%s/%d/0" % (BACKENDS, domid)
        shown, own = b"n0\0r%d\0" % domid, b"n%d\0r0\0" % domid
        steps = [Change(Type.RM, home), Change(Type.MKDIR, home), Change(Type.SET_PERMS, home, shown)]
        steps += [Change(Type.RM, vm), Change(Type.WRITE, vm + b"/name", b"guest %d" % domid)]
        steps += [Change(Type.RM, libxl), Change(Type.MKDIR, libxl), Change(Type.WRITE, home + b"/vm", vm)]
        for name in (b"data", b"drivers", b"control/shutdown"):
            steps += [Change(Type.MKDIR, home + b"/" + name), Change(Type.SET_PERMS, home + b"/" + name, own)]
        self._commit(peer, steps)
        self._change(peer, Change(Type.WRITE, vm + b"/uuid", self._random.randbytes(16)))
        self._change(peer, Change(Type.INTRODUCE, b"%d" % domid))
        steps = [Change(Type.WRITE, front + b"/backend", back), Change(Type.SET_PERMS, front, own)]
        steps += [Change(Type.WRITE, back + b"/frontend", front), Change(Type.SET_PERMS, back, shown)]
        for number in range(self._random.randint(4, 12)):
            steps.append(Change(Type.WRITE, b"%s/key%d" % (back, number), self._random.randbytes(20)))
        self._commit(peer, steps)
        for name in (b"data/ready", b"memory/target", b"memory/target", b"data"):
            self._change(peer, Change(Type.WRITE, home + b"/" + name, self._random.randbytes(8)))

    def _take_down(self, peer: Peer, domid: int) -> None:
        home, back = b"/local/domain/%d" % domid, b"%s/%d" % (BACKENDS, domid)
        self._commit(peer, [Change(Type.RM, home + b"/device"), Change(Type.RM, back)], listing=BACKENDS)
        if domid in self.holding.domains:
            self._change(peer, Change(Type.RELEASE, b"%d" % domid))
        self._commit(peer, [Change(Type.RM, path % domid) for path in (b"/local/domain/%d", b"/vm/%d", b"/libxl/%d")])

    def _commit(self, peer: Peer, changes: list[Change], listing: bytes | None = None) -> None:
        while True:
            transaction = peer.start()
            if listing is not None:
                assert peer.ask(Type.DIRECTORY, listing, transaction=transaction).error is None
            refused = {peer.request(change.kind, transaction, change.payload).error for change in changes} - {None}
            # What is not there, below what is not there, cannot be removed.
            assert refused <= {"ENOENT"}, refused
            if self._ask(changes, partial(peer.end, transaction)) is None:
                return
            self.again += 1

    def _change(self, peer: Peer, change: Change) -> None:
        assert self._ask([change], partial(peer.request, change.kind, 0, change.payload)) is None, change

    def _ask(self, changes: list[Change], ask: Callable[[], Answer]) -> str | None:
        self.under_way = changes
        error = ask().error
        assert error in (None, "EAGAIN"), error
        if error is None:
            self.holding = after(self.holding, changes)
            self.acknowledged += 1
        self.under_way = []
        return error


def _domid_of(path: bytes) -> bytes | None:
    match = _OF_CLIENT.fullmatch(path)
    return match[1] if match else None


def found(path: Path, builders: list[Builder]) -> tuple[list[Holding], Nodes]:
    """What a daemon has of each client's, and what else it has."""
    holdings, others = [Holding({}) for _ in builders], Nodes()
    with Peer(path) as peer:
        for each, node in _everything(peer).items():
            domid = _domid_of(each)
            (holdings[(int(domid) - 1) // DOMIDS].nodes if domid else others)[each] = node
        for index, builder in enumerate(builders):
            known = {domid for domid in builder.recent if _is_introduced(peer, domid)}
            holdings[index] = holdings[index]._replace(domains=frozenset(known))
    return holdings, others


def _is_introduced(peer: Peer, domid: int) -> bool:
    return peer.ask(Type.IS_DOMAIN_INTRODUCED, b"%d" % domid).payload == b"T\0"


def _everything(peer: Peer) -> Nodes:
    """All nodes, level by level."""
    nodes, level = Nodes(), [b"/"]
    while level:
        for path in level:
            for kind in (Type.READ, Type.GET_PERMS, Type.DIRECTORY):
                peer.send(kind, 0, path + b"\0")
        below: list[bytes] = []
        for path in level:
            value, perms, names = (peer.receive() for _ in range(3))
            assert (value.type, perms.type, names.type) == (Type.READ, Type.GET_PERMS, Type.DIRECTORY), path
            nodes[path] = Node(value.payload, perms.payload)
            below += (path.rstrip(b"/") + b"/" + name for name in strings(names.payload))
        level = below
    return nodes
