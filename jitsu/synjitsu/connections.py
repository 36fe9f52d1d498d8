"""Open TCP connections of one guest, counted from the SYN, FIN and RST segments that pass its port. Pure.

This is how silence is told from a client that is merely quiet. It is a count, not a firewall: where it errs (a client
that vanished without a word), the service's `linger` bounds the error.
"""

from collections import OrderedDict

from jitsu.network.frames import FIN, RST, Segment

_Key = tuple[bytes, int, int]
_TO_GUEST, _FROM_GUEST = 1, 2


class ConnectionTable:
    """At most `capacity` connections; under a flood the oldest are forgotten first."""

    def __init__(self, capacity: int = 4096) -> None:
        self._capacity = capacity
        self._open: OrderedDict[_Key, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def see(self, segment: Segment, to_guest: bool) -> None:
        """Take note of a control segment. A connection is over when both ends sent FIN, or either RST."""
        if to_guest:
            key, side = (segment.source, segment.source_port, segment.target_port), _TO_GUEST
        else:
            key, side = (segment.target, segment.target_port, segment.source_port), _FROM_GUEST
        if segment.flags & RST:
            self._open.pop(key, None)
        elif segment.flags & FIN:
            closed = self._open.get(key, 0) | side
            if closed == _TO_GUEST | _FROM_GUEST:
                self._open.pop(key, None)
            elif key in self._open:
                self._open[key] = closed
        elif to_guest and segment.opens:
            self._open[key] = 0
            self._open.move_to_end(key)
            if len(self._open) > self._capacity:
                self._open.popitem(last=False)
