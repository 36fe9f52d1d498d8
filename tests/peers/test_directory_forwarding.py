"""Forwarding to a real resolver, unbound, and asked by dig and kdig."""

import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import pytest

from jitsu.directory.forwarder import Forwarder
from tests.peers.directories import Directory, dig, flags, kdig, records, serving, status
from tests.peers.unbound import free_port, resolver

pytestmark = pytest.mark.skipif(shutil.which("unbound") is None, reason="unbound is not installed")

ADDRESS = "127.0.0.5"
LONG = [f"{number}" * 250 for number in range(8)]
ANSWERS = '    local-zone: "example.org." static\n' + "".join(
    f"    local-data: '{data}'\n"
    for data in (
        "example.org. 60 SOA ns.example.org. hostmaster.example.org. 1 3600 600 86400 60",
        "www.example.org. 60 A 198.51.100.7",
        "www.example.org. 60 AAAA 2001:db8::7",
        'www.example.org. 60 TXT "hi"',
        *(f'long.example.org. 60 TXT "{text}"' for text in LONG),
    )
)


@dataclass(frozen=True)
class Case:
    """A question in the clients' common words, and what comes of it."""

    question: str
    status: str
    records: frozenset[str] | set[str] = frozenset()
    flags: str = "qr rd ra"


SOA = {"example.org. 60 IN SOA ns.example.org. hostmaster.example.org. 1 3600 600 86400 60"}
CASES = [
    Case("www.example.org A", "NOERROR", {"www.example.org. 60 IN A 198.51.100.7"}),
    Case("WwW.eXample.org A", "NOERROR", {"WwW.eXample.org. 60 IN A 198.51.100.7"}),
    Case("www.example.org A +tcp", "NOERROR", {"www.example.org. 60 IN A 198.51.100.7"}),
    Case("www.example.org A +dnssec", "NOERROR", {"www.example.org. 60 IN A 198.51.100.7"}),
    Case("www.example.org A +cdflag", "NOERROR", {"www.example.org. 60 IN A 198.51.100.7"}, "qr rd ra cd"),
    Case("www.example.org A +adflag", "NOERROR", {"www.example.org. 60 IN A 198.51.100.7"}),
    Case("www.example.org AAAA +bufsize=512", "NOERROR", {"www.example.org. 60 IN AAAA 2001:db8::7"}),
    Case("www.example.org TXT", "NOERROR", {'www.example.org. 60 IN TXT "hi"'}),
    Case("www.example.org HTTPS", "NOERROR", SOA),
    Case("nope.example.org A", "NXDOMAIN", SOA),
    Case("nope.example.org A +tcp", "NXDOMAIN", SOA),
    Case("long.example.org TXT +ignore", "NOERROR", flags="qr tc rd ra"),
    Case("long.example.org TXT +tcp", "NOERROR", {f'long.example.org. 60 IN TXT "{text}"' for text in LONG}),
    Case("www.example.org A +norec", "REFUSED", flags="qr"),
    Case("-c CH -t TXT version.bind", "REFUSED", flags="qr rd"),
    Case("web.jitsu.test A", "NOERROR", {"web.jitsu.test. 7 IN A 10.77.0.10"}, "qr aa rd"),
]


@asynccontextmanager
async def forwarding(folder: Path, *before: tuple[str, int], clients: str = "127.0.0.0/8") -> AsyncIterator[Directory]:
    """A directory with unbound as its upstream; `before` are asked first."""
    upstream = (ADDRESS, free_port(ADDRESS))
    relay = Forwarder([*before, upstream], [ip_network(clients)])
    async with resolver(folder, upstream, ANSWERS), serving(Directory(forwarder=relay)) as directory:
        yield directory


@pytest.mark.parametrize("client", [dig, kdig])
async def test_the_answers_are_the_resolvers(tmp_path: Path, client: Callable[..., Awaitable[str]]) -> None:
    async with forwarding(tmp_path) as directory:
        for case in CASES:
            text = await client(directory.port, *case.question.split())
            assert (status(text), flags(text)) == (case.status, set(case.flags.split())), case.question
            assert records(text) == case.records, case.question


async def test_an_answer_too_long_for_udp_comes_over_tcp(tmp_path: Path) -> None:
    async with forwarding(tmp_path) as directory:
        text = await dig(directory.port, "long.example.org", "TXT")
        assert "Truncated, retrying in TCP mode" in text
        assert len(records(text)) == len(LONG)
        assert re.search(r"EDNS: version: 0, flags:; udp: 1232", text)


async def test_strangers_are_refused(tmp_path: Path) -> None:
    async with forwarding(tmp_path, clients="192.0.2.0/24") as directory:
        for transport in ("+notcp", "+tcp"):
            text = await dig(directory.port, "www.example.org", transport)
            assert (status(text), flags(text)) == ("REFUSED", {"qr", "rd"})


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
async def test_an_upstream_that_is_gone_is_stepped_over(tmp_path: Path, transport: str) -> None:
    async with forwarding(tmp_path, (ADDRESS, free_port(ADDRESS))) as directory:
        text = await dig(directory.port, "www.example.org", transport)
        assert records(text) == {"www.example.org. 60 IN A 198.51.100.7"}
