"""A directory on loopback, a summoner that is told what to say, and clients of both transports."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace

import pytest
from dnslib import EDNS0, QTYPE, DNSHeader, DNSQuestion, DNSRecord

from jitsu.directory.enquiries import Awake, Done, Limits, Summon
from jitsu.directory.server import DirectoryServer
from jitsu.directory.zone import Host, Zone

ZONE = Zone(
    origin="jitsu.test",
    nameservers=tuple((f"{'x' * 50}{number}.jitsu.test", f"192.0.2.{number}") for number in range(13)),
    hosts={
        "web.jitsu.test": Host("web", ("192.0.2.10",), 7),
        "slow.jitsu.test": Host("slow", ("192.0.2.11",), 7),
    },
)


def ask(name: str = "web.jitsu.test", qtype: str = "A", ident: int = 1, size: int = 0) -> bytes:
    query = DNSRecord(DNSHeader(id=ident), q=DNSQuestion(name, getattr(QTYPE, qtype)))
    if size:
        query.add_ar(EDNS0(udp_len=size))
    return bytes(query.pack())


class Summoner:
    """Keeps what it is asked for. `slow` waits until somebody calls its `done`; others are granted at once."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, float]] = []
        self.held: list[Done] = []

    def __call__(self, service: str, client: str, arrived: float, done: Done) -> None:
        self.calls.append((service, client, arrived))
        if service == "slow":
            self.held.append(done)
        else:
            done(True)


@asynccontextmanager
async def serving(
    summon: Summon,
    limits: Limits | None = None,
    address: str = "127.0.0.1",
    awake: Awake = lambda service: False,
) -> AsyncIterator[DirectoryServer]:
    server = DirectoryServer([ZONE], summon, [(address, 0)], limits=limits, awake=awake)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def eventually(holds: Callable[[], bool]) -> None:
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.005)
    pytest.fail("it did not happen within 5 s")


class UdpClient:
    """A connected UDP socket: it hears answers from the address it asked, and from no other."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.connect(address)

    def __enter__(self) -> "UdpClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, packet: bytes) -> None:
        self.sock.send(packet)

    async def receive(self) -> DNSRecord:
        async with asyncio.timeout(5):
            return DNSRecord.parse(await asyncio.get_running_loop().sock_recv(self.sock, 65535))

    async def ask(self, packet: bytes) -> DNSRecord:
        self.send(packet)
        return await self.receive()


class TcpClient:
    """A TCP connection that speaks in messages."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, *packets: bytes) -> None:
        self.writer.write(b"".join(len(packet).to_bytes(2, "big") + packet for packet in packets))

    async def receive(self) -> DNSRecord:
        async with asyncio.timeout(5):
            length = int.from_bytes(await self.reader.readexactly(2), "big")
            return DNSRecord.parse(await self.reader.readexactly(length))

    async def ended(self, within: float = 5) -> float:
        """Seconds until the server ended the connection."""
        start = time.monotonic()
        async with asyncio.timeout(within):
            with suppress(ConnectionResetError):
                assert await self.reader.read() == b""
        return time.monotonic() - start


@asynccontextmanager
async def connected(server: DirectoryServer) -> AsyncIterator[TcpClient]:
    reader, writer = await asyncio.open_connection(*server.listening[0])
    try:
        yield TcpClient(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def is_served(client: TcpClient) -> bool:
    client.send(ask())
    try:
        return bool((await client.receive()).rr)
    except (ConnectionError, asyncio.IncompleteReadError):
        return False


def stop_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time passes between one question and the next, however busy the machine is."""
    for transport in ("udp", "tcp"):
        monkeypatch.setattr(f"jitsu.directory.{transport}.time", SimpleNamespace(monotonic=lambda: 100.0))


def bound(kind: socket.SocketKind, address: tuple[str, int] = ("127.0.0.1", 0)) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind)
    sock.bind(address)
    return sock
