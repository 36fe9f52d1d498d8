"""The directory server over loopback sockets: both transports, their limits, and what happens to those who wait."""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from dnslib import EDNS0, QTYPE, DNSHeader, DNSQuestion, DNSRecord

from jitsu.directory.enquiries import Done, Limits, Summon
from jitsu.directory.server import DirectoryServer
from jitsu.directory.zone import Host, Zone
from jitsu.errors import ConfigError, HostError, ResourceBusy

ZONE = Zone(
    origin="jitsu.test",
    nameservers=tuple((f"{'x' * 50}{number}.jitsu.test", f"192.0.2.{number}") for number in range(13)),
    hosts={
        "web.jitsu.test": Host("web", "192.0.2.10", 7),
        "slow.jitsu.test": Host("slow", "192.0.2.11", 7),
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
    summon: Summon, limits: Limits | None = None, address: str = "127.0.0.1"
) -> AsyncIterator[DirectoryServer]:
    server = DirectoryServer(ZONE, summon, [(address, 0)], limits=limits)
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


# UDP


async def test_a_question_over_udp_summons_with_client_and_arrival() -> None:
    summon = Summoner()
    before = time.monotonic()
    async with serving(summon) as server:
        with UdpClient(server.listening[0]) as client:
            answer = await client.ask(ask(ident=0xBEEF))
    assert answer.header.id == 0xBEEF
    assert str(answer.rr[0].rdata) == "192.0.2.10"
    [(service, client_ip, arrived)] = summon.calls
    assert (service, client_ip) == ("web", "127.0.0.1")
    assert before <= arrived <= time.monotonic()


async def test_the_answer_waits_for_the_summon_and_others_do_not_wait_for_it() -> None:
    summon = Summoner()
    async with serving(summon) as server:
        with UdpClient(server.listening[0]) as client:
            client.send(ask("slow.jitsu.test", ident=1))
            await eventually(lambda: len(summon.held) == 1)
            assert (await client.ask(ask(ident=2))).header.id == 2
            summon.held[0](True)
            assert (await client.receive()).header.id == 1
            # Whatever else is said about it, it has been answered.
            summon.held[0](False)
            summon.held[0](True)
            assert (await client.ask(ask(ident=3))).header.id == 3


async def test_denied_is_servfail() -> None:
    async with serving(lambda service, client, arrived, done: done(False)) as server:
        with UdpClient(server.listening[0]) as client:
            assert (await client.ask(ask())).header.rcode == 2
        assert server.stats == {("udp", "SERVFAIL"): 1}


async def test_an_exception_is_servfail_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(service: str, client: str, arrived: float, done: Done) -> None:
        raise RuntimeError("no bridge")

    async with serving(fail) as server:
        with UdpClient(server.listening[0]) as client:
            assert (await client.ask(ask())).header.rcode == 2
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "summoning web for 127.0.0.1 failed" in record.message
    assert "no bridge" in caplog.text


async def test_nobody_waits_longer_than_patience(caplog: pytest.LogCaptureFixture) -> None:
    summon = Summoner()
    async with serving(summon, Limits(patience=0.05)) as server:
        with UdpClient(server.listening[0]) as client:
            assert (await client.ask(ask("slow.jitsu.test"))).header.rcode == 2
            summon.held[0](True)
            assert (await client.ask(ask(ident=9))).header.id == 9
    assert "whether slow can be summoned" in caplog.text


async def test_one_question_more_than_may_wait_is_servfail() -> None:
    summon = Summoner()
    async with serving(summon, Limits(waiting=2)) as server:
        with UdpClient(server.listening[0]) as client:
            for ident in (1, 2, 3):
                client.send(ask("slow.jitsu.test", ident=ident))
            refused = await client.receive()
            assert (refused.header.id, refused.header.rcode) == (3, 2)
            assert len(summon.held) == 2
            summon.held[0](True)
            assert (await client.receive()).header.rcode == 0
            client.send(ask("slow.jitsu.test", ident=4))
            await eventually(lambda: len(summon.held) == 3)


async def test_stopping_answers_what_waits() -> None:
    summon = Summoner()
    async with serving(summon) as server, connected(server) as tcp:
        with UdpClient(server.listening[0]) as udp:
            udp.send(ask("slow.jitsu.test"))
            tcp.send(ask("slow.jitsu.test"))
            await eventually(lambda: len(summon.held) == 2)
            await server.stop()
            assert (await udp.receive()).header.rcode == 2
            assert (await tcp.receive()).header.rcode == 2
            await tcp.ended()
            for done in summon.held:
                done(True)
            await server.stop()
            assert server.listening == []


async def test_junk_is_ignored_and_counted() -> None:
    async with serving(Summoner()) as server:
        with UdpClient(server.listening[0]) as client:
            client.send(b"hello")
            client.send(b"\x00" * 2 + b"\x80" + b"\x00" * 20)
            client.send(b"\xff" * 3 + b"\x00" * 9 + b"\xff" * 5000)
            answer = await client.ask(b"\x00\x07" + b"\x00" * 11)
            assert (answer.header.id, answer.header.rcode) == (7, 1)
            assert server.stats == {("udp", "dropped"): 3, ("udp", "FORMERR"): 1}


async def test_the_zone_may_be_replaced() -> None:
    async with serving(Summoner()) as server:
        with UdpClient(server.listening[0]) as client:
            assert (await client.ask(ask("new.jitsu.test"))).header.rcode == 3
            host = Host("new", "192.0.2.77", 1)
            server.zone = Zone("jitsu.test", (("ns.example.org", None),), {"new.jitsu.test": host})
            assert str((await client.ask(ask("new.jitsu.test"))).rr[0].rdata) == "192.0.2.77"
            assert server.zone.hosts == {"new.jitsu.test": host}


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        return sock.connect_ex(("::1", 53)) == 0


@pytest.mark.parametrize(("bound", "asked"), [("0.0.0.0", "127.0.0.2"), ("::", "::1"), ("::1", "::1")])
async def test_replies_leave_from_the_address_that_was_asked(bound: str, asked: str) -> None:
    if ":" in bound and not has_ipv6():
        pytest.skip("this machine has no ::1")
    async with serving(Summoner(), address=bound) as server:
        with UdpClient((asked, server.listening[0][1])) as client:
            assert str((await client.ask(ask())).rr[0].rdata) == "192.0.2.10"


# TCP


async def test_truncated_over_udp_and_whole_over_tcp() -> None:
    async with serving(Summoner()) as server, connected(server) as tcp:
        with UdpClient(server.listening[0]) as udp:
            short = await udp.ask(ask("jitsu.test", "NS"))
        assert (short.header.tc, len(short.rr)) == (1, 0)
        tcp.send(ask("jitsu.test", "NS"))
        whole = await tcp.receive()
        assert (whole.header.tc, len(whole.rr), len(whole.ar)) == (0, 13, 13)
        assert server.stats == {("udp", "NOERROR"): 1, ("tcp", "NOERROR"): 1}


async def test_one_question_after_another_and_in_any_portions() -> None:
    async with serving(Summoner()) as server, connected(server) as client:
        for ident in range(3):
            client.send(ask(ident=ident))
            assert (await client.receive()).header.id == ident
        packet = ask(ident=9)
        for octet in len(packet).to_bytes(2, "big") + packet:
            client.writer.write(bytes([octet]))
            await client.writer.drain()
            await asyncio.sleep(0)
        assert (await client.receive()).header.id == 9


async def test_pipelined_questions_are_answered_as_they_are_ready() -> None:
    summon = Summoner()
    async with serving(summon) as server, connected(server) as client:
        client.send(ask("slow.jitsu.test", ident=1), ask(ident=2), ask("nope.jitsu.test", ident=3))
        assert [(await client.receive()).header.id for _ in range(2)] == [2, 3]
        summon.held[0](True)
        assert (await client.receive()).header.id == 1


async def test_many_questions_in_one_go() -> None:
    async with serving(Summoner(), Limits(pipelined=2)) as server, connected(server) as client:
        count = 5000
        client.send(*(ask(ident=ident) for ident in range(count)))
        assert [(await client.receive()).header.id for _ in range(count)] == list(range(count))


async def test_no_more_questions_are_taken_than_may_be_under_way() -> None:
    summon = Summoner()
    async with serving(summon, Limits(pipelined=3)) as server, connected(server) as client:
        client.send(*(ask("slow.jitsu.test", ident=ident) for ident in range(5)))
        await eventually(lambda: len(summon.held) == 3)
        await asyncio.sleep(0.02)
        assert len(summon.held) == 3
        summon.held[0](True)
        assert (await client.receive()).header.id == 0
        await eventually(lambda: len(summon.held) == 4)
        # Half-closed: what it has asked is still answered, and then the connection ends.
        client.writer.write_eof()
        for done in summon.held[1:]:
            done(True)
        await eventually(lambda: len(summon.held) == 5)
        summon.held[4](True)
        assert [(await client.receive()).header.id for _ in range(4)] == [1, 2, 3, 4]
        await client.ended()


async def test_an_idle_connection_ends_even_if_octets_trickle() -> None:
    async with serving(Summoner(), Limits(idle=0.15)) as server, connected(server) as client:
        client.send(ask())
        await client.receive()

        async def trickle() -> None:
            for octet in b"\x01\x00" + ask()[:50]:
                client.writer.write(bytes([octet]))
                await asyncio.sleep(0.02)

        trickling = asyncio.create_task(trickle())
        assert 0.1 < await client.ended() < 1.0
        await asyncio.gather(trickling, return_exceptions=True)


async def test_a_connection_is_not_idle_while_its_question_waits() -> None:
    summon = Summoner()
    async with serving(summon, Limits(idle=0.05)) as server, connected(server) as client:
        client.send(ask("slow.jitsu.test"))
        await asyncio.sleep(0.2)
        summon.held[0](True)
        assert (await client.receive()).header.rcode == 0
        assert await client.ended() < 3


async def test_a_client_that_does_not_read_is_not_read_either() -> None:
    # Small buffers in the kernel, so that what is ours shows.
    listening = bound(socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    server = DirectoryServer(ZONE, Summoner(), sockets=[listening], limits=Limits(idle=1.0))
    await server.start()
    packet = ask("jitsu.test", "NS")
    flood = (len(packet).to_bytes(2, "big") + packet) * 1000
    sent = 0

    async def send_without_reading(sock: socket.socket) -> None:
        nonlocal sent
        while True:
            await asyncio.get_running_loop().sock_sendall(sock, flood)
            sent += len(flood)

    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sock.connect(server.listening[0])
        sock.setblocking(False)
        # In the end it is idle.
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(send_without_reading(sock), 10)
    # Answers of 1.2 kB fill the kernel's send buffer, of some megabytes, and 64 kB of ours. Then all stands still.
    assert 0 < server.stats["tcp", "NOERROR"] < 10_000
    assert sent < 10_000 * len(packet) + 2**19
    await server.stop()


async def test_a_client_that_has_said_all_is_still_answered() -> None:
    summon = Summoner()
    async with serving(summon) as server, connected(server) as client:
        client.send(ask("slow.jitsu.test"))
        client.writer.write_eof()
        await eventually(lambda: len(summon.held) == 1)
        await asyncio.sleep(0.02)
        summon.held[0](True)
        assert (await client.receive()).header.rcode == 0
        assert await client.ended() < 1


async def test_what_is_no_question_ends_the_connection() -> None:
    for junk in (b"\x00\x00", b"\x00\x03abc", b"\x00\x0c" + b"\x00\x00\x80" + b"\x00" * 9):
        async with serving(Summoner()) as server, connected(server) as client:
            client.writer.write(junk)
            assert await client.ended() < 1


async def is_served(client: TcpClient) -> bool:
    client.send(ask())
    try:
        return bool((await client.receive()).rr)
    except (ConnectionError, asyncio.IncompleteReadError):
        return False


@pytest.mark.parametrize("limits", [Limits(connections=2), Limits(per_client=2)])
async def test_one_connection_too_many_is_closed_until_another_ends(limits: Limits) -> None:
    async with serving(Summoner(), limits) as server, connected(server) as first, connected(server) as second:
        assert await is_served(first)
        assert await is_served(second)
        async with connected(server) as third:
            assert not await is_served(third)
        first.writer.write_eof()
        await first.ended()
        async with connected(server) as fourth:
            assert await is_served(fourth)


# Sockets


def bound(kind: socket.SocketKind, address: tuple[str, int] = ("127.0.0.1", 0)) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind)
    sock.bind(address)
    return sock


@pytest.mark.parametrize(("kind", "words"), [(socket.SOCK_DGRAM, "udp"), (socket.SOCK_STREAM, "tcp")])
async def test_a_port_that_is_taken_is_named(kind: socket.SocketKind, words: str) -> None:
    with bound(kind) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if kind == socket.SOCK_STREAM:
            holder.listen()
        port = holder.getsockname()[1]
        server = DirectoryServer(ZONE, Summoner(), [("127.0.0.1", port)])
        with pytest.raises(ResourceBusy, match=f"^127.0.0.1 port {port}/{words} is taken$") as caught:
            await server.start()
        assert f"ss -l{words[0]}np 'sport = :{port}'" in caught.value.hint
        assert server.listening == []


async def test_two_servers_do_not_share_a_port() -> None:
    async with serving(Summoner()) as server:
        with pytest.raises(ResourceBusy):
            await DirectoryServer(ZONE, Summoner(), server.listening).start()


async def test_a_restart_is_not_kept_waiting_by_old_connections() -> None:
    async with serving(Summoner()) as server:
        addresses = server.listening
        async with connected(server) as client:
            assert await is_served(client)
            await server.stop()
            await client.ended()
        again = DirectoryServer(ZONE, Summoner(), addresses)
        await again.start()
        await again.stop()


async def test_a_failed_start_closes_what_it_opened() -> None:
    with bound(socket.SOCK_DGRAM) as free:
        port = free.getsockname()[1]
    with bound(socket.SOCK_DGRAM, ("127.0.0.2", port)):
        server = DirectoryServer(ZONE, Summoner(), [("127.0.0.1", port), ("127.0.0.2", port)])
        with pytest.raises(ResourceBusy, match=r"127\.0\.0\.2"):
            await server.start()
    await server.start()
    assert server.listening == [("127.0.0.1", port), ("127.0.0.2", port)]
    await server.stop()


async def test_an_address_of_somebody_else() -> None:
    with pytest.raises(HostError, match="does not have that address") as caught:
        await DirectoryServer(ZONE, Summoner(), [("192.0.2.53", 0)]).start()
    assert "ip -brief address" in caught.value.hint


async def test_an_address_that_is_none() -> None:
    with pytest.raises(ConfigError, match="cannot listen on 'localhost'"):
        await DirectoryServer(ZONE, Summoner(), [("localhost", 0)]).start()


@pytest.mark.parametrize(
    ("number", "error", "words", "hint"),
    [
        (13, HostError, "no permission to listen on 127.0.0.1 port 53/tcp", "CAP_NET_BIND_SERVICE"),
        (98, ResourceBusy, "127.0.0.1 port 53/tcp is taken", "systemd-resolved"),
    ],
)
async def test_what_is_said_about_port_53(
    monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception], words: str, hint: str
) -> None:
    def refuse(_sock: socket.socket, _address: object) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(error, match=words) as caught:
        await DirectoryServer(ZONE, Summoner(), [("127.0.0.1", 53)]).start()
    assert hint in vars(caught.value)["hint"]


async def test_ready_made_sockets() -> None:
    udp, tcp = bound(socket.SOCK_DGRAM), bound(socket.SOCK_STREAM)
    sockets: Sequence[socket.socket] = [udp, tcp]
    udp_address, tcp_address = udp.getsockname(), tcp.getsockname()
    server = DirectoryServer(ZONE, Summoner(), sockets=sockets)
    await server.start()
    try:
        assert server.listening == [udp_address, tcp_address]
        with UdpClient(udp_address) as client:
            assert (await client.ask(ask())).header.rcode == 0
        reader, writer = await asyncio.open_connection(*tcp_address)
        over_tcp = TcpClient(reader, writer)
        assert await is_served(over_tcp)
        writer.close()
    finally:
        await server.stop()
    assert udp.fileno() == tcp.fileno() == -1
