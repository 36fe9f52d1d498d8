"""Datagrams on hold: the first few that woke a service, kept until its guest can answer. Pure.

UDP and ICMP expect to lose packets, so what there is no room for is simply dropped.
"""

from collections import deque
from dataclasses import dataclass

from jitsu.network.datagrams import Datagram


@dataclass(frozen=True, slots=True)
class HeldDatagram:
    """A datagram and the frame that it came in."""

    datagram: Datagram
    frame: bytes


class DatagramTable:
    """The held datagrams of one service, in order of arrival, at most `capacity` of them."""

    def __init__(self, capacity: int = 16) -> None:
        self._capacity = capacity
        self._held: deque[HeldDatagram] = deque()

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, datagram: Datagram, frame: bytes) -> bool:
        """Keep a datagram for later. False: there is no room."""
        if len(self._held) >= self._capacity:
            return False
        self._held.append(HeldDatagram(datagram, frame))
        return True

    def release(self) -> list[HeldDatagram]:
        """Everything on hold, in order of arrival, no longer on hold from here on."""
        released = list(self._held)
        self._held.clear()
        return released
