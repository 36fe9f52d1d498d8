"""What the directory answers, rule by rule and then under fire; dnslib reads the answers back."""

import struct

import pytest
from dnslib import EDNS0, QTYPE, RR, A, DNSHeader, DNSQuestion, DNSRecord, EDNSOption
from hypothesis import given
from hypothesis import strategies as st

from jitsu.directory.answer import Question, Rcode, Reply, consider
from jitsu.directory.query import Query
from jitsu.directory.zone import Host, Zone

ZONE = Zone(
    origin="jitsu.test",
    nameservers=(("ns1.jitsu.test", "192.0.2.1"), ("ns.example.org",)),
    hosts={
        "web.jitsu.test": Host("web", ("192.0.2.10",), 7),
        "www.jitsu.test": Host("web", ("192.0.2.10",), 7),
        "a.deep.jitsu.test": Host("deep", ("192.0.2.11",), 0),
        "both.jitsu.test": Host("both", ("192.0.2.12", "2001:db8::12"), 9),
        "six.jitsu.test": Host("six", ("2001:db8::13",), 9),
    },
    ttl=300,
    minimum=60,
)
LONG = "x" * 50
# Its NS answer takes more than 512 octets, with glue more than 1232.
WIDE = Zone(
    origin="wide.test",
    nameservers=tuple((f"{LONG}{number}.wide.test", f"192.0.2.{number}") for number in range(13)),
    hosts={},
)


def ask(name: str = "web.jitsu.test", qtype: str = "A", qclass: int = 1, **edns: int) -> bytes:
    query = DNSRecord(DNSHeader(id=0x1234, rd=1), q=DNSQuestion(name, getattr(QTYPE, qtype), qclass))
    if edns:
        query.add_ar(EDNS0(**edns))
    return bytes(query.pack())


def reply(packet: bytes, zone: Zone = ZONE, udp: bool = True) -> DNSRecord:
    """The answer to what must not summon."""
    outcome = consider([zone], packet, udp)
    assert isinstance(outcome, Reply), outcome
    read = DNSRecord.parse(outcome.packet)
    assert read.header.qr == 1
    assert read.header.ra == 0
    assert read.header.id == int.from_bytes(packet[:2], "big")
    assert read.header.rcode == outcome.rcode & 0xF
    return read


def opt(record: DNSRecord) -> RR | None:
    found = [rr for rr in record.ar if rr.rtype == QTYPE.OPT]
    assert len(found) <= 1
    return found[0] if found else None


# Questions that summon


@pytest.mark.parametrize("udp", [True, False])
def test_an_a_question_for_a_host_summons_and_granted_gives_its_address(udp: bool) -> None:
    question = consider([ZONE], ask("www.jitsu.test"), udp)
    assert isinstance(question, Question)
    assert question.service == "web"
    outcome = question.finish(True)
    answer = DNSRecord.parse(outcome.packet)
    assert outcome.rcode is Rcode.NOERROR
    assert [(str(rr.rname), rr.rtype, rr.ttl, str(rr.rdata)) for rr in answer.rr] == [
        ("www.jitsu.test.", QTYPE.A, 7, "192.0.2.10")
    ]
    header = answer.header
    assert (header.qr, header.aa, header.tc, header.rd, header.ra, header.rcode) == (1, 1, 0, 1, 0, 0)


@pytest.mark.parametrize(
    ("name", "qtype", "address"),
    [
        ("both.jitsu.test", "A", "192.0.2.12"),
        ("both.jitsu.test", "AAAA", "2001:db8::12"),
        ("six.jitsu.test", "AAAA", "2001:db8::13"),
    ],
)
def test_a_question_for_an_address_of_either_version_summons_and_is_given_that(
    name: str, qtype: str, address: str
) -> None:
    question = consider([ZONE], ask(name, qtype), True)
    assert isinstance(question, Question)
    [answer] = DNSRecord.parse(question.finish(True).packet).rr
    assert (answer.rtype, answer.ttl, str(answer.rdata)) == (getattr(QTYPE, qtype), 9, address)


def test_a_version_of_which_the_host_has_no_address_is_nodata() -> None:
    answer = reply(ask("six.jitsu.test", "A"))
    assert (answer.header.rcode, answer.rr, answer.auth[0].rtype) == (0, [], QTYPE.SOA)


def test_a_name_server_with_addresses_of_both_versions_has_both_as_glue() -> None:
    zone = Zone("jitsu.test", (("ns1.jitsu.test", "192.0.2.1", "2001:db8::1"),), {})
    glue = reply(ask("jitsu.test", "NS"), zone).ar
    assert [(rr.rtype, str(rr.rdata)) for rr in glue] == [(QTYPE.A, "192.0.2.1"), (QTYPE.AAAA, "2001:db8::1")]
    assert str(reply(ask("ns1.jitsu.test", "AAAA"), zone).rr[0].rdata) == "2001:db8::1"


def test_a_ttl_of_zero_is_served() -> None:
    question = consider([ZONE], ask("a.deep.jitsu.test"), True)
    assert isinstance(question, Question)
    assert DNSRecord.parse(question.finish(True).packet).rr[0].ttl == 0


def test_not_granted_gives_servfail() -> None:
    question = consider([ZONE], ask(udp_len=1232), True)
    assert isinstance(question, Question)
    outcome = question.finish(False)
    answer = DNSRecord.parse(outcome.packet)
    assert outcome.rcode is Rcode.SERVFAIL
    assert answer.header.rcode == 2
    assert answer.header.aa == 0
    assert answer.rr == []
    assert str(answer.q.qname) == "web.jitsu.test."
    assert opt(answer) is not None


def test_id_question_and_its_case_are_copied_byte_for_byte() -> None:
    packet = ask("wEb.JITSU.tesT")
    question = consider([ZONE], packet, True)
    assert isinstance(question, Question)
    answer = question.finish(True).packet
    assert answer[:2] == packet[:2]
    assert answer[12 : len(packet)] == packet[12:]
    assert b"wEb\x05JITSU\x04tesT" in answer


@pytest.mark.parametrize("rd", [0, 1])
def test_rd_is_copied_and_ad_cd_z_are_not(rd: int) -> None:
    packet = DNSRecord(DNSHeader(id=1, rd=rd, ad=1, cd=1, z=1), q=DNSQuestion("nope.jitsu.test")).pack()
    header = reply(bytes(packet)).header
    assert (header.rd, header.ad, header.cd, header.z) == (rd, 0, 0, 0)


# Questions that boot nothing


@pytest.mark.parametrize("qtype", ["AAAA", "MX", "TXT", "HTTPS", "SVCB", "SRV", "HINFO", "SOA", "NS", "DS", "CAA"])
@pytest.mark.parametrize("name", ["WEB.jitsu.test", "ns1.jitsu.test", "deep.jitsu.test"])
def test_other_types_of_a_known_name_are_nodata_with_soa(name: str, qtype: str) -> None:
    answer = reply(ask(name, qtype))
    assert answer.header.rcode == 0
    assert answer.header.aa == 1
    assert answer.rr == []
    [soa] = answer.auth
    assert soa.rtype == QTYPE.SOA
    assert soa.rname == "jitsu.test"
    assert soa.ttl == 60
    assert soa.rdata.times[4] == 60


def test_an_empty_non_terminal_has_no_address_and_is_no_nxdomain() -> None:
    assert reply(ask("deep.jitsu.test")).header.rcode == 0
    assert reply(ask("deep.jitsu.test", "ANY")).rr == []


@pytest.mark.parametrize("name", ["nope.jitsu.test", "x.web.jitsu.test", "b.deep.jitsu.test"])
@pytest.mark.parametrize("qtype", ["A", "AAAA", "ANY", "SOA"])
def test_unknown_names_are_nxdomain_with_soa(name: str, qtype: str) -> None:
    answer = reply(ask(name, qtype))
    assert answer.header.rcode == 3
    assert answer.header.aa == 1
    assert [(rr.rtype, rr.ttl) for rr in answer.auth] == [(QTYPE.SOA, 60)]


def test_the_soa_ttl_of_a_negative_answer_is_the_zones_if_that_is_smaller() -> None:
    zone = Zone("jitsu.test", (("ns.example.org",),), {}, ttl=30, minimum=60)
    assert reply(ask("nope.jitsu.test"), zone).auth[0].ttl == 30
    assert reply(ask("jitsu.test", "SOA"), zone).rr[0].ttl == 30


def test_soa_at_the_apex() -> None:
    answer = reply(ask("jitsu.test", "SOA"))
    [soa] = answer.rr
    assert soa.ttl == 300
    assert str(soa.rdata) == "ns1.jitsu.test. hostmaster.jitsu.test. 1 3600 600 86400 60"
    assert answer.header.aa == 1


def test_ns_at_the_apex_with_glue_for_those_inside() -> None:
    answer = reply(ask("jitsu.test", "NS"))
    assert [str(rr.rdata) for rr in answer.rr] == ["ns1.jitsu.test.", "ns.example.org."]
    assert [(str(rr.rname), str(rr.rdata)) for rr in answer.ar] == [("ns1.jitsu.test.", "192.0.2.1")]


def test_a_name_servers_address_summons_nobody() -> None:
    [address] = reply(ask("NS1.jitsu.test")).rr
    assert (str(address.rname), str(address.rdata), address.ttl) == ("NS1.jitsu.test.", "192.0.2.1", 300)


@pytest.mark.parametrize("name", ["web.jitsu.test", "jitsu.test", "ns1.jitsu.test"])
def test_any_is_answered_minimally(name: str) -> None:
    [hinfo] = reply(ask(name, "ANY")).rr
    assert hinfo.rtype == QTYPE.HINFO
    assert hinfo.rdata.data == b"\x07RFC8482\x00"


def test_the_apex_may_be_a_host() -> None:
    zone = Zone("jitsu.test", (("ns.example.org",),), {"jitsu.test": Host("web", ("192.0.2.9",), 5)})
    assert isinstance(consider([zone], ask("jitsu.test"), True), Question)
    assert reply(ask("jitsu.test", "NS"), zone).rr[0].rtype == QTYPE.NS
    assert reply(ask("jitsu.test", "AAAA"), zone).auth[0].rtype == QTYPE.SOA


# Refusals


@pytest.mark.parametrize(
    ("name", "qtype", "qclass"),
    [
        ("example.org", "A", 1),
        ("notjitsu.test", "A", 1),
        ("test", "NS", 1),
        (".", "NS", 1),
        ("jitsu.test", "AXFR", 1),
        ("jitsu.test", "IXFR", 1),
        ("web.jitsu.test", "A", 3),
        ("web.jitsu.test", "A", 255),
    ],
)
def test_refused(name: str, qtype: str, qclass: int) -> None:
    answer = reply(ask(name, qtype, qclass))
    assert answer.header.rcode == 5
    assert answer.header.aa == 0
    assert answer.rr == answer.auth == []
    assert answer.q.qclass == qclass


@pytest.mark.parametrize("opcode", [1, 2, 4, 5, 6, 15])
def test_other_opcodes_are_not_implemented(opcode: int) -> None:
    packet = bytearray(ask(udp_len=1232))
    packet[2] = opcode << 3
    answer = reply(bytes(packet))
    assert (answer.header.rcode, answer.header.opcode, answer.header.aa) == (4, opcode, 0)
    assert opt(answer) is not None
    # One that has another format altogether.
    answer = reply(bytes(packet[:12]) + b"\xff" * 9)
    assert (answer.header.rcode, answer.header.opcode) == (4, opcode)


def test_answers_and_less_than_a_header_are_dropped() -> None:
    packet = bytearray(ask())
    packet[2] |= 0x80
    assert consider([ZONE], bytes(packet), True) is None
    for size in range(12):
        assert consider([ZONE], ask()[:size], True) is None


HEADER = struct.pack("!HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0)
WEB = b"\x03web\x05jitsu\x04test\x00"
A_IN = b"\x00\x01\x00\x01"


@pytest.mark.parametrize(
    "packet",
    [
        HEADER,
        HEADER + WEB[:5],
        HEADER + WEB + b"\x00\x01\x00",
        HEADER + WEB + A_IN + b"!",
        HEADER + b"\xc0\x0c" + A_IN,
        HEADER + b"\x03web\xc0\x00" + A_IN,
        HEADER + b"\x40" + b"a" * 64 + b"\x00" + A_IN,
        HEADER + (b"\x3f" + b"a" * 63) * 4 + b"\x00" + A_IN,
        ask(udp_len=1232)[:-1],
        # As many records as a header can promise, and none there.
        struct.pack("!HHHHHH", 1, 0, 1, 65535, 65535, 65535) + WEB + A_IN,
        struct.pack("!HHHHHH", 1, 0, 65535, 0, 0, 0) + WEB + A_IN,
    ],
)
def test_malformed_is_formerr_with_nothing_made_up(packet: bytes) -> None:
    answer = reply(packet)
    assert answer.header.rcode == 1
    for question in answer.questions:
        assert (question.qname, question.qtype, question.qclass) == ("web.jitsu.test", 1, 1)


@pytest.mark.parametrize("count", [0, 2])
def test_any_number_of_questions_but_one_is_formerr(count: int) -> None:
    query = DNSRecord(DNSHeader(id=7), questions=[DNSQuestion("web.jitsu.test") for _ in range(count)])
    query.add_ar(EDNS0(udp_len=1232))
    answer = reply(bytes(query.pack()))
    assert answer.header.rcode == 1
    assert answer.questions == []
    assert opt(answer) is not None


def test_labels_of_any_octets_are_names_like_others() -> None:
    packet = HEADER + b"\x04\xff\x00.\xc3\x05jitsu\x04test\x00" + A_IN
    outcome = consider([ZONE], packet, True)
    assert isinstance(outcome, Reply)
    assert outcome.rcode is Rcode.NXDOMAIN
    assert outcome.packet[12 : len(packet)] == packet[12:]


# EDNS


def test_opt_is_answered_with_opt_and_only_then() -> None:
    assert opt(reply(ask("nope.jitsu.test"))) is None
    found = opt(reply(ask("nope.jitsu.test", udp_len=4096)))
    assert found is not None
    assert (found.edns_len, found.edns_ver, found.edns_do, found.rdata) == (1232, 0, 0, [])


def test_do_is_copied() -> None:
    query = DNSRecord(q=DNSQuestion("nope.jitsu.test"))
    query.add_ar(EDNS0(flags="do", udp_len=1232))
    found = opt(reply(bytes(query.pack())))
    assert found is not None
    assert found.edns_do == 1


def test_unknown_options_are_ignored() -> None:
    query = DNSRecord(q=DNSQuestion("web.jitsu.test"))
    query.add_ar(EDNS0(udp_len=1232, opts=[EDNSOption(65001, b"what"), EDNSOption(10, b"cookie!!")]))
    assert isinstance(consider([ZONE], bytes(query.pack()), True), Question)


def test_a_later_version_is_badvers_and_summons_nobody() -> None:
    answer = reply(ask(udp_len=1232, version=1))
    found = opt(answer)
    assert found is not None
    assert (found.edns_rcode, found.edns_ver) == (1, 0)
    assert answer.header.rcode == 0
    assert answer.rr == answer.auth == []


def test_two_opts_are_formerr() -> None:
    query = DNSRecord(q=DNSQuestion("web.jitsu.test"))
    query.add_ar(EDNS0(udp_len=1232), EDNS0(udp_len=1232))
    answer = reply(bytes(query.pack()))
    assert answer.header.rcode == 1
    assert opt(answer) is not None


def test_opt_elsewhere_or_with_a_name_is_formerr() -> None:
    query = DNSRecord(q=DNSQuestion("web.jitsu.test"))
    query.add_auth(EDNS0(udp_len=1232))
    assert reply(bytes(query.pack())).header.rcode == 1
    query = DNSRecord(q=DNSQuestion("web.jitsu.test"))
    query.add_ar(EDNS0("jitsu.test", udp_len=1232))
    assert reply(bytes(query.pack())).header.rcode == 1


def test_other_records_in_a_query_are_passed_over() -> None:
    query = DNSRecord(q=DNSQuestion("web.jitsu.test"))
    query.add_answer(RR("web.jitsu.test", rdata=A("192.0.2.66")))
    query.add_ar(EDNS0(udp_len=1232), RR("web.jitsu.test", rdata=A("192.0.2.66")))
    question = consider([ZONE], bytes(query.pack()), True)
    assert isinstance(question, Question)
    assert len(DNSRecord.parse(question.finish(True).packet).rr) == 1


# Length


def test_what_is_too_long_for_udp_is_truncated_with_question_and_opt() -> None:
    packet = ask("wide.test", "NS", udp_len=100)
    answer = reply(packet, WIDE)
    assert answer.header.tc == 1
    assert answer.header.aa == 1
    assert answer.rr == answer.auth == []
    assert str(answer.q.qname) == "wide.test."
    assert opt(answer) is not None
    whole = reply(packet, WIDE, udp=False)
    assert whole.header.tc == 0
    assert (len(whole.rr), len(whole.ar)) == (13, 14)


def test_glue_is_left_out_before_anything_is_truncated() -> None:
    packet = ask("wide.test", "NS", udp_len=1000)
    answer = reply(packet, WIDE)
    assert answer.header.tc == 0
    assert (len(answer.rr), len(answer.ar)) == (13, 1)


@pytest.mark.parametrize(
    ("size", "payload"), [(0, 512), (511, 512), (900, 900), (1232, 1232), (1233, 1232), (65535, 1232)]
)
def test_sizes_below_512_mean_512_and_ours_is_the_upper_bound(size: int, payload: int) -> None:
    query = Query.read(ask(udp_len=size))
    assert query is not None
    assert query.payload == payload


def test_truncation_begins_one_octet_beyond_the_limit() -> None:
    lengths = []
    for padding in range(1, 60):
        names = tuple((f"{'y' * padding}{n}.{LONG}{n}.test",) for n in range(5))
        zone = Zone("wide.test", names, {})
        whole = consider([zone], ask("wide.test", "NS"), udp=False)
        assert isinstance(whole, Reply)
        lengths.append(len(whole.packet))
        assert reply(ask("wide.test", "NS"), zone).header.tc == (len(whole.packet) > 512)
    assert min(lengths) < 512 < max(lengths)


# Under fire

octets = st.binary(max_size=300)
labels = st.sampled_from([b"web", b"WEB", b"jitsu", b"test", b"ns1", b"deep", b"wide", b"\xff\x00", b"x" * 63])


@st.composite
def near_queries(draw: st.DrawFn) -> bytes:
    """Packets that are nearly queries: right in most places, wrong in some."""
    header = struct.pack(
        "!HHHHHH",
        draw(st.integers(0, 65535)),
        draw(st.sampled_from([0, 0x0100, 0x0110, 0x2800, 0x8000, 0x7FFF])),
        draw(st.sampled_from([1, 1, 1, 0, 2])),
        draw(st.sampled_from([0, 0, 1])),
        draw(st.sampled_from([0, 0, 1])),
        draw(st.sampled_from([0, 1, 1, 2, 65535])),
    )
    name = b"".join(bytes([len(label)]) + label for label in draw(st.lists(labels, max_size=6)))
    tail = draw(st.sampled_from([b"\x05jitsu\x04test\x00", b"\x04wide\x04test\x00", b"\x00", b"\xc0\x0c", b""]))
    types = struct.pack(
        "!HH",
        draw(st.sampled_from([1, 2, 6, 28, 251, 252, 255, 41])),
        draw(st.sampled_from([1, 1, 1, 3, 255])),
    )
    edns = st.builds(
        lambda size, ttl, rdata: b"\x00" + struct.pack("!HHIH", 41, size, ttl, len(rdata)) + rdata,
        st.integers(0, 65535),
        st.sampled_from([0, 0x8000, 0x10000, 0xFFFFFFFF]),
        st.binary(max_size=12),
    )
    rest = b"".join(draw(st.lists(edns, max_size=2))) + draw(st.sampled_from([b"", b"", b"\x00"]))
    return header + name + tail + types + rest


def permitted(packet: bytes) -> int:
    """What a client that sent this packet takes over UDP, at most: dnslib's opinion, where it has one."""
    try:
        found = opt(DNSRecord.parse(packet))
    except Exception:
        return 1232
    return 512 if found is None else min(max(found.edns_len, 512), 1232)


@given(packet=st.one_of(octets, near_queries()), udp=st.booleans(), granted=st.booleans())
def test_whatever_comes_is_answered_well_or_dropped(packet: bytes, udp: bool, granted: bool) -> None:
    for zone in (ZONE, WIDE):
        outcome = consider([zone], packet, udp)
        if isinstance(outcome, Question):
            outcome = outcome.finish(granted)
        if outcome is None:
            assert len(packet) < 12 or packet[2] & 0x80
            continue
        assert outcome.packet[:2] == packet[:2]
        assert outcome.packet[2] & 0x80
        assert not outcome.packet[3] & 0xF0, "RA, Z, AD or CD is set"
        if udp:
            assert len(outcome.packet) <= (permitted(packet) if outcome.rcode is not Rcode.FORMERR else 512)
        if b"\xff" not in packet[12:]:
            # Names that are not UTF-8 are beyond dnslib.
            read = DNSRecord.parse(outcome.packet)
            assert read.header.rcode == outcome.rcode & 0xF
            assert (opt(read) is not None) <= (b"\x00\x29" in packet)
            if outcome.rcode in (Rcode.NOERROR, Rcode.NXDOMAIN):
                assert read.header.tc or read.rr or [rr.rtype for rr in read.auth] == [QTYPE.SOA]


@given(packet=near_queries(), cut=st.integers(0, 60))
def test_a_packet_cut_short_never_summons(packet: bytes, cut: int) -> None:
    whole = consider([ZONE], packet, True)
    if isinstance(whole, Question) and 0 < cut <= len(packet):
        assert not isinstance(consider([ZONE], packet[:-cut], True), Question)
