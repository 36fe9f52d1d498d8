"""The reverse zone, for networks that end between octets and for others; and the zones of a configuration."""

from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from dnslib import QTYPE, DNSHeader, DNSQuestion, DNSRecord

from jitsu.config import load
from jitsu.daemon.zones import BoardZones
from jitsu.directory.answer import Question, Reply, consider
from jitsu.directory.reverse import reverse_zone
from jitsu.directory.zone import Zone

CONFIG = """
[dns]
zone = "board.example.org"
name = "ns1"
nameservers = ["ns2.board.example.org 192.0.2.2", "ns.example.net 198.51.100.1"]
ttl = 30

[network]
address6 = "fd77::1/64"

[service.web]
kernel = "web.elf"
address = "10.77.0.10"
address6 = "fd77::10"
names = ["www", "web", "@"]
txt = ["v=1", "v=2"]
srv = ["_http._tcp 80", "_alt._tcp 8080"]

[service.silent]
kernel = "silent.elf"
address = "10.77.0.11"
names = []

[service.six]
kernel = "six.elf"
address6 = "fd77::11"
"""
FD77 = "0.0.0.0.0.0.0.0.0.0.0.0.7.7.d.f.ip6.arpa"
TEN = "0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0." + FD77
"""The address fd77::10."""


def zone(network: str, *addresses: str) -> Zone:
    names = {ip_address(address): f"h{number}.jitsu.test" for number, address in enumerate(addresses)}
    return reverse_zone(ip_network(network), ["ns.jitsu.test"], names, "hostmaster.jitsu.test", 300)


def reply(zones: tuple[Zone, ...], name: str, qtype: str) -> DNSRecord:
    packet = DNSRecord(DNSHeader(id=1), q=DNSQuestion(name, getattr(QTYPE, qtype))).pack()
    outcome = consider(zones, bytes(packet), True)
    assert isinstance(outcome, Reply), outcome
    return DNSRecord.parse(outcome.packet)


def answers(zones: tuple[Zone, ...], name: str, qtype: str) -> list[str]:
    return [str(rr.rdata) for rr in reply(zones, name, qtype).rr]


@pytest.mark.parametrize(
    ("network", "origin"),
    [
        ("10.77.0.0/24", "0.77.10.in-addr.arpa"),
        ("10.77.0.0/16", "77.10.in-addr.arpa"),
        ("10.0.0.0/8", "10.in-addr.arpa"),
        ("10.77.16.0/20", "77.10.in-addr.arpa"),
        ("10.77.0.16/28", "0.77.10.in-addr.arpa"),
        ("172.16.0.0/12", "172.in-addr.arpa"),
        ("fd77::/64", FD77),
        ("2001:db8::/32", "8.b.d.0.1.0.0.2.ip6.arpa"),
        ("fd77::/62", FD77.removeprefix("0.")),
    ],
)
def test_the_origin_is_of_the_parts_that_the_network_has_whole(network: str, origin: str) -> None:
    assert zone(network).origin == origin


def test_an_address_leads_to_its_name() -> None:
    found = zone("10.77.0.0/24", "10.77.0.10", "10.77.0.11")
    [pointer] = reply((found,), "11.0.77.10.IN-ADDR.arpa", "PTR").rr
    assert (str(pointer.rdata), pointer.ttl) == ("h1.jitsu.test.", 300)
    assert reply((found,), "12.0.77.10.in-addr.arpa", "PTR").header.rcode == 3
    assert reply((found,), "10.1.77.10.in-addr.arpa", "PTR").header.rcode == 5


def test_an_address_of_ipv6_leads_to_its_name() -> None:
    found = zone("fd77::/64", "fd77::10", "10.77.0.10")
    [pointer] = reply((found,), TEN.upper(), "PTR").rr
    assert (str(pointer.rdata), pointer.ttl) == ("h0.jitsu.test.", 300)
    assert reply((found,), TEN.partition(".")[2], "PTR").header.rcode == 0
    assert reply((found,), "1" + TEN[1:], "PTR").header.rcode == 3
    assert reply((found,), TEN.replace("7.7.d", "8.7.d"), "PTR").header.rcode == 5


def test_soa_and_ns() -> None:
    found = zone("10.77.0.0/24")
    [soa] = answers((found,), found.origin, "SOA")
    assert soa.startswith("ns.jitsu.test. hostmaster.jitsu.test. ")
    assert answers((found,), found.origin, "NS") == ["ns.jitsu.test."]


def test_what_lies_between_octets_exists() -> None:
    found = zone("10.77.0.0/16", "10.77.3.10")
    assert reply((found,), "3.77.10.in-addr.arpa", "PTR").header.rcode == 0
    assert reply((found,), "4.77.10.in-addr.arpa", "PTR").header.rcode == 3
    assert answers((found,), "10.3.77.10.in-addr.arpa", "PTR") == ["h0.jitsu.test."]


@pytest.mark.parametrize(
    ("network", "ours", "theirs"),
    [
        ("10.77.16.0/20", ["16", "1.16", "31", "9.9.31", "x"], ["15", "1.15", "32", "0", "255", "9.9.32"]),
        ("10.77.0.16/28", ["16", "31", "1.16", "x"], ["15", "32", "1.15", "255"]),
        ("fd77:0:0:8::/61", ["8", "f", "0.a", "x"], ["0", "7", "1.7"]),
    ],
)
def test_of_a_zone_that_is_partly_ours_the_rest_is_refused(network: str, ours: list[str], theirs: list[str]) -> None:
    found = zone(network)
    for label in ours:
        assert reply((found,), f"{label}.{found.origin}", "PTR").header.rcode == 3, label
    for label in theirs:
        assert reply((found,), f"{label}.{found.origin}", "PTR").header.rcode == 5, label
    assert reply((found,), found.origin, "SOA").header.rcode == 0


class TestZonesOfAConfiguration:
    @pytest.fixture
    def zones(self, tmp_path: Path) -> tuple[Zone, ...]:
        path = tmp_path / "jitsu.toml"
        path.write_text(CONFIG)
        return BoardZones(load(path)).all

    def test_every_name_is_a_host(self, zones: tuple[Zone, ...]) -> None:
        for name in ("www.board.example.org", "web.board.example.org", "board.example.org"):
            question = consider(zones, bytes(DNSRecord(q=DNSQuestion(name)).pack()), True)
            assert isinstance(question, Question)
            assert question.host.addresses == ("10.77.0.10", "fd77::10")

    def test_every_name_has_the_texts_and_the_srv_records_which_lead_to_the_first(
        self, zones: tuple[Zone, ...]
    ) -> None:
        for name in ("www.board.example.org", "web.board.example.org", "board.example.org"):
            assert answers(zones, name, "TXT") == ['"v=1"', '"v=2"']
            assert answers(zones, f"_http._tcp.{name}", "SRV") == ["0 0 80 www.board.example.org."]
            assert answers(zones, f"_alt._tcp.{name}", "SRV") == ["0 0 8080 www.board.example.org."]

    @pytest.mark.parametrize("apex", ["board.example.org", "0.77.10.in-addr.arpa", FD77])
    def test_this_board_is_the_first_name_server(self, zones: tuple[Zone, ...], apex: str) -> None:
        servers = ["ns1.board.example.org.", "ns2.board.example.org.", "ns.example.net."]
        assert answers(zones, apex, "NS") == servers
        [soa] = answers(zones, apex, "SOA")
        assert soa.startswith("ns1.board.example.org. hostmaster.board.example.org. ")

    def test_name_servers_inside_the_zone_have_their_addresses_there(self, zones: tuple[Zone, ...]) -> None:
        glue = reply(zones, "board.example.org", "NS").ar
        assert [(str(rr.rname), str(rr.rdata)) for rr in glue] == [
            ("ns1.board.example.org.", "10.77.0.1"),
            ("ns1.board.example.org.", "fd77::1"),
            ("ns2.board.example.org.", "192.0.2.2"),
        ]

    def test_a_board_that_does_not_listen_on_ipv6_is_not_said_to(self, tmp_path: Path) -> None:
        path = tmp_path / "jitsu.toml"
        path.write_text(CONFIG.replace("[dns]", '[dns]\nlisten = ["10.77.0.1:53"]'))
        zones = BoardZones(load(path)).all
        assert answers(zones, "ns1.board.example.org", "A") == ["10.77.0.1"]
        assert answers(zones, "ns1.board.example.org", "AAAA") == []

    def test_a_service_summons_by_the_types_of_which_it_has_an_address(self, zones: tuple[Zone, ...]) -> None:
        found = {}
        for name in ("www", "six"):
            for qtype in (QTYPE.A, QTYPE.AAAA):
                packet = bytes(DNSRecord(q=DNSQuestion(f"{name}.board.example.org", qtype)).pack())
                question = consider(zones, packet, True)
                if isinstance(question, Question):
                    [answer] = DNSRecord.parse(question.finish(True).packet).rr
                    assert answer.rtype == qtype
                    found[name, QTYPE[qtype]] = str(answer.rdata)
        assert found == {("www", "A"): "10.77.0.10", ("www", "AAAA"): "fd77::10", ("six", "AAAA"): "fd77::11"}
        assert reply(zones, "six.board.example.org", "A").auth[0].rtype == QTYPE.SOA

    def test_every_service_with_a_name_and_this_board_have_a_pointer(self, zones: tuple[Zone, ...]) -> None:
        assert answers(zones, "10.0.77.10.in-addr.arpa", "PTR") == ["www.board.example.org."]
        assert answers(zones, "1.0.77.10.in-addr.arpa", "PTR") == ["ns1.board.example.org."]
        assert reply(zones, "11.0.77.10.in-addr.arpa", "PTR").header.rcode == 3
        assert answers(zones, TEN, "PTR") == ["www.board.example.org."]
        assert answers(zones, "1.1" + TEN[3:], "PTR") == ["six.board.example.org."]
        assert answers(zones, "1.0" + TEN[3:], "PTR") == ["ns1.board.example.org."]

    def test_only_addresses_of_names_summon(self, zones: tuple[Zone, ...]) -> None:
        for name in (TEN, "10.0.77.10.in-addr.arpa", "_http._tcp.www.board.example.org", "ns2.board.example.org"):
            for qtype in ("A", "AAAA", "PTR", "TXT", "SRV", "ANY"):
                assert reply(zones, name, qtype).header.rcode == 0
