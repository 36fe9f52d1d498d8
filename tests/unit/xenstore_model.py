"""A XenStore as one would write it on the back of an envelope: the oracle that the real one is held against.

Every tree is a dictionary that is copied before it changes. There are no stamps, no facts, no history and no merging:
a transaction is a copy and a log, its verdict is to run the log on the tree of the present, and its events are the
difference of two trees. Source of the rules: docs/misc/xenstore.txt and, for the events, C xenstored.
"""

import re
from collections.abc import Callable, Iterator
from itertools import count
from typing import NamedTuple

ANYBODY = 32757

Answer = bytes | str | tuple[object, bytes]
"""A payload; the name of an error; of a part of a directory, what stands for its generation, and the part."""


class Node(NamedTuple):
    """`born` is another for every creation; `listed` stands for the last change of `names`."""

    value: bytes
    perms: tuple[str, ...]
    restricted: bool
    names: tuple[str, ...]
    born: int
    listed: int = 0

    @property
    def owner(self) -> int:
        return int(self.perms[0][1:])


Tree = dict[str, Node]


class Who(NamedTuple):
    domid: int
    target: int | None = None

    def may(self, node: Node, letters: str) -> bool:
        return self.may_by(node.perms, letters)

    def may_by(self, perms: tuple[str, ...], letters: str) -> bool:
        if self.domid == 0 or int(perms[0][1:]) in (self.domid, self.target):
            return True
        named = [perm[0] for perm in perms[1:] if int(perm[1:]) in (self.domid, self.target, ANYBODY)]
        granted = (named or [perms[0][0]])[0]
        return granted == "b" or granted == letters

    def owns(self, node: Node) -> bool:
        return self.domid == 0 or node.owner in (self.domid, self.target)


class Limits(NamedTuple):
    """Of domains other than 0."""

    nodes: int
    size: int
    entries: int
    path: int


class Ask(NamedTuple):
    """A request on a node; `path` is as the client wrote it."""

    kind: str
    path: str
    value: bytes = b""
    perms: tuple[str, ...] = ()
    offset: int = 0


class Refused(Exception):
    pass


def require(condition: bool, errno: str) -> None:
    if not condition:
        raise Refused(errno)


def parent(path: str) -> str:
    return path[: path.rindex("/")] or "/"


def child(path: str, name: str) -> str:
    return path.rstrip("/") + "/" + name


def canonical(path: str, domid: int, limits: Limits, *, special: bool) -> str:
    if path.startswith("@"):
        require(special, "EINVAL")
        return path
    if not path.startswith("/"):
        path = f"/local/domain/{domid}/{path}"
    require(path == "/" or re.fullmatch(r"(/[-_@A-Za-z0-9]+)+", path) is not None, "EINVAL")
    if domid:
        require(len(re.sub(r"^/local/domain/\d+/", "", path)) <= limits.path, "EINVAL")
    return path


_births = count(1)


class Run:
    """Requests of one client, one after the other, on a copy of a tree."""

    def __init__(self, tree: Tree, who: Who, limits: Limits) -> None:
        self.base = tree
        self.tree = dict(tree)
        self.who = who
        self.limits = limits
        self.touched: list[str] = []
        self.changes = 0

    def perform(self, ask: Ask) -> Answer:
        try:
            path = self.path_of(ask)
            method: Callable[[str, Ask], Answer] = getattr(self, ask.kind)
            return method(path, ask)
        except Refused as refused:
            return str(refused)

    def path_of(self, ask: Ask) -> str:
        limits = self.limits if ask.kind != "restrict" else self.limits._replace(path=3072)
        return canonical(ask.path, self.who.domid, limits, special=ask.kind in ("get_perms", "set_perms"))

    # The operations

    def read(self, path: str, ask: Ask) -> Answer:
        return self._find(path, "r").value

    def get_perms(self, path: str, ask: Ask) -> Answer:
        return "".join(perm + "\0" for perm in self._find(path, "r").perms).encode()

    def directory(self, path: str, ask: Ask) -> Answer:
        names = self._names(path)
        require(len(names) <= 4096, "E2BIG")
        return names

    def part(self, path: str, ask: Ask) -> Answer:
        rest = self._names(path)[ask.offset :]
        was = self.base.get(path)
        generation = (was.listed if was else 0, self.changes)
        if len(rest) < 4080:
            return generation, rest + b"\0"
        return generation, rest[: rest[:4080].rindex(b"\0") + 1]

    def write(self, path: str, ask: Ask) -> Answer:
        require(not self.who.domid or 24 + len(ask.value) <= self.limits.size, "ENOSPC")
        if path in self.tree:
            require(self.who.may(self.tree[path], "w"), "EACCES")
            self._put(path, value=ask.value)
        else:
            self._create(path, ask.value)
        return self._did(path)

    def mkdir(self, path: str, ask: Ask) -> Answer:
        if path in self.tree:
            require(self.who.may(self.tree[path], "w"), "EACCES")
            return b"OK\0"
        self._create(path, b"")
        return self._did(path)

    def rm(self, path: str, ask: Ask) -> Answer:
        require(path != "/", "EINVAL")
        if path not in self.tree:
            require(self.who.may(self.tree[self._nearest(path)], "w"), "EACCES")
            require(parent(path) in self.tree, "ENOENT")
            return b"OK\0"
        above = self.tree[parent(path)]
        cleans = above.restricted and self.who.owns(above)
        if self.who.domid and not cleans:
            require(self.who.may(self.tree[path], "w"), "EACCES")
            lost = [self.tree[each] for each in below(self.tree, path)]
            require(all(self.who.owns(node) for node in lost if node.restricted), "EACCES")
        self.cut(path)
        return self._did(path)

    def set_perms(self, path: str, ask: Ask) -> Answer:
        require(not self.who.domid or len(ask.perms) <= self.limits.entries, "ENOSPC")
        require(int(ask.perms[0][1:]) < 100, "ENOENT")
        node = self._find(path, "w")
        if self.who.domid:
            require(self.who.owns(node), "EACCES")
            require(int(ask.perms[0][1:]) == node.owner, "EPERM")
        self._put(path, perms=ask.perms)
        return self._did(path)

    def restrict(self, path: str, ask: Ask) -> Answer:
        node = self._find(path, "b")
        require(self.who.owns(node), "EACCES")
        self._put(path, restricted=ask.value == b"on")
        return self._did(path)

    # What they are made of

    def cut(self, path: str) -> None:
        """Remove a node and all below it."""
        for each in list(below(self.tree, path)):
            del self.tree[each]
        above = parent(path)
        self._put(above, names=tuple(name for name in self.tree[above].names if child(above, name) != path))

    def _find(self, path: str, letters: str) -> Node:
        node = self.tree.get(path)
        if node is not None:
            require(self.who.may(node, letters), "EACCES")
            return node
        if self.who.domid:
            require(path[0] != "@" and self.who.may(self.tree[self._nearest(path)], letters), "EACCES")
        raise Refused("ENOENT")

    def _names(self, path: str) -> bytes:
        return "".join(name + "\0" for name in self._find(path, "r").names).encode()

    def _nearest(self, path: str) -> str:
        while path not in self.tree:
            path = parent(path)
        return path

    def _create(self, path: str, value: bytes) -> None:
        nearest, me = self._nearest(path), self.who.domid
        require(self.who.may(self.tree[nearest], "w"), "EACCES")
        missing = [path]
        while parent(missing[0]) != nearest:
            missing.insert(0, parent(missing[0]))
        if me:
            owned = sum(node.owner == me for node in self.tree.values())
            require(owned + len(missing) <= self.limits.nodes, "ENOSPC")
        for each in missing:
            above = self.tree[parent(each)]
            perms = above.perms
            if above.restricted and me != above.owner:
                perms = (f"n{me}", f"r{above.owner}")
            elif me and me != above.owner:
                perms = (f"{perms[0][0]}{me}", *perms[1:])
            self._put(parent(each), names=(*above.names, each[each.rindex("/") + 1 :]))
            self.tree[each] = Node(value if each == path else b"", perms, False, (), next(_births))
        self.changes += len(missing) - 1

    def _put(self, path: str, **changes: object) -> None:
        self.tree[path] = self.tree[path]._replace(**changes)  # type: ignore[arg-type]

    def _did(self, path: str) -> Answer:
        if path not in self.touched:
            self.touched.append(path)
        self.changes += 1
        return b"OK\0"


def below(tree: Tree, path: str) -> Iterator[str]:
    """A path and all below it, parents first, siblings in their order."""
    yield path
    for name in tree[path].names:
        yield from below(tree, child(path, name))


def committed(before: Tree, after: Tree, tick: int) -> Tree:
    """The tree that a run left, with marks on the lists of names that are others now."""

    def children(tree: Tree, path: str) -> list[tuple[str, int]]:
        return [(name, tree[child(path, name)].born) for name in tree[path].names]

    for path, node in after.items():
        was = before.get(path)
        if was is not node:
            if was is None or was.born != node.born:
                after[path] = node._replace(listed=tick if node.names else 0)
            elif children(before, path) != children(after, path):
                after[path] = node._replace(listed=tick)
    return after


class Happened(NamedTuple):
    """To one node; `judges` are permissions, by any of which one may know. `exact`: it went with one above it."""

    path: str
    exact: bool
    judges: list[tuple[str, ...]]


def difference(before: Tree, after: Tree, touched: list[str]) -> list[Happened]:
    """One for each node that was changed by name, in the order of the first time; for those that went with it, one
    each, for who watches exactly them. None for what was not there before and is not after."""

    def judges(path: str) -> list[tuple[str, ...]]:
        nodes = [before.get(path), after.get(path), after.get(parent(path)) if path[0] == "/" else None]
        return [node.perms for node in nodes if node is not None]

    def gone_with_another(path: str) -> bool:
        return any(
            path.startswith(above + "/") and above in before and (above not in after or was_cut(above))
            for above in touched
        )

    def was_cut(path: str) -> bool:
        return path in before and path in after and before[path].born != after[path].born

    happened = []
    for path in touched:
        if path not in after and (path not in before or gone_with_another(path)):
            continue
        happened.append(Happened(path, False, judges(path)))
        if path in before and (path not in after or was_cut(path)) and not gone_with_another(path):
            lost = [each for each in below(before, path) if each not in after and each != path]
            happened += [Happened(each, True, judges(each)) for each in lost]
    return happened


class Watch(NamedTuple):
    client: object
    who: Callable[[], Who]
    path: str
    given: str
    token: str
    depth: int | None

    def hears(self, happened: Happened) -> str | None:
        """The path that it is told, if it is."""
        path, mine = happened.path, self.path
        if path != mine:
            prefix = mine.rstrip("/") + "/"
            if happened.exact or not path.startswith(prefix) or (mine == "/" and path[0] == "@"):
                return None
            if self.depth is not None and path.removeprefix(prefix).count("/") + 1 > self.depth:
                return None
        if not any(self.who().may_by(perms, "r") for perms in happened.judges):
            return None
        if self.given[0] not in "/@":
            return path.removeprefix(f"/local/domain/{self.who().domid}/")
        return path


class Transaction:
    """A copy, a log, and the answers that were given."""

    def __init__(self, tree: Tree, who: Who, limits: Limits, *, strict: bool) -> None:
        self.log: list[tuple[Ask, Answer]] = []
        self.limits = limits
        self.strict = strict
        self.doom = ""
        self.run = Run(tree, who, limits)

    def again(self, tree: Tree, who: Who) -> tuple[Run, str]:
        """The same requests on another tree; and OK, or what the first that is answered otherwise leads to."""
        run = Run(tree, who, self.limits)
        for ask, given in self.log:
            answer = run.perform(ask)
            if answer != given:
                return run, "ENOSPC" if answer == "ENOSPC" else "EAGAIN"
        return run, "OK"
