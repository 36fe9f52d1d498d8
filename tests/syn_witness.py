"""A witness of every SYN on a bridge: as it arrives, and as it is put into a guest's port.

As a program it runs on a board, which has jitsu and no pytest: `syn_witness.py UPLINK PREFIX` prints a line when it
looks, and at SIGTERM what it saw, as JSON: {"lost": N, "syns": [{"service": ADDRESS, "arrived": [TIME ...],
"delivered": [TIME ...]} ...]}.
"""

import json
import signal
import socket
import struct
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from jitsu.network.frames import read_segment
from jitsu.synjitsu.embryonic import key_of

_ETH_P_ALL = 3
_PACKET_OUTGOING = 4
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 33, 35
_SOL_PACKET, _PACKET_STATISTICS = 263, 6

Syn = tuple[bytes, bytes, int, int, int]
"""Service address, client address, client port, service port, initial sequence number."""


class SynWitness:
    """Sees each SYN twice: as it reaches the bridge through the `uplink`, and as it is put into a guest's port.

    `is_guest_port` knows those by their names. `arrived` and `delivered` count by SYN; a delivery is counted for each
    port, so that one into a wrong one shows. `times` has, by SYN, when it arrived and when it was delivered, in seconds
    since 1970, as the kernel saw it.
    """

    def __init__(self, uplink: str, is_guest_port: Callable[[str], bool]) -> None:
        self._uplink, self._is_guest_port = uplink, is_guest_port
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 32 << 20)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.settimeout(0.05)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.arrived: Counter[Syn] = Counter()
        self.delivered: Counter[Syn] = Counter()
        self.times: dict[Syn, tuple[list[float], list[float]]] = {}
        self.lost = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.lost = struct.unpack("II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))[1]
        self._socket.close()

    def _watch(self) -> None:
        while not self._over.is_set():
            with suppress(TimeoutError):
                frame, ancillary, _, (interface, _, kind, *_) = self._socket.recvmsg(128, 64)
                segment = read_segment(frame)
                if segment is None or not segment.opens:
                    continue
                syn = (segment.target, *key_of(segment))
                arrivals, deliveries = self.times.setdefault(syn, ([], []))
                if interface == self._uplink and kind != _PACKET_OUTGOING:
                    self.arrived[syn] += 1
                    arrivals.append(_time(ancillary))
                # A port that is gone by the time it is looked up has no name any more, and only guests' ports go.
                elif kind == _PACKET_OUTGOING and (not interface or self._is_guest_port(interface)):
                    self.delivered[syn] += 1
                    deliveries.append(_time(ancillary))


def _time(ancillary: list[tuple[int, int, bytes]]) -> float:
    """When the kernel saw the frame (socket(7), SO_TIMESTAMPNS: a struct timespec)."""
    seconds, nanoseconds = struct.unpack("ll", ancillary[0][2])
    return float(seconds + nanoseconds / 1e9)


def main(uplink: str, prefix: str) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    with SynWitness(uplink, lambda interface: interface.startswith(prefix)) as witness:
        print("looking", flush=True)
        signal.sigwait({signal.SIGTERM})
    syns = [
        {"service": socket.inet_ntoa(syn[0]), "arrived": arrived, "delivered": delivered}
        for syn, (arrived, delivered) in witness.times.items()
    ]
    print(json.dumps({"lost": witness.lost, "syns": syns}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
