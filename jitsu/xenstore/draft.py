"""A transaction's view: a pinned moment of the store and, over it, changes that nobody else sees.

A draft notes what it was asked, down to single facts: a node is there or not, its value, its permissions, the names
below it. A fact that the draft made itself is not noted. So when all that was noted holds for another moment too, the
same requests would be answered there the same; that is the fast way to a transaction's verdict (`transaction.py`).
"""

from collections.abc import Iterator

from jitsu.xenstore.paths import ROOT, is_special, name_of, parent_of
from jitsu.xenstore.permissions import Permissions
from jitsu.xenstore.tree import Node, Tree
from jitsu.xenstore.view import MOST_CHANGES, NAMES, NODE, Event, Thing, View, changed, judges_of, removed


class Own:
    """A draft's own state of a node: as it made it (`created`), or with a value or permissions of its own."""

    __slots__ = ("created", "node", "permitted", "valued")

    def __init__(self, node: Node, *, created: bool) -> None:
        self.node = node
        self.created = created
        self.valued = False
        self.permitted = False


class Draft(View):
    """A pinned moment and, over it, changes of one's own that nobody else sees. `asker` is the domain whose draft it
    is: how many nodes it has is part of the moment."""

    def __init__(self, tree: Tree, asker: int) -> None:
        self.tree = tree
        self._counting = asker != 0
        """Only domains other than 0 have quotas."""
        self._had = {asker: tree.owned.get(asker, 0)}
        self.moment = tree.pin()
        self.absent: dict[str, None] = {}
        self.present: dict[str, None] = {}
        self.values: dict[str, bytes] = {}
        self.perms: dict[str, Permissions] = {}
        self.listings: dict[str, dict[str, None]] = {}
        self.stamps: dict[str, int] = {}
        self.uncertain = False
        """Some answer depended on what is not noted."""
        self.own: dict[str, Own] = {}
        self.cuts: dict[str, None] = {}
        """What was there at the moment and was removed, with all below it."""
        self.touched: dict[str, None] = {}
        """What was written, created, permitted or removed by name, in the order of the first time."""
        self.relisted: set[str] = set()
        """Directories whose names change."""
        self.made = 0
        """How many nodes were created, those included that were removed again."""
        self._added: dict[str, dict[str, None]] = {}
        self._dropped: dict[str, set[str]] = {}
        self.balance: dict[int, int] = {}
        """How many nodes more each domain owns by this draft."""
        self.heavier: dict[int, int] = {}
        """By how many bytes they are heavier."""
        self._changes = 0

    def close(self) -> None:
        self.tree.unpin(self.moment)

    @property
    def has_written(self) -> bool:
        return bool(self.touched)

    # Looking

    def node(self, path: str) -> Node | None:
        own = self.own.get(path)
        if own is not None:
            return own.node
        if self.cuts and self._is_cut(path):
            return None
        return self.tree.node_at(path, self.moment)

    def names(self, path: str) -> list[str]:
        own = self.own.get(path)
        if own is not None and own.created:
            return list(self._added.get(path, ()))
        then, _ = self.tree.names_at(path, self.moment)
        dropped = self._dropped.get(path)
        names = [name for name in then if name not in dropped] if dropped else list(then)
        names += self._added.get(path, ())
        return names

    def generation(self, path: str) -> int:
        return self.tree.names_at(path, self.moment)[1] * MOST_CHANGES + self._changes

    def owned(self, domid: int) -> int:
        return self._had[domid] + self.balance.get(domid, 0)

    def weight(self, domid: int) -> int:
        return self.tree.weight.get(domid, 0) + self.heavier.get(domid, 0)

    def restricted(self, path: str) -> list[tuple[str, Node]]:
        # That there are no others is no single fact of the tree.
        self.uncertain = True
        found = []
        stack = [path]
        while stack:
            path = stack.pop()
            node = self.node(path)
            if node is not None and node.perms.restricted:
                found.append((path, node))
            stack += [f"{path}/{name}" for name in self.names(path)]
        return found

    def reaches(self, limit: int) -> bool:
        """Were `limit` different nodes looked at or changed?"""
        if len(self.absent) + len(self.present) + len(self.own) + len(self.cuts) < limit:
            return False
        return len(self.absent.keys() | self.present.keys() | self.own.keys() | self.cuts.keys()) >= limit

    def saw_presence(self, path: str) -> None:
        if path not in self.own:
            self.present[path] = None

    def saw_absence(self, path: str) -> None:
        if not (self.cuts and self._is_cut(path)):
            self.absent[path] = None

    def saw_value(self, path: str, node: Node) -> None:
        own = self.own.get(path)
        if own is None or not (own.created or own.valued):
            self.present[path] = None
            self.values[path] = node.value

    def saw_permissions(self, path: str, node: Node) -> None:
        own = self.own.get(path)
        if own is None or not (own.created or own.permitted):
            self.present[path] = None
            self.perms[path] = node.perms

    def saw_names(self, path: str) -> None:
        own = self.own.get(path)
        if own is None or not own.created:
            self.present[path] = None
            self.listings[path] = self.tree.names_at(path, self.moment)[0]

    def saw_generation(self, path: str) -> None:
        self.stamps[path] = self.tree.names_at(path, self.moment)[1]

    def saw_quota(self) -> None:
        self.uncertain = True

    def holds(self) -> bool:
        """Is all that was noted true of the store as it is?"""
        if self.uncertain:
            return False
        return self.tree.commit == self.moment or next(self.contradictions(), None) is None

    def contradictions(self) -> Iterator[Thing]:
        """What was noted and is not true of the store as it is."""
        tree = self.tree
        node = tree.node
        for path in self.present:
            if node(path) is None:
                yield NODE, path
        for path in self.absent:
            if node(path) is not None:
                yield NODE, path
        for path, value in self.values.items():
            now = node(path)
            if now is None or now.value != value:
                yield NODE, path
        for path, perms in self.perms.items():
            now = node(path)
            if now is None or now.perms != perms:
                yield NODE, path
        for path, names in self.listings.items():
            listed = tree.names(path)
            # As sequences: whoever saw the names saw their order.
            if listed is not names and (len(listed) != len(names) or list(listed) != list(names)):
                yield NAMES, path
        for path, stamp in self.stamps.items():
            if tree.listed(path) != stamp:
                yield NAMES, path

    def belied_by(self, event: Event) -> bool:
        """Did the store's last commit, of which this event is, make false what was noted?"""
        tree, path = self.tree, event.path
        node = tree.node(path)
        if node is None:
            if path in self.present:
                return True
        elif node.stamp == tree.commit and self._contradicts(path, node):
            return True
        if event.exact or is_special(path):
            return False
        # Those above it, as far as they were made with it; and the list of names in which they are new, or it is gone.
        while path != ROOT:
            path = parent_of(path)
            above = tree.node(path)
            if above is None or tree.listed(path) != tree.commit:
                return False
            if self._lists(path) or (above.born == tree.commit and path in self.absent):
                return True
        return False

    def _contradicts(self, path: str, now: Node) -> bool:
        return (
            path in self.absent
            or self.values.get(path, now.value) != now.value
            or self.perms.get(path, now.perms) != now.perms
        )

    def _lists(self, path: str) -> bool:
        """Were other names of this directory noted than there are?"""
        names = self.listings.get(path)
        return names is not None and list(names) != list(self.tree.names(path))

    # Changing

    def write(self, path: str, value: bytes) -> None:
        own = self._mine(path)
        self._owe(own.node.perms.owner, 0, len(value) - len(own.node.value))
        old = own.node
        own.node = Node(value, old.perms, old.born, old.valued, old.permitted)
        own.valued = True
        self._touch(path)

    def permit(self, path: str, perms: Permissions) -> None:
        own = self._mine(path)
        size = len(path) + len(own.node.value)
        self._owe(own.node.perms.owner, -1, -size)
        self._owe(perms.owner, 1, size)
        old = own.node
        own.node = Node(old.value, perms, old.born, old.valued, old.permitted)
        own.permitted = True
        self._touch(path)

    def create(self, path: str, value: bytes, perms: Permissions, *, implied: bool) -> None:
        now = self.moment
        self.own[path] = Own(Node(value, perms, now, now, now), created=True)
        self._owe(perms.owner, 1, len(path) + len(value))
        self.made += 1
        above, name = parent_of(path), name_of(path)
        self._added.setdefault(above, {})[name] = None
        self.relisted.add(above)
        if implied:
            self._changes += 1
        else:
            self._touch(path)

    def remove(self, path: str) -> None:
        was_there = not self._is_cut(path) and self.tree.node_at(path, self.moment) is not None
        above, name = parent_of(path), name_of(path)
        self._forget(path)
        added = self._added.get(above)
        if added is not None:
            added.pop(name, None)
        if was_there:
            # Cuts below this one are part of it.
            inside = path + "/"
            for cut in [cut for cut in self.cuts if cut.startswith(inside)]:
                del self.cuts[cut]
            self.cuts[path] = None
            self._dropped.setdefault(above, set()).add(name)
        self.relisted.add(above)
        self._touch(path)

    def _forget(self, path: str) -> None:
        """Everything of one's own at a path and below it, as it is removed. (Not recursive: paths may be deep.)"""
        if not self.own and not self._counting:
            return  # what was dropped from directories in it is asked for no more
        stack = [path]
        everything: list[str] = []
        while stack:
            path = stack.pop()
            everything.append(path)
            stack += [f"{path}/{name}" for name in self.names(path)]
        for path in everything:
            node = self.node(path)
            if node is not None:
                self._owe(node.perms.owner, -1, -len(path) - len(node.value))
        for path in everything:
            self.own.pop(path, None)
            self._added.pop(path, None)
            self._dropped.pop(path, None)

    def _mine(self, path: str) -> Own:
        own = self.own.get(path)
        if own is None:
            own = self.own[path] = Own(self._there(path), created=False)
        return own

    def _there(self, path: str) -> Node:
        node = self.tree.node_at(path, self.moment)
        if node is None:
            raise KeyError(path)
        return node

    def _is_cut(self, path: str) -> bool:
        """Was it, or one above it, removed? (What was made anew since is one's own.)"""
        cuts = self.cuts
        if not cuts:
            return False
        while path != ROOT:
            if path in cuts:
                return True
            path = parent_of(path)
        return False

    def _touch(self, path: str) -> None:
        self.touched.setdefault(path)
        self._changes += 1

    def _owe(self, owner: int, count: int, size: int) -> None:
        if not self._counting:
            return
        self.balance[owner] = self.balance.get(owner, 0) + count
        self.heavier[owner] = self.heavier.get(owner, 0) + size

    # Coming into effect

    def apply(self) -> list[Event]:
        """Make the changes to the store as it is, in a commit that has begun. Only where `holds()`, or right after
        the draft was made: then the result is what the same requests would have done now."""
        tree = self.tree
        before = {path: tree.node(path) for path in self.touched}
        gone: dict[str, list[tuple[str, Node]]] = {}
        for path in self.cuts:
            gone[path] = tree.remove(path)
        for path, own in self.own.items():
            if own.created:
                tree.create(path, own.node.value, own.node.perms)
                continue
            if own.valued:
                tree.write(path, own.node.value)
            if own.permitted:
                tree.permit(path, own.node.perms)
        events: list[Event] = []
        for path, old in before.items():
            if tree.node(path) is not None:
                events.append(changed(tree, path, old))
                lost = gone.get(path, ())
                events += [
                    Event(each, True, judges_of(tree, each, node)) for each, node in lost[1:] if tree.node(each) is None
                ]
            elif path in gone:
                events += removed(tree, path, gone[path])
        return events
