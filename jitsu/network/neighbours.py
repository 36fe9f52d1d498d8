"""How neighbours on a link find each other: ARP for IPv4 (RFC 826), Neighbour Discovery for IPv6 (RFC 4861).

Both ask the same thing, who has this address, and are answered the same way, so one vocabulary serves both; which of
the two a message is in follows from the length of its addresses, as in `frames.py`.
"""

import socket
import struct
from dataclasses import dataclass

from jitsu.network.frames import (
    BROADCAST,
    ETHERTYPE_ARP,
    ETHERTYPE_IPV6,
    IPV6_HEADER,
    checksum,
    ethernet,
    ipv6_packet,
    with_checksum,
)

_ARP = struct.Struct("!HHBBH6s4s6s4s")
_ARP_ETHERNET_IPV4 = (1, 0x0800, 6, 4)
_ARP_REQUEST, _ARP_REPLY = 1, 2

_SOLICITATION, _ADVERTISEMENT = 135, 136
_SOLICITED, _OVERRIDE = 0x40000000, 0x20000000
_SOURCE_MAC, _TARGET_MAC = 1, 2
_ICMPV6_AT = 14 + IPV6_HEADER
_NDP = struct.Struct("!BBHI16s")
_HOP_LIMIT = 255
"""What comes from beyond the link has less by then, so that only neighbours can speak (RFC 4861 section 7.1)."""
_UNSPECIFIED = bytes(16)
_ALL_NODES = bytes.fromhex("ff02") + bytes(13) + b"\1"
_SOLICITED_NODE = bytes.fromhex("ff02") + bytes(9) + bytes.fromhex("01ff")
"""The first 13 octets of a solicited-node address; the last three are those of the address that is asked for."""


@dataclass(frozen=True, slots=True)
class Enquiry:
    """Somebody asks for the MAC of `target`: an ARP request, or a neighbour solicitation."""

    sender_mac: bytes
    sender: bytes
    """All zeros: the asker only wants to know whether the address is taken (RFC 5227; RFC 4862 section 5.4)."""
    target: bytes


def read_enquiry(frame: bytes) -> Enquiry | None:
    """The question in this frame; what must be discarded by the RFCs, and whatever else is no question, is None."""
    if frame[12:14] == ETHERTYPE_ARP:
        return _read_arp(frame)
    return _read_solicitation(frame) if frame[12:14] == ETHERTYPE_IPV6 else None


def answer_to(enquiry: Enquiry, mac: bytes) -> bytes:
    """The frame that answers: what was asked for is at `mac`.

    An advertisement overrides what the asker may believe, as one of the node itself does. Who asks without having an
    address yet can only be told together with everybody else, unsolicited (RFC 4861 section 7.2.4).
    """
    if len(enquiry.target) == 4:
        body = _ARP.pack(*_ARP_ETHERNET_IPV4, _ARP_REPLY, mac, enquiry.target, enquiry.sender_mac, enquiry.sender)
        return ethernet(enquiry.sender_mac, mac, ETHERTYPE_ARP, body)
    if enquiry.sender == _UNSPECIFIED:
        return _advertisement(mac, enquiry.target, BROADCAST, _ALL_NODES, _OVERRIDE)
    return _advertisement(mac, enquiry.target, enquiry.sender_mac, enquiry.sender, _SOLICITED | _OVERRIDE)


def enquiry(sender_mac: bytes, sender: bytes, target: bytes, target_mac: bytes = BROADCAST) -> bytes:
    """A frame that asks for `target`, and so teaches its reader who `sender` is: for everybody, or for one MAC."""
    if len(target) == 4:
        body = _ARP.pack(*_ARP_ETHERNET_IPV4, _ARP_REQUEST, sender_mac, sender, bytes(6), target)
        return ethernet(target_mac, sender_mac, ETHERTYPE_ARP, body)
    # One that goes to a single MAC is addressed as such too, for a group's address would be another MAC's.
    to = _SOLICITED_NODE + target[13:] if target_mac == BROADCAST else target
    return _ndp(_SOLICITATION, sender_mac, sender, target_mac, to, target, 0, _SOURCE_MAC)


def announcement(mac: bytes, address: bytes) -> bytes:
    """A frame for everybody: `address` is at `mac` (an ARP announcement, RFC 5227 section 3; an unsolicited neighbour
    advertisement, RFC 4861 section 7.2.6)."""
    if len(address) == 4:
        return enquiry(mac, address, address)
    return _advertisement(mac, address, BROADCAST, _ALL_NODES, _OVERRIDE)


def _read_arp(frame: bytes) -> Enquiry | None:
    if len(frame) < 14 + _ARP.size:
        return None
    *kind, operation, sender_mac, sender, _, target = _ARP.unpack_from(frame, 14)
    if tuple(kind) != _ARP_ETHERNET_IPV4 or operation != _ARP_REQUEST:
        return None
    return Enquiry(sender_mac, sender, target)


def _read_solicitation(frame: bytes) -> Enquiry | None:
    """A solicitation that passes the checks of RFC 4861 section 7.1.1."""
    size, following, hop_limit = struct.unpack_from("!HBB", frame, 18) if len(frame) >= _ICMPV6_AT else (0, 0, 0)
    message = frame[_ICMPV6_AT : _ICMPV6_AT + size]
    if following != socket.IPPROTO_ICMPV6 or hop_limit != _HOP_LIMIT or not _NDP.size <= size == len(message):
        return None
    kind, code, _, _, target = _NDP.unpack_from(message)
    sender, to = frame[22:38], frame[38:54]
    sums = checksum(sender + to + struct.pack("!HH", socket.IPPROTO_ICMPV6, size) + message)
    if frame[14] >> 4 != 6 or kind != _SOLICITATION or code or sums or 0xFF in (target[0], sender[0]):
        return None
    options = _options(message[_NDP.size :])
    if options is None:
        return None
    stated = options.get(_SOURCE_MAC)
    if sender == _UNSPECIFIED and (stated is not None or to != _SOLICITED_NODE + target[13:]):
        return None
    return Enquiry(stated or frame[6:12], sender, target)


def _options(data: bytes) -> dict[int, bytes] | None:
    """The link-layer addresses among the options of a message, by kind; None for options that are malformed."""
    found: dict[int, bytes] = {}
    while data:
        length = data[1] * 8 if len(data) > 1 else 0
        if not 0 < length <= len(data):
            return None
        if length == 8:
            found.setdefault(data[0], data[2:8])
        data = data[length:]
    return found


def _advertisement(mac: bytes, address: bytes, to_mac: bytes, to: bytes, flags: int) -> bytes:
    return _ndp(_ADVERTISEMENT, mac, address, to_mac, to, address, flags, _TARGET_MAC)


def _ndp(
    kind: int, mac: bytes, source: bytes, to_mac: bytes, to: bytes, target: bytes, flags: int, option: int
) -> bytes:
    """A message of Neighbour Discovery about `target`, with `mac` in its one option. A group's MAC follows from the
    group (RFC 2464 section 7)."""
    message = _NDP.pack(kind, 0, 0, flags, target) + bytes((option, 1)) + mac
    message = with_checksum(message, 2, source, to, socket.IPPROTO_ICMPV6)
    packet = ipv6_packet(source, to, socket.IPPROTO_ICMPV6, message, _HOP_LIMIT)
    return ethernet(b"\x33\x33" + to[12:] if to[0] == 0xFF else to_mac, mac, ETHERTYPE_IPV6, packet)
