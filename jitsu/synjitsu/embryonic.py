"""SYNs on hold: one service's embryonic connections, kept until its guest can answer them. Pure.

Level 0 of synjitsu: the frame is kept as it came and delivered unchanged, so every TCP option is negotiated end to end.
A client that hears nothing sends the same SYN again; a SYN is known by its 4-tuple and initial sequence number, and
each is delivered to a domain exactly once.
"""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from jitsu.network.frames import Segment

Key = tuple[bytes, int, int, int]
"""Client address, client port, service port, initial sequence number. The service's own address goes without saying: it
has one for each IP version, and the client's tells which."""


class Verdict(StrEnum):
    """What became of a SYN that was offered to the table."""

    HELD = "held"
    KNOWN = "known"
    """The same SYN is held already, or was delivered to this domain."""
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Embryo:
    """A held SYN. `arrived` is `time.monotonic()` seconds."""

    segment: Segment
    frame: bytes
    arrived: float


def client_of(source: bytes) -> bytes:
    """Whom an address is counted as: an IPv4 address is one client, and so is an IPv6 /64."""
    return source if len(source) == 4 else source[:8]


def key_of(segment: Segment) -> Key:
    return segment.source, segment.source_port, segment.target_port, segment.sequence


class WaitingRoom:
    """The places on hold of all services together, and how many of them one service and one client may take."""

    def __init__(self, places: int, a_service: int, a_client: int) -> None:
        self._places, self._a_client = places, a_client
        self.a_service = a_service
        self._clients: Counter[bytes] = Counter()
        self.taken = 0

    @property
    def crowded(self) -> bool:
        """Is more than half of it taken?"""
        return 2 * self.taken > self._places

    def enter(self, source: bytes) -> bool:
        """Take a place for a client; False if there is none for it."""
        client = client_of(source)
        if self.taken >= self._places or self._clients[client] >= self._a_client:
            return False
        self.taken += 1
        self._clients[client] += 1
        return True

    def leave(self, source: bytes) -> None:
        """Give a place back."""
        client = client_of(source)
        self.taken -= 1
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]


class EmbryonicTable:
    """The embryonic connections of one service, which wait in `room`, whatever a flood may bring."""

    __slots__ = ("_delivered", "_held", "_room")

    def __init__(self, room: WaitingRoom) -> None:
        self._room = room
        self._held: dict[Key, Embryo] = {}
        self._delivered: dict[Key, None] = {}

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, segment: Segment, frame: bytes, now: float) -> Verdict:
        """Keep a SYN for later."""
        key = key_of(segment)
        if key in self._held or key in self._delivered:
            return Verdict.KNOWN
        if len(self._held) >= self._room.a_service or not self._room.enter(segment.source):
            return Verdict.FULL
        self._held[key] = Embryo(segment, frame, now)
        return Verdict.HELD

    @property
    def crowded(self) -> bool:
        """Are the places on hold running out, those of this service or those of all?"""
        return 2 * len(self._held) > self._room.a_service or self._room.crowded

    def holds(self, key: Key) -> bool:
        """Is this very SYN on hold?"""
        return key in self._held

    def held_since(self, segment: Segment) -> float | None:
        """When this very SYN came first, if it is still on hold."""
        embryo = self._held.get(key_of(segment))
        return None if embryo is None else embryo.arrived

    def release(self) -> list[Embryo]:
        """Everything on hold, in order of arrival, to be delivered now. It counts as delivered from here on."""
        released = list(self._held.values())
        for embryo in released:
            self.mark_delivered(embryo.segment)
        return released

    def mark_delivered(self, segment: Segment) -> bool:
        """Note that this SYN is handed to the guest, and no longer on hold. False if it was before."""
        key = key_of(segment)
        if self._held.pop(key, None) is not None:
            self._room.leave(segment.source)
        if key in self._delivered:
            return False
        if len(self._delivered) >= self._room.a_service:
            del self._delivered[next(iter(self._delivered))]
        self._delivered[key] = None
        return True

    def abandon(self) -> list[Embryo]:
        """Everything on hold, to be reset: nobody will answer it."""
        abandoned = list(self._held.values())
        self._held.clear()
        for embryo in abandoned:
            self._room.leave(embryo.segment.source)
        return abandoned

    def domain_ended(self) -> None:
        """What was delivered to a domain that is gone may be delivered to its successor."""
        self._delivered.clear()
