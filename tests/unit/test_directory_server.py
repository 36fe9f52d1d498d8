"""The directory server over loopback sockets: both transports, their limits, and what happens to those who wait."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Sequence

import pytest

from jitsu.directory.enquiries import Done, Limits
from jitsu.directory.server import DirectoryServer
from jitsu.directory.zone import Host, Zone
from jitsu.errors import ConfigError, HostError, ResourceBusy
from tests.unit.dns_clients import (
    ZONE,
    Summoner,
    TcpClient,
    UdpClient,
    ask,
    bound,
    connected,
    eventually,
    is_served,
    serving,
)


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
            host = Host("new", ("192.0.2.77",), 1)
            server.zones = [Zone("jitsu.test", (("ns.example.org",),), {"new.jitsu.test": host})]
            assert str((await client.ask(ask("new.jitsu.test"))).rr[0].rdata) == "192.0.2.77"
            assert server.zones[0].host((b"new", b"jitsu", b"test")) is host


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


@pytest.mark.parametrize(("kind", "words"), [(socket.SOCK_DGRAM, "udp"), (socket.SOCK_STREAM, "tcp")])
async def test_a_port_that_is_taken_is_named(kind: socket.SocketKind, words: str) -> None:
    with bound(kind) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if kind == socket.SOCK_STREAM:
            holder.listen()
        port = holder.getsockname()[1]
        server = DirectoryServer([ZONE], Summoner(), [("127.0.0.1", port)])
        with pytest.raises(ResourceBusy, match=f"^127.0.0.1 port {port}/{words} is taken$") as caught:
            await server.start()
        assert f"ss -l{words[0]}np 'sport = :{port}'" in caught.value.hint
        assert server.listening == []


async def test_two_servers_do_not_share_a_port() -> None:
    async with serving(Summoner()) as server:
        with pytest.raises(ResourceBusy):
            await DirectoryServer([ZONE], Summoner(), server.listening).start()


async def test_a_restart_is_not_kept_waiting_by_old_connections() -> None:
    async with serving(Summoner()) as server:
        addresses = server.listening
        async with connected(server) as client:
            assert await is_served(client)
            await server.stop()
            await client.ended()
        again = DirectoryServer([ZONE], Summoner(), addresses)
        await again.start()
        await again.stop()


async def test_a_failed_start_closes_what_it_opened() -> None:
    # Of the loopback network, addresses of our own: a port that was free is not taken by a neighbour meanwhile.
    first, second = (f"127.{os.getpid() % 200 + 1}.77.{last}" for last in (1, 2))
    with bound(socket.SOCK_DGRAM, (first, 0)) as free:
        port = free.getsockname()[1]
    with bound(socket.SOCK_DGRAM, (second, port)):
        server = DirectoryServer([ZONE], Summoner(), [(first, port), (second, port)])
        with pytest.raises(ResourceBusy, match=second.replace(".", r"\.")):
            await server.start()
    await server.start()
    assert server.listening == [(first, port), (second, port)]
    await server.stop()


async def test_an_address_of_somebody_else() -> None:
    with pytest.raises(HostError, match="does not have that address") as caught:
        await DirectoryServer([ZONE], Summoner(), [("192.0.2.53", 0)]).start()
    assert "ip -brief address" in caught.value.hint


async def test_an_address_that_is_none() -> None:
    with pytest.raises(ConfigError, match="cannot listen on 'localhost'"):
        await DirectoryServer([ZONE], Summoner(), [("localhost", 0)]).start()


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
        await DirectoryServer([ZONE], Summoner(), [("127.0.0.1", 53)]).start()
    assert hint in vars(caught.value)["hint"]


async def test_ready_made_sockets() -> None:
    udp, tcp = bound(socket.SOCK_DGRAM), bound(socket.SOCK_STREAM)
    sockets: Sequence[socket.socket] = [udp, tcp]
    udp_address, tcp_address = udp.getsockname(), tcp.getsockname()
    server = DirectoryServer([ZONE], Summoner(), sockets=sockets)
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
