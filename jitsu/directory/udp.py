"""DNS over UDP on one socket.

The socket is read by hand rather than through an asyncio transport for the sake of one thing: a socket bound to
0.0.0.0 or :: must answer from the address it was asked at, or the client takes the answer for a stranger's. The
kernel tells that address with every packet (IP_PKTINFO, ip(7); IPV6_PKTINFO, RFC 3542 section 6) and takes it back
with the reply.
"""

import asyncio
import logging
import socket
import struct
import time
from functools import partial
from typing import Any

from jitsu.directory.enquiries import Enquiries

log = logging.getLogger(__name__)

LARGEST_QUERY = 4096
"""Octets; what is longer is cut off and thus malformed. A question of the longest name takes 300."""

BATCH = 64
"""Packets taken at one go before the event loop's others have their turn."""

_IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)
"""Its value is from linux/in.h: Python 3.11 does not know the name."""
_IN_PKTINFO = struct.Struct("=I4s4s")
_IN6_PKTINFO = struct.Struct("=16sI")
_ANCILLARY_SPACE = socket.CMSG_SPACE(_IN6_PKTINFO.size)

Ancillary = list[tuple[int, int, bytes]]


class UdpListener:
    """Reads questions from `sock`, a bound UDP socket that it owns from now on, until it is closed."""

    def __init__(self, sock: socket.socket, enquiries: Enquiries) -> None:
        self._sock = sock
        self._enquiries = enquiries
        sock.setblocking(False)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        asyncio.get_running_loop().add_reader(sock, self._read)

    def close(self) -> None:
        """Stop reading and close the socket."""
        asyncio.get_running_loop().remove_reader(self._sock)
        self._sock.close()

    def _read(self) -> None:
        for _ in range(BATCH):
            try:
                packet, ancillary, _flags, client = self._sock.recvmsg(LARGEST_QUERY, _ANCILLARY_SPACE)
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("reading DNS questions: %s", error)
                return
            arrived = time.monotonic()
            send = partial(self._send, client, ancillary)
            self._enquiries.ask(packet, client[0], "udp", arrived, send)

    def _send(self, client: Any, ancillary: Ancillary, packet: bytes) -> None:
        try:
            self._sock.sendmsg([packet], _same_address(ancillary), 0, client)
        except OSError as error:
            # A full buffer, or a forged sender that cannot be reached: UDP may lose packets, and clients ask again.
            log.debug("answering %s: %s", client[0], error)


def _same_address(ancillary: Ancillary) -> Ancillary:
    """From the control messages of a question those of its answer: from the same address, by any interface."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            _interface, local, _destination = _IN_PKTINFO.unpack(data)
            return [(level, kind, _IN_PKTINFO.pack(0, local, bytes(4)))]
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            local, _interface = _IN6_PKTINFO.unpack(data)
            return [(level, kind, _IN6_PKTINFO.pack(local, 0))]
    return []
