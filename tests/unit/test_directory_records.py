"""TXT, SRV and PTR: who has them, and that asking for them boots nothing."""

from typing import Any

import pytest
from dnslib import QTYPE, DNSHeader, DNSQuestion, DNSRecord

from jitsu.directory.answer import Question, Reply, consider
from jitsu.directory.records import LONGEST_TEXT, Ptr, Srv, Txt
from jitsu.directory.zone import Host, Zone
from jitsu.errors import ConfigError

ZONE = Zone(
    origin="jitsu.test",
    nameservers=(("ns1.jitsu.test", "192.0.2.1"),),
    hosts={"web.jitsu.test": Host("web", ("192.0.2.10",), 7)},
    records={
        "Web.jitsu.test": [Txt("v=1"), Txt("owner=Grüße")],
        "_http._tcp.web.jitsu.test": [Srv(80, "web.jitsu.test"), Srv(8080, "web.jitsu.test")],
        "10.jitsu.test": [Ptr("web.jitsu.test"), Txt("beside it")],
    },
    ttl=300,
)
INNER = Zone("lab.jitsu.test", (("ns.example.org",),), {}, records={"a.lab.jitsu.test": [Txt("inner")]})


def ask(name: str, qtype: str) -> bytes:
    return bytes(DNSRecord(DNSHeader(id=1), q=DNSQuestion(name, getattr(QTYPE, qtype))).pack())


def reply(name: str, qtype: str, udp: bool = True, zones: tuple[Zone, ...] = (ZONE,)) -> DNSRecord:
    outcome = consider(zones, ask(name, qtype), udp)
    assert isinstance(outcome, Reply), outcome
    return DNSRecord.parse(outcome.packet)


def test_each_text_is_a_record_of_its_own() -> None:
    answer = reply("wEb.jitsu.test", "TXT")
    assert [(str(rr.rname), rr.rtype, rr.ttl, rr.rdata.data) for rr in answer.rr] == [
        ("wEb.jitsu.test.", QTYPE.TXT, 300, [b"v=1"]),
        ("wEb.jitsu.test.", QTYPE.TXT, 300, ["owner=Grüße".encode()]),
    ]
    assert (answer.header.aa, answer.auth, answer.ar) == (1, [], [])


def test_a_host_with_texts_summons_as_before() -> None:
    assert isinstance(consider([ZONE], ask("web.jitsu.test", "A"), True), Question)


def test_srv_names_port_and_target_and_keeps_the_address_to_itself() -> None:
    answer = reply("_HTTP._tcp.web.jitsu.test", "SRV")
    assert [str(rr.rdata) for rr in answer.rr] == ["0 0 80 web.jitsu.test.", "0 0 8080 web.jitsu.test."]
    assert answer.ar == []


def test_the_target_of_an_srv_record_is_not_compressed() -> None:
    outcome = consider([ZONE], ask("_http._tcp.web.jitsu.test", "SRV"), True)
    assert isinstance(outcome, Reply)
    # RFC 2782: "name compression is not to be used for this field".
    assert outcome.packet.count(b"\x03web\x05jitsu\x04test\x00") == 3


def test_records_of_one_type_are_not_answers_for_another() -> None:
    assert [str(rr.rdata) for rr in reply("10.jitsu.test", "PTR").rr] == ["web.jitsu.test."]
    assert [rr.rtype for rr in reply("10.jitsu.test", "TXT").rr] == [QTYPE.TXT]
    assert reply("10.jitsu.test", "SRV").auth[0].rtype == QTYPE.SOA
    assert reply("10.jitsu.test", "A").auth[0].rtype == QTYPE.SOA


def test_any_of_a_name_with_records_only_is_answered_minimally() -> None:
    assert [rr.rtype for rr in reply("_http._tcp.web.jitsu.test", "ANY").rr] == [QTYPE.HINFO]


def test_what_lies_above_a_record_exists() -> None:
    assert reply("_tcp.web.jitsu.test", "SRV").header.rcode == 0
    assert reply("_udp.web.jitsu.test", "SRV").header.rcode == 3


def test_many_long_texts_are_truncated_over_udp_and_whole_over_tcp() -> None:
    texts = [Txt(f"{number:02}" + "x" * (LONGEST_TEXT - 2)) for number in range(16)]
    zone = Zone("long.test", (("ns.example.org",),), {}, records={"long.test": texts})
    assert reply("long.test", "TXT", zones=(zone,)).header.tc == 1
    whole = reply("long.test", "TXT", udp=False, zones=(zone,))
    assert [rr.rdata.data for rr in whole.rr] == [[text.text.encode()] for text in texts]


@pytest.mark.parametrize("zones", [(ZONE, INNER), (INNER, ZONE)])
def test_of_two_zones_the_inner_one_speaks(zones: tuple[Zone, ...]) -> None:
    assert reply("a.lab.jitsu.test", "TXT", zones=zones).rr[0].rdata.data == [b"inner"]
    assert str(reply("b.lab.jitsu.test", "A", zones=zones).auth[0].rname) == "lab.jitsu.test."
    assert str(reply("b.jitsu.test", "A", zones=zones).auth[0].rname) == "jitsu.test."


def test_without_zones_everything_is_refused() -> None:
    assert reply("web.jitsu.test", "A", zones=()).header.rcode == 5


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ({"web.example.org": [Txt("x")]}, "outside the zone"),
        ({"a.jitsu.test": [Txt("x")], "A.jitsu.test.": [Txt("y")]}, "in two places"),
        ({"a b.jitsu.test": [Txt("x")]}, "'a b'"),
    ],
)
def test_records_that_cannot_be_in_a_zone(records: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        Zone("jitsu.test", (("ns.example.org",),), {}, records=records)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Txt("ü" * 128), "256 octets"),
        (lambda: Srv(0, "a.test"), "port of a.test is 0"),
        (lambda: Srv(65536, "a.test"), "port of a.test is 65536"),
        (lambda: Srv(80, ""), "empty label"),
        (lambda: Ptr("a..test"), "empty label"),
    ],
)
def test_records_that_cannot_be(make: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        make()
    assert caught.value.hint
    assert Txt("ü" * 127 + "x").text
