"""Random histories of a store: their steps, and how a step is asked over the wire.

A step is one request of one client, and is written on one line: `2/1 write /a/x 3` is client 2 in his transaction 1 (0
is none; it begins with its first request). All paths are from a small alphabet: conflicts are what is looked for.
"""

import random
from collections.abc import Callable
from typing import NamedTuple

from jitsu.xenstore.peer import Peer
from jitsu.xenstore.store import FIRST_NODES, OURS, Store
from jitsu.xenstore.wire import Message, Parser, Type, joined
from tests.unit.xenstore_model import Ask, Limits, Node, Run, Transaction, Tree, Who, committed

CLIENTS = (0, 0, 1, 2, 0, 1)
"""The domain of each client."""

LIMITS = Limits(nodes=4, size=2048, entries=5, path=2048)
WATCHES = 4
TRANSACTIONS = 3
"""Of a domain, over all its connections."""

LONG = "n" * 2100
"""Two of these do not fit into one message."""

KINDS = {
    "read": Type.READ,
    "directory": Type.DIRECTORY,
    "part": Type.DIRECTORY_PART,
    "get_perms": Type.GET_PERMS,
    "write": Type.WRITE,
    "mkdir": Type.MKDIR,
    "rm": Type.RM,
    "set_perms": Type.SET_PERMS,
    "restrict": Type.CONTROL,
}

# fmt: off
OPERATIONS = (
    "read", "write", "directory", "commit", "mkdir", "rm", "set_perms", "get_perms",
    "write", "rm", "directory", "read", "mkdir", "directory", "write", "commit",
    "part", "watch", "abort", "restrict", "strict", "wait", "rm", "write",
    "mkdir", "directory", "write", "read", "rm", "set_perms", "write", "rare",
)
RARE = (
    "disconnect", "reset", "unwatch", "unwatch", "introduce", "introduce", "release", "release",
    "target", "target", "watch", "watch", "watch", "watch", "watch", "watch",
)
PATHS = (
    "/a", "/a/x", "/a/y", "/b", "/b/x", "/a/x/k", "/b/c", "/b/c/d/e", "/a/z", "/a/x", "/a/y/k", "/b/x/k", "/a", "/b",
    "/a/x", "/a", "/b/c", "/a/y", "/b/y", "/a/x/k", "/b/x", "/b/c/d", "mine", "/local/domain/1/mine",
    "/a", "/local/domain/1", "/", "@releaseDomain", f"/a/{LONG}", f"/a/m{LONG}", "/a//x", "/b",
)
PERMISSIONS: tuple[tuple[str, ...], ...] = (
    ("b0",), ("n0",), ("n0", "r1"), ("n0", "b1", "w2"), ("r1", "b2"), ("b1",), ("n2", "r1"), ("b0", "n1"),
    ("r0", "w1"), ("n0", "r32757"), ("b2",), ("n1",), ("b0",), ("n200",), ("n0", "r1", "r2", "r3", "r4", "r5"),
    ("b0", "w2"),
)
# fmt: on

STEPS = len(OPERATIONS) * 8 * 4 * len(PATHS) * 16
"""So many different steps there are."""


class Step(NamedTuple):
    client: int
    slot: int
    operation: str
    path: str = "/"
    argument: int = 0

    def __str__(self) -> str:
        path = self.path.replace(LONG, "LONG")
        return f"{self.client}/{self.slot} {self.operation} {path} {self.argument}"


def step(number: int) -> Step:
    """One of all steps; small numbers are plain ones."""
    number, operation = divmod(number, len(OPERATIONS))
    number, path = divmod(number, len(PATHS))
    number, client = divmod(number, 8)
    argument, slot = divmod(number, 4)
    name = OPERATIONS[operation] if OPERATIONS[operation] != "rare" else RARE[argument]
    return Step(client % len(CLIENTS), (0, 1, 1, 2)[slot], name, PATHS[path], argument)


def steps(text: str) -> list[Step]:
    """The steps of a history as it is printed, one on each line."""
    found = []
    for line in text.strip().splitlines():
        who, operation, *rest = line.split()
        client, slot = who.split("/")
        path = rest[0].replace("LONG", LONG) if rest else "/"
        found.append(Step(int(client), int(slot), operation, path, int(rest[1]) if len(rest) > 1 else 0))
    return found


def random_history(rng: random.Random) -> list[Step]:
    watches = [Step(rng.randrange(len(CLIENTS)), 0, "watch", rng.choice(PATHS), rng.randrange(16)) for _ in range(3)]
    return watches + [step(rng.randrange(STEPS)) for _ in range(rng.randint(5, 45))]


def shortened(history: list[Step], fails: Callable[[list[Step]], bool]) -> list[Step]:
    """A history that fails as well and from which no step can be taken, nor one made plainer."""
    size = len(history)
    while size:
        for start in range(len(history) - size, -1, -1):
            fewer = history[:start] + history[start + size :]
            if fails(fewer):
                history = fewer
        size //= 2
    for index, each in enumerate(history):
        for change in ({"argument": 0}, {"slot": 0}, {"client": 0}, {"path": "/a"}):
            plainer = [*history[:index], each._replace(**change), *history[index + 1 :]]
            if plainer != history and fails(plainer):
                history, each = plainer, plainer[index]
    fewer = next((fewer for fewer in without_one(history) if fails(fewer)), None)
    return history if fewer is None else shortened(fewer, fails)


def without_one(history: list[Step]) -> list[list[Step]]:
    return [history[:index] + history[index + 1 :] for index in range(len(history))]


class WrongError(AssertionError):
    """The store did what the model would not."""


def ensure(condition: bool, *said: object) -> None:
    if not condition:
        raise WrongError(*said)


class Client:
    """One client's connection as both sides know it."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.domid = peer.domid
        self.parser = Parser()
        self.ids: dict[int, int] = {}
        """The transaction in each slot."""
        self.transactions: dict[int, Transaction] = {}
        """By id."""
        self.moments: dict[int, int] = {}
        """For each transaction the moment from which its answers are, as the store says and the model checks."""
        self.held: tuple[Step, Message, float] | None = None
        self.expected: list[tuple[str, str]] = []


def ask_of(each: Step) -> Ask:
    argument = each.argument
    value = b"%d" % (argument % 3) if argument < 15 else bytes(3000)
    if each.operation == "restrict":
        value = b"off" if argument % 4 == 3 else b"on"
    return Ask(each.operation, each.path, value, PERMISSIONS[argument], (0, 2, 2103, 5000)[argument % 4])


def payload_of(ask: Ask) -> bytes:
    path = ask.path.encode() + b"\0"
    if ask.kind == "write":
        return path + ask.value
    if ask.kind == "set_perms":
        return path + joined(*(perm.encode() for perm in ask.perms))
    if ask.kind == "part":
        return path + joined(b"%d" % ask.offset)
    if ask.kind == "restrict":
        return b"restrict\0" + path + joined(ask.value)
    return path


def first_tree() -> Tree:
    root = Node(b"", ("n0",), False, (), 0)
    run = Run({"/": root}, Who(0), LIMITS)
    for path in FIRST_NODES:
        run.write(path, Ask("write", path, b"1" if path == OURS else b""))
    special = {"@introduceDomain": ("n0",), "@releaseDomain": ("n0", "r32757")}
    return run.tree | {path: Node(b"", perms, False, (), 0) for path, perms in special.items()}


FURNITURE = steps(
    """
    0/0 write /a/x 0
    0/0 write /a/y 1
    0/0 write /a/x/k 1
    0/0 write /a/LONG 1
    0/0 set_perms /a 0
    0/0 write /b/x 0
    0/0 set_perms /b 3
    0/0 mkdir /local/domain/1
    0/0 set_perms /local/domain/1 11
    0/0 mkdir /local/domain/2
    0/0 set_perms /local/domain/2 10
    """
)


def _furnished() -> Tree:
    tree = first_tree()
    for each in FURNITURE:
        run = Run(tree, Who(0), LIMITS)
        assert run.perform(ask_of(each)) == b"OK\0", each
        tree = committed(tree, run.tree, 1)
    return tree


FURNISHED = _furnished()
"""What the model holds when a history begins."""


def furnish(store: Store) -> None:
    """Quotas, two domains, and something to be at odds over."""
    for name, value in (("nodes", LIMITS.nodes), ("watches", WATCHES), ("transactions", TRANSACTIONS)):
        store.quotas.set(name, value)
    for domid in (1, 2):
        store.domains.introduce(domid, 1, 1)
    peer = store.connect(0)
    for each in FURNITURE:
        store.execute(peer, Message(KINDS[each.operation], 7, 0, payload_of(ask_of(each))))
    store.disconnect(peer)
