"""What a request sees and changes: the store itself (`Present`), or a moment of it and changes of one's own (a
transaction's, `draft.py`). `operations.py` says once what each operation does, in terms of a view.
"""

from typing import NamedTuple

from jitsu.xenstore.paths import parent_of
from jitsu.xenstore.permissions import Permissions
from jitsu.xenstore.tree import Node, Tree

NAMES = "names"
"""The list of a directory's children."""

NODE = "node"
"""A node itself: whether it is there, its value, its permissions."""

MOST_CHANGES = 1 << 20
"""Between two generations of a directory there is room for those that only a transaction sees."""

Thing = tuple[str, str]
"""NAMES or NODE, and the path: what two transactions can be at odds over."""


class Event(NamedTuple):
    """Something happened to a node.

    `exact`: it was removed with one above it, so only those are told who watch this very path. `judges`: whoever may
    read by one of these permissions may know of it.
    """

    path: str
    exact: bool
    judges: tuple[Permissions, ...]


class View:
    """Looking and changing; what was looked at is noted by the `saw_` methods, which do nothing here."""

    tree: Tree

    def node(self, path: str) -> Node | None:
        raise NotImplementedError

    def names(self, path: str) -> list[str]:
        raise NotImplementedError

    def generation(self, path: str) -> int:
        """A number that changes with the names below a node, and never comes again for others."""
        raise NotImplementedError

    def owned(self, domid: int) -> int:
        """How many nodes a domain owns."""
        raise NotImplementedError

    def weight(self, domid: int) -> int:
        """Bytes of the nodes that a domain owns."""
        raise NotImplementedError

    def restricted(self, path: str) -> list[tuple[str, Node]]:
        """The restricted directories at a path and below it."""
        raise NotImplementedError

    def nearest(self, path: str) -> tuple[str, Node, str]:
        """For a path that is not there: the nearest one above that is, its node, and the first that is missing."""
        missing = path
        while True:
            above = parent_of(missing)
            node = self.node(above)
            if node is not None:
                return above, node, missing
            missing = above

    def saw_presence(self, path: str) -> None: ...

    def saw_absence(self, path: str) -> None: ...

    def saw_value(self, path: str, node: Node) -> None: ...

    def saw_permissions(self, path: str, node: Node) -> None: ...

    def saw_names(self, path: str) -> None: ...

    def saw_generation(self, path: str) -> None: ...

    def saw_quota(self) -> None:
        """An answer depended on how much a domain has: no single fact of the tree stands for that."""

    def write(self, path: str, value: bytes) -> None:
        raise NotImplementedError

    def permit(self, path: str, perms: Permissions) -> None:
        raise NotImplementedError

    def create(self, path: str, value: bytes, perms: Permissions, *, implied: bool) -> None:
        """`implied`: it is made because something below it is; nobody is told."""
        raise NotImplementedError

    def remove(self, path: str) -> None:
        raise NotImplementedError


class Present(View):
    """The store as it is: every change takes effect at once and leaves an event."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.events: list[Event] = []

    def node(self, path: str) -> Node | None:
        return self.tree.node(path)

    def names(self, path: str) -> list[str]:
        return list(self.tree.names(path))

    def generation(self, path: str) -> int:
        return self.tree.listed(path) * MOST_CHANGES

    def owned(self, domid: int) -> int:
        return self.tree.owned.get(domid, 0)

    def weight(self, domid: int) -> int:
        return self.tree.weight.get(domid, 0)

    def restricted(self, path: str) -> list[tuple[str, Node]]:
        inside = path + "/"
        return [(each, self.tree[each]) for each in self.tree.restricted if each == path or each.startswith(inside)]

    def write(self, path: str, value: bytes) -> None:
        self.tree.write(path, value)
        self.events.append(changed(self.tree, path))

    def permit(self, path: str, perms: Permissions) -> None:
        before = self.tree.node(path)
        self.tree.permit(path, perms)
        self.events.append(changed(self.tree, path, before))

    def create(self, path: str, value: bytes, perms: Permissions, *, implied: bool) -> None:
        self.tree.create(path, value, perms)
        if not implied:
            self.events.append(changed(self.tree, path))

    def remove(self, path: str) -> None:
        gone = self.tree.remove(path)
        self.events += removed(self.tree, path, gone)


def changed(tree: Tree, path: str, before: Node | None = None) -> Event:
    """A node was made or changed; `before` is what it was where its permissions may have been others."""
    above = tree.node(parent_of(path)) if path[0] == "/" else None
    judges = [tree[path].perms]
    if above is not None:
        judges.append(above.perms)
    if before is not None:
        judges.append(before.perms)
    return Event(path, False, tuple(judges))


def removed(tree: Tree, path: str, gone: list[tuple[str, Node]]) -> list[Event]:
    """A node was removed, and all in `gone` with it. Judged by the permissions that they had."""
    events = [Event(path, False, judges_of(tree, path, gone[0][1]))]
    events += [Event(each, True, (node.perms,)) for each, node in gone[1:] if tree.node(each) is None]
    return events


def judges_of(tree: Tree, path: str, node: Node) -> tuple[Permissions, ...]:
    above = tree.node(parent_of(path))
    return (node.perms,) if above is None else (node.perms, above.perms)
