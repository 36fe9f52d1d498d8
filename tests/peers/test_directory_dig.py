"""The directory server as BIND's `dig` sees it."""

import re
import shutil
from collections.abc import AsyncIterator

import pytest

from tests.peers.directories import Directory, dig, flags, records, serving, status

pytestmark = pytest.mark.skipif(shutil.which("dig") is None, reason="dig is not installed (bind9-dnsutils)")


@pytest.fixture
async def directory() -> AsyncIterator[Directory]:
    async with serving(Directory()) as directory:
        yield directory


@pytest.mark.parametrize("options", [[], ["+tcp"], ["+noedns"], ["+tcp", "+noedns"], ["+bufsize=512"]])
async def test_a(directory: Directory, options: list[str]) -> None:
    text = await dig(directory.port, "web.jitsu.test", "A", *options)
    assert status(text) == "NOERROR"
    assert flags(text) == {"qr", "aa", "rd"}
    assert "web.jitsu.test. 7 IN A 10.77.0.10" in records(text)
    assert ("EDNS: version: 0" in text) == ("+noedns" not in options)
    assert directory.summoned == ["web"]


async def test_norec(directory: Directory) -> None:
    assert flags(await dig(directory.port, "web.jitsu.test", "A", "+norec")) == {"qr", "aa"}


async def test_no_room_is_servfail(directory: Directory) -> None:
    text = await dig(directory.port, "full.jitsu.test", "A")
    assert status(text) == "SERVFAIL"
    assert directory.summoned == ["full"]


@pytest.mark.parametrize("qtype", ["AAAA", "MX", "SRV", "HTTPS", "SVCB", "TYPE65535"])
@pytest.mark.parametrize("option", ["+notcp", "+tcp"])
async def test_nodata_with_soa(directory: Directory, qtype: str, option: str) -> None:
    text = await dig(directory.port, "web.jitsu.test", qtype, option)
    assert status(text) == "NOERROR"
    assert "ANSWER: 0, AUTHORITY: 1" in text
    soa = "ns1.jitsu.test. hostmaster.jitsu.test. 1 3600 600 86400 60"
    assert f"jitsu.test. 60 IN SOA {soa}" in records(text)
    assert directory.summoned == []


@pytest.mark.parametrize("option", ["+notcp", "+tcp"])
async def test_nxdomain_with_soa(directory: Directory, option: str) -> None:
    text = await dig(directory.port, "nope.jitsu.test", "A", option)
    assert status(text) == "NXDOMAIN"
    assert flags(text) == {"qr", "aa", "rd"}
    assert "SOA" in text


async def test_0x20(directory: Directory) -> None:
    text = await dig(directory.port, "wEB.JItsu.tESt", "A")
    assert re.search(r"^;wEB\.JItsu\.tESt\.\s+IN\s+A$", text, re.MULTILINE)
    assert "wEB.JItsu.tESt. 7 IN A 10.77.0.10" in records(text)
    text = await dig(directory.port, "nOPe.JItsu.tESt", "A")
    assert "JItsu.tESt.\t\t60\tIN\tSOA" in text


async def test_soa(directory: Directory) -> None:
    text = await dig(directory.port, "jitsu.test", "SOA", "+multiline")
    assert re.search(r"60\s+; minimum", text)
    assert "aa" in flags(text)


async def test_ns_is_truncated_over_udp_and_dig_comes_back_over_tcp(directory: Directory) -> None:
    text = await dig(directory.port, "jitsu.test", "NS", "+bufsize=512", "+ignore")
    assert "tc" in flags(text)
    text = await dig(directory.port, "jitsu.test", "NS", "+bufsize=512")
    assert "Truncated, retrying in TCP mode" in text
    assert "tc" not in flags(text)
    assert "ANSWER: 13" in text
    assert "ns1.jitsu.test. 300 IN A 192.0.2.1" in records(text)


async def test_any(directory: Directory) -> None:
    text = await dig(directory.port, "web.jitsu.test", "ANY", "+notcp")
    assert records(text) == {'web.jitsu.test. 300 IN HINFO "RFC8482" ""'}
    assert directory.summoned == []


async def test_a_later_edns_version_is_badvers(directory: Directory) -> None:
    text = await dig(directory.port, "web.jitsu.test", "A", "+edns=1", "+noednsnegotiation")
    assert status(text) == "BADVERS"
    assert "EDNS: version: 0" in text
    assert directory.summoned == []
    # Left to itself, dig falls back to version 0.
    assert status(await dig(directory.port, "web.jitsu.test", "A", "+edns=1")) == "NOERROR"


async def test_edns_in_all_its_colours(directory: Directory) -> None:
    text = await dig(
        directory.port, "web.jitsu.test", "A", "+dnssec", "+ednsopt=65001:00ff", "+ednsflags=0x8001", "+nsid"
    )
    assert status(text) == "NOERROR"
    assert "EDNS: version: 0, flags: do; udp: 1232" in text
    text = await dig(directory.port, "web.jitsu.test", "A", "+cookie", "+subnet=192.0.2.0/24", "+padding=128")
    assert status(text) == "NOERROR"
    assert "EDNS: version: 0, flags:; udp: 1232" in text


async def test_unknown_flags_are_not_repeated(directory: Directory) -> None:
    assert flags(await dig(directory.port, "web.jitsu.test", "A", "+adflag", "+cdflag", "+zflag")) == {"qr", "aa", "rd"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["example.org", "A"],
        [".", "NS"],
        ["-c", "CH", "version.bind", "TXT"],
        ["-c", "CH", "web.jitsu.test", "A"],
        ["-c", "ANY", "web.jitsu.test", "A"],
    ],
)
async def test_refused(directory: Directory, arguments: list[str]) -> None:
    text = await dig(directory.port, *arguments)
    assert status(text) == "REFUSED"
    assert flags(text) == {"qr", "rd"}
    assert directory.summoned == []


@pytest.mark.parametrize("transfer", ["AXFR", "IXFR=1"])
async def test_transfers_are_refused(directory: Directory, transfer: str) -> None:
    assert "Transfer failed." in await dig(directory.port, "jitsu.test", transfer)
    assert directory.server.stats == {("tcp", "REFUSED"): 1}


async def test_other_opcodes_are_not_implemented(directory: Directory) -> None:
    text = await dig(directory.port, "+opcode=15", "+header-only", "+noedns")
    assert status(text) == "NOTIMP"
    text = await dig(directory.port, "jitsu.test", "SOA", "+opcode=NOTIFY")
    assert status(text) == "NOTIMP"
    assert "EDNS: version: 0" in text


async def test_a_header_alone_is_formerr(directory: Directory) -> None:
    assert status(await dig(directory.port, "+header-only")) == "FORMERR"


async def test_several_questions_on_one_connection(directory: Directory) -> None:
    names = ["web.jitsu.test", "nope.jitsu.test", "web.jitsu.test"]
    text = await dig(directory.port, "+tcp", "+keepopen", *names)
    assert re.findall(r"status: (\w+)", text) == ["NOERROR", "NXDOMAIN", "NOERROR"]
