"""Transactions that merge: committed if and only if the same requests would be answered the same now.

A transaction is its log: each request and the answer that the client got. Its verdict is *replay*: run the log against
the store as it is; if every answer comes out as it was given, the outcome of that run is committed, else the client
must begin again (EAGAIN). So committed transactions have a serial order, that of their commits, in which every answer
is true, and nothing else is promised or needed. Two clients that create different nodes in one directory do not
disturb each other; one that listed the directory is disturbed, for it would see another list.

Replaying all is rarely needed: the draft noted the facts on which its answers depended, and when those hold, replay
would answer the same (`draft.py`). And a transaction that is behind (a fact that it is about to learn has
changed since it began) is moved forward while its answers still hold: as if it had begun later.

One that wrote nothing never fails: its answers are those of the moment at which it began or to which it was moved.
"""

from typing import NamedTuple

from jitsu.xenstore import operations
from jitsu.xenstore.draft import Draft
from jitsu.xenstore.operations import Caller
from jitsu.xenstore.permissions import FOR_DOMAIN_0, Permissions
from jitsu.xenstore.tree import Tree
from jitsu.xenstore.view import Event, View
from jitsu.xenstore.wire import StoreError, Type

OK = "OK"

MOST_REQUESTS = 4096
"""Of one transaction of a domain that is not privileged: its log is kept and may have to be replayed."""

MOST_EFFORT = 16
"""Requests replayed for each request asked, to keep a transaction from falling behind. Its end is not counted."""


SIZE_OF_ENTRY = 256
"""Bytes that count for a request that is remembered, beside its path, value and answer."""


class Request(NamedTuple):
    """An operation on a node, parsed: `path` is canonical; `value` belongs to WRITE, `perms` to SET_PERMS, `offset` to
    DIRECTORY_PART."""

    type: int
    path: str
    value: bytes = b""
    perms: Permissions = FOR_DOMAIN_0
    offset: int = 0


def perform(view: View, who: Caller, request: Request) -> bytes:
    """Carry out a request on a view. Raises `StoreError`."""
    kind, path = request.type, request.path
    if kind == Type.READ:
        return operations.read(view, who, path)
    if kind == Type.WRITE:
        return operations.write(view, who, path, request.value)
    if kind == Type.DIRECTORY:
        return operations.directory(view, who, path)
    if kind == Type.MKDIR:
        return operations.make_directory(view, who, path)
    if kind == Type.RM:
        return operations.remove(view, who, path)
    if kind == Type.SET_PERMS:
        return operations.set_permissions(view, who, path, request.perms)
    if kind == Type.GET_PERMS:
        return operations.get_permissions(view, who, path)
    if kind == Type.DIRECTORY_PART:
        return operations.directory_part(view, who, path, request.offset)
    raise StoreError("ENOSYS", f"no request of type {kind} on nodes")


def answer(view: View, who: Caller, request: Request) -> bytes | str:
    """The same, with the name of the error as answer."""
    try:
        return perform(view, who, request)
    except StoreError as error:
        return error.errno


class Transaction:
    """One transaction of one connection. With `strict`, the first request that fails decides: nothing is committed."""

    def __init__(self, tree: Tree, who: Caller, *, strict: bool = False) -> None:
        self.who = who
        self.draft = Draft(tree, who.domid)
        self.log: list[tuple[Request, bytes | str]] = []
        self.doom = ""
        """The error with which it will end whatever else is asked, or nothing."""
        self.interrupted = False
        """Was it begun in an earlier life of the daemon, so that what was asked then is not known? It goes on, that its
        client need not know, but cannot be committed."""
        self.size = 0
        """Bytes that are remembered of it."""
        self._tree = tree
        self._who_now = who
        self._strict = strict
        self._effort = 0

    def close(self) -> None:
        self.draft.close()

    def give_up(self) -> None:
        """Whatever is asked now, it has to be begun again."""
        self.draft.close()
        self.doom = "EAGAIN"

    def retarget(self, who: Caller) -> None:
        """Its client has other rights from this commit on. What it asked before it would ask with these now."""
        self._who_now = who

    def fail(self, errno: str) -> None:
        """A request of it was answered with an error: of a strict one, the first decides."""
        if self._strict and not self.doom:
            self.doom = errno

    @property
    def has_written(self) -> bool:
        return self.draft.has_written

    def request(self, request: Request) -> bytes:
        """Answer a request in this transaction. Raises `StoreError`."""
        if self.doom:
            raise StoreError(self.doom, f"this transaction will end with {self.doom}")
        self._bound(request)
        if self._is_behind(request) and self._effort <= MOST_EFFORT * len(self.log):
            self._effort += len(self.log)
            self.advance()
        try:
            given = perform(self.draft, self.who, request)
        except StoreError as error:
            self._remember(request, error.errno)
            self.fail(error.errno)
            raise
        self._remember(request, given)
        return given

    def advance(self) -> bool:
        """Move forward to the store as it is, if all that was answered is still true. Says whether that is so."""
        if self._tree.commit == self.draft.moment:
            return True
        return self._replay() == OK

    def commit(self) -> list[Event]:
        """Bring it into effect: what happened to which nodes. Raises `StoreError` EAGAIN, ENOSPC for a quota, or what
        it is doomed to."""
        if self.doom:
            raise StoreError(self.doom, "a request of this transaction failed")
        if self.interrupted:
            raise StoreError("EAGAIN", "the daemon was started again meanwhile", hint="begin it again")
        if not self.has_written:
            return []
        if not self._holds() and (verdict := self._replay()) != OK:
            raise StoreError(verdict, "what this transaction saw has changed", hint="begin it again")
        if self.who.domid:
            self._afforded()
        self._tree.begin()
        return self.draft.apply()

    def _holds(self) -> bool:
        """Would replay come out the same, by what is known without it?"""
        if self.who != self._who_now or not self.draft.holds():
            return False
        # Others may have used up the quota; and what is removed now may be less than what there was to remove.
        domid = self.who.domid
        return not self.who.quotas.exceeded("nodes", domid, self._tree.owned.get(domid, 0) + self.draft.made)

    def _replay(self) -> str:
        """Ask the same now. If every answer is what it was, the draft is that of now, and OK; else EAGAIN, or ENOSPC
        or ENOMEM where the first that is another is that for lack of room."""
        fresh = Draft(self._tree, self.who.domid)
        for request, given in self.log:
            now = answer(fresh, self._who_now, request)
            if now != given:
                fresh.close()
                return now if now in ("ENOSPC", "ENOMEM") else "EAGAIN"
        self.draft.close()
        self.draft = fresh
        self.who = self._who_now
        return OK

    def _is_behind(self, request: Request) -> bool:
        """Would the answer come from the past? Then it could be true no longer when the transaction ends."""
        draft, tree = self.draft, self._tree
        if tree.commit == draft.moment:
            return False
        if not self.log:
            return True
        path, moment = request.path, draft.moment
        if tree.node(path) is not tree.node_at(path, moment):
            return True
        if request.type in (Type.DIRECTORY, Type.DIRECTORY_PART):
            return tree.listed(path) != tree.names_at(path, moment)[1]
        return False

    def _afforded(self) -> None:
        """Memory as it is at the end, when others have made nodes too. Raises `StoreError` ENOMEM."""
        who, tree = self.who, self._tree
        for owner, more in self.draft.heavier.items():
            besides = who.besides() if owner == who.domid else 0
            if more > 0 and who.quotas.exceeded("memory", owner, tree.weight.get(owner, 0) + besides + more):
                raise StoreError("ENOMEM", f"domain {owner} has as much memory as it may")

    def _bound(self, request: Request) -> None:
        """Raises `StoreError` ENOSPC or ENOMEM for what would be too much to remember."""
        who = self.who
        if not who.domid:
            return
        limit = who.quotas.limit("transaction-nodes", who.domid)
        if len(self.log) >= MOST_REQUESTS or (limit and self.draft.reaches(limit)):
            self.doom = "ENOMEM"
            raise StoreError("ENOSPC", f"a transaction of domain {who.domid} looks at too much")
        used = self._tree.weight.get(who.domid, 0) + who.besides() + len(request.path) + len(request.value)
        if who.quotas.exceeded("memory", who.domid, used):
            self.doom = "ENOMEM"
            raise StoreError("ENOMEM", f"domain {who.domid} has as much memory as it may")

    def _remember(self, request: Request, given: bytes | str) -> None:
        self.log.append((request, given))
        self.size += SIZE_OF_ENTRY + len(request.path) + len(request.value) + len(given)
