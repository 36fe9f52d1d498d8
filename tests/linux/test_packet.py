"""What the kernel's filter lets through to those who read a guest's port."""

import asyncio
import os
import socket
import subprocess
from collections.abc import Iterator
from ipaddress import IPv6Address

import pytest

from jitsu.network.frames import ACK, FIN, RST, SYN, tcp_segment
from jitsu.network.neighbours import Enquiry, answer_to, enquiry
from jitsu.network.packet import Interest, PortSocket
from jitsu.network.tap import open_tap

pytestmark = pytest.mark.usefixtures("private_network")

GUEST_MAC, CLIENT_MAC = bytes.fromhex("525400000010"), bytes.fromhex("525400000099")
GUEST, CLIENT = bytes([10, 77, 0, 10]), bytes([10, 77, 0, 200])
GUEST6, CLIENT6 = IPv6Address("fd77::10").packed, IPv6Address("fd77::c8").packed


def tcp(source: bytes, target: bytes, flags: int) -> bytes:
    return tcp_segment(GUEST_MAC, CLIENT_MAC, (source, 80), (target, 40000), sequence=1, flags=flags)


def changed(frame: bytes, at: int, value: int) -> bytes:
    return frame[:at] + bytes([value]) + frame[at + 1 :]


CONTROL = {
    f"{name} of IPv{version}": tcp(source, target, flags)
    for version, source, target in ((4, GUEST, CLIENT), (6, GUEST6, CLIENT6))
    for name, flags in (("SYN", SYN | ACK), ("FIN", FIN | ACK), ("RST", RST))
}
QUESTIONS = {
    "ARP request": enquiry(GUEST_MAC, GUEST, CLIENT),
    "ARP reply": answer_to(Enquiry(CLIENT_MAC, CLIENT, GUEST), GUEST_MAC),
    "solicitation": enquiry(GUEST_MAC, GUEST6, CLIENT6),
}
REST = {
    "ACK of IPv4": tcp(GUEST, CLIENT, ACK),
    "ACK of IPv6": tcp(GUEST6, CLIENT6, ACK),
    "advertisement": answer_to(Enquiry(CLIENT_MAC, CLIENT6, GUEST6), GUEST_MAC),
    "UDP of IPv4": changed(tcp(GUEST, CLIENT, SYN), 23, socket.IPPROTO_UDP),
    "UDP of IPv6": changed(tcp(GUEST6, CLIENT6, SYN), 20, socket.IPPROTO_UDP),
    "later fragment": changed(tcp(GUEST, CLIENT, SYN), 21, 1),
    "SYN behind an extension header": changed(tcp(GUEST6, CLIENT6, SYN), 20, 60),
    "nothing known": CLIENT_MAC + GUEST_MAC + b"\x88\xb5" + bytes(60),
}


@pytest.fixture
def tap() -> Iterator[int]:
    fd = open_tap("guest")
    subprocess.run(["ip", "link", "set", "guest", "addrgenmode", "none", "up"], check=True)
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    ("interest", "wanted"),
    [(Interest.CONNECTIONS, CONTROL), (Interest.PROBES, CONTROL | QUESTIONS)],
    ids=["connections", "probes"],
)
async def test_only_what_is_of_interest_is_read(tap: int, interest: Interest, wanted: dict[str, bytes]) -> None:
    read: list[tuple[bytes, bool]] = []
    everything = CONTROL | QUESTIONS | REST
    port = PortSocket("guest", interest, lambda frame, to_guest: read.append((frame, to_guest)))
    try:
        for frame in everything.values():
            os.write(tap, frame)
        async with asyncio.timeout(10):
            while len(read) < len(wanted):  # noqa: ASYNC110 - the socket is read by the loop, a turn at a time
                await asyncio.sleep(0)
        # One more that is wanted: whatever was let through before it has been read when it is.
        os.write(tap, CONTROL["RST of IPv4"])
        async with asyncio.timeout(10):
            while read[-1][0] != CONTROL["RST of IPv4"] or len(read) <= len(wanted):  # noqa: ASYNC110
                await asyncio.sleep(0)
    finally:
        await port.close()
    names = {frame: name for name, frame in everything.items()}
    assert [names[frame] for frame, _ in read[:-1]] == list(wanted)
    assert not any(to_guest for _, to_guest in read)
