"""One table of questions and answers, held against two clients that share no code: BIND's dig and Knot's kdig."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from tests.peers.directories import Directory, dig, flags, kdig, records, serving, status

SOA = "ns1.jitsu.test. hostmaster.jitsu.test. 1 3600 600 86400 60"
DENIED = {f"jitsu.test. 60 IN SOA {SOA}"}
REVERSE_DENIED = {f"0.77.10.in-addr.arpa. 60 IN SOA {SOA}"}
FD77 = "0.0.0.0.0.0.0.0.0.0.0.0.7.7.d.f.ip6.arpa."
WEB = "web.jitsu.test. 7 IN A 10.77.0.10"


@dataclass(frozen=True)
class Case:
    """A question in the clients' common words, and what comes of it."""

    question: str
    status: str
    records: frozenset[str] | set[str] = frozenset()
    """All that the answer holds, in any section."""
    summons: str = ""
    flags: str = "qr aa rd"


CASES = [
    # Addresses, which summon
    Case("web.jitsu.test A", "NOERROR", {WEB}, "web"),
    Case("web.jitsu.test A +norec", "NOERROR", {WEB}, "web", "qr aa"),
    Case("web.jitsu.test A +tcp", "NOERROR", {WEB}, "web"),
    Case("web.jitsu.test A +bufsize=512", "NOERROR", {WEB}, "web"),
    Case("web.jitsu.test A +dnssec", "NOERROR", {WEB}, "web"),
    Case("web.jitsu.test A +cdflag", "NOERROR", {WEB}, "web"),
    Case("web.jitsu.test A +adflag", "NOERROR", {WEB}, "web"),
    Case("WeB.jItSu.TeSt A", "NOERROR", {"WeB.jItSu.TeSt. 7 IN A 10.77.0.10"}, "web"),
    Case("a.deep.jitsu.test A", "NOERROR", {"a.deep.jitsu.test. 0 IN A 10.77.0.12"}, "deep"),
    Case("full.jitsu.test A", "SERVFAIL", summons="full", flags="qr rd"),
    Case("full.jitsu.test A +tcp", "SERVFAIL", summons="full", flags="qr rd"),
    Case("both.jitsu.test A", "NOERROR", {"both.jitsu.test. 7 IN A 10.77.0.13"}, "both"),
    Case("both.jitsu.test AAAA", "NOERROR", {"both.jitsu.test. 7 IN AAAA fd77::13"}, "both"),
    Case("bOth.jitsu.test AAAA +tcp +dnssec", "NOERROR", {"bOth.jitsu.test. 7 IN AAAA fd77::13"}, "both"),
    Case("six.jitsu.test AAAA", "NOERROR", {"six.jitsu.test. 7 IN AAAA fd77::14"}, "six"),
    # An address that summons nobody
    Case("ns1.jitsu.test A", "NOERROR", {"ns1.jitsu.test. 300 IN A 192.0.2.1"}),
    # Names that exist, types that do not
    Case("web.jitsu.test AAAA", "NOERROR", DENIED),
    Case("six.jitsu.test A", "NOERROR", DENIED),
    Case("ns1.jitsu.test AAAA", "NOERROR", DENIED),
    Case("web.jitsu.test HTTPS", "NOERROR", DENIED),
    Case("web.jitsu.test CNAME", "NOERROR", DENIED),
    Case("web.jitsu.test SRV", "NOERROR", DENIED),
    Case("web.jitsu.test NS", "NOERROR", DENIED),
    Case("web.jitsu.test SOA", "NOERROR", DENIED),
    Case("web.jitsu.test DS", "NOERROR", DENIED),
    Case("full.jitsu.test TXT +tcp", "NOERROR", DENIED),
    Case("jitsu.test A", "NOERROR", DENIED),
    Case("deep.jitsu.test A", "NOERROR", DENIED),
    Case("_tcp.web.jitsu.test A", "NOERROR", DENIED),
    Case("_http._tcp.web.jitsu.test A", "NOERROR", DENIED),
    # Names that do not exist
    Case("nope.jitsu.test A", "NXDOMAIN", DENIED),
    Case("nope.jitsu.test A +tcp", "NXDOMAIN", DENIED),
    Case("nope.jitsu.test TYPE65280", "NXDOMAIN", DENIED),
    Case("x.web.jitsu.test A", "NXDOMAIN", DENIED),
    Case("*.jitsu.test A", "NXDOMAIN", DENIED),
    Case("_udp.web.jitsu.test SRV", "NXDOMAIN", DENIED),
    # Records
    Case(
        "web.jitsu.test TXT",
        "NOERROR",
        {'web.jitsu.test. 300 IN TXT "v=1"', r'web.jitsu.test. 300 IN TXT "say \"hi\" \\"'},
    ),
    Case(
        "long.jitsu.test TXT +tcp",
        "NOERROR",
        {f'long.jitsu.test. 300 IN TXT "{f"{number}" * 250}"' for number in range(8)},
    ),
    Case("long.jitsu.test TXT +ignore", "NOERROR", flags="qr aa tc rd"),
    Case(
        "_http._tcp.web.jitsu.test SRV",
        "NOERROR",
        {"_http._tcp.web.jitsu.test. 300 IN SRV 0 0 80 web.jitsu.test."},
    ),
    Case("jitsu.test SOA", "NOERROR", {f"jitsu.test. 300 IN SOA {SOA}"}),
    # Addresses and their names
    Case("-x 10.77.0.10", "NOERROR", {"10.0.77.10.in-addr.arpa. 300 IN PTR web.jitsu.test."}),
    Case("-x 10.77.0.11 +tcp", "NOERROR", {"11.0.77.10.in-addr.arpa. 300 IN PTR full.jitsu.test."}),
    Case("-x 10.77.0.12", "NXDOMAIN", REVERSE_DENIED),
    Case("10.0.77.10.in-addr.arpa A", "NOERROR", REVERSE_DENIED),
    Case("0.77.10.in-addr.arpa SOA", "NOERROR", {f"0.77.10.in-addr.arpa. 300 IN SOA {SOA}"}),
    Case("0.77.10.in-addr.arpa NS", "NOERROR", {"0.77.10.in-addr.arpa. 300 IN NS ns1.jitsu.test."}),
    Case("-x 10.77.0.200", "REFUSED", flags="qr rd"),
    Case("-x 10.77.1.10", "REFUSED", flags="qr rd"),
    Case("-x fd77::13", "NOERROR", {f"{'3.1' + '.0' * 14}.{FD77} 300 IN PTR both.jitsu.test."}),
    Case("-x fd77::14", "NXDOMAIN", {f"{FD77} 60 IN SOA {SOA}"}),
    Case("-x fd78::13", "REFUSED", flags="qr rd"),
    # What is not ours to answer
    Case("example.org A", "REFUSED", flags="qr rd"),
    Case("xjitsu.test A +tcp", "REFUSED", flags="qr rd"),
    Case("test NS", "REFUSED", flags="qr rd"),
    Case("-c CH -t TXT version.bind", "REFUSED", flags="qr rd"),
    Case("-c CH -t A web.jitsu.test", "REFUSED", flags="qr rd"),
]


@pytest.fixture
async def directory() -> AsyncIterator[Directory]:
    async with serving(Directory()) as directory:
        yield directory


@pytest.mark.parametrize("client", [dig, kdig])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.question.replace(" ", "_"))
async def test_the_answer_is_the_one_in_the_table(
    directory: Directory, client: Callable[..., Awaitable[str]], case: Case
) -> None:
    if shutil.which(client.__name__) is None:
        pytest.skip(f"{client.__name__} is not installed (bind9-dnsutils, knot-dnsutils)")
    text = await client(directory.port, *case.question.split())
    assert (status(text), flags(text)) == (case.status, set(case.flags.split()))
    assert records(text) == case.records
    assert directory.summoned == [case.summons] * bool(case.summons)
