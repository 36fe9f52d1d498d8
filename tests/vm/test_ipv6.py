"""IPv6 with real guests: summoned by AAAA and by SYN, held and delivered once, kept, dismissed, crashed and back."""

import json
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jitsu.demo.client import Client, SynCounter, crash
from jitsu.demo.stage import CLIENT_LINK, ZONE, Cast, Stage
from jitsu.network.frames import ACK, RST, mac_bytes, read_segment, tcp_segment
from jitsu.network.namespace import inside
from tests.vm.dual import BOARD6, CLIENT6, dual_stage, with_ipv6
from tests.vm.witness import belongings, monitors, nothing_is_left, row, syn_witness, until_asleep

pytestmark = pytest.mark.usefixtures("private_network")


@pytest.fixture
def dual(private_network: None, hello: Path) -> Iterator[Stage]:
    """Two services with both addresses, and one with none of IPv4."""
    six = Cast("six", hello, {"address": "", "address6": "fd77::60"})
    casts = [with_ipv6(Cast(name, hello), number) for number, name in enumerate(("www", "shop"))]
    with dual_stage([*casts, six]) as stage:
        yield stage


@pytest.fixture
def visitor(dual: Stage) -> Iterator[Client]:
    with SynCounter(dual.client) as counter:
        yield Client(dual.client, counter)


def test_a_question_over_ipv6_for_an_ipv6_address_summons_and_curl_is_served(dual: Stage) -> None:
    address = _in_client(dual, "dig", "+short", f"@{BOARD6}", f"www.{ZONE}", "AAAA").strip()
    assert address == _address6(dual, "www")
    page = _in_client(dual, "curl", "-sS", "--fail", f"http://[{address}]/")
    assert "www" in page
    [trace] = dual.ask("trace", service="www", last=1)
    assert (trace["cause"], row(dual, "www")["summons"]) == ("dns", 1)


def test_a_bare_syn_over_ipv6_summons_and_is_delivered_once(dual: Stage, visitor: Client) -> None:
    before = belongings(dual)
    with syn_witness() as witness:
        visit = visitor.by_address(_address6(dual, "shop"))
    [trace] = dual.ask("trace", service="shop", last=1)
    assert (visit.status, trace["cause"]) == (200, "syn")
    assert list(witness.delivered.values()) == [1]
    assert witness.delivered.keys() == witness.arrived.keys()
    dual.ask("stop", service="shop")
    nothing_is_left(dual, before)


def test_a_guest_of_ipv6_alone_is_a_guest(dual: Stage, visitor: Client) -> None:
    assert visitor.by_name(f"six.{ZONE}", kind="AAAA").status == 200
    said = _in_client(dual, "dig", f"@{BOARD6}", f"six.{ZONE}", "A")
    assert "status: NOERROR" in said
    assert "ANSWER: 0" in said
    assert row(dual, "six")["addresses"] == ["fd77::60"]


def test_a_question_for_an_ipv6_address_that_a_service_has_not_boots_nothing(hello: Path) -> None:
    with dual_stage([Cast("www", hello)]) as stage:
        said = _in_client(stage, "dig", f"@{BOARD6}", f"www.{ZONE}", "AAAA")
        assert "status: NOERROR" in said
        assert "ANSWER: 0" in said
        assert "SOA" in said.split("AUTHORITY SECTION")[1]
        assert row(stage, "www")["summons"] == 0


def test_questions_for_both_addresses_and_syns_to_both_at_one_instant_are_one_boot(
    dual: Stage, visitor: Client
) -> None:
    gun = threading.Barrier(4)
    statuses: list[int] = []

    def visit(number: int) -> None:
        gun.wait()
        if number < 2:
            statuses.append(visitor.by_name(f"www.{ZONE}", kind=("A", "AAAA")[number]).status)
        else:
            address = (str(dual.config.services["www"].address), _address6(dual, "www"))[number - 2]
            statuses.append(visitor.by_address(address).status)

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 4
    assert row(dual, "www")["summons"] == 1
    assert len(monitors(dual)) == 1


# curl tries IPv6 first, and IPv4 too if that takes longer than so many milliseconds (RFC 8305).
@pytest.mark.parametrize("patience", [1, 10_000])
def test_happy_eyeballs_meet_one_guest(dual: Stage, tmp_path: Path, patience: int) -> None:
    """curl with the system's resolver, which asks for A and AAAA at once."""
    resolv = tmp_path / "resolv.conf"
    resolv.write_text(f"nameserver {BOARD6}\n")
    curl = (
        f"curl -sS --max-time 30 --happy-eyeballs-timeout-ms {patience} -o /dev/null -w '%{{http_code}} %{{remote_ip}}'"
    )
    script = f"mount --bind {resolv} /etc/resolv.conf && exec {curl} http://www.{ZONE}/"
    with syn_witness() as witness:
        said = _in_client(dual, "unshare", "--mount", "sh", "-c", script)
    status, remote = said.split()
    assert status == "200"
    if patience > 1:
        assert remote == _address6(dual, "www")
    assert row(dual, "www")["summons"] == 1
    assert {syn: witness.delivered[syn] for syn in witness.arrived} == dict.fromkeys(witness.arrived, 1)


def test_sleepers_are_neighbours_with_their_own_mac_and_stay_so_when_they_wake(dual: Stage, visitor: Client) -> None:
    """What the client believes of the sleeper is true of the guest: nothing to unlearn, no second question."""
    address, mac = _address6(dual, "www"), dual.config.services["www"].mac
    assert visitor.by_address(address).status == 200
    neighbours = _in_client(dual, "ip", "-6", "neigh", "show", address)
    assert re.search(rf"lladdr {mac} .*(REACHABLE|STALE|DELAY|PROBE)", neighbours), neighbours


def test_a_segment_over_ipv6_that_is_no_syn_is_reset_and_boots_nothing(dual: Stage) -> None:
    service = dual.config.services["www"]
    assert service.address6 is not None
    with inside(dual.client):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    with wire:
        wire.bind((CLIENT_LINK, 0x0003))
        wire.settimeout(5)
        client = socket.inet_pton(socket.AF_INET6, CLIENT6)
        own = mac_bytes(_client_mac(dual))
        wire.send(
            tcp_segment(
                own,
                mac_bytes(service.mac),
                (client, 40000),
                (service.address6.packed, 80),
                sequence=9,
                acknowledged=77,
                flags=ACK,
            )
        )
        answer = None
        while answer is None or not answer.flags & RST:
            answer = read_segment(wire.recv(2048))
    assert (answer.source, answer.sequence, answer.target_port) == (service.address6.packed, 77, 40000)
    assert row(dual, "www")["summons"] == 0


def test_a_full_box_resets_over_ipv6_and_says_servfail(hello: Path) -> None:
    casts = [with_ipv6(Cast(name, hello), number) for number, name in enumerate(("www", "shop"))]
    with dual_stage(casts, {"limits": {"guests": 1}}) as stage:
        _in_client(stage, "curl", "-sS", "--fail", f"http://[{_address6(stage, 'www')}]/")
        assert "status: SERVFAIL" in _in_client(stage, "dig", f"@{BOARD6}", f"shop.{ZONE}", "AAAA")
        with inside(stage.client):
            connection = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        connection.settimeout(10)
        with connection, pytest.raises(ConnectionRefusedError):
            connection.connect((_address6(stage, "shop"), 80))


def test_an_open_connection_over_ipv6_keeps_its_guest_until_it_is_closed(hello: Path) -> None:
    with dual_stage([with_ipv6(Cast("www", hello, {"idle": 0.5}), 0)]) as stage:
        with inside(stage.client):
            connection = socket.create_connection((_address6(stage, "www"), 80), timeout=10)
        with connection:
            threading.Event().wait(2)
            kept = row(stage, "www")
            assert (kept["state"], kept["connections"]) == ("serving", 1)
        assert "idle for" in until_asleep(stage, "www")["last"]


def test_a_ping_and_a_datagram_over_ipv6_wake_who_asks_for_it(hello: Path) -> None:
    casts = [with_ipv6(Cast(name, hello, {"wake": ["udp/7", "icmp"]}), n) for n, name in enumerate(("www", "shop"))]
    with dual_stage(casts) as stage:
        said = _in_client(stage, "ping", "-n", "-c", "2", "-i", "0.2", "-W", "20", _address6(stage, "www"))
        assert re.findall(r"icmp_seq=(\d+)", said) == ["1", "2"]
        with inside(stage.client):
            client = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        with client:
            client.settimeout(20)
            client.connect((_address6(stage, "shop"), 7))
            client.send(b"hello")
            assert client.recv(100) == b"hello"
        causes = [stage.ask("trace", service=name, last=1)[0]["cause"] for name in ("www", "shop")]
        assert causes == ["icmp", "udp"]


def test_a_crashed_guest_is_back_for_the_next_syn_over_ipv6(dual: Stage, visitor: Client) -> None:
    address = _address6(dual, "www")
    first = json.loads(visitor.by_address(address, "/status").body)
    crash(visitor, address)
    second = json.loads(visitor.by_address(address, "/status").body)
    assert first["boot_id"] != second["boot_id"]
    assert row(dual, "www")["summons"] == 2


def test_a_client_from_beyond_the_link_is_answered_through_the_gateway(dual: Stage) -> None:
    """The client has an address of another network, which the guest can only reach through its gateway: the board."""
    _in_client(dual, "ip", "-6", "addr", "add", "2001:db8::5/128", "dev", "lo", "nodad")
    subprocess.run(["ip", "-6", "route", "add", "2001:db8::5/128", "via", CLIENT6, "dev", "jitsu0"], check=True)
    Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1")
    curl = ("curl", "-sS", "--max-time", "20", "--interface", "2001:db8::5", "-o", "/dev/null", "-w", "%{http_code}")
    page = f"http://[{_address6(dual, 'www')}]/"
    # Awake, it has to ask for its gateway's MAC; asleep, it is told when the SYN is delivered.
    dual.ask("start", service="www")
    assert _in_client(dual, *curl, page) == "200"
    dual.ask("stop", service="www")
    assert _in_client(dual, *curl, page) == "200"


def _in_client(stage: Stage, *command: str) -> str:
    with inside(stage.client):
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def _client_mac(stage: Stage) -> str:
    return str(json.loads(_in_client(stage, "ip", "-j", "link", "show", CLIENT_LINK))[0]["address"])


def _address6(stage: Stage, name: str) -> str:
    return str(stage.config.services[name].address6)
