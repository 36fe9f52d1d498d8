"""What a client sees when things go wrong, and what summons nobody."""

import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from jitsu.demo.client import Client, crash
from jitsu.demo.stage import CLIENT, CLIENT_LINK, ZONE, Cast, Stage
from jitsu.domains.probe_guest import pvh_elf
from jitsu.errors import DaemonError
from jitsu.network.frames import ACK, RST, mac_bytes, read_segment, tcp_segment
from jitsu.network.namespace import inside
from tests.vm.witness import belongings, monitors, nothing_is_left, row, until_asleep

pytestmark = pytest.mark.usefixtures("private_network")


@pytest.fixture
def mute(tmp_path: Path) -> Path:
    """A guest that runs and never becomes ready."""
    kernel = tmp_path / "mute.elf"
    kernel.write_bytes(pvh_elf(b"\xf4\xeb\xfd"))  # hlt; jmp -1
    return kernel


@pytest.fixture
def brief(tmp_path: Path) -> Path:
    """A guest that triple-faults at once: an invalid instruction, and nowhere to handle it."""
    kernel = tmp_path / "brief.elf"
    kernel.write_bytes(pvh_elf(b"\x0f\x0b"))  # ud2
    return kernel


def test_two_clients_at_the_same_instant_are_one_boot(stage: Stage, client: Client) -> None:
    gun = threading.Barrier(4)
    statuses: list[int] = []

    def visit(by_dns: bool) -> None:
        gun.wait()
        visit = client.by_name(f"www.{ZONE}") if by_dns else client.by_address(_address(stage, "www"))
        statuses.append(visit.status)

    threads = [threading.Thread(target=visit, args=(number % 2 == 0,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 4
    assert row(stage, "www")["summons"] == 1
    assert len(monitors(stage)) == 1


@pytest.mark.parametrize("kind", ["AAAA", "MX", "TXT", "HTTPS"])
def test_a_question_for_another_type_boots_nothing(stage: Stage, kind: str) -> None:
    said = _in_client(stage, "dig", "@10.77.0.1", f"www.{ZONE}", kind, "+norecurse")
    assert "status: NOERROR" in said
    assert "ANSWER: 0" in said
    assert f"{ZONE}." in said.split("AUTHORITY SECTION")[1]
    assert "SOA" in said
    assert row(stage, "www")["summons"] == 0


def test_curl_and_dig_are_served(stage: Stage) -> None:
    address = _in_client(stage, "dig", "+short", "@10.77.0.1", f"www.{ZONE}", "A").strip()
    assert address == _address(stage, "www")
    assert "www" in _in_client(stage, "curl", "-sS", "--fail", f"http://{address}/")


def test_a_full_box_says_servfail_and_resets(hello: Path) -> None:
    with Stage([Cast("www", hello), Cast("shop", hello)], sections={"limits": {"guests": 1}}) as stage:
        _in_client(stage, "curl", "-sS", "--fail", f"http://{_address(stage, 'www')}/")
        assert "status: SERVFAIL" in _in_client(stage, "dig", "@10.77.0.1", f"shop.{ZONE}", "A")
        assert _connect(stage, "shop") < 0.5
        stage.ask("stop", service="www")
        assert "status: NOERROR" in _in_client(stage, "dig", "@10.77.0.1", f"shop.{ZONE}", "A")


def test_too_little_memory_says_servfail(hello: Path) -> None:
    with Stage([Cast("www", hello)], sections={"limits": {"memory": "16 MiB"}}) as stage:
        assert "status: SERVFAIL" in _in_client(stage, "dig", "@10.77.0.1", f"www.{ZONE}", "A")
        assert "48 MiB asked for" in row(stage, "www")["last"]


def test_a_start_that_fails_before_its_monitor_runs_says_servfail_and_resets(hello: Path, tmp_path: Path) -> None:
    kernel = tmp_path / "kernel.elf"
    kernel.write_bytes(hello.read_bytes())
    with Stage([Cast("www", kernel)]) as stage:
        before = belongings(stage)
        kernel.unlink()
        assert "status: SERVFAIL" in _in_client(stage, "dig", "@10.77.0.1", f"www.{ZONE}", "A")
        assert _connect(stage, "www") < 0.5
        before["files"] = [name for name in before["files"] if name != str(kernel)]
        nothing_is_left(stage, before)


def test_a_guest_that_never_becomes_ready_is_given_up_at_the_deadline(mute: Path) -> None:
    with Stage([Cast("www", mute)], sections={"limits": {"boot": 2}}) as stage:
        before = belongings(stage)
        assert 1.5 < _connect(stage, "www") < 4
        until_asleep(stage, "www")
        assert row(stage, "www")["last"] == "not ready within 2 s ([limits] boot)"
        nothing_is_left(stage, before)


def test_a_guest_that_dies_while_it_boots_is_given_up_at_once(brief: Path) -> None:
    with Stage([Cast("www", brief)]) as stage:
        before = belongings(stage)
        assert _connect(stage, "www") < 5
        until_asleep(stage, "www")
        nothing_is_left(stage, before)


def test_a_start_by_hand_that_fails_says_why(mute: Path) -> None:
    with Stage([Cast("www", mute)], sections={"limits": {"boot": 1}}) as stage:
        with pytest.raises(DaemonError, match="service www: not ready within 1 s") as caught:
            stage.ask("start", service="www")
        assert caught.value.exit_code == 6


def test_a_crashed_guest_comes_back_at_the_next_packet(stage: Stage, client: Client) -> None:
    address = _address(stage, "www")
    for turn in range(1, 4):
        assert client.by_address(address).status == 200
        assert row(stage, "www")["summons"] == turn
        crash(client, address)
    assert client.by_address(address).status == 200


def test_a_segment_that_opens_nothing_is_reset_and_summons_nobody(stage: Stage) -> None:
    service = stage.config.services["www"]
    with inside(stage.client):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    with wire:
        wire.bind((CLIENT_LINK, 0x0800))
        wire.settimeout(5)
        own = wire.getsockname()[4]
        wire.send(
            tcp_segment(
                own,
                mac_bytes(service.mac),
                (CLIENT.packed, 4444),
                (service.address.packed, 80),
                sequence=1000,
                acknowledged=77,
                flags=ACK,
            )
        )
        while True:
            segment = read_segment(wire.recv(2048))
            if segment is not None and segment.target_port == 4444:
                break
    assert segment.flags & RST
    assert segment.sequence == 77
    assert row(stage, "www")["summons"] == 0


def test_sleepers_answer_arp_with_their_own_mac(stage: Stage) -> None:
    service = stage.config.services["www"]
    with inside(stage.client):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sender:
        # A datagram needs the MAC, and is nothing that summons.
        sender.sendto(b"?", (str(service.address), 9))
        time.sleep(0.2)
    assert service.mac in _in_client(stage, "ip", "neigh", "show", str(service.address))
    assert row(stage, "www")["summons"] == 0


def _connect(stage: Stage, name: str) -> float:
    """Connect and be refused; the seconds that took."""
    begin = time.monotonic()
    with inside(stage.client):
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with connection:
        connection.settimeout(30)
        with pytest.raises(ConnectionRefusedError):
            connection.connect((_address(stage, name), 80))
    return time.monotonic() - begin


def _in_client(stage: Stage, *command: str) -> str:
    """What a program says in the client's namespace. Raises CalledProcessError."""
    with inside(stage.client):
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def _address(stage: Stage, name: str) -> str:
    return str(stage.config.services[name].address)
