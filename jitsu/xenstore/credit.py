"""What a guest pays for making false what domain 0 was told.

A transaction of domain 0 fails when what it saw has changed. A guest that changes it in a loop could make it fail for
ever, so each such change costs the guest a credit. There are few of them and they come back slowly; who has none is not
heard until one is back. Guests do not pay for transactions of each other: then a guest could slow down another by
nothing but looking at its nodes. (oxenstored's conflict credit, with its figures; C xenstored limits all writes.)

Pure policy: whoever calls says what time it is, and does not listen to those who have no credit.
"""

BURST = 10.0
"""Credits of who has not spent any."""

RETURN = 20.0
"""Credits that come back in a second."""


class Credit:
    """The credits of all guests. Who has all of them is not remembered."""

    def __init__(self) -> None:
        self._left: dict[int, tuple[float, float]] = {}
        """What was left at a time, by domid."""

    def __len__(self) -> int:
        return len(self._left)

    def pay(self, domid: int, now: float) -> None:
        """A credit less. It may be one more than there are: then it takes longer until one is back."""
        self._left[domid] = (self.left(domid, now) - 1, now)

    def left(self, domid: int, now: float) -> float:
        entry = self._left.get(domid)
        if entry is None:
            return BURST
        left = entry[0] + (now - entry[1]) * RETURN
        if left >= BURST:
            del self._left[domid]
            return BURST
        return left

    def seconds_until_heard(self, domid: int, now: float) -> float:
        """0 for who has a credit."""
        return max(0.0, (1 - self.left(domid, now)) / RETURN) if domid in self._left else 0.0

    def forget(self, domid: int) -> None:
        """A domain is no more."""
        self._left.pop(domid, None)
