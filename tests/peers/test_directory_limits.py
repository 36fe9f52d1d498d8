"""What one client may ask for, as real clients meet it: they come through over TCP."""

import asyncio
import shutil

import pytest

from jitsu.directory.enquiries import Limits
from tests.peers.directories import Directory, dig, kdig, records, run, serving, status
from tests.unit.dns_clients import stop_the_clock

pytestmark = pytest.mark.skipif(shutil.which("dig") is None, reason="dig is not installed (bind9-dnsutils)")

WEB = {"web.jitsu.test. 7 IN A 10.77.0.10"}
AT_ONCE = 2
"""Twice the rate of one a second."""


@pytest.fixture(autouse=True)
def no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    stop_the_clock(monkeypatch)


async def test_a_client_that_has_summoned_enough_over_udp_is_served_over_tcp() -> None:
    async with serving(Directory(limits=Limits(summons=1))) as directory:
        for turn in range(AT_ONCE + 1):
            text = await dig(directory.port, "web.jitsu.test")
            assert records(text) == WEB
            assert ("retrying in TCP" in text) is (turn == AT_ONCE)
        for client in (dig, kdig):
            text = await client(directory.port, "web.jitsu.test", "+ignore")
            assert (status(text), records(text)) == ("NOERROR", set())
        assert directory.summoned == ["web"] * (AT_ONCE + 1)


async def test_what_is_too_much_over_tcp_too_is_servfail_and_summons_nobody() -> None:
    async with serving(Directory(limits=Limits(summons=1))) as directory:
        answers = [status(await dig(directory.port, "web.jitsu.test", "+tcp")) for _ in range(AT_ONCE + 2)]
        assert answers[:AT_ONCE] == ["NOERROR"] * AT_ONCE
        assert answers[AT_ONCE:] == ["SERVFAIL"] * 2
        assert len(directory.summoned) == AT_ONCE


async def test_a_real_client_outlives_a_flood_in_its_name() -> None:
    async with serving(Directory(limits=Limits(answers=1))) as directory:
        address = ("127.0.0.1", directory.port)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=address
        )
        for _ in range(200):
            transport.sendto(bytes.fromhex("beef01000001000000000000036e6f70056a6974737504746573740000010001"))
        # The first try may be among those that are dropped; the next is not.
        text = await run("dig", "-p", str(directory.port), "@127.0.0.1", "+tries=4", "+time=1", "web.jitsu.test")
        transport.close()
        assert records(text) == WEB
        assert "retrying in TCP" in text
        assert directory.server.stats["udp", "NXDOMAIN"] == AT_ONCE
