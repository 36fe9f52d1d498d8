"""The sentinel: one port of the bridge, and whoever sleeps behind it.

It is the only port to which unknown unicast is flooded, so everything meant for a guest that is not there arrives here.
ARP for a sleeper is answered with the sleeper's own MAC: clients have nothing to unlearn when the guest takes over.
A SYN is reported; any other segment is reset, and summons nobody.
"""

import asyncio
import logging
import os
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Protocol

from jitsu.network.frames import (
    BROADCAST,
    RST,
    Segment,
    arp_reply,
    arp_request,
    mac_bytes,
    read_arp,
    read_segment,
    reset_for,
)

log = logging.getLogger(__name__)

_LARGEST_FRAME = 65536
_FRAMES_A_TURN = 64
_ANNOUNCED_AT_ONCE, _ANNOUNCEMENT_PAUSE = 50, 0.005
"""Announcements in a burst, and seconds between two: 10,000 a second."""


class Household(Protocol):
    """Who is told what arrives for the services."""

    def knocked(self, service: str, segment: Segment, frame: bytes) -> None:
        """A SYN arrived for a service."""

    def strayed(self, service: str, frame: bytes) -> None:
        """A frame arrived here for a guest whose gate is open: it was on its way when the gate was opened."""


@dataclass(slots=True)
class _Sleeper:
    service: str
    address: bytes
    mac: bytes
    awake: bool = False


@dataclass(slots=True)
class Sightings:
    """How many frames of each kind the sentinel saw for its services, since it began."""

    arp: int = 0
    syn: int = 0
    reset: int = 0
    stray: int = 0


class Sentinel:
    """Reads the sentinel's tap. `fd` is its descriptor, which stays the caller's to close after `stop`."""

    def __init__(self, fd: int, household: Household) -> None:
        self._fd = fd
        self._household = household
        self._by_address: dict[bytes, _Sleeper] = {}
        self._by_service: dict[str, _Sleeper] = {}
        self.seen = Sightings()

    def start(self) -> None:
        os.set_blocking(self._fd, False)
        asyncio.get_running_loop().add_reader(self._fd, self._readable)

    async def announce(self) -> None:
        """Tell everybody where the services are (an ARP announcement each, RFC 5227 section 3), a few at a time: ten
        thousand at once would keep the loop, fill every queue behind it, and drown the client's own network card.

        A client that asked while no daemon ran is about to give up, and takes the next connection with it: this
        brings its packets on the way. A guest that is awake has the same MAC, and our port teaches the bridge nothing.
        """
        sleepers = list(self._by_service.values())
        for first in range(0, len(sleepers), _ANNOUNCED_AT_ONCE):
            if first:
                await asyncio.sleep(_ANNOUNCEMENT_PAUSE)
            for sleeper in sleepers[first : first + _ANNOUNCED_AT_ONCE]:
                self._send(arp_request(sleeper.mac, sleeper.address, BROADCAST, sleeper.address))

    def stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)

    def guard(self, service: str, address: IPv4Address, mac: str) -> None:
        """Stand in for a service."""
        sleeper = _Sleeper(service, address.packed, mac_bytes(mac))
        self._by_address[address.packed] = sleeper
        self._by_service[service] = sleeper

    def step_aside(self, service: str) -> None:
        """The gate is open: the guest answers ARP itself, and what still arrives here has strayed."""
        self._by_service[service].awake = True

    def step_in(self, service: str) -> None:
        """The gate is closed again."""
        self._by_service[service].awake = False

    def reset(self, segment: Segment) -> None:
        """Refuse a connection in the service's name."""
        self.seen.reset += 1
        self._send(reset_for(segment))

    def _readable(self) -> None:
        for _ in range(_FRAMES_A_TURN):
            try:
                frame = os.read(self._fd, _LARGEST_FRAME)
            except BlockingIOError:
                return
            except OSError as error:
                # Somebody took the interface away. It would be readable, and fail, for ever.
                log.error("the sentinel's port is gone, and sleepers with it: %s", error.strerror)
                self.stop()
                return
            if frame[12:14] == b"\x08\x06":
                self._arp(frame)
            elif frame[12:14] == b"\x08\x00":
                self._ipv4(frame)

    def _arp(self, frame: bytes) -> None:
        arp = read_arp(frame)
        if arp is None or not arp.request:
            return
        sleeper = self._by_address.get(arp.target)
        if sleeper is None or sleeper.awake:
            return
        # A guest's probe of its own address (RFC 5227) or a gratuitous request is not a question to us.
        if arp.sender == arp.target or arp.sender_mac == sleeper.mac:
            return
        self.seen.arp += 1
        self._send(arp_reply(arp, sleeper.mac))

    def _ipv4(self, frame: bytes) -> None:
        sleeper = self._by_address.get(frame[30:34])
        if sleeper is None or frame[0:6] != sleeper.mac:
            return
        segment = read_segment(frame)
        if segment is not None and segment.opens:
            self.seen.syn += 1
            self._household.knocked(sleeper.service, segment, frame)
        elif sleeper.awake:
            self.seen.stray += 1
            self._household.strayed(sleeper.service, frame)
        elif segment is not None and not segment.flags & RST:
            self.reset(segment)

    def _send(self, frame: bytes) -> None:
        """Answer through our own port, which learns nothing. A full queue drops the frame, as a wire would, and so
        does a port that is down: who answers has more to do than this."""
        try:
            os.write(self._fd, frame)
        except OSError as error:
            log.debug("an answer was lost: %s", error)
