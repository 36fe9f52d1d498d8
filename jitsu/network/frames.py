"""Ethernet, ARP, IPv4 and TCP as far as the sentinel needs them: read what may start a connection, write answers.

Addresses are `bytes` in network order (6 for a MAC, 4 for IPv4). Everything read here was sent by strangers: a frame
that is short, wrong or of no interest parses to None and never raises.
"""

import socket
import struct
from dataclasses import dataclass

BROADCAST = b"\xff" * 6

_ETHERTYPE_IPV4, _ETHERTYPE_ARP = 0x0800, 0x0806
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_ARP_ETHERNET_IPV4 = (1, _ETHERTYPE_IPV4, 6, 4)
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_TCP = struct.Struct("!HHIIBBHHH")
_MINIMUM_FRAME = 60

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10


@dataclass(frozen=True, slots=True)
class Arp:
    """An ARP packet for Ethernet and IPv4 (RFC 826)."""

    request: bool
    sender_mac: bytes
    sender: bytes
    target: bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """The head of a TCP segment. `length` is its payload in bytes, as the IPv4 header tells it."""

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


def read_arp(frame: bytes) -> Arp | None:
    """The ARP packet in this frame."""
    if len(frame) < 42 or frame[12:14] != b"\x08\x06":
        return None
    *kind, operation, sender_mac, sender, _, target = _ARP.unpack_from(frame, 14)
    if tuple(kind) != _ARP_ETHERNET_IPV4 or operation not in (1, 2):
        return None
    return Arp(operation == 1, sender_mac, sender, target)


def read_segment(frame: bytes) -> Segment | None:
    """The TCP segment in this frame, unless it is a later fragment."""
    if len(frame) < 54 or frame[12:14] != b"\x08\x00":
        return None
    version, _, total, _, fragment, _, protocol, _, source, target = _IPV4.unpack_from(frame, 14)
    header = (version & 0x0F) * 4
    if version >> 4 != 4 or header < 20 or protocol != socket.IPPROTO_TCP or fragment & 0x1FFF:
        return None
    start = 14 + header
    if len(frame) < start + _TCP.size or total < header + _TCP.size:
        return None
    source_port, target_port, sequence, acknowledged, offset, flags, *_ = _TCP.unpack_from(frame, start)
    length = total - header - (offset >> 4) * 4
    if offset >> 4 < 5 or length < 0:
        return None
    return Segment(
        frame[6:12], frame[0:6], source, target, source_port, target_port, sequence, acknowledged, flags, length
    )


def arp_request(sender_mac: bytes, sender: bytes, target_mac: bytes, target: bytes) -> bytes:
    """A frame to `target_mac` that asks for `target`, and so teaches its reader who `sender` is."""
    body = _ARP.pack(*_ARP_ETHERNET_IPV4, 1, sender_mac, sender, bytes(6), target)
    return _ethernet(target_mac, sender_mac, _ETHERTYPE_ARP, body)


def arp_reply(request: Arp, mac: bytes) -> bytes:
    """The frame that answers `request`: its target is at `mac`."""
    body = _ARP.pack(*_ARP_ETHERNET_IPV4, 2, mac, request.target, request.sender_mac, request.sender)
    return _ethernet(request.sender_mac, mac, _ETHERTYPE_ARP, body)


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
    """A frame with a TCP segment that has neither options nor payload, checksums complete."""
    (source_ip, source_port), (target_ip, target_port) = source, target
    head = _TCP.pack(source_port, target_port, sequence, acknowledged, 5 << 4, flags, window, 0, 0)
    pseudo = source_ip + target_ip + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(head))
    tcp = head[:16] + struct.pack("!H", checksum(pseudo + head)) + head[18:]
    ip = _IPV4.pack(0x45, 0, 20 + len(tcp), 0, 0x4000, 64, socket.IPPROTO_TCP, 0, source_ip, target_ip)
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return _ethernet(target_mac, source_mac, _ETHERTYPE_IPV4, ip + tcp)


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


def _ethernet(target: bytes, source: bytes, ethertype: int, body: bytes) -> bytes:
    return (target + source + struct.pack("!H", ethertype) + body).ljust(_MINIMUM_FRAME, b"\0")
