"""Frames with UDP datagrams and echo requests, as clients send them."""

import socket
import struct
from ipaddress import IPv6Address

from jitsu.network.frames import (
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    checksum,
    ethernet,
    ipv6_packet,
    with_checksum,
)

CLIENT_MAC = bytes.fromhex("02000000aa01")
GUEST_MAC = bytes.fromhex("525400000001")
CLIENT, GUEST = bytes([10, 77, 0, 200]), bytes([10, 77, 0, 10])
CLIENT6, GUEST6 = IPv6Address("fd77::200").packed, IPv6Address("fd77::10").packed


def udp(
    port: int, payload: bytes = b"hello", *, version: int = 4, to: bytes | None = None, mac: bytes = GUEST_MAC
) -> bytes:
    """A datagram to `port`."""
    source, target = (CLIENT, GUEST) if version == 4 else (CLIENT6, GUEST6)
    target = to or target
    message = struct.pack("!HHHH", 40000, port, 8 + len(payload), 0) + payload
    message = with_checksum(message, 6, source, target, socket.IPPROTO_UDP)
    return _frame(source, target, socket.IPPROTO_UDP, message, mac)


def echo(number: int = 1, *, version: int = 4, kind: int | None = None) -> bytes:
    """An echo request, or another ICMP message of that kind."""
    if version == 4:
        message = struct.pack("!BBHHH", 8 if kind is None else kind, 0, 0, 77, number) + b"payload"
        message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
        return _frame(CLIENT, GUEST, socket.IPPROTO_ICMP, message, GUEST_MAC)
    message = struct.pack("!BBHHH", 128 if kind is None else kind, 0, 0, 77, number) + b"payload"
    message = with_checksum(message, 2, CLIENT6, GUEST6, socket.IPPROTO_ICMPV6)
    return _frame(CLIENT6, GUEST6, socket.IPPROTO_ICMPV6, message, GUEST_MAC)


def later_fragment(frame: bytes) -> bytes:
    """The same as if it were not the first fragment of its packet."""
    return frame[:20] + struct.pack("!H", 185) + frame[22:]


def _frame(source: bytes, target: bytes, protocol: int, message: bytes, mac: bytes) -> bytes:
    if len(source) == 16:
        return ethernet(mac, CLIENT_MAC, ETHERTYPE_IPV6, ipv6_packet(source, target, protocol, message, 64))
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(message), 7, 0, 64, protocol, 0, source, target)
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return ethernet(mac, CLIENT_MAC, ETHERTYPE_IPV4, header + message)
