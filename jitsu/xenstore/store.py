"""The store: requests come in, answers and events go into the outboxes of connections.

One request at a time, from one thread. `execute` either answers a request, or says whose lease on what it has to wait
for; then nothing has happened, and it is to be executed again when the lease has ended (`lease.py`). What a transport
has to do besides: send what is in the outboxes, after `tree.log`, where it is kept, is safe.
"""

import time
from collections.abc import Callable, Iterable

from jitsu.xenstore import operations
from jitsu.xenstore.accounts import Account
from jitsu.xenstore.credit import Credit
from jitsu.xenstore.domains import Domains
from jitsu.xenstore.lease import Leases
from jitsu.xenstore.operations import OK, Caller
from jitsu.xenstore.paths import ROOT, canonical, canonical_or_special, is_special, parent_of
from jitsu.xenstore.peer import Peer
from jitsu.xenstore.permissions import ANYBODY, FOR_DOMAIN_0, NOTHING, READ, Permissions, parse
from jitsu.xenstore.quotas import Quotas
from jitsu.xenstore.transaction import Request, Transaction, perform
from jitsu.xenstore.tree import Tree
from jitsu.xenstore.view import NAMES, NODE, Event, Present, Thing
from jitsu.xenstore.watches import Watch, Watches, depth_from
from jitsu.xenstore.wire import LONGEST_PAYLOAD, Message, StoreError, Type, strings

_ON_NODES = frozenset(
    {Type.READ, Type.WRITE, Type.DIRECTORY, Type.DIRECTORY_PART, Type.MKDIR, Type.RM, Type.GET_PERMS, Type.SET_PERMS}
)
_CHANGING = frozenset({Type.WRITE, Type.MKDIR, Type.RM, Type.SET_PERMS})
_WITH_SPECIAL = frozenset({Type.GET_PERMS, Type.SET_PERMS})
_FOR_TOOLSTACKS = frozenset(
    {
        Type.INTRODUCE,
        Type.RELEASE,
        Type.RESUME,
        Type.SET_TARGET,
        Type.IS_DOMAIN_INTRODUCED,
        Type.SET_FEATURE,
        Type.GET_QUOTA,
        Type.SET_QUOTA,
    }
)
_OUTSIDE_TRANSACTIONS = frozenset({Type.WATCH, Type.UNWATCH})

STRICT = b"doom\0"
"""Payload of TRANSACTION_START: the first request that fails dooms the transaction. Others than us ignore it."""

OURS = "/tool/xenstored/jitsu"
"""Its value 1 tells clients that this is not another's daemon."""

FIRST_NODES = (OURS, "/local/domain/0", "/vm", "/libxl")
"""What is there from the beginning. Toolstacks remove /local/domain/N, /vm/UUID and /libxl/N before they build a
domain: in an empty store that is an error (ENOENT) to the first who try, side by side, and no longer to the next."""

SIZE_OF_WATCH = 256
"""Bytes that count for a watch beside its path and token."""

MOST_REMEMBERED = 65_536
"""Records kept for open transactions only; then the oldest of them is given up, those of guests first."""

Handler = Callable[[Peer, Message], bytes]


class Store:
    """Nodes, domains, watches, transactions of all connections."""

    def __init__(self, domains: Domains | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.tree = Tree()
        self.domains = domains if domains is not None else Domains()
        self.quotas = Quotas()
        self.watches = Watches()
        self.leases: Leases[Peer] = Leases()
        self.peers: dict[Peer, None] = {}
        self.unsent: dict[Peer, None] = {}
        """Who has something in the outbox; the transport empties it."""
        self.resumed: list[Peer] = []
        """Whose held requests may be executed again, in this order; the transport empties it."""
        self.handlers: dict[int, Handler] = {
            Type.WATCH: self._watch,
            Type.UNWATCH: self._unwatch,
            Type.RESET_WATCHES: self._reset_watches,
            Type.TRANSACTION_START: self._start,
        }
        """What is not about nodes, by type; `toolstack.py` adds its own."""
        self._accounts: dict[int, Account] = {}
        self._present = Present(self.tree)
        self._open: dict[Transaction, Peer] = {}
        self._privileged: dict[Transaction, None] = {}
        """Those of domain 0 among them."""
        self.credit = Credit()
        self._clock = clock
        for path in FIRST_NODES:
            perform(self._present, self._caller(0), Request(Type.WRITE, path, b"1" if path == OURS else b""))
        self.tree.create_special("@introduceDomain", FOR_DOMAIN_0)
        self.tree.create_special("@releaseDomain", Permissions(((0, NOTHING), (ANYBODY, READ))))
        self._present.events.clear()

    # Connections

    def connect(self, domid: int) -> Peer:
        """A connection of a domain."""
        peer = Peer(self._caller(domid), self.unsent)
        self.peers[peer] = None
        self.account(domid).peers[peer] = None
        return peer

    def disconnect(self, peer: Peer) -> None:
        """The connection is gone, and its transactions and watches with it."""
        self.reset(peer)
        self.leases.forget(peer)
        self.peers.pop(peer, None)
        self.unsent.pop(peer, None)
        account = self.account(peer.domid)
        account.peers.pop(peer, None)
        if not account.peers:
            del self._accounts[peer.domid]

    def resume(self, peer: Peer, last: int, transactions: Iterable[int]) -> None:
        """A connection has had transactions in an earlier life of the daemon, and the last of all had this id."""
        resumed = {}
        for number in transactions:
            resumed[number] = transaction = Transaction(self.tree, peer.caller)
            transaction.interrupted = True
            self._open[transaction] = peer
            if not peer.domid:
                self._privileged[transaction] = None
        peer.renumber(last, resumed)

    def resume_watch(self, peer: Peer, payload: bytes) -> Watch:
        """A connection has set this watch in an earlier life of the daemon: `payload` is that of the request. Raises
        `StoreError` for one that cannot be."""
        words = self._words_of_watch(peer, payload)
        return self._add_watch(peer, *words, SIZE_OF_WATCH + 2 * len(payload))

    def account(self, domid: int) -> Account:
        """What a domain has over all its connections."""
        account = self._accounts.get(domid)
        if account is None:
            account = self._accounts[domid] = Account()
        return account

    def answers_free(self, domid: int) -> int:
        """How many requests of a guest may be executed before answers are sent."""
        limit = self.quotas.limit("outstanding", domid)
        return max(0, limit - self.account(domid).unanswered) if limit else LONGEST_PAYLOAD

    def has_too_much_unread(self, domid: int) -> bool:
        """Is a guest not to be heard before it has taken of what waits for it?"""
        account = self.account(domid)
        if not account.backlog:
            return False
        memory = self.tree.weight.get(domid, 0) + account.besides()
        return not self.answers_free(domid) or self.quotas.exceeded("memory", domid, memory)

    def reset(self, peer: Peer) -> None:
        """Forget a connection's transactions and watches."""
        for watch in peer.watches.values():
            self.watches.remove(watch)
        peer.watches.clear()
        peer.watched = 0
        for transaction in peer.transactions.values():
            self._close(transaction)
        peer.transactions.clear()

    def retarget(self) -> None:
        """Domains have other targets now: their connections are to know, and transactions that began before."""
        self.tree.begin()
        for peer in self.peers:
            peer.caller = self._caller(peer.domid)
            for transaction in peer.transactions.values():
                transaction.retarget(peer.caller)

    # Requests

    def execute(self, peer: Peer, message: Message) -> Thing | None:
        """Answer a request, in the peer's outbox; or say what it has to wait for: that a lease on it ends."""
        kind = message.type
        try:
            if kind in _ON_NODES:
                transaction = peer.transaction(message.transaction) if message.transaction else None
                request = self._parse(peer, message)
                if transaction is not None:
                    if not peer.domid and (taken := self._claim(peer, transaction, request)) is not None:
                        return taken
                    payload = transaction.request(request)
                elif kind in _CHANGING:
                    if self.leases and (taken := self._in_the_way_of(request, peer)) is not None:
                        return taken
                    payload = self._change(peer, request)
                else:
                    payload = perform(self._present, peer.caller, request)
            elif kind == Type.TRANSACTION_END:
                transaction = peer.transaction(message.transaction)
                if message.payload not in (b"T\0", b"F\0"):
                    raise StoreError("EINVAL", "a transaction ends with T or F")
                commit = message.payload == b"T\0"
                if commit and self.leases and (taken := self._in_the_way_of_end(transaction)) is not None:
                    return taken
                del peer.transactions[message.transaction]
                payload = self._end(peer, transaction, commit=commit)
            else:
                payload = self._handle(peer, message)
            peer.reply(message, payload)
            if kind == Type.WATCH:
                self._first_event(peer, message)
        except StoreError as error:
            if kind in _ON_NODES and (transaction := peer.transactions.get(message.transaction)) is not None:
                # Also what could not be read at all, and an answer that no message can hold.
                transaction.fail(error.errno)
            peer.fail(message, error.errno)
        return None

    def expire(self) -> None:
        """End leases that have lasted long enough."""
        self.resumed += self.leases.expire(self._clock())

    def fire(self, events: list[Event]) -> None:
        self.watches.fire(events)

    def _handle(self, peer: Peer, message: Message) -> bytes:
        handler = self.handlers.get(message.type)
        if handler is None:
            raise StoreError("ENOSYS", f"no request has type {message.type}")
        if peer.domid and message.type in _FOR_TOOLSTACKS:
            raise StoreError("EACCES", f"domain {peer.domid} is no toolstack")
        if message.transaction and message.type not in _OUTSIDE_TRANSACTIONS:
            peer.transaction(message.transaction)
        return handler(peer, message)

    def _parse(self, peer: Peer, message: Message) -> Request:
        """Raises `StoreError` EINVAL."""
        kind, payload = message.type, message.payload
        longest = self._longest_path(peer)
        first, terminator, rest = payload.partition(b"\0")
        if not terminator:
            raise StoreError("EINVAL", "a path without its NUL")
        if kind in _WITH_SPECIAL:
            path = canonical_or_special(first, peer.home, longest)
        else:
            path = canonical(first, peer.home, longest)
        if kind == Type.WRITE:
            return Request(kind, path, rest)
        if kind == Type.SET_PERMS:
            return Request(kind, path, perms=parse(tuple(strings(rest))))
        if kind == Type.DIRECTORY_PART:
            words = strings(rest)
            if len(words) != 1 or not words[0].isdigit() or len(words[0]) > 9:
                raise StoreError("EINVAL", "a part of a directory begins at an offset")
            return Request(kind, path, offset=int(words[0]))
        if rest:
            raise StoreError("EINVAL", "more than a path")
        return Request(kind, path)

    def _change(self, peer: Peer, request: Request) -> bytes:
        """A changing request outside of transactions."""
        self.tree.begin()
        payload = perform(self._present, peer.caller, request)
        if self._open:
            self._mind_the_open(peer, self._present.events)
        self._fire_present()
        return payload

    def restrict(self, peer: Peer, path: str, restricted: bool) -> bytes:
        """Mark a directory as restricted (permissions.py), or no longer. Raises `StoreError`."""
        self.tree.begin()
        payload = operations.restrict(self._present, peer.caller, path, restricted)
        self._fire_present()
        return payload

    def clear_away(self, domid: int) -> None:
        """A domain is no more: remove the nodes that it owned, with all below them, and its name from permissions."""
        tree = self.tree
        if not tree.mentioned.get(domid):
            return
        tree.begin()
        named = [
            (path, node.perms)
            for path, node in tree.everything()
            if any(domid == entry for entry, _ in node.perms.entries)
        ]
        for path, perms in named:
            if tree.node(path) is None:
                continue  # it went with one above it
            if perms.owner == domid and path != ROOT and not is_special(path):
                self._present.remove(path)
            else:
                tree.permit(path, perms.without(domid))
        self._fire_present()

    def _fire_present(self) -> None:
        events = self._present.events
        if events:
            self._present.events = []
            self.watches.fire(events)

    # Transactions

    def _start(self, peer: Peer, message: Message) -> bytes:
        if message.transaction:
            raise StoreError("EBUSY", "a transaction within a transaction")
        if peer.domid and self.quotas.exceeded("transactions", peer.domid, self.account(peer.domid).transactions + 1):
            raise StoreError("ENOSPC", f"domain {peer.domid} has as many transactions as it may")
        transaction = Transaction(self.tree, peer.caller, strict=message.payload == STRICT)
        self._open[transaction] = peer
        if not peer.domid:
            self._privileged[transaction] = None
        return b"%d\0" % peer.number(transaction)

    def _end(self, peer: Peer, transaction: Transaction, *, commit: bool) -> bytes:
        try:
            if not commit:
                return OK
            events = transaction.commit()
            self.leases.succeeded(peer)
        except StoreError as error:
            # Guests do not say what is contended: others would be made to wait for it.
            if error.errno == "EAGAIN" and not transaction.doom and not peer.domid:
                self.leases.failed(peer, list(transaction.draft.contradictions()), self._clock())
            raise
        finally:
            self._close(transaction)
        if self._open:
            self._mind_the_open(peer, events)
        self.watches.fire(events)
        return OK

    def _close(self, transaction: Transaction) -> None:
        if self._open.pop(transaction, None) is not None:
            self._privileged.pop(transaction, None)
            transaction.close()
        self.resumed += self.leases.end(transaction)

    def _mind_the_open(self, peer: Peer, events: list[Event]) -> None:
        """Something was changed while transactions are open: who is to pay for that, and who cannot go on?"""
        if peer.domid and self._privileged:
            drafts = [transaction.draft for transaction in self._privileged if not transaction.doom]
            if any(draft.belied_by(event) for draft in drafts for event in events):
                self.credit.pay(peer.domid, self._clock())
        while self.tree.remembered > MOST_REMEMBERED and self._open:
            self._give_up(next((each for each, whose in self._open.items() if whose.domid), next(iter(self._open))))

    def _give_up(self, transaction: Transaction) -> None:
        """What is kept for its sake is too much: whatever it asks now, it has to begin again."""
        del self._open[transaction]
        self._privileged.pop(transaction, None)
        transaction.give_up()
        self.resumed += self.leases.end(transaction)

    # Leases

    def _claim(self, peer: Peer, transaction: Transaction, request: Request) -> Thing | None:
        """Get a lease on what a transaction is about to learn, if that is contended; or what to wait for."""
        leases = self.leases
        now = 0.0
        things: list[Thing] = []
        if request.type in (Type.DIRECTORY, Type.DIRECTORY_PART):
            now = self._clock()
            if leases.is_hot((NAMES, request.path), now) or self._others_list(transaction, request.path):
                things.append((NAMES, request.path))
        if leases.anything_hot:
            now = now or self._clock()
            if leases.is_hot((NODE, request.path), now):
                things.append((NODE, request.path))
        if not things:
            return None
        taken = leases.claim(transaction, things, now)
        return None if leases.holds_any(peer.transactions.values()) else taken

    def _others_list(self, transaction: Transaction, path: str) -> bool:
        """Has another open transaction listed a directory, or will it change its list?"""
        return any(
            path in other.draft.listings or path in other.draft.relisted
            for other in self._privileged
            if other is not transaction
        )

    def _in_the_way_of(self, request: Request, peer: Peer) -> Thing | None:
        """What a request outside of transactions has to wait for."""
        if self.leases.holds_any(peer.transactions.values()):
            return None
        path = request.path
        above = parent_of(path)
        names = [above] if self.tree.node(path) is None or request.type == Type.RM else []
        cuts = [path] if request.type == Type.RM else []
        return self.leases.in_the_way(names, [path], cuts, None)

    def _in_the_way_of_end(self, transaction: Transaction) -> Thing | None:
        """What a commit has to wait for."""
        peer = self._open.get(transaction)
        if peer is None or not transaction.has_written or self.leases.holds_any(peer.transactions.values()):
            return None
        draft = transaction.draft
        return self.leases.in_the_way(draft.relisted, draft.own, draft.cuts, transaction)

    # Watches

    def _watch(self, peer: Peer, message: Message) -> bytes:
        words = self._words_of_watch(peer, message.payload)
        size = SIZE_OF_WATCH + 2 * len(message.payload)
        if peer.domid:
            self._afford_watch(peer.domid, size)
        self._add_watch(peer, *words, size)
        return OK

    def _words_of_watch(self, peer: Peer, payload: bytes) -> tuple[str, bytes, bytes, int]:
        """Path, path as it was given, token and depth. Raises `StoreError` EINVAL, EEXIST."""
        words = strings(payload)
        if len(words) not in (2, 3):
            raise StoreError("EINVAL", "a watch is a path and a token")
        path = canonical_or_special(words[0], peer.home, self._longest_path(peer))
        depth = depth_from(words[2]) if len(words) == 3 else -1
        if (path, words[1]) in peer.watches:
            raise StoreError("EEXIST", f"{path} is watched with the same token")
        return path, words[0], words[1], depth

    def _add_watch(self, peer: Peer, path: str, given: bytes, token: bytes, depth: int, size: int) -> Watch:
        peer.watched += size
        watch = peer.watches[path, token] = self.watches.add(peer, path, given, token, depth, size)
        return watch

    def _afford_watch(self, domid: int, size: int) -> None:
        """Raises `StoreError` ENOSPC, ENOMEM."""
        account = self.account(domid)
        if self.quotas.exceeded("watches", domid, account.watches + 1):
            raise StoreError("ENOSPC", f"domain {domid} has as many watches as it may")
        if self.quotas.exceeded("memory", domid, self.tree.weight.get(domid, 0) + account.besides() + size):
            raise StoreError("ENOMEM", f"domain {domid} has as much memory as it may")

    def _first_event(self, peer: Peer, message: Message) -> None:
        """Every watch begins with an event, behind the answer."""
        words = strings(message.payload)
        peer.notify(words[0], words[1])

    def _unwatch(self, peer: Peer, message: Message) -> bytes:
        words = strings(message.payload)
        if len(words) != 2:
            raise StoreError("EINVAL", "a watch is a path and a token")
        path = canonical_or_special(words[0], peer.home, self._longest_path(peer))
        watch = peer.watches.pop((path, words[1]), None)
        if watch is None:
            raise StoreError("ENOENT", f"{path} is not watched with this token")
        self.watches.remove(watch)
        peer.watched -= watch.size
        return OK

    def _reset_watches(self, peer: Peer, message: Message) -> bytes:
        self.reset(peer)
        return OK

    def _longest_path(self, peer: Peer) -> int:
        return (self.quotas.limit("path-max", peer.domid) if peer.domid else 0) or LONGEST_PAYLOAD

    def _caller(self, domid: int) -> Caller:
        target = self.domains.target_of(domid)
        return Caller(domid, target, self.quotas, self.domains.exists, self.account(domid).besides)
