"""The store's nodes as they are, and as they were for whoever still looks at an earlier moment.

A node's value and permissions are in a `Node`, a directory's names in a `Listing`. Both are replaced and never changed,
once anybody may see them: a transaction *pins* the moment of its start, and what is replaced later is kept for it. So a
moment costs nothing until something changes, a change costs the same however large the store is, and whatever nobody
can see any more is forgotten with the pin.

Every change belongs to a commit, a number that only grows; value, permissions, list of children and existence each
carry the number of the commit that made them so (their stamp).
"""

from collections.abc import Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from jitsu.xenstore.paths import ROOT, below, is_special, name_of, parent_of
from jitsu.xenstore.permissions import FOR_DOMAIN_0, Permissions


class Node(NamedTuple):
    """One node; `born`, `valued` and `permitted` are the commits that made it, its value and its permissions."""

    value: bytes
    perms: Permissions
    born: int
    valued: int
    permitted: int

    @property
    def stamp(self) -> int:
        return max(self.valued, self.permitted)


class Listing:
    """The children of a node in the order in which they were made; `born` is the commit of the first, `stamp` that of
    the last change."""

    __slots__ = ("born", "names", "stamp")

    def __init__(self, names: dict[str, None], born: int, stamp: int) -> None:
        self.names = names
        self.born = born
        self.stamp = stamp


NO_NAMES: dict[str, None] = {}

R = TypeVar("R", Node, Listing)


class History(Generic[R]):
    """What records were before they changed, for the moments that are pinned, and for no others.

    For each path a list of (commit of the change, record before it, pin), oldest first. The pin is the latest of those
    that see the record: when it goes, the next earlier one takes its place, if that sees the same, or else the record
    is forgotten. That there was nothing before a record is not kept: it says itself when it was born.
    """

    def __init__(self) -> None:
        self._past: dict[str, list[tuple[int, R, int]]] = {}
        self._seen_by: dict[int, set[str]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def keep(self, path: str, commit: int, record: R, newest: int) -> None:
        """`record` is replaced in `commit`; `newest` is the latest pinned moment, and sees it."""
        self._past.setdefault(path, []).append((commit, record, newest))
        self._seen_by.setdefault(newest, set()).add(path)
        self._size += 1

    def find(self, path: str, moment: int, now: R | None) -> R | None:
        """The record as it was at a moment; it is `now`."""
        for commit, record, _ in self._past.get(path, ()):
            if commit > moment:
                now = record
                break
        return None if now is None or now.born > moment else now

    def unpin(self, moment: int, earlier: int) -> None:
        """Nobody looks at `moment` any more; `earlier` is the pinned moment before it, or negative."""
        for path in self._seen_by.pop(moment, ()):
            past = self._past[path]
            index = 0
            while past[index][2] != moment:
                index += 1
            commit, record, _ = past[index]
            if earlier >= record.born and (not index or earlier >= past[index - 1][0]):
                past[index] = (commit, record, earlier)
                self._seen_by.setdefault(earlier, set()).add(path)
                continue
            self._size -= 1
            del past[index]
            if not past:
                del self._past[path]


class Tree:
    """All nodes. Changes are made between `begin()` and the next; reading at a moment needs a pin on it."""

    def __init__(self) -> None:
        self.commit = 0
        self.owned: dict[int, int] = {}
        """How many nodes each domain owns."""
        self.mentioned: dict[int, int] = {}
        """In how many entries of permissions each domain stands."""
        self.weight: dict[int, int] = {}
        """Bytes of values and names of the nodes that each domain owns."""
        self.restricted: set[str] = set()
        """The directories that are."""
        self.log: list[tuple[str, Node | None]] | None = None
        """What was changed, for a journal: a node as it is now, or None where one was removed with all below it."""
        self._nodes: dict[str, Node] = {}
        self._listings: dict[str, Listing] = {}
        self._old_nodes: History[Node] = History()
        self._old_listings: History[Listing] = History()
        self._pins: dict[int, int] = {}
        self._newest = -1
        root = Node(b"", FOR_DOMAIN_0, 0, 0, 0)
        self._nodes[ROOT] = root
        self._count(root, ROOT, 1)

    def __len__(self) -> int:
        return len(self._nodes)

    # Now

    def __getitem__(self, path: str) -> Node:
        return self._nodes[path]

    def node(self, path: str) -> Node | None:
        return self._nodes.get(path)

    def names(self, path: str) -> dict[str, None]:
        """The names below a node, in their order. Not to be changed, nor kept."""
        listing = self._listings.get(path)
        return listing.names if listing is not None else NO_NAMES

    def listed(self, path: str) -> int:
        """The stamp of the names below a node."""
        listing = self._listings.get(path)
        return listing.stamp if listing is not None else 0

    def walk(self, path: str = ROOT) -> Iterator[tuple[str, Node]]:
        """A node and all below it, parents first, siblings in their order. Nothing may be changed meanwhile."""
        stack = [path]
        while stack:
            path = stack.pop()
            yield path, self._nodes[path]
            stack.extend(below(path, name) for name in reversed(self.names(path)))

    def everything(self) -> list[tuple[str, Node]]:
        """All nodes, those in no directory included; parents first."""
        return [*self.walk(), *((path, node) for path, node in self._nodes.items() if is_special(path))]

    # Then

    def pin(self) -> int:
        """Keep what is now; the moment to ask for it by."""
        self._newest = self.commit
        self._pins[self.commit] = self._pins.get(self.commit, 0) + 1
        return self.commit

    def unpin(self, moment: int) -> None:
        left = self._pins[moment] - 1
        if left:
            self._pins[moment] = left
            return
        del self._pins[moment]
        # Pins are always set on the latest moment, so they are in order.
        earlier = max((pin for pin in self._pins if pin < moment), default=-1)
        self._newest = next(reversed(self._pins), -1)
        self._old_nodes.unpin(moment, earlier)
        self._old_listings.unpin(moment, earlier)

    @property
    def remembered(self) -> int:
        """How many records are kept for pinned moments only."""
        return len(self._old_nodes) + len(self._old_listings)

    def node_at(self, path: str, moment: int) -> Node | None:
        return self._old_nodes.find(path, moment, self._nodes.get(path))

    def names_at(self, path: str, moment: int) -> tuple[dict[str, None], int]:
        """The names below a node at a pinned moment, not to be changed, and their stamp."""
        listing = self._old_listings.find(path, moment, self._listings.get(path))
        return (listing.names, listing.stamp) if listing is not None else (NO_NAMES, 0)

    # Changes

    def restore(self, nodes: Iterable[tuple[str, bytes, Permissions]]) -> None:
        """Have these nodes and no others, before anybody looks: (path, value, permissions), parents before children,
        siblings in their order. Raises `ValueError` where that is not so."""
        self._nodes.clear()
        self._listings.clear()
        for counts in (self.owned, self.mentioned, self.weight):
            counts.clear()
        for path, value, perms in nodes:
            if path == ROOT or is_special(path):
                node = self._nodes[path] = Node(value, perms, self.commit, self.commit, self.commit)
                self._count(node, path, 1)
            elif parent_of(path) in self._nodes:
                self.create(path, value, perms)
            else:
                raise ValueError(f"{path} is in no directory")
        if ROOT not in self._nodes:
            raise ValueError("the root is missing")

    def begin(self) -> int:
        """A new commit: its number."""
        self.commit += 1
        return self.commit

    def create(self, path: str, value: bytes, perms: Permissions) -> None:
        """A node that is not there, below one that is; it becomes its parent's last child."""
        now = self.commit
        node = Node(value, perms, now, now, now)
        self._nodes[path] = node
        self._count(node, path, 1)
        self._listing(parent_of(path)).names[name_of(path)] = None
        if self.log is not None:
            self.log.append((path, node))

    def create_special(self, path: str, perms: Permissions) -> None:
        """A node that is in no directory: `@releaseDomain`."""
        node = self._nodes[path] = Node(b"", perms, self.commit, self.commit, self.commit)
        self._count(node, path, 1)

    def write(self, path: str, value: bytes) -> None:
        """A value for a node that is there."""
        old = self._nodes[path]
        self._replace(path, old, Node(value, old.perms, old.born, self.commit, old.permitted))

    def permit(self, path: str, perms: Permissions) -> None:
        """Permissions for a node that is there."""
        old = self._nodes[path]
        self._replace(path, old, Node(old.value, perms, old.born, old.valued, self.commit))

    def remove(self, path: str) -> list[tuple[str, Node]]:
        """Remove a node that is there, with all below it: what was removed, parents first."""
        gone = list(self.walk(path))
        now, newest = self.commit, self._newest
        for each, node in gone:
            if newest >= node.stamp:
                self._old_nodes.keep(each, now, node, newest)
            del self._nodes[each]
            self._count(node, each, -1)
            listing = self._listings.pop(each, None)
            if listing is not None and newest >= listing.stamp:
                self._old_listings.keep(each, now, listing, newest)
        above = parent_of(path)
        listing = self._listing(above)
        del listing.names[name_of(path)]
        if self.log is not None:
            self.log.append((path, None))
        return gone

    def _replace(self, path: str, old: Node, new: Node) -> None:
        if self._newest >= old.stamp:
            self._old_nodes.keep(path, self.commit, old, self._newest)
        self._nodes[path] = new
        if old.perms is new.perms:
            self.weight[new.perms.owner] += len(new.value) - len(old.value)
        else:
            self._count(old, path, -1)
            self._count(new, path, 1)
        if self.log is not None:
            self.log.append((path, new))

    def _listing(self, path: str) -> Listing:
        """A listing that may be changed in this commit: a copy, if anybody may see what it is."""
        listing = self._listings.get(path)
        if listing is None:
            listing = self._listings[path] = Listing({}, self.commit, self.commit)
        elif self._newest >= listing.stamp:
            self._old_listings.keep(path, self.commit, listing, self._newest)
            listing = self._listings[path] = Listing(listing.names.copy(), listing.born, self.commit)
        else:
            listing.stamp = self.commit
        return listing

    def _count(self, node: Node, path: str, by: int) -> None:
        entries = node.perms.entries
        owner = entries[0][0]
        if node.perms.restricted:
            (self.restricted.add if by > 0 else self.restricted.discard)(path)
        _add(self.owned, owner, by)
        _add(self.weight, owner, by * (len(node.value) + len(path)))
        for domid, _ in entries:
            _add(self.mentioned, domid, by)


def _add(counts: dict[int, int], domid: int, by: int) -> None:
    """Domids do not come again: one that has nothing left is forgotten."""
    count = counts.get(domid, 0) + by
    if count:
        counts[domid] = count
    else:
        counts.pop(domid, None)
