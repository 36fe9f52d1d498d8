"""What each operation on nodes does, as a function of a view and of who asks.

The rules are those of C xenstored (docs/misc/xenstore.txt and tools/xenstored/core.c), for plain requests, inside
transactions, and when a transaction's log is replayed. Each returns the payload of its answer and raises `StoreError`
otherwise; nothing has changed then.
"""

from collections.abc import Callable
from typing import NamedTuple

from jitsu.xenstore.paths import ROOT, is_special, parent_of
from jitsu.xenstore.permissions import BOTH, READ, WRITE, Permissions
from jitsu.xenstore.quotas import Quotas
from jitsu.xenstore.tree import Node
from jitsu.xenstore.view import View
from jitsu.xenstore.wire import LONGEST_PAYLOAD, StoreError

OK = b"OK\0"

HEADER_OF_NODE = 24
"""Bytes that count for a node beside its value (struct xs_tdb_record_hdr and an entry of permissions)."""


def _nothing() -> int:
    return 0


class Caller(NamedTuple):
    """Who asks: a domain, and the one that it serves (SET_TARGET). Domain 0 may everything. `besides` says how many
    bytes it has of the store that are not its nodes."""

    domid: int
    target: int | None
    quotas: Quotas
    exists: Callable[[int], bool]
    besides: Callable[[], int] = _nothing

    def may(self, permissions: Permissions, wanted: int) -> bool:
        return not self.domid or permissions.rights(self.domid, self.target) & wanted == wanted

    def owns(self, permissions: Permissions) -> bool:
        return self.domid in (0, permissions.owner) or self.target == permissions.owner


def read(view: View, who: Caller, path: str) -> bytes:
    node = _found(view, who, path, READ)
    view.saw_value(path, node)
    return node.value


def directory(view: View, who: Caller, path: str) -> bytes:
    """The names below a node, in the order in which they were made. E2BIG: see `directory_part`."""
    listed = _listing(view, who, path)
    if len(listed) > LONGEST_PAYLOAD:
        raise StoreError("E2BIG", f"the names below {path} do not fit into one message")
    return listed


def directory_part(view: View, who: Caller, path: str, offset: int) -> bytes:
    """A generation and, from byte `offset` of the names on, those that fit; an empty name ends the last part."""
    listed = _listing(view, who, path)
    view.saw_generation(path)
    head = b"%d\0" % view.generation(path)
    room = LONGEST_PAYLOAD - len(head)
    rest = listed[offset:]
    if len(rest) + 1 <= room:
        return head + rest + b"\0"
    return head + rest[: rest.rindex(b"\0", 0, room) + 1]


def get_permissions(view: View, who: Caller, path: str) -> bytes:
    node = _found(view, who, path, READ)
    view.saw_permissions(path, node)
    return node.perms.encode()


def write(view: View, who: Caller, path: str, value: bytes) -> bytes:
    """Set a value; a node that is not there is made, and those above it. Raises EACCES, ENOSPC."""
    if who.domid and who.quotas.exceeded("node-size", who.domid, HEADER_OF_NODE + len(value)):
        raise StoreError("ENOSPC", f"{path} would be larger than a node may be")
    node = view.node(path)
    if node is None:
        _create(view, who, path, value)
    else:
        _allowed(view, who, path, node, WRITE)
        _afforded(view, who, node.perms.owner, len(value) - len(node.value))
        view.write(path, value)
    return OK


def make_directory(view: View, who: Caller, path: str) -> bytes:
    """As `write` with an empty value, but what is there stays as it is, and nobody is told."""
    node = view.node(path)
    if node is None:
        _create(view, who, path, b"")
    else:
        _allowed(view, who, path, node, WRITE)
    return OK


def remove(view: View, who: Caller, path: str) -> bytes:
    """Remove a node and all below it. That it is not there is no error where the one above it is. Raises EINVAL for
    the root, ENOENT, EACCES."""
    if path == ROOT:
        raise StoreError("EINVAL", "the root cannot be removed")
    node = view.node(path)
    if node is None:
        above, ancestor, missing = view.nearest(path)
        view.saw_absence(missing)
        _allowed(view, who, above, ancestor, WRITE)
        if missing != path:
            raise StoreError("ENOENT", f"{path} is not there, nor is {parent_of(path)}")
        return OK
    if not _clears_away(view, who, path):
        _allowed(view, who, path, node, WRITE)
        _spares(view, who, path)
    view.saw_presence(path)
    view.remove(path)
    return OK


def set_permissions(view: View, who: Caller, path: str, perms: Permissions) -> bytes:
    """Replace the list. For owners and domain 0; a restricted directory stays so. Raises ENOENT (also for an owner
    that does not exist), EACCES, EPERM when an owner gives a node away, ENOSPC."""
    if who.quotas.exceeded("node-permissions", who.domid, len(perms.entries)):
        raise StoreError("ENOSPC", f"{len(perms.entries)} permissions for {path}")
    if not who.exists(perms.owner):
        raise StoreError("ENOENT", f"domain {perms.owner} does not exist", hint="see --domains")
    node = _found(view, who, path, WRITE)
    view.saw_permissions(path, node)
    if who.domid:
        if not who.owns(node.perms):
            raise StoreError("EACCES", f"{path} belongs to domain {node.perms.owner}")
        if perms.owner != node.perms.owner:
            raise StoreError("EPERM", f"{path} cannot be given away")
    view.permit(path, perms._replace(restricted=node.perms.restricted))
    return OK


def restrict(view: View, who: Caller, path: str, restricted: bool) -> bytes:
    """Mark a directory, or no longer: see permissions.py. For owners and domain 0. Raises ENOENT, EACCES."""
    node = _found(view, who, path, BOTH)
    view.saw_permissions(path, node)
    if not who.owns(node.perms):
        raise StoreError("EACCES", f"{path} belongs to domain {node.perms.owner}")
    view.permit(path, node.perms._replace(restricted=restricted))
    return OK


def _found(view: View, who: Caller, path: str, wanted: int) -> Node:
    """A node, for who has the wanted rights. Raises EACCES or ENOENT; what is not there, or not for the caller, is
    told apart only if the nearest one that is there grants as much."""
    node = view.node(path)
    if node is not None:
        _allowed(view, who, path, node, wanted)
        return node
    if who.domid:
        if is_special(path):
            raise StoreError("EACCES", f"domain {who.domid} may not look for {path}")
        above, ancestor, missing = view.nearest(path)
        view.saw_absence(missing)
        _allowed(view, who, above, ancestor, wanted)
    else:
        view.saw_absence(path)
    raise StoreError("ENOENT", f"{path} is not there")


def _allowed(view: View, who: Caller, path: str, node: Node, wanted: int) -> None:
    """Raises EACCES unless the caller has the wanted rights."""
    if not who.domid:
        view.saw_presence(path)
        return
    view.saw_permissions(path, node)
    if not who.may(node.perms, wanted):
        raise StoreError("EACCES", f"domain {who.domid} has no right to do that with {path}")


def _create(view: View, who: Caller, path: str, value: bytes) -> None:
    """Make a node and the missing ones above it; each inherits the permissions of the one above."""
    above, ancestor, missing = view.nearest(path)
    view.saw_absence(missing)
    view.saw_permissions(above, ancestor)
    if not who.may(ancestor.perms, WRITE):
        raise StoreError("EACCES", f"domain {who.domid} may not create below {above}")
    steps = [path]
    while path != missing:
        path = parent_of(path)
        steps.append(path)
    if who.domid and who.quotas.exceeded("nodes", who.domid, view.owned(who.domid) + len(steps)):
        view.saw_quota()
        raise StoreError("ENOSPC", f"domain {who.domid} has as many nodes as it may")
    _afforded(view, who, who.domid, len(value) + sum(map(len, steps)))
    perms = ancestor.perms
    for step in reversed(steps):
        perms = perms.inherited(who.domid)
        last = step is steps[0]
        view.create(step, value if last else b"", perms, implied=not last)


def _afforded(view: View, who: Caller, owner: int, more: int) -> None:
    """Raises ENOMEM if `more` bytes in nodes of `owner` are too many."""
    if not who.domid or more <= 0:
        return
    besides = who.besides() if owner == who.domid else 0
    if who.quotas.exceeded("memory", owner, view.weight(owner) + besides + more):
        view.saw_quota()
        raise StoreError("ENOMEM", f"domain {owner} has as much memory as it may")


def _clears_away(view: View, who: Caller, path: str) -> bool:
    """Is the caller the owner of a restricted directory, who may remove what others put in it?"""
    if not who.domid:
        return False
    above = parent_of(path)
    directory = view.node(above)
    if directory is None or not directory.perms.restricted:
        return False
    view.saw_permissions(above, directory)
    return who.owns(directory.perms)


def _spares(view: View, who: Caller, path: str) -> None:
    """Raises EACCES where a restricted directory of another domain would be removed: what is in it belongs to others.
    The right to write, which is enough for other nodes, is what everybody has here who leaves something."""
    if not who.domid:
        return
    for directory, node in view.restricted(path):
        if not who.owns(node.perms):
            raise StoreError("EACCES", f"{directory} is restricted, and belongs to domain {node.perms.owner}")


def _listing(view: View, who: Caller, path: str) -> bytes:
    _found(view, who, path, READ)
    view.saw_names(path)
    names = view.names(path)
    return ("\0".join(names) + "\0").encode() if names else b""
