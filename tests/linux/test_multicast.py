"""Neighbour solicitations on a real bridge: who gets them, also where the bridge snoops and the network is queried."""

import os
import select
import socket
import struct
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Address

import pytest

from jitsu.network.bridge import BridgeSettings
from jitsu.network.frames import ETHERTYPE_IPV6, ethernet, ipv6_packet, with_checksum
from jitsu.network.host import HostNetwork
from jitsu.network.neighbours import enquiry, read_enquiry
from jitsu.network.tap import open_tap

pytestmark = pytest.mark.usefixtures("private_network")

CLIENT_MAC = bytes.fromhex("525400000099")
CLIENT, SLEEPER = IPv6Address("fd77::c8").packed, IPv6Address("fd77::10").packed
ROUTER, ALL_NODES = IPv6Address("fe80::1").packed, IPv6Address("ff02::1").packed
SOLICITATION = enquiry(CLIENT_MAC, CLIENT, SLEEPER)


@dataclass
class Link:
    """The ends of four ports: the sentinel's, a guest's, a client's, and a bystander's, which is as the kernel makes
    one by default."""

    sentinel: int
    guest: int
    client: int
    bystander: int

    def solicit(self) -> set[str]:
        """Ask once; who heard it."""
        ports = {"sentinel": self.sentinel, "guest": self.guest, "bystander": self.bystander}
        for fd in ports.values():
            _heard(fd, 0)
        os.write(self.client, SOLICITATION)
        return {name for name, fd in ports.items() if _heard(fd, 0.1)}


@pytest.fixture
async def link(request: pytest.FixtureRequest) -> AsyncIterator[Link]:
    """A bridge of the administrator's own, made with the words of the test."""
    _ip("link", "add", "jt0", "type", "bridge", "forward_delay", "0", *request.param)
    _ip("link", "set", "jt0", "up")
    network = HostNetwork(BridgeSettings("jt0", IPv4Interface("10.9.0.1/24"), "multicast-test", existing=True))
    sentinel = await network.start()
    guest = network.open_taps(1)[0]
    network.plug(1)
    ends = [open_tap(name) for name in ("client", "bystander")]
    for name in ("client", "bystander"):
        _ip("link", "set", name, "master", "jt0", "up")
    link = Link(sentinel, guest, *ends)
    yield link
    for fd in (*ends, guest, sentinel):
        os.close(fd)
    await network.stop()


@pytest.mark.parametrize("link", [["mcast_snooping", "0"]], indirect=True)
def test_a_bridge_that_does_not_snoop_gives_them_to_everybody(link: Link) -> None:
    _until(link, {"sentinel", "guest", "bystander"})


@pytest.mark.parametrize(
    "link",
    [["mcast_snooping", "1"]],
    indirect=True,
)
def test_a_bridge_that_snoops_gives_them_to_the_sentinel_and_to_guests_all_the_same(link: Link) -> None:
    """The bystander has joined no group and gets none, which shows that the bridge does snoop."""
    _until(link, {"sentinel", "guest", "bystander"})
    os.write(link.client, _query())
    _until(link, {"sentinel", "guest"})


def _query() -> bytes:
    """A router's general query for listeners, to be answered within 10 ms (RFC 2710 section 3). From then on the bridge
    believes that it knows who listens to what."""
    message = struct.pack("!BBHHH16s", 130, 0, 0, 10, 0, bytes(16))
    message = with_checksum(message, 2, ROUTER, ALL_NODES, socket.IPPROTO_ICMPV6)
    router_alert = bytes((socket.IPPROTO_ICMPV6, 0, 5, 2, 0, 0, 1, 0))
    packet = ipv6_packet(ROUTER, ALL_NODES, socket.IPPROTO_HOPOPTS, router_alert + message, 1)
    return ethernet(b"\x33\x33\0\0\0\x01", CLIENT_MAC, ETHERTYPE_IPV6, packet)


def _until(link: Link, wanted: set[str]) -> None:
    """Ask until just these hear it, ten seconds at most: ports and queriers take a moment to come up."""
    give_up = time.monotonic() + 10
    heard: list[set[str]] = []
    while time.monotonic() < give_up:
        heard.append(link.solicit())
        if heard[-3:] == [wanted] * 3:
            return
    raise AssertionError(f"heard by {heard[-1]}, not by {wanted}")


def _heard(fd: int, patience: float) -> bool:
    """Whether the solicitation waits in this tap, or arrives; the tap is empty then."""
    select.select([fd], [], [], patience)
    found = False
    while True:
        try:
            asked = read_enquiry(os.read(fd, 2048))
        except BlockingIOError:
            return found
        found |= asked is not None and asked.target == SLEEPER


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
