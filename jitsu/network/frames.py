"""Ethernet, IP of both versions, and TCP as far as the sentinel needs them: read what may start a connection, write
answers. How neighbours find each other, ARP and its successor, is in `neighbours.py`.

Addresses are `bytes` in network order (6 for a MAC, 4 for IPv4, 16 for IPv6). Everything read here was sent by
strangers: a frame that is short, wrong or of no interest parses to None and never raises.
"""

import socket
import struct
from dataclasses import dataclass

BROADCAST = b"\xff" * 6

ETHERTYPE_IPV4, ETHERTYPE_ARP, ETHERTYPE_IPV6 = b"\x08\x00", b"\x08\x06", b"\x86\xdd"
IPV6_HEADER = 40

_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_IPV6 = struct.Struct("!IHBB16s16s")
_TCP = struct.Struct("!HHIIBBHHH")
_ETHERNET_HEADER = 14
_HOP_LIMIT = 64
_MINIMUM_FRAME = 60

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10


@dataclass(frozen=True, slots=True)
class Segment:
    """The head of a TCP segment. `length` is its payload in bytes, as the IP header tells it."""

    source_mac: bytes
    target_mac: bytes
    source: bytes
    target: bytes
    source_port: int
    target_port: int
    sequence: int
    acknowledged: int
    flags: int
    length: int

    @property
    def opens(self) -> bool:
        """Is this the SYN of a connection somebody wants to open?"""
        return self.flags & (SYN | ACK | RST | FIN) == SYN


def mac_bytes(text: str) -> bytes:
    """`52:54:00:12:34:56` as six bytes. Raises ValueError."""
    packed = bytes.fromhex(text.replace(":", ""))
    if len(packed) != 6 or text.count(":") != 5:
        raise ValueError(text)
    return packed


def mac_text(mac: bytes) -> str:
    """Six bytes in colon notation."""
    return mac.hex(":")


def target_of(frame: bytes) -> bytes:
    """The IP address that the frame is for; empty if it carries no IP. It is not looked at closer than that."""
    if frame[12:14] == ETHERTYPE_IPV4:
        return frame[30:34]
    return frame[38:54] if frame[12:14] == ETHERTYPE_IPV6 else b""


def read_segment(frame: bytes) -> Segment | None:
    """The TCP segment in this frame, unless it is a later fragment.

    In IPv6 it must follow the IP header at once: what comes behind extension headers is of no interest, as no client
    puts any before the segments of a connection that it opens.
    """
    located = locate(frame, socket.IPPROTO_TCP)
    if located is None:
        return None
    source, target, start, size = located
    if len(frame) < start + _TCP.size or size < _TCP.size:
        return None
    source_port, target_port, sequence, acknowledged, offset, flags, *_ = _TCP.unpack_from(frame, start)
    length = size - (offset >> 4) * 4
    if offset >> 4 < 5 or length < 0:
        return None
    return Segment(
        frame[6:12], frame[0:6], source, target, source_port, target_port, sequence, acknowledged, flags, length
    )


def locate(frame: bytes, protocol: int) -> tuple[bytes, bytes, int, int] | None:
    """Source, target, and of the message of that protocol where it begins and how long it is; None for any other, and
    for later fragments."""
    if frame[12:14] == ETHERTYPE_IPV4 and len(frame) >= _ETHERNET_HEADER + _IPV4.size:
        version, _, total, _, fragment, _, carried, _, source, target = _IPV4.unpack_from(frame, _ETHERNET_HEADER)
        header = (version & 0x0F) * 4
        if version >> 4 != 4 or header < _IPV4.size or carried != protocol or fragment & 0x1FFF:
            return None
        return source, target, _ETHERNET_HEADER + header, total - header
    if frame[12:14] == ETHERTYPE_IPV6 and len(frame) >= _ETHERNET_HEADER + IPV6_HEADER:
        first, size, following, _, source, target = _IPV6.unpack_from(frame, _ETHERNET_HEADER)
        if first >> 28 != 6 or following != protocol:
            return None
        return source, target, _ETHERNET_HEADER + IPV6_HEADER, size
    return None


def tcp_segment(
    source_mac: bytes,
    target_mac: bytes,
    source: tuple[bytes, int],
    target: tuple[bytes, int],
    *,
    sequence: int,
    acknowledged: int = 0,
    flags: int,
    window: int = 0,
) -> bytes:
    """A frame with a TCP segment that has neither options nor payload, checksums complete. The addresses are both of
    IPv4 or both of IPv6."""
    (source_ip, source_port), (target_ip, target_port) = source, target
    head = _TCP.pack(source_port, target_port, sequence, acknowledged, 5 << 4, flags, window, 0, 0)
    tcp = with_checksum(head, 16, source_ip, target_ip, socket.IPPROTO_TCP)
    if len(source_ip) == 16:
        packet = ipv6_packet(source_ip, target_ip, socket.IPPROTO_TCP, tcp, _HOP_LIMIT)
        return ethernet(target_mac, source_mac, ETHERTYPE_IPV6, packet)
    ip = _IPV4.pack(0x45, 0, 20 + len(tcp), 0, 0x4000, _HOP_LIMIT, socket.IPPROTO_TCP, 0, source_ip, target_ip)
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return ethernet(target_mac, source_mac, ETHERTYPE_IPV4, ip + tcp)


def reset_for(segment: Segment) -> bytes:
    """The RST that a closed port sends for this segment (RFC 9293, 3.10.7.1), in the name of its target."""
    if segment.flags & ACK:
        sequence, acknowledged, flags = segment.acknowledged, 0, RST
    else:
        consumed = segment.length + bool(segment.flags & SYN) + bool(segment.flags & FIN)
        sequence, acknowledged, flags = 0, (segment.sequence + consumed) & 0xFFFFFFFF, RST | ACK
    return tcp_segment(
        segment.target_mac,
        segment.source_mac,
        (segment.target, segment.target_port),
        (segment.source, segment.source_port),
        sequence=sequence,
        acknowledged=acknowledged,
        flags=flags,
    )


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def with_checksum(message: bytes, at: int, source: bytes, target: bytes, protocol: int) -> bytes:
    """A TCP or ICMPv6 message with its checksum at offset `at`, where it has zeros: over the pseudo header (RFC 9293,
    3.1; RFC 8200, 8.1) and the message."""
    # IPv6 has wider fields for length and protocol, but their sums are the same.
    pseudo = source + target + struct.pack("!HH", protocol, len(message))
    return message[:at] + struct.pack("!H", checksum(pseudo + message)) + message[at + 2 :]


def ipv6_packet(source: bytes, target: bytes, following: int, body: bytes, hop_limit: int) -> bytes:
    """An IPv6 packet (RFC 8200) whose header is followed by `body`, a message of protocol `following`."""
    return _IPV6.pack(6 << 28, len(body), following, hop_limit, source, target) + body


def ethernet(target: bytes, source: bytes, ethertype: bytes, body: bytes) -> bytes:
    """An Ethernet frame, padded to the least length."""
    return (target + source + ethertype + body).ljust(_MINIMUM_FRAME, b"\0")
