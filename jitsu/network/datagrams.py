"""UDP datagrams and echo requests, as far as one must be known by which a sleeper is woken.

As in `frames.py`: everything read here was sent by strangers, and what is of no interest parses to None.
"""

import socket
import struct
from dataclasses import dataclass

from jitsu.network.frames import locate

_UDP = struct.Struct("!HHHH")
_ECHO_SIZE = 8
_ECHO_REQUEST = {socket.IPPROTO_ICMP: 8, socket.IPPROTO_ICMPV6: 128}


@dataclass(frozen=True, slots=True)
class Datagram:
    """The head of a UDP datagram (`protocol` is `udp`), or of an echo request of ICMP or ICMPv6 (`icmp`, `port` 0)."""

    protocol: str
    source_mac: bytes
    target_mac: bytes
    source: bytes
    target: bytes
    port: int


def read_datagram(frame: bytes) -> Datagram | None:
    """The datagram or echo request in this frame, or the first fragment of one."""
    located = locate(frame, socket.IPPROTO_UDP)
    if located is not None:
        source, target, start, size = located
        if size < _UDP.size or len(frame) < start + _UDP.size:
            return None
        return Datagram("udp", frame[6:12], frame[0:6], source, target, _UDP.unpack_from(frame, start)[1])
    for protocol, request in _ECHO_REQUEST.items():
        located = locate(frame, protocol)
        if located is not None:
            source, target, start, size = located
            if size < _ECHO_SIZE or len(frame) < start + _ECHO_SIZE or frame[start] != request:
                return None
            return Datagram("icmp", frame[6:12], frame[0:6], source, target, 0)
    return None
