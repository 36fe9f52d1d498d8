"""A raw socket on one bridge port: frames put into the guest's tap, and the few of the guest's frames worth reading.

What is sent here goes out of the port itself, towards the guest, without passing the bridge; so the bridge learns
nothing from it. What is read here is seen before the bridge decides, so that even a locked-out guest is heard.
"""

import asyncio
import ctypes
import socket
import struct
from collections.abc import Callable
from enum import Enum

_ETH_P_ALL = 3
_SO_ATTACH_FILTER = 26
_PACKET_OUTGOING = 4
_SNAPPED = 128
_FRAMES_A_TURN = 32
_NEIGHBOUR_SOLICITATION = 135

# Classic BPF (linux/bpf_common.h): load half word, load byte, load half word at X, jumps and return.
_LDH, _LDB, _LDX_IP, _LDB_X = 0x28, 0x30, 0xB1, 0x50
_JEQ, _JSET, _RET = 0x15, 0x45, 0x06

# TCP over IPv4, first fragment, or TCP right behind an IPv6 header; of it, any of SYN, FIN or RST. A jump's numbers are
# instructions to skip if true, if false; the first that is false in each part leads to the part after it.
_TCP_CONTROL = (
    (_LDH, 0, 0, 12),
    (_JEQ, 0, 9, 0x0800),
    (_LDB, 0, 0, 23),
    (_JEQ, 0, 6, socket.IPPROTO_TCP),
    (_LDH, 0, 0, 20),
    (_JSET, 4, 0, 0x1FFF),
    (_LDX_IP, 0, 0, 14),
    (_LDB_X, 0, 0, 14 + 13),
    (_JSET, 0, 1, 0x07),
    (_RET, 0, 0, _SNAPPED),
    (_RET, 0, 0, 0),
    (_LDH, 0, 0, 12),
    (_JEQ, 0, 5, 0x86DD),
    (_LDB, 0, 0, 14 + 6),
    (_JEQ, 0, 3, socket.IPPROTO_TCP),
    (_LDB, 0, 0, 54 + 13),
    (_JSET, 0, 1, 0x07),
    (_RET, 0, 0, _SNAPPED),
    (_RET, 0, 0, 0),
)
_ENQUIRY_OR_TCP_CONTROL = (
    (_LDH, 0, 0, 12),
    (_JEQ, 5, 0, 0x0806),
    (_JEQ, 0, 5, 0x86DD),
    (_LDB, 0, 0, 14 + 6),
    (_JEQ, 0, 3, socket.IPPROTO_ICMPV6),
    (_LDB, 0, 0, 54),
    (_JEQ, 0, 1, _NEIGHBOUR_SOLICITATION),
    (_RET, 0, 0, _SNAPPED),
    *_TCP_CONTROL,
)
# The same with ACK: as every segment but a SYN carries it, all of TCP.
_TCP = tuple((code, true, false, 0x17 if code == _JSET and k == 0x07 else k) for code, true, false, k in _TCP_CONTROL)


class Interest(Enum):
    """Which frames of a port are read."""

    CONNECTIONS = _TCP_CONTROL
    """Both ways, what opens and ends TCP connections."""
    SEGMENTS = _TCP
    """Every segment, for a guest of which it is not known whether anybody reached it."""
    PROBES = _ENQUIRY_OR_TCP_CONTROL
    """The same as for connections, and ARP and neighbour solicitations, for a guest that is being probed."""


Reader = Callable[[bytes, bool], None]
"""Called with the first 128 bytes of a frame, and whether it goes to the guest."""


class PortSocket:
    """An AF_PACKET socket bound to one interface. Raises OSError when it cannot be made."""

    def __init__(self, interface: str, interest: Interest, reader: Reader) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
        self._reader = reader
        try:
            self.listen_for(interest)
            self._socket.bind((interface, _ETH_P_ALL))
        except OSError:
            self._socket.close()
            raise
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._readable)

    def listen_for(self, interest: Interest) -> None:
        """Choose which frames are read from now on."""
        program = b"".join(struct.pack("=HBBI", *instruction) for instruction in interest.value)
        buffer = ctypes.create_string_buffer(program)
        header = struct.pack("HP", len(interest.value), ctypes.addressof(buffer))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, header)

    def send(self, frame: bytes) -> None:
        """Put a frame into the port, towards the guest. Raises OSError if the port is gone or down."""
        self._socket.send(frame)

    def _readable(self) -> None:
        """Read what there is, but not for ever: a guest that floods must not keep the loop to itself."""
        for _ in range(_FRAMES_A_TURN):
            try:
                frame, address = self._socket.recvfrom(_SNAPPED)
            except BlockingIOError:
                return
            except OSError:
                # ENETDOWN: the port went away under us. Whoever owns the port hears of it from the driver.
                self._stop()
                return
            self._reader(frame, address[2] == _PACKET_OUTGOING)

    def _stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket.fileno())

    async def close(self) -> None:
        """Close the socket. The kernel waits an RCU grace period in it (10-15 ms), so a thread does it."""
        if self._socket.fileno() >= 0:
            self._stop()
            await asyncio.to_thread(self._socket.close)
