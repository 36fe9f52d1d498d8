"""The sentinel: one port of the bridge, and whoever sleeps behind it.

It is the only port to which unknown unicast is flooded, so everything meant for a guest that is not there arrives here.
ARP and neighbour solicitations for a sleeper are answered with the sleeper's own MAC: clients have nothing to unlearn
when the guest takes over. A SYN is reported, and so is a datagram or an echo request, for some services want to be
woken by those; any other segment is reset, and summons nobody.
"""

import asyncio
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from jitsu.network.datagrams import Datagram, read_datagram
from jitsu.network.frames import RST, Segment, mac_bytes, read_segment, reset_for, target_of
from jitsu.network.neighbours import Enquiry, announcement, answer_to, read_enquiry

log = logging.getLogger(__name__)

_LARGEST_FRAME = 65536
_FRAMES_A_TURN = 64
_ANNOUNCED_AT_ONCE, _ANNOUNCEMENT_PAUSE = 50, 0.005
"""Announcements in a burst, and seconds between two: 10,000 a second."""


class Household(Protocol):
    """Who is told what arrives for the services."""

    def knocked(self, service: str, segment: Segment, frame: bytes) -> None:
        """A SYN arrived for a service."""

    def arrived(self, service: str, datagram: Datagram, frame: bytes) -> None:
        """A datagram or an echo request arrived for a service that is not awake."""

    def strayed(self, service: str, frame: bytes) -> None:
        """A frame arrived here for a guest whose gate is open: it was on its way when the gate was opened."""


@dataclass(slots=True)
class _Sleeper:
    service: str
    mac: bytes
    awake: bool = False


@dataclass(slots=True)
class Sightings:
    """How many frames of each kind the sentinel saw for its services, since it began."""

    enquiry: int = 0
    syn: int = 0
    datagram: int = 0
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
        """Tell everybody where the services are, a few at a time: ten thousand at once would keep the loop, fill every
        queue behind it, and drown the client's own network card.

        A client that asked while no daemon ran is about to give up, and takes the next connection with it: this
        brings its packets on the way. A guest that is awake has the same MAC, and our port teaches the bridge nothing.
        """
        addresses = list(self._by_address.items())
        for first in range(0, len(addresses), _ANNOUNCED_AT_ONCE):
            if first:
                await asyncio.sleep(_ANNOUNCEMENT_PAUSE)
            for address, sleeper in addresses[first : first + _ANNOUNCED_AT_ONCE]:
                self._send(announcement(sleeper.mac, address))

    def announce_one(self, service: str, addresses: Iterable[IPv4Address | IPv6Address]) -> None:
        """Tell everybody where one service is."""
        for address in addresses:
            self._send(announcement(self._by_service[service].mac, address.packed))

    def stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)

    def move_to(self, fd: int) -> None:
        """Read another tap from now on, for the old one was taken away."""
        self.stop()
        self._fd = fd
        self.start()

    def guard(self, service: str, addresses: Iterable[IPv4Address | IPv6Address], mac: str) -> None:
        """Stand in for a service at all its addresses."""
        sleeper = _Sleeper(service, mac_bytes(mac))
        for address in addresses:
            self._by_address[address.packed] = sleeper
        self._by_service[service] = sleeper

    def forget(self, service: str, addresses: Iterable[IPv4Address | IPv6Address]) -> None:
        """Stand in for it no longer."""
        sleeper = self._by_service.pop(service)
        for address in addresses:
            # Another one may have been given it already.
            if self._by_address.get(address.packed) is sleeper:
                del self._by_address[address.packed]

    def step_aside(self, service: str) -> None:
        """The gate is open: the guest answers enquiries itself, and what still arrives here has strayed."""
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
            enquiry = read_enquiry(frame)
            if enquiry is not None:
                self._enquired(enquiry)
            self._packet(frame)

    def _enquired(self, enquiry: Enquiry) -> None:
        sleeper = self._by_address.get(enquiry.target)
        if sleeper is None or sleeper.awake:
            return
        # A guest's probe of its own address (RFC 5227, RFC 4862) or a gratuitous request is not a question to us.
        if enquiry.sender == enquiry.target or enquiry.sender_mac == sleeper.mac:
            return
        self.seen.enquiry += 1
        self._send(answer_to(enquiry, sleeper.mac))

    def _packet(self, frame: bytes) -> None:
        sleeper = self._by_address.get(target_of(frame))
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
        elif segment is None and (datagram := read_datagram(frame)) is not None:
            self.seen.datagram += 1
            self._household.arrived(sleeper.service, datagram, frame)

    def _send(self, frame: bytes) -> None:
        """Answer through our own port, which learns nothing. A full queue drops the frame, as a wire would, and so
        does a port that is down: who answers has more to do than this."""
        try:
            os.write(self._fd, frame)
        except OSError as error:
            log.debug("an answer was lost: %s", error)
