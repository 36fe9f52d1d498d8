"""The reverse zone, for networks that end between octets and for others; and the two zones of a configuration."""

from ipaddress import IPv4Address, IPv4Network
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

[service.web]
kernel = "web.elf"
address = "10.77.0.10"
names = ["www", "web", "@"]
txt = ["v=1", "v=2"]
srv = ["_http._tcp 80", "_alt._tcp 8080"]

[service.silent]
kernel = "silent.elf"
address = "10.77.0.11"
names = []
"""


def zone(network: str, *addresses: str) -> Zone:
    names = {IPv4Address(address): f"h{number}.jitsu.test" for number, address in enumerate(addresses)}
    return reverse_zone(IPv4Network(network), ["ns.jitsu.test"], names, "hostmaster.jitsu.test", 300)


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
    ],
)
def test_the_origin_is_of_the_octets_that_the_network_has_whole(network: str, origin: str) -> None:
    assert zone(network).origin == origin


def test_an_address_leads_to_its_name() -> None:
    found = zone("10.77.0.0/24", "10.77.0.10", "10.77.0.11")
    [pointer] = reply((found,), "11.0.77.10.IN-ADDR.arpa", "PTR").rr
    assert (str(pointer.rdata), pointer.ttl) == ("h1.jitsu.test.", 300)
    assert reply((found,), "12.0.77.10.in-addr.arpa", "PTR").header.rcode == 3
    assert reply((found,), "10.1.77.10.in-addr.arpa", "PTR").header.rcode == 5


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
    def zones(self, tmp_path: Path) -> tuple[Zone, Zone]:
        path = tmp_path / "jitsu.toml"
        path.write_text(CONFIG)
        return BoardZones(load(path)).all

    def test_every_name_is_a_host(self, zones: tuple[Zone, Zone]) -> None:
        for name in ("www.board.example.org", "web.board.example.org", "board.example.org"):
            question = consider(zones, bytes(DNSRecord(q=DNSQuestion(name)).pack()), True)
            assert isinstance(question, Question)
            assert question.host.address == "10.77.0.10"

    def test_every_name_has_the_texts_and_the_srv_records_which_lead_to_the_first(
        self, zones: tuple[Zone, Zone]
    ) -> None:
        for name in ("www.board.example.org", "web.board.example.org", "board.example.org"):
            assert answers(zones, name, "TXT") == ['"v=1"', '"v=2"']
            assert answers(zones, f"_http._tcp.{name}", "SRV") == ["0 0 80 www.board.example.org."]
            assert answers(zones, f"_alt._tcp.{name}", "SRV") == ["0 0 8080 www.board.example.org."]

    @pytest.mark.parametrize("apex", ["board.example.org", "0.77.10.in-addr.arpa"])
    def test_this_board_is_the_first_name_server(self, zones: tuple[Zone, Zone], apex: str) -> None:
        servers = ["ns1.board.example.org.", "ns2.board.example.org.", "ns.example.net."]
        assert answers(zones, apex, "NS") == servers
        [soa] = answers(zones, apex, "SOA")
        assert soa.startswith("ns1.board.example.org. hostmaster.board.example.org. ")

    def test_name_servers_inside_the_zone_have_their_addresses_there(self, zones: tuple[Zone, Zone]) -> None:
        glue = reply(zones, "board.example.org", "NS").ar
        assert [(str(rr.rname), str(rr.rdata)) for rr in glue] == [
            ("ns1.board.example.org.", "10.77.0.1"),
            ("ns2.board.example.org.", "192.0.2.2"),
        ]

    def test_every_service_with_a_name_and_this_board_have_a_pointer(self, zones: tuple[Zone, Zone]) -> None:
        assert answers(zones, "10.0.77.10.in-addr.arpa", "PTR") == ["www.board.example.org."]
        assert answers(zones, "1.0.77.10.in-addr.arpa", "PTR") == ["ns1.board.example.org."]
        assert reply(zones, "11.0.77.10.in-addr.arpa", "PTR").header.rcode == 3

    def test_only_addresses_of_names_summon(self, zones: tuple[Zone, Zone]) -> None:
        for name in ("10.0.77.10.in-addr.arpa", "_http._tcp.www.board.example.org", "ns2.board.example.org"):
            for qtype in ("A", "PTR", "TXT", "SRV", "ANY"):
                assert reply(zones, name, qtype).header.rcode == 0
