"""Services that are woken by a ping or by a datagram, with real guests and the host's own programs as clients."""

import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jitsu.demo.client import Client, SynCounter
from jitsu.demo.stage import ZONE, Cast, Stage
from jitsu.network.namespace import inside
from tests.vm.dual import dual_stage, with_ipv6
from tests.vm.witness import belongings, nothing_is_left, row, until

pytestmark = pytest.mark.usefixtures("private_network")

ECHO = 7


@pytest.fixture
def stage(hello: Path) -> Iterator[Stage]:
    woken = Cast("www", hello, {"wake": ["udp/7", "icmp", "tcp/80"]})
    with dual_stage([with_ipv6(woken, 0), Cast("plain", hello)]) as stage:
        yield stage


over_both = pytest.mark.parametrize("version", [4, 6])


def _address(stage: Stage, name: str = "www", version: int = 4) -> str:
    service = stage.config.services[name]
    return str(service.address if version == 4 else service.address6)


def _ping(stage: Stage, address: str, count: int) -> subprocess.CompletedProcess[str]:
    with inside(stage.client):
        command = ["ping", "-n", "-c", str(count), "-i", "0.2", "-W", "20", address]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _datagrams(stage: Stage, version: int = 4) -> socket.socket:
    with inside(stage.client):
        return socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)


@over_both
def test_a_ping_wakes_and_none_of_its_echoes_is_lost_or_doubled(stage: Stage, version: int) -> None:
    before = belongings(stage)
    said = _ping(stage, _address(stage, version=version), 5)
    assert said.returncode == 0, said.stdout
    assert re.findall(r"icmp_seq=(\d+)", said.stdout) == ["1", "2", "3", "4", "5"]
    assert "DUP" not in said.stdout
    assert stage.ask("trace", service="www", last=1)[0]["cause"] == "icmp"
    assert row(stage, "www")["summons"] == 1
    stage.ask("stop", service="www")
    nothing_is_left(stage, before)


@over_both
def test_datagrams_wake_and_come_back_in_their_order_each_once(stage: Stage, version: int) -> None:
    sent = [f"datagram {number}".encode() for number in range(10)]
    with _datagrams(stage, version) as client:
        client.settimeout(20)
        client.connect((_address(stage, version=version), ECHO))
        for datagram in sent:
            client.send(datagram)
        assert [client.recv(2048) for _ in sent] == sent
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(2048)
    trace = stage.ask("trace", service="www", last=1)[0]
    assert trace["cause"] == "udp"
    assert "deliver" in [span["name"] for span in trace["spans"]]
    assert row(stage, "www")["held"] == 0


def test_only_so_many_are_held(stage: Stage) -> None:
    """The first sixteen of a burst. What is sent once the guest is there goes straight to it, and may overtake them:
    how much of the burst that is depends on who of the two is faster. It is short, so that the guest drops none."""
    with _datagrams(stage) as client:
        client.settimeout(20)
        client.connect((_address(stage), ECHO))
        for number in range(24):
            client.send(f"{number}".encode())
        came = [int(client.recv(2048)) for _ in range(16)]
        until(stage, "www", lambda found: found["state"] == "serving")
        # More than sixteen held ones would all be there when this one is answered.
        client.send(b"24")
        while not {*range(16), 24} <= set(came):
            came.append(int(client.recv(2048)))
        assert [number for number in came if number < 16] == list(range(16))
        assert 16 not in came
        assert stage.ask("trace", service="www", last=1)[0]["cause"] == "udp"


def test_what_the_service_did_not_ask_for_wakes_nobody(stage: Stage) -> None:
    """Other ports, and other protocols; a SYN to another port is reset at once."""
    with _datagrams(stage) as client:
        client.sendto(b"?", (_address(stage), 9))
        client.sendto(b"?", (_address(stage, "plain"), ECHO))
    with inside(stage.client):
        ping = ["ping", "-n", "-c", "1", "-W", "1", _address(stage, "plain")]
        assert subprocess.run(ping, capture_output=True, timeout=60, check=False).returncode == 1
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with connection:
        connection.settimeout(30)
        with pytest.raises(ConnectionRefusedError):
            connection.connect((_address(stage), 443))
    assert [row(stage, name)["summons"] for name in ("www", "plain")] == [0, 0]


def test_a_service_that_is_not_woken_by_syns_holds_them_while_it_boots(hello: Path) -> None:
    with (
        Stage([Cast("www", hello, {"wake": ["udp/7"]})]) as stage,
        SynCounter(stage.client) as counter,
    ):
        client = Client(stage.client, counter)
        with inside(stage.client):
            refused = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        with refused, pytest.raises(ConnectionRefusedError):
            refused.connect((_address(stage), 80))
        assert row(stage, "www")["summons"] == 0
        # A question wakes it, whatever else does, and its client's SYN finds it booting.
        assert client.by_name(f"www.{ZONE}").status == 200
        assert row(stage, "www")["summons"] == 1


def test_silence_dismisses_who_was_woken_by_a_ping_and_pings_keep_it(hello: Path) -> None:
    with Stage([Cast("www", hello, {"wake": ["icmp"], "idle": 1})]) as stage:
        assert _ping(stage, _address(stage), 12).returncode == 0
        assert row(stage, "www")["summons"] == 1
        assert "idle for" in until(stage, "www", lambda found: found["state"] == "asleep")["last"]
