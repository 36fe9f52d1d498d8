"""Forwarding, with an upstream that says what the test wants: right answers, forged ones, odd ones, none."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from ipaddress import ip_network

import pytest
from dnslib import EDNS0, QTYPE, RCODE, RR, TXT, A, DNSHeader, DNSQuestion, DNSRecord, EDNSOption

from jitsu.directory import forwarder
from jitsu.directory.forwarder import Forwarder
from jitsu.directory.server import DirectoryServer
from tests.unit.dns_clients import ZONE, Summoner, UdpClient, ask, bound, eventually

Script = Callable[[DNSRecord], list[bytes]]
NAME = "Www.Example.ORG"


def right(question: DNSRecord) -> DNSRecord:
    """The answer of a resolver: AA and AD are set, so that it can be seen that they are not passed on."""
    answer = DNSRecord(DNSHeader(id=question.header.id, qr=1, aa=1, ra=1, rd=1, ad=1), q=question.q)
    answer.add_answer(RR(question.q.qname, QTYPE.A, rdata=A("198.51.100.7"), ttl=99))
    return answer


def says(question: DNSRecord) -> list[bytes]:
    return [bytes(right(question).pack())]


def silent(question: DNSRecord) -> list[bytes]:
    return []


def fails(question: DNSRecord) -> list[bytes]:
    answer = DNSRecord(DNSHeader(id=question.header.id, qr=1, ra=1, rcode=RCODE.SERVFAIL), q=question.q)
    return [bytes(answer.pack())]


class Upstream:
    """A UDP server that answers every question with the packets of its script."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.sock = bound(socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.questions: list[DNSRecord] = []
        self.ports: list[int] = []
        asyncio.get_running_loop().add_reader(self.sock, self._read)

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.sock.getsockname()
        return host, port

    def __enter__(self) -> "Upstream":
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self.sock)
        self.sock.close()

    def _read(self) -> None:
        packet, client = self.sock.recvfrom(4096)
        question = DNSRecord.parse(packet)
        self.questions.append(question)
        self.ports.append(client[1])
        for answer in self.script(question):
            self.sock.sendto(answer, client)


class Board:
    """A directory that forwards, and a client of it."""

    def __init__(self, server: DirectoryServer, client: UdpClient, upstreams: list[Upstream]) -> None:
        self.server, self.client, self.upstreams = server, client, upstreams

    async def ask(self, packet: bytes | None = None) -> DNSRecord:
        return await self.client.ask(packet or question())

    def asked(self) -> list[int]:
        return [len(upstream.questions) for upstream in self.upstreams]


@asynccontextmanager
async def forwarding(*scripts: Script, clients: str = "127.0.0.0/8") -> AsyncIterator[Board]:
    with ExitStack() as stack:
        upstreams = [stack.enter_context(Upstream(script)) for script in scripts]
        relay = Forwarder([upstream.address for upstream in upstreams], [ip_network(clients)])
        server = DirectoryServer([ZONE], Summoner(), [("127.0.0.1", 0)], forwarder=relay)
        await server.start()
        client = stack.enter_context(UdpClient(server.listening[0]))
        try:
            yield Board(server, client, upstreams)
        finally:
            await server.stop()


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(forwarder, "PATIENCE", 0.25)
    return


def question(name: str = NAME, *, ident: int = 7, rd: int = 1, cd: int = 0, edns: EDNS0 | None = None) -> bytes:
    query = DNSRecord(DNSHeader(id=ident, rd=rd, cd=cd), q=DNSQuestion(name))
    if edns is not None:
        query.add_ar(edns)
    return bytes(query.pack())


async def test_an_answer_comes_back_under_the_clients_id_in_its_case_and_with_ra() -> None:
    async with forwarding(says) as board:
        answer = await board.ask(question(cd=1))
        header = answer.header
        assert (header.id, header.rd, header.ra, header.aa, header.ad, header.cd) == (7, 1, 1, 0, 0, 1)
        assert str(answer.q.qname) == NAME + "."
        assert [(str(rr.rdata), rr.ttl) for rr in answer.rr] == [("198.51.100.7", 99)]
        assert board.server.stats == {("udp", "forwarded"): 1}
        [asked] = board.upstreams[0].questions
        assert (str(asked.q.qname), asked.header.rd, asked.header.cd, asked.ar) == (NAME + ".", 1, 1, [])


async def test_ids_and_source_ports_are_fresh_every_time() -> None:
    async with forwarding(says) as board:
        for _ in range(20):
            await board.ask()
        upstream = board.upstreams[0]
        assert len({asked.header.id for asked in upstream.questions}) > 15
        assert len(set(upstream.ports)) > 15


async def test_only_clients_that_may_are_served_and_only_with_rd() -> None:
    async with forwarding(says, clients="127.0.0.2/32") as board:
        answer = await board.ask()
        assert (answer.header.rcode, answer.header.ra) == (RCODE.REFUSED, 0)
        assert board.asked() == [0]
    async with forwarding(says) as board:
        answer = await board.ask(question(rd=0))
        assert (answer.header.rcode, answer.header.ra) == (RCODE.REFUSED, 0)
        assert (await board.ask(ask(NAME, "AXFR"))).header.rcode == RCODE.REFUSED
        assert board.asked() == [0]


async def test_what_is_ours_is_never_forwarded_and_has_no_ra() -> None:
    async with forwarding(says) as board:
        for name, rcode in (("web.jitsu.test", 0), ("nope.jitsu.test", 3)):
            answer = await board.ask(question(name))
            assert (answer.header.rcode, answer.header.aa, answer.header.ra) == (rcode, 1, 0)
        assert board.asked() == [0]


@pytest.mark.parametrize("to", ["::ffff:127.0.0.1", "127.0.0.1"])
def test_a_client_is_the_same_over_a_socket_of_both_families(to: str) -> None:
    relay = Forwarder([], [ip_network("127.0.0.0/8"), ip_network("fe80::/64")])
    assert relay.serves(to)
    assert relay.serves("fe80::1%eth0")
    assert not relay.serves("2001:db8::1")


async def test_forged_answers_are_passed_over() -> None:
    def forged(question: DNSRecord) -> list[bytes]:
        good = bytes(right(question).pack())
        packet = good.replace(bytes([198, 51, 100, 7]), bytes([203, 0, 113, 66]))
        other = DNSRecord(DNSHeader(id=question.header.id, qr=1), q=DNSQuestion("evil.example.org"))
        lower = DNSRecord(DNSHeader(id=question.header.id, qr=1), q=DNSQuestion(NAME.lower()))
        return [
            b"",
            packet[:11],
            bytes([packet[0] ^ 1]) + packet[1:],
            packet[:2] + bytes([packet[2] & 0x7F]) + packet[3:],
            packet[:2] + bytes([packet[2] | 0x28]) + packet[3:],
            packet[:12],
            bytes(other.pack()),
            bytes(lower.pack()),
            good,
        ]

    async with forwarding(forged) as board:
        assert [str(rr.rdata) for rr in (await board.ask()).rr] == ["198.51.100.7"]
        assert board.asked() == [1]


async def test_an_answer_from_somewhere_else_is_not_heard() -> None:
    with bound(socket.SOCK_DGRAM) as stranger:
        sent: list[int] = []
        async with forwarding(silent) as board:
            upstream = board.upstreams[0]

            def from_elsewhere(question: DNSRecord) -> list[bytes]:
                port = upstream.ports[-1]
                sent.append(stranger.sendto(bytes(right(question).pack()), ("127.0.0.1", port)))
                return []

            upstream.script = from_elsewhere
            answer = await board.ask()
            assert sent
            assert (answer.header.rcode, answer.header.ra, answer.rr) == (RCODE.SERVFAIL, 1, [])


async def test_where_the_first_is_silent_the_second_is_asked_and_then_asked_first() -> None:
    async with forwarding(silent, says) as board:
        assert (await board.ask()).rr
        assert board.asked() == [1, 1]
        assert (await board.ask()).rr
        assert board.asked() == [1, 2]


async def test_a_closed_port_is_noticed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarder, "PATIENCE", 60)
    async with forwarding(silent, says) as board:
        upstream = board.upstreams[0]
        asyncio.get_running_loop().remove_reader(upstream.sock)
        upstream.sock.close()
        assert (await board.ask()).rr
        # Nothing is left to take out of the loop.
        upstream.sock = bound(socket.SOCK_DGRAM)


async def test_a_failure_of_one_is_made_good_by_the_next_and_relayed_if_it_is_everybodys() -> None:
    async with forwarding(fails, says) as board:
        assert (await board.ask()).rr
    async with forwarding(fails, fails) as board:
        answer = await board.ask()
        assert (answer.header.rcode, answer.header.ra) == (RCODE.SERVFAIL, 1)
        assert board.asked() == [1, 1]


async def test_where_everybody_is_silent_each_is_asked_again_and_then_it_is_servfail() -> None:
    async with forwarding(silent, silent) as board:
        answer = await board.ask()
        assert (answer.header.rcode, answer.header.ra) == (RCODE.SERVFAIL, 1)
        assert board.asked() == [forwarder.ROUNDS] * 2


async def test_edns_is_between_neighbours() -> None:
    def with_edns(question: DNSRecord) -> list[bytes]:
        answer = right(question)
        answer.add_ar(EDNS0(flags="do", udp_len=4096, opts=[EDNSOption(15, b"\0\3stale")]))
        # Not the last record, for it may stand anywhere among the additional ones.
        answer.add_ar(RR("ns.example.org", QTYPE.A, rdata=A("192.0.2.53"), ttl=5))
        return [bytes(answer.pack())]

    async with forwarding(with_edns) as board:
        query = question(edns=EDNS0(flags="do", udp_len=4096, opts=[EDNSOption(10, b"a cookie"), EDNSOption(8, b"me")]))
        answer = await board.ask(query)
        [asked] = board.upstreams[0].questions
        [opt] = asked.ar
        assert (opt.edns_len, opt.edns_do, opt.rdata) == (1232, 1, [])
        opt, extra = answer.ar
        assert (opt.edns_len, opt.edns_do, [option.code for option in opt.rdata]) == (1232, 1, [15])
        assert str(extra.rdata) == "192.0.2.53"


@pytest.mark.parametrize("what", ["opt-unasked", "cut-short", "trailing-octets", "a-pointer-for-a-length"])
async def test_an_answer_that_cannot_be_passed_on_is_none(what: str) -> None:
    def odd(question: DNSRecord) -> list[bytes]:
        answer = right(question)
        if what == "opt-unasked":
            answer.add_ar(EDNS0())
        packet = bytes(answer.pack())
        return [
            {
                "opt-unasked": packet,
                "cut-short": packet[:-1],
                "trailing-octets": packet + b"!",
                "a-pointer-for-a-length": packet[:-6] + b"\xc0\x0c" + packet[-4:],
            }[what]
        ]

    async with forwarding(odd, says) as board:
        assert [str(rr.rdata) for rr in (await board.ask()).rr] == ["198.51.100.7"]
        assert board.asked() == [1, 1]


async def test_an_answer_that_is_longer_than_the_client_takes_sends_it_to_tcp() -> None:
    def long(question: DNSRecord) -> list[bytes]:
        answer = right(question)
        answer.add_answer(RR(question.q.qname, QTYPE.TXT, rdata=TXT(["x" * 250] * 3), ttl=5))
        return [bytes(answer.pack())]

    async with forwarding(long) as board:
        answer = await board.ask()
        assert (answer.header.tc, answer.header.ra, answer.header.id, answer.rr) == (1, 1, 7, [])
        answer = await board.ask(question(edns=EDNS0(udp_len=1232)))
        assert (answer.header.tc, len(answer.rr)) == (0, 2)


async def test_more_than_can_be_under_way_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarder, "PATIENCE", 60)
    monkeypatch.setattr(forwarder, "MOST_UNDER_WAY", 3)
    async with forwarding(silent) as board:
        for ident in range(4):
            board.client.send(question(ident=ident))
        answer = await board.client.receive()
        assert (answer.header.id, answer.header.rcode) == (3, RCODE.SERVFAIL)
        await eventually(lambda: board.asked() == [3])


async def test_who_waits_when_the_directory_stops_is_told() -> None:
    async with forwarding(silent) as board:
        for ident in range(3):
            board.client.send(question(ident=ident))
        await eventually(lambda: board.asked() == [3])
        await board.server.stop()
        answers = [await board.client.receive() for _ in range(3)]
        assert {(answer.header.id, answer.header.rcode) for answer in answers} == {(0, 2), (1, 2), (2, 2)}
