"""A client that measures: one question, one connection, one GET, timed from its first packet.

It runs in the client's namespace and counts its own SYNs where they leave, on the wire.
"""

import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self

from dnslib import DNSRecord

from jitsu.demo.stage import BOARD, CLIENT_LINK
from jitsu.errors import JitsuError
from jitsu.network.frames import read_segment
from jitsu.network.namespace import inside

_ETH_P_ALL = 3
_PACKET_OUTGOING = 4
PATIENCE = 30.0
"""Seconds that a client waits for anything, unless it is told otherwise."""


@dataclass(frozen=True, slots=True)
class Visit:
    """What a client saw; milliseconds from its first packet. `dns_ms` is None where it did not ask."""

    status: int
    body: bytes
    dns_ms: float | None
    http_ms: float
    syn_sent: int


class SynCounter:
    """The SYNs that leave a namespace through one interface. Threads may share it."""

    def __init__(self, namespace: int, interface: str = CLIENT_LINK) -> None:
        with inside(namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            self._socket.bind((interface, _ETH_P_ALL))
        self._lock = threading.Lock()
        self._last: dict[tuple[int, str, int], tuple[int, int]] = {}

    def sent(self, source_port: int, target: tuple[str, int]) -> int:
        """How many SYNs were sent for the newest connection from this port to this address and port."""
        with self._lock:
            self._drain()
            return self._last.get((source_port, *target), (0, 0))[1]

    def _drain(self) -> None:
        """Count by initial sequence number: a new one is a new connection."""
        with suppress(BlockingIOError):
            while True:
                frame, address = self._socket.recvfrom(256)
                segment = read_segment(frame) if address[2] == _PACKET_OUTGOING else None
                if segment is not None and segment.opens:
                    key = segment.source_port, str(ip_address(segment.target)), segment.target_port
                    sequence, count = self._last.get(key, (segment.sequence, 0))
                    self._last[key] = segment.sequence, count + 1 if sequence == segment.sequence else 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


class Client:
    """Visits services from the client's namespace. Several may share one `SynCounter`."""

    def __init__(self, namespace: int, counter: SynCounter, patience: float = PATIENCE) -> None:
        self._namespace, self._counter, self._patience = namespace, counter, patience

    def by_name(self, name: str, path: str = "/", *, kind: str = "A") -> Visit:
        """Ask for the name's address (`kind`: A or AAAA), then visit it there. Raises JitsuError."""
        begin, address = self._ask(name, kind)
        dns_ms = (time.monotonic() - begin) * 1000
        return self._visit(address, path, name, begin, dns_ms)

    def by_address(self, address: str, path: str = "/") -> Visit:
        """Visit without asking: the first packet that anybody sees asks for the address's MAC, then comes a SYN."""
        return self._visit(address, path, address)

    def resolve(self, name: str) -> str:
        """The IPv4 address of `name` as the board's directory tells it. Raises JitsuError."""
        return self._ask(name, "A")[1]

    def _ask(self, name: str, kind: str) -> tuple[float, str]:
        """When the question left, and the address that came back."""
        question = DNSRecord.question(name, kind).pack()
        with self._socket(socket.SOCK_DGRAM) as asking:
            asking.connect((str(BOARD), 53))
            begin = time.monotonic()
            asking.send(question)
            answer = DNSRecord.parse(asking.recv(4096))
        for record in answer.rr:
            return begin, str(ip_address(bytes(record.rdata.data)))
        raise JitsuError(f"{name} has no address: the directory says rcode {answer.header.rcode}")

    def _socket(self, kind: socket.SocketKind, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
        """A socket that is, and stays, in the client's namespace."""
        with inside(self._namespace):
            made = socket.socket(family, kind)
        made.settimeout(self._patience)
        return made

    def _visit(
        self, address: str, path: str, host: str, begin: float | None = None, dns_ms: float | None = None
    ) -> Visit:
        request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self._socket(socket.SOCK_STREAM, family) as connection:
            begin = time.monotonic() if begin is None else begin
            connection.connect((address, 80))
            port = connection.getsockname()[1]
            connection.sendall(request)
            piece = connection.recv(65536)
            http_ms = (time.monotonic() - begin) * 1000
            answer = piece
            while piece:
                piece = connection.recv(65536)
                answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        words = head.split(None, 2)
        status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
        return Visit(status, body, dns_ms, http_ms, self._counter.sent(port, (address, 80)))


def crash(client: Client, address: str) -> None:
    """Ask a guest to crash. It does not answer; the connection breaks."""
    with suppress(OSError):
        client.by_address(address, "/crash")
