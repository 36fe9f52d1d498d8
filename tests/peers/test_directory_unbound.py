"""A real resolver between client and boards: unbound, with two boards in its stub zone."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from dnslib import DNSRecord

from jitsu.directory.records import Srv
from jitsu.directory.zone import Host, Zone
from tests.peers.directories import REVERSE, Directory, serving
from tests.peers.unbound import free_port, resolver
from tests.unit.dns_clients import UdpClient, ask

pytestmark = pytest.mark.skipif(shutil.which("unbound") is None, reason="unbound is not installed")

SERVICES = [f"s{number}" for number in range(20)]
ZONE = Zone(
    origin="jitsu.test",
    nameservers=(("ns1.jitsu.test", "127.0.0.2"), ("ns2.jitsu.test", "127.0.0.3")),
    hosts={f"{name}.jitsu.test": Host(name, ("10.77.0.10",), 60) for name in SERVICES},
    records={"_http._tcp.s0.jitsu.test": [Srv(80, "s0.jitsu.test")]},
    ttl=300,
    minimum=1,
)

SERVER = """
    use-caps-for-id: yes
    qname-minimisation: {minimise}
    # By default unbound answers for reserved zones itself.
    local-zone: "test." nodefault
    local-zone: "10.in-addr.arpa." nodefault
"""
STUBS = """
stub-zone:
    name: "jitsu.test"
    stub-addr: 127.0.0.2@{port}
    stub-addr: 127.0.0.3@{port}
stub-zone:
    name: "0.77.10.in-addr.arpa"
    stub-addr: 127.0.0.2@{port}
    stub-addr: 127.0.0.3@{port}
"""


class Resolver:
    """A running unbound, its two boards, and a client of it."""

    def __init__(self, client: UdpClient, *boards: Directory) -> None:
        self.boards = boards
        self._client = client

    async def ask(self, name: str, qtype: str = "A") -> DNSRecord:
        return await self._client.ask(ask(name, qtype))

    def packets(self) -> int:
        """How many questions the boards have answered."""
        return sum(sum(board.server.stats.values()) for board in self.boards)

    def summoned(self) -> list[str]:
        return [service for board in self.boards for service in board.summoned]


@asynccontextmanager
async def resolving(folder: Path, first: list[str], second: list[str], minimise: str = "no") -> AsyncIterator[Resolver]:
    """Two boards, of which the first has no room for the services `first`, and the second for `second`."""
    # All on one port; on addresses that no other program takes its source ports from.
    port = free_port("127.0.0.4")
    zones = (ZONE, REVERSE)
    async with (
        serving(Directory(zones, ("127.0.0.2", port), full=first)) as one,
        serving(Directory(zones, ("127.0.0.3", port), full=second)) as other,
        resolver(folder, ("127.0.0.4", port), SERVER.format(minimise=minimise), STUBS.format(port=port)),
    ):
        with UdpClient(("127.0.0.4", port)) as client:
            yield Resolver(client, one, other)


async def test_a_full_board_sends_the_client_to_the_next(tmp_path: Path) -> None:
    async with resolving(tmp_path, SERVICES[:10], SERVICES[10:]) as resolver:
        for name in SERVICES:
            answer = await resolver.ask(f"{name}.jitsu.test")
            assert [str(rr.rdata) for rr in answer.rr] == ["10.77.0.10"], name
        full = {*SERVICES[:10]} & {*resolver.boards[0].summoned} | {*SERVICES[10:]} & {*resolver.boards[1].summoned}
        assert full, "no board was ever asked for a service that it has no room for"


async def test_where_every_board_is_full_the_client_learns_it(tmp_path: Path) -> None:
    async with resolving(tmp_path, SERVICES, SERVICES) as resolver:
        assert (await resolver.ask("s0.jitsu.test")).header.rcode == 2
        assert {len({*board.summoned}) for board in resolver.boards} == {1}, "both boards are asked"


async def test_mixed_case_comes_back_and_one_packet_is_enough(tmp_path: Path) -> None:
    async with resolving(tmp_path, [], []) as resolver:
        for count, name in enumerate(SERVICES, start=1):
            await resolver.ask(f"{name}.jitsu.test")
            # Where the case does not come back, unbound asks again and again, and compares.
            assert resolver.packets() == count


async def test_an_address_is_kept_and_asked_for_once(tmp_path: Path) -> None:
    async with resolving(tmp_path, [], []) as resolver:
        for _ in range(3):
            assert (await resolver.ask("s0.jitsu.test")).rr[0].ttl <= 60
        assert resolver.summoned() == ["s0"]


async def test_a_denial_is_kept_for_as_long_as_our_soa_says(tmp_path: Path) -> None:
    async with resolving(tmp_path, [], []) as resolver:
        for qtype in ("AAAA", "HTTPS"):
            answer = await resolver.ask("s0.jitsu.test", qtype)
            assert (answer.header.rcode, answer.auth[0].ttl) == (0, 1)
        assert (await resolver.ask("nope.jitsu.test")).header.rcode == 3
        assert (await resolver.ask("nope.jitsu.test")).header.rcode == 3
        assert resolver.packets() == 3
        # A second begins anywhere within one of unbound's.
        await asyncio.sleep(2.1)
        assert (await resolver.ask("nope.jitsu.test")).header.rcode == 3
        assert resolver.packets() == 4
        assert resolver.summoned() == []


async def test_records_and_pointers_come_through_and_summon_nobody(tmp_path: Path) -> None:
    async with resolving(tmp_path, [], []) as resolver:
        [srv] = (await resolver.ask("_http._tcp.s0.jitsu.test", "SRV")).rr
        assert str(srv.rdata) == "0 0 80 s0.jitsu.test."
        [pointer] = (await resolver.ask("10.0.77.10.in-addr.arpa", "PTR")).rr
        assert str(pointer.rdata) == "web.jitsu.test."
        servers = {str(rr.rdata) for rr in (await resolver.ask("jitsu.test", "NS")).rr}
        assert servers == {"ns1.jitsu.test.", "ns2.jitsu.test."}
        assert resolver.summoned() == []


async def test_a_resolver_that_minimises_names_may_summon_for_srv(tmp_path: Path) -> None:
    async with resolving(tmp_path, [], [], minimise="yes") as resolver:
        [srv] = (await resolver.ask("_http._tcp.s0.jitsu.test", "SRV")).rr
        assert str(srv.rdata) == "0 0 80 s0.jitsu.test."
        assert resolver.summoned() == ["s0"]
