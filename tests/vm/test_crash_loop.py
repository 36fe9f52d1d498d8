"""Guests that crash and crash again: refused, tried again after longer and longer pauses, and stopped all the same."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jitsu.demo.stage import ZONE, Cast, Stage
from jitsu.domains.probe_guest import LOAD_ADDRESS, pvh_elf
from jitsu.errors import DaemonError
from jitsu.network.namespace import inside
from tests.vm.witness import belongings, monitors, nothing_is_left, row, until

pytestmark = pytest.mark.usefixtures("private_network")

LINES = 60
TOO_EARLY = "the guest ended before QEMU could be asked why"


@pytest.fixture
def crasher(tmp_path: Path) -> Path:
    """A guest that prints numbered lines and then triple-faults.

    mov esi, text / mov ecx, length / (wait until the line is empty) / mov edx, COM1 / outsb / loop / (wait) / ud2
    """
    text = "".join(f"line {number}\n" for number in range(1, LINES + 1)).encode()
    wait = bytes.fromhex("ba fd030000 ec a840 74fb")  # mov edx, COM1 + 5 / in al, dx / test al, 64 / jz -5
    put = bytes.fromhex("ba f8030000 6e")
    turn = wait + put + bytes((0xE2, 256 - len(wait + put) - 2))
    code = turn + wait + b"\x0f\x0b"
    head = struct.pack("<BIBI", 0xBE, LOAD_ADDRESS + 10 + len(code), 0xB9, len(text))
    kernel = tmp_path / "crasher.elf"
    kernel.write_bytes(pvh_elf(head + code + text))
    return kernel


@pytest.fixture
def looping(crasher: Path) -> Iterator[Stage]:
    """A stage on which www has just crashed for the third time, which makes a crash loop there."""
    with Stage([Cast("www", crasher, {"crashes": 3, "backoff": 1})]) as stage:
        for turn in range(1, 4):
            _is_refused(stage)
            assert until(stage, "www", lambda found: found["domid"] is None)["crashes"] == turn
        assert row(stage, "www")["state"] == "crash-looping"
        yield stage


def test_who_wants_a_guest_that_is_crash_looping_is_refused_and_boots_nothing(looping: Stage) -> None:
    for _ in range(5):
        _is_refused(looping)
    assert "status: SERVFAIL" in _dig(looping)
    still = row(looping, "www")
    assert (still["state"], still["summons"], still["domid"]) == ("crash-looping", 3, None)
    assert still["last"] == TOO_EARLY
    assert still["retry"] is not None
    assert still["retry"] <= 4


def test_the_next_try_comes_after_the_pause_and_the_next_pause_is_longer(looping: Stage) -> None:
    until(looping, "www", lambda found: found["state"] == "asleep")
    _is_refused(looping)
    again = until(looping, "www", lambda found: found["crashes"] == 4)
    assert (again["state"], again["summons"]) == ("crash-looping", 4)
    assert again["retry"] is not None
    assert 4 < again["retry"] <= 8


def test_what_it_printed_last_is_in_the_listing(looping: Stage) -> None:
    end = f"--- domain 3 ended: {TOO_EARLY} ---"
    tick = threading.Event()
    # The last words of a guest are in its log a moment after its end is known.
    for _ in range(100):
        listed = json.loads(_jitsu(looping, "ps", "-v", "-o", "json"))[0]
        said = [line.partition(" ")[2] for line in listed["console"]]
        if said[-1] == end:
            break
        tick.wait(0.1)
    assert len(said) == 40
    assert said[-1] == end
    assert said[:-1] == [f"line {number}" for number in range(LINES - 38, LINES + 1)]
    assert f"line {LINES}" in _jitsu(looping, "ps", "-v")


def test_a_person_may_try_at_once_and_a_stop_is_the_end_of_it(looping: Stage) -> None:
    with pytest.raises(DaemonError, match=TOO_EARLY):
        looping.ask("start", service="www")
    assert row(looping, "www")["summons"] == 4
    looping.ask("stop", service="www")
    stopped = row(looping, "www")
    assert (stopped["state"], stopped["crashes"], stopped["retry"]) == ("asleep", 0, None)


@pytest.mark.parametrize("policy", ["always", "unless-stopped", "on-failure"])
def test_a_guest_that_is_started_again_and_again_is_stopped_for_good(crasher: Path, policy: str) -> None:
    """Stopped where it pauses or where it boots once more, as it happens."""
    with Stage([Cast("www", crasher, {"crashes": 4, "backoff": 0.1, "restart": policy})]) as stage:
        before = belongings(stage)
        _is_refused(stage)
        looped = until(stage, "www", lambda found: found["state"] == "crash-looping")
        assert looped["summons"] >= 4
        causes = [trace["cause"] for trace in stage.ask("trace", service="www", last=20)]
        assert causes == ["syn"] + ["restart"] * (len(causes) - 1)
        stage.ask("stop", service="www")
        stopped = row(stage, "www")
        assert (stopped["state"], stopped["retry"], monitors(stage)) == ("asleep", None, [])
        nothing_is_left(stage, before)


def test_a_service_is_removed_whatever_its_guest_does(hello: Path, crasher: Path) -> None:
    with Stage([Cast("shop", hello)]) as stage:
        before = belongings(stage)
        keys = (f"kernel={crasher}", "address=10.77.0.50", "memory=8 MiB", "restart=always", "backoff=0.1", "crashes=3")
        _jitsu(stage, "service", "add", "www", *keys)
        with pytest.raises(DaemonError, match="the guest "):
            stage.ask("start", service="www")
        until(stage, "www", lambda found: found["state"] == "crash-looping")
        assert _jitsu(stage, "service", "rm", "www") == "www: removed\n"
        assert [found["service"] for found in stage.ask("ps")] == ["shop"]
        nothing_is_left(stage, before)
        assert monitors(stage) == []


def test_a_guest_that_is_killed_comes_back_without_anybody_asking(hello: Path) -> None:
    with Stage([Cast("www", hello, {"restart": "always", "backoff": 0.1})]) as stage:
        stage.ask("start", service="www")
        first = row(stage, "www")
        os.kill(int(str(first["pid"])), signal.SIGKILL)
        back = until(stage, "www", lambda found: found["state"] == "serving" and found["summons"] == 2)
        assert (back["crashes"], back["last"]) == (1, "QEMU was killed by signal 9 (Killed)")
        assert stage.ask("trace", service="www", last=1)[0]["cause"] == "restart"
        stage.ask("stop", service="www")
        stopped = row(stage, "www")
        assert (stopped["state"], stopped["retry"], monitors(stage)) == ("asleep", None, [])


def _is_refused(stage: Stage) -> None:
    with inside(stage.client):
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with connection:
        connection.settimeout(30)
        with pytest.raises(ConnectionRefusedError):
            connection.connect((str(stage.config.services["www"].address), 80))


def _dig(stage: Stage) -> str:
    with inside(stage.client):
        command = ["dig", "@10.77.0.1", f"www.{ZONE}", "A"]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def _jitsu(stage: Stage, *arguments: str) -> str:
    command = [sys.executable, "-m", "jitsu.cli.main", *arguments, "-c", str(stage.path)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
