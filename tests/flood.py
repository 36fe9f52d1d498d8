"""A flood of SYNs from made-up sources, at a steady rate, for a while.

    python -m tests.flood INTERFACE RATE SECONDS SEED

Targets are read from standard input, one `MAC ADDRESS` a line. Every frame is another connection: another address of
other people's networks, another port, another sequence number, and right checksums. What was sent and how long it took
is printed as JSON. It runs in the network namespace it is started in, and ends by itself.
"""

import ctypes
import json
import random
import socket
import struct
import sys
import time
from ipaddress import IPv4Address

from jitsu.network.frames import SYN, mac_bytes, tcp_segment

BATCH = 100
_FRAME = 60
_SOURCE = bytes.fromhex("02000000f100")


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.POINTER(_Iovec)),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("header", _Msghdr), ("sent", ctypes.c_uint))


class Volley:
    """A batch of frames of 60 bytes that leave with one system call (sendmmsg(2))."""

    def __init__(self, interface: str) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.bind((interface, 0))
        self._buffer = ctypes.create_string_buffer(BATCH * _FRAME)
        start = ctypes.addressof(self._buffer)
        self._vectors = [_Iovec(start + number * _FRAME, _FRAME) for number in range(BATCH)]
        self._messages = (_Mmsghdr * BATCH)(
            *(_Mmsghdr(_Msghdr(iov=ctypes.pointer(vector), iovlen=1), 0) for vector in self._vectors)
        )
        self._sendmmsg = ctypes.CDLL(None, use_errno=True).sendmmsg

    def fire(self, frames: list[bytes]) -> int:
        """Send BATCH frames; how many went out."""
        self._buffer.raw = b"".join(frames)
        return max(0, int(self._sendmmsg(self._socket.fileno(), self._messages, BATCH, 0)))


class Template:
    """A SYN to one target, of which only the source address, the port and the sequence number are missing."""

    def __init__(self, mac: str, address: str) -> None:
        target = IPv4Address(address).packed, 80
        self._frame = tcp_segment(_SOURCE, mac_bytes(mac), (bytes(4), 0), target, sequence=0, flags=SYN, window=64240)

    def frame(self, source: bytes, port: int, sequence: int) -> bytes:
        frame = self._frame
        added = sum(struct.unpack("!2H", source))
        ip = _sum(frame, 24, added)
        tcp = _sum(frame, 50, added + port + (sequence >> 16) + (sequence & 0xFFFF))
        return b"".join(
            (
                frame[:24],
                ip,
                source,
                frame[30:34],
                port.to_bytes(2, "big"),
                frame[36:38],
                sequence.to_bytes(4, "big"),
                frame[42:50],
                tcp,
                frame[52:],
            )
        )


def _sum(frame: bytes, at: int, added: int) -> bytes:
    """The checksum that stands there once these words came to those it is made of (RFC 1624)."""
    total = (~int.from_bytes(frame[at : at + 2], "big") & 0xFFFF) + added
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")


def flood(interface: str, targets: list[tuple[str, str]], rate: int, seconds: float, seed: int) -> tuple[int, float]:
    """Send `rate` SYNs a second for so long; how many were sent, in how many seconds."""
    random_ = random.Random(seed)
    volley = Volley(interface)
    templates = [Template(mac, address) for mac, address in targets]
    begin = time.monotonic()
    sent = 0
    while (now := time.monotonic() - begin) < seconds:
        if now * rate < sent:
            time.sleep(min(sent / rate - now, seconds - now))
            continue
        bits = [random_.getrandbits(80) for _ in range(BATCH)]
        frames = [
            templates[number % len(templates)].frame(
                # 100.64.0.0 and up: outside of the guests' own network.
                ((100 + (number >> 24) % 60) << 24 | number & 0xFFFFFF).to_bytes(4, "big"),
                1024 + (number >> 32) % 60000,
                number >> 48,
            )
            for number in bits
        ]
        sent += volley.fire(frames)
    return sent, time.monotonic() - begin


def main() -> None:
    interface, rate, seconds, seed = sys.argv[1:]
    targets = [(mac, address) for mac, address in (line.split() for line in sys.stdin)]
    sent, taken = flood(interface, targets, int(rate), float(seconds), int(seed))
    print(json.dumps({"sent": sent, "seconds": round(taken, 3)}))


if __name__ == "__main__":
    main()
