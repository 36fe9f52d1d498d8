"""A whole part of the tree, read with many requests under way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from jitsu.xenstore import request
from jitsu.xenstore.client import Requests
from jitsu.xenstore.request import Request, decoded
from jitsu.xenstore.wire import Message, StoreError, Type, strings

_AT_ONCE = 256
"""Nodes that are asked for in one go: enough to keep a daemon busy, and little enough for its buffers."""


@dataclass(slots=True)
class Node:
    """A node and what is below it, in the daemon's order. `value` and `permissions` are None where the daemon did not
    show them, or was not asked for them."""

    path: str
    value: bytes | None = None
    permissions: list[str] | None = None
    children: "list[Node]" = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    def walk(self) -> Iterator["Node"]:
        """This one and all below it, each before its children. Guests can nest deeper than Python can recurse."""
        left = [self]
        while left:
            node = left.pop()
            yield node
            left.extend(reversed(node.children))


async def survey(
    store: Requests, path: str, *, depth: int | None = None, values: bool = True, permissions: bool = False
) -> Node:
    """The node at `path` and what is below it, `depth` levels or all.

    The tree may change meanwhile, outside of a transaction; what vanishes is left out. Raises StoreError if `path`
    itself cannot be listed.
    """
    look = _Look(store, values=values, permissions=permissions)
    root = Node(path)
    found = await look.at([root])
    if isinstance(found[0], StoreError):
        raise found[0]
    level: list[tuple[Node, list[str]]] = [(root, found[0])]
    while level and depth != 0:
        pairs = [(node, Node(f"{node.path.rstrip('/')}/{name}")) for node, names in level for name in names]
        level = []
        for first in range(0, len(pairs), _AT_ONCE):
            some = pairs[first : first + _AT_ONCE]
            listings = await look.at([child for _, child in some])
            for (parent, child), names in zip(some, listings, strict=True):
                if not isinstance(names, StoreError):
                    level.append((child, names))
                elif names.errno == "ENOENT":
                    continue
                parent.children.append(child)
        depth = depth - 1 if depth is not None else None
    return root


class _Look:
    """What is asked of each node."""

    def __init__(self, store: Requests, *, values: bool, permissions: bool) -> None:
        self._store = store
        self._values = values
        self._permissions = permissions

    async def at(self, nodes: Sequence[Node]) -> list[list[str] | StoreError]:
        """Fill in nodes, and give for each the names below it, or why they cannot be listed."""
        asked = [each for node in nodes for each in self._questions(node.path)]
        answers = iter(zip(asked, await self._store.answers(asked), strict=True))
        listings: list[list[str] | StoreError] = []
        for node in nodes:
            listings.append(await self._names(node, *next(answers)))
            if self._values and (answer := next(answers)[1]).type != Type.ERROR:
                node.value = answer.payload
            if self._permissions and (answer := next(answers)[1]).type != Type.ERROR:
                node.permissions = [decoded(perm) for perm in strings(answer.payload)]
        return listings

    async def _names(self, node: Node, question: Request, answer: Message) -> list[str] | StoreError:
        try:
            if answer.type == Type.ERROR and answer.payload == b"E2BIG\0":
                # Longer than a message: in parts.
                return await self._store.list(node.path)
            return [decoded(name) for name in strings(question.result(answer))]
        except StoreError as error:
            return error

    def _questions(self, path: str) -> Iterator[Request]:
        yield request.directory(path)
        if self._values:
            yield request.read(path)
        if self._permissions:
            yield request.get_perms(path)
