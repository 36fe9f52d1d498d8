"""Who goes first where only one can win.

Two transactions that list a directory and then change it cannot both commit; whoever is second begins again, and with
many clients some begin again for ever. Nothing can be merged there, but things can be put in an order: whoever reads
what is *contended* gets a lease on it, and while he has it, what others ask that would make his answers false is held
back, unanswered, as is the request of the next who wants a lease on the same. A client sees a slower answer and nothing
else. A lease ends with its transaction and after `PERIOD` at the latest, and who holds one never waits for another: so
nothing can lock up. Only domain 0 gets leases; a guest could delay others with them.

What counts as contended: what a transaction failed over a little while ago, and a directory that another open
transaction has listed or is about to change. Who failed before goes before those who did not.

Pure policy: whoever calls says what time it is, and carries out the waiting.
"""

from collections.abc import Iterable
from itertools import count
from typing import Generic, TypeVar

from jitsu.xenstore.view import NAMES, NODE, Thing

PERIOD = 0.05
"""Seconds that a lease may last."""

HOT = 5.0
"""Seconds for which a thing that a transaction failed over is taken for contended."""

MOST_HOT = 4096


W = TypeVar("W")
"""Whoever can be held back: a connection."""


class Lease(Generic[W]):
    """What one transaction (`holder`) has leases on, until `deadline`; `waiting` are tickets with who waits."""

    def __init__(self, holder: object, deadline: float) -> None:
        self.holder = holder
        self.deadline = deadline
        self.things: set[Thing] = set()
        self.waiting: list[tuple[tuple[float, int], W]] = []

    def resumed(self) -> list[W]:
        """Who waited, in the order in which they go on."""
        return [waiter for _, waiter in sorted(self.waiting, key=lambda entry: entry[0])]


class Leases(Generic[W]):
    """All leases in force. Holders are transactions, whatever the caller uses for them."""

    def __init__(self) -> None:
        self._on: dict[Thing, Lease[W]] = {}
        self._of: dict[object, Lease[W]] = {}
        self._hot: dict[Thing, float] = {}
        self._failed: dict[W, float] = {}
        self._tickets: dict[W, int] = {}
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._of)

    @property
    def anything_hot(self) -> bool:
        return bool(self._hot)

    def is_hot(self, thing: Thing, now: float) -> bool:
        since = self._hot.get(thing)
        return since is not None and now - since < HOT

    def claim(self, holder: object, things: Iterable[Thing], now: float) -> Lease[W] | None:
        """Get a lease on things for a transaction; instead, the lease of another that is in the way.

        Who has a lease already gets what is free and never waits.
        """
        mine = self._of.get(holder)
        for thing in things:
            other = self._on.get(thing)
            if other is not None and other is not mine:
                if mine is None:
                    return other
                continue
            if mine is None:
                mine = self._of[holder] = Lease(holder, now + PERIOD)
            mine.things.add(thing)
            self._on[thing] = mine
        return None

    def in_the_way(
        self, names: Iterable[str], nodes: Iterable[str], cuts: Iterable[str], me: object
    ) -> Lease[W] | None:
        """Somebody else's lease on what is about to change: lists of names, nodes, and nodes with all below them."""
        if not self._on:
            return None
        mine = self._of.get(me)
        for kind, paths in ((NAMES, names), (NODE, nodes)):
            for path in paths:
                lease = self._on.get((kind, path))
                if lease is not None and lease is not mine:
                    return lease
        for cut in cuts:
            inside = cut + "/"
            for (_, path), lease in self._on.items():
                if lease is not mine and (path == cut or path.startswith(inside)):
                    return lease
        return None

    def holds_any(self, holders: Iterable[object]) -> bool:
        return any(holder in self._of for holder in holders)

    def wait(self, lease: Lease[W], waiter: W) -> None:
        """`waiter` is held until the lease ends. One that waits again keeps its place."""
        ticket = self._tickets.setdefault(waiter, next(self._numbers))
        lease.waiting.append(((self._failed.get(waiter, float("inf")), ticket), waiter))

    def served(self, waiter: W) -> None:
        """It need not wait any more."""
        self._tickets.pop(waiter, None)

    def failed(self, client: W, things: Iterable[Thing], now: float) -> None:
        """A transaction of `client` was refused because these had changed."""
        self._failed.setdefault(client, now)
        for thing in things:
            self._hot.pop(thing, None)
            self._hot[thing] = now
        while len(self._hot) > MOST_HOT:
            del self._hot[next(iter(self._hot))]

    def succeeded(self, client: W) -> None:
        self._failed.pop(client, None)

    def end(self, holder: object) -> list[W]:
        """A transaction is over: who may go on, in order."""
        lease = self._of.pop(holder, None)
        return self._dissolve(lease) if lease is not None else []

    def forget(self, client: W) -> None:
        """A connection is gone, as holder's client and as waiter."""
        self._failed.pop(client, None)
        self._tickets.pop(client, None)
        for lease in self._of.values():
            lease.waiting = [entry for entry in lease.waiting if entry[1] is not client]

    def next_deadline(self) -> float | None:
        """When the next lease runs out; the first that was given is the first to end."""
        return next(iter(self._of.values())).deadline if self._of else None

    def expire(self, now: float) -> list[W]:
        """End what has lasted long enough: who may go on, in order."""
        resumed: list[W] = []
        while (lease := next(iter(self._of.values()), None)) is not None and lease.deadline <= now:
            del self._of[lease.holder]
            resumed += self._dissolve(lease)
        return resumed

    def _dissolve(self, lease: Lease[W]) -> list[W]:
        for thing in lease.things:
            del self._on[thing]
        return lease.resumed()
