"""The directory over TCP: several questions a connection, in any portions, from any kind of client."""

import asyncio
import socket

import pytest

from jitsu.directory.enquiries import Limits
from jitsu.directory.server import DirectoryServer
from tests.unit.dns_clients import ZONE, Summoner, UdpClient, ask, bound, connected, eventually, is_served, serving


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
    server = DirectoryServer([ZONE], Summoner(), sockets=[listening], limits=Limits(idle=1.0))
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
