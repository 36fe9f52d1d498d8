"""Whose turn it is, among guests that have something to say.

A guest is a domain, however many connections it has. Each is heard once in a round, for a few requests; one that used
more time than a round gives (some requests take long) is passed over until that is made up for. Domain 0 is not in
here: it is heard between rounds, and no round lasts long.

Pure policy: whoever calls measures the time.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

SHARE = 8
"""Requests of a guest in a round."""

QUANTUM = 0.001
"""Seconds that a guest may use in a round, on average."""

ROUND = 0.002
"""Seconds after which a round is broken off; the next begins where it was."""

C = TypeVar("C")
"""A connection."""


class Turns(Generic[C]):
    """The guests' connections that are ready to be heard, by domain."""

    def __init__(self) -> None:
        self._ready: OrderedDict[int, dict[C, None]] = OrderedDict()
        self._debts: dict[int, float] = {}

    def __len__(self) -> int:
        """How many domains are ready."""
        return len(self._ready)

    def add(self, domid: int, connection: C) -> None:
        """A connection is ready, behind those of the same domain that were ready before."""
        self._ready.setdefault(domid, {})[connection] = None

    def discard(self, domid: int, connection: C) -> None:
        """A connection is gone."""
        ready = self._ready.get(domid)
        if ready is not None and connection in ready:
            del ready[connection]
            if not ready:
                del self._ready[domid]

    def round(self) -> Iterator[C]:
        """Take a connection of each domain that is ready now and not in debt. May be broken off."""
        for _ in range(len(self._ready)):
            if not self._ready:
                return
            domid, ready = self._ready.popitem(last=False)
            debt = self._debts.pop(domid, 0.0) - QUANTUM
            if debt > 0:
                self._debts[domid] = debt
                self._ready[domid] = ready
                continue
            connection = next(iter(ready))
            del ready[connection]
            if ready:
                self._ready[domid] = ready
            yield connection

    def used(self, domid: int, seconds: float) -> None:
        """A domain was heard for so long."""
        if seconds > QUANTUM:
            self._debts[domid] = self._debts.get(domid, 0.0) + seconds

    def forget(self, domid: int) -> None:
        """A domain is no more."""
        self._debts.pop(domid, None)
