"""A volume as a tree of files: by name, by digest, and the default object.

    names/     a name with slashes is a path
    hashes/    each object under its digest in hexadecimal
    default    a symbolic link to the default object, where there is one

A name can be anything, a path can not: empty parts are left out, `.` and `..` are written %2E and %2E%2E, and an object
without a name goes by its digest. Of several that claim a path a folder has it, or else the one that caches serve under
that name: the first in the table whose name it is to the letter. The others are there as NAME~DIGEST.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from shfs.volume import StoredObject, Volume

_DOTS = {".": "%2E", "..": "%2E%2E"}


@dataclass(frozen=True, slots=True)
class Folder:
    """What is in a folder, by name."""

    children: "dict[str, Node]" = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pointer:
    """A symbolic link of ours; `target` is relative to the folder that it is in."""

    target: str


Node = Folder | Pointer | StoredObject


def tree_of(volume: Volume) -> Folder:
    """All views of a volume as it is."""
    items = list(volume.objects())
    # Of two objects with one digest the first is found, as by readers.
    hashes: dict[str, Node] = {item.digest.hex(): item for item in reversed(items)}
    top: dict[str, Node] = {"names": _by_name(items), "hashes": Folder(dict(reversed(hashes.items())))}
    if volume.default is not None:
        top["default"] = Pointer(f"hashes/{volume.default.digest.hex()}")
    return Folder(top)


def find(tree: Folder, path: str) -> Node | None:
    """What is at a path."""
    found: Node | None = tree
    for part in filter(None, path.split("/")):
        found = found.children.get(part) if isinstance(found, Folder) else None
    return found


def _by_name(items: list[StoredObject]) -> Folder:
    names = Folder()
    placed = [(list(_parts(item)), item) for item in items]
    placed.sort(key=lambda pair: "/".join(pair[0]) != pair[1].name)
    for parts, _ in placed:
        _folder_for(names, parts)
    for parts, item in placed:
        siblings, name = _folder_for(names, parts).children, parts[-1]
        if name in siblings:
            name = f"{name}~{item.digest.hex()}"
        while name in siblings:
            name += "~"
        siblings[name] = item
    return names


def _parts(item: StoredObject) -> Iterator[str]:
    parts = [part for part in item.name.split("/") if part]
    return (_DOTS.get(part, part) for part in parts or [item.digest.hex()])


def _folder_for(top: Folder, parts: list[str]) -> Folder:
    """The folder of a path, made where it is not there. There are only folders in the tree when it is called first for
    each path."""
    for part in parts[:-1]:
        below = top.children.setdefault(part, Folder())
        if isinstance(below, Folder):
            top = below
    return top
