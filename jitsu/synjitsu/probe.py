"""Readiness of a guest that knows nothing of us: a SYN of our own, from a spare address, until it is answered.

The probe goes into the guest's own tap and the answer is read there, behind the closed gate, so nobody else hears of
it. It is the same SYN every time, as a client would repeat it: the guest sees one embryonic connection, which one RST
ends. An RST in answer means that the guest is up and its port is still closed.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from jitsu.network.frames import ACK, RST, SYN, read_segment, tcp_segment
from jitsu.network.neighbours import answer_to, enquiry, read_enquiry

FIRST_INTERVAL, LAST_INTERVAL, GROWTH = 0.010, 0.100, 1.2
"""Seconds between probes: a unikernel is met within milliseconds, a Linux guest is not drowned."""


@dataclass(frozen=True, slots=True)
class Door:
    """The guest's end of the probe: MAC, IP address, and the TCP port that must be open."""

    mac: bytes
    address: bytes
    port: int


class Probe:
    """Asks at `door` through `send` until the port is open, then calls `opened` once.

    `source` is a spare address of the guest's network that nobody owns, of the same IP version as the door's. Whoever
    reads the guest's port passes what it reads to `heard`.
    """

    def __init__(self, door: Door, source: bytes, send: Callable[[bytes], None], opened: Callable[[], None]) -> None:
        self._door, self._source, self._send, self._opened = door, source, send, opened
        # A locally administered address of the moment; nothing else on the bridge ever sees it.
        self._mac = b"\x02\x6a" + secrets.token_bytes(4)
        self._port = 49152 + secrets.randbelow(16384)
        self._sequence = secrets.randbits(32)
        self._interval = FIRST_INTERVAL
        self._timer: asyncio.TimerHandle | None = None
        self.asked = 0

    def start(self) -> None:
        """Ask now, and again until answered or stopped."""
        self._ask()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def owns(self, address: bytes) -> bool:
        """Is this the probe's own address, whose segments are not anybody's traffic?"""
        return address == self._source

    def heard(self, frame: bytes) -> None:
        """A frame that the guest sent."""
        asked = read_enquiry(frame)
        if asked is not None:
            if asked.target == self._source:
                self._send(answer_to(asked, self._mac))
            return
        segment = read_segment(frame)
        if segment is None or segment.target != self._source or segment.target_port != self._port:
            return
        if segment.flags & (SYN | ACK) == SYN | ACK and segment.acknowledged == (self._sequence + 1) & 0xFFFFFFFF:
            self._send(self._segment(RST, segment.acknowledged))
            if self._timer is not None:
                self.stop()
                self._opened()

    def _ask(self) -> None:
        self.asked += 1
        self._send(enquiry(self._mac, self._source, self._door.address))
        self._send(self._segment(SYN, self._sequence))
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._ask)
        self._interval = min(self._interval * GROWTH, LAST_INTERVAL)

    def _segment(self, flags: int, sequence: int) -> bytes:
        return tcp_segment(
            self._mac,
            self._door.mac,
            (self._source, self._port),
            (self._door.address, self._door.port),
            sequence=sequence,
            flags=flags,
            window=1024,
        )
