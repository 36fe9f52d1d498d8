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
    """What one transaction (`holder`) has leases on, until `deadline`, and who waits for that."""

    def __init__(self, holder: object, deadline: float) -> None:
        self.holder = holder
        self.deadline = deadline
        self.things: set[Thing] = set()
        self.waiting: list[W] = []


class Leases(Generic[W]):
    """All leases in force. Holders are transactions, whatever the caller uses for them."""

    def __init__(self) -> None:
        self._on: dict[Thing, Lease[W]] = {}
        self._of: dict[object, Lease[W]] = {}
        self._hot: dict[Thing, float] = {}
        self._failed: dict[W, float] = {}
        self._places: dict[W, tuple[float, int]] = {}
        self._wanted: dict[W, Thing] = {}
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._of)

    @property
    def anything_hot(self) -> bool:
        return bool(self._hot)

    def is_hot(self, thing: Thing, now: float) -> bool:
        since = self._hot.get(thing)
        return since is not None and now - since < HOT

    def claim(self, holder: object, things: Iterable[Thing], now: float) -> Thing | None:
        """Get a lease on things for a transaction; instead, the one of them that another has and it must wait for.

        Who has a lease already gets what is free and never waits.
        """
        mine = self._of.get(holder)
        for thing in things:
            other = self._on.get(thing)
            if other is not None and other is not mine:
                if mine is None:
                    return thing
                continue
            if mine is None:
                mine = self._of[holder] = Lease(holder, now + PERIOD)
            mine.things.add(thing)
            self._on[thing] = mine
        return None

    def in_the_way(self, names: Iterable[str], nodes: Iterable[str], cuts: Iterable[str], me: object) -> Thing | None:
        """What somebody else has a lease on, of what is about to change: lists of names, nodes, and nodes with all
        below them."""
        mine = self._of.get(me)
        for kind, paths in ((NAMES, names), (NODE, nodes)):
            for path in paths:
                lease = self._on.get((kind, path))
                if lease is not None and lease is not mine:
                    return kind, path
        for cut in cuts:
            inside = cut + "/"
            for thing, lease in self._on.items():
                if lease is not mine and (thing[1] == cut or thing[1].startswith(inside)):
                    return thing
        return None

    def holds_any(self, holders: Iterable[object]) -> bool:
        return any(holder in self._of for holder in holders)

    def wait(self, thing: Thing, waiter: W) -> None:
        """`waiter` is held until the lease on a thing ends. It keeps its place in the order until it was served: who
        failed before comes first, then who came first."""
        if waiter not in self._places:
            self._places[waiter] = (self._failed.get(waiter, float("inf")), next(self._numbers))
        self._wanted[waiter] = thing
        self._on[thing].waiting.append(waiter)

    def waits_on(self, waiter: W) -> bool:
        """Has somebody else got a lease on what one waited for that could go on? Then it waits for that."""
        thing = self._wanted[waiter]
        if thing not in self._on:
            return False
        self.wait(thing, waiter)
        return True

    def served(self, waiter: W) -> None:
        """It need not wait any more."""
        self._places.pop(waiter, None)
        self._wanted.pop(waiter, None)

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
        """A connection is gone."""
        self._failed.pop(client, None)
        thing = self._wanted.get(client)
        if thing is not None and thing in self._on and client in self._on[thing].waiting:
            self._on[thing].waiting.remove(client)
        self.served(client)

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
        return sorted(lease.waiting, key=lambda waiter: self._places[waiter])
