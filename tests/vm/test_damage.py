"""Somebody takes away what the daemon stands on: it says so, puts it back, and the next summon works."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jitsu.demo.client import Client
from jitsu.demo.stage import UPLINK, ZONE, Cast, Stage, interface_names
from tests.vm.witness import belongings, nothing_is_left, row

pytestmark = pytest.mark.usefixtures("private_network")


@pytest.fixture
def stage(private_network: None, hello: Path) -> Iterator[Stage]:
    with Stage([Cast("www", hello), Cast("shop", hello)]) as stage:
        yield stage


def test_a_bridge_that_is_deleted_is_made_again_and_living_guests_are_reached(stage: Stage, client: Client) -> None:
    before = belongings(stage)
    assert client.by_name(f"www.{ZONE}").status == 200
    _ip("link", "delete", "jitsu0")

    _until_said(stage, "the network is whole again: bridge jitsu0 was taken away")
    assert "bridge jitsu0 was taken away; it is put back now" in stage.complaints()
    assert client.by_address(_address(stage, "www")).status == 200, "the guest that lived is reached"
    assert client.by_name(f"shop.{ZONE}").status == 200, "and the next summon works"
    assert [row(stage, name)["summons"] for name in ("www", "shop")] == [1, 1]
    _nothing_is_left(stage, before)


def test_a_bridge_that_is_deleted_while_a_guest_boots_costs_one_try_at_most(stage: Stage, client: Client) -> None:
    before = belongings(stage)
    visits: list[int] = []
    visitor = threading.Thread(target=lambda: visits.append(client.by_name(f"www.{ZONE}").status))
    visitor.start()
    _until(lambda: row(stage, "www")["state"] == "booting" or bool(visits), "nobody boots")
    _ip("link", "delete", "jitsu0")
    visitor.join()

    assert visits == [200], "its SYN was on hold, or came again"
    _until_said(stage, "the network is whole again")
    assert client.by_name(f"shop.{ZONE}").status == 200
    _nothing_is_left(stage, before)


def test_the_sentinels_tap_is_made_again(stage: Stage, client: Client) -> None:
    before = belongings(stage)
    [tap] = [name for name in interface_names() if name.startswith("j") and name.endswith("s")]
    _ip("link", "delete", tap)

    _until_said(stage, f"the network is whole again: the sentinel's port {tap} was taken away")
    assert client.by_address(_address(stage, "www")).status == 200, "a bare SYN is held again"
    _nothing_is_left(stage, before)


def test_a_sentinel_that_was_taken_off_the_bridge_is_plugged_in_again(stage: Stage, client: Client) -> None:
    [tap] = [name for name in interface_names() if name.startswith("j") and name.endswith("s")]
    _ip("link", "set", tap, "nomaster")

    _until_said(stage, f"the network is whole again: the sentinel's port {tap} was taken off bridge jitsu0")
    assert client.by_address(_address(stage, "www")).status == 200


def test_an_uplink_that_went_and_came_back_is_plugged_in_again(stage: Stage, client: Client) -> None:
    _ip("link", "set", UPLINK, "name", "elsewhere")
    _ip("link", "set", "elsewhere", "nomaster")
    # Long enough for a look: that it is not there is nobody's fault here.
    threading.Event().wait(1.2)
    assert stage.complaints() == ""
    _ip("link", "set", "elsewhere", "name", UPLINK)

    _until_said(stage, f"the network is whole again: uplink {UPLINK} is no port of bridge jitsu0")
    assert client.by_name(f"www.{ZONE}").status == 200


def test_a_guest_whose_tap_is_deleted_is_ended_and_summoned_anew(stage: Stage, client: Client) -> None:
    before = belongings(stage)
    assert client.by_name(f"www.{ZONE}").status == 200
    [tap] = [name for name in interface_names() if name.startswith("j") and "g" in name[7:]]
    _ip("link", "delete", tap)

    _until(lambda: row(stage, "www")["state"] == "asleep", "it is not given up")
    assert row(stage, "www")["last"].startswith("its port was taken away")
    assert client.by_address(_address(stage, "www")).status == 200
    assert row(stage, "www")["summons"] == 2
    _nothing_is_left(stage, before)


def test_a_gate_that_is_removed_is_opened_again(stage: Stage, client: Client) -> None:
    assert client.by_name(f"www.{ZONE}").status == 200
    [tap] = [name for name in interface_names() if name.startswith("j") and "g" in name[7:]]
    mac = stage.config.services["www"].mac
    subprocess.run(["bridge", "fdb", "del", mac, "dev", tap, "master"], check=True)

    _until(lambda: any(mac in line for line in belongings(stage)["fdb"]), "the gate stays closed")
    assert client.by_address(_address(stage, "www")).status == 200
    assert row(stage, "www")["summons"] == 1


def _nothing_is_left(stage: Stage, before: dict[str, list[str]]) -> None:
    for name in stage.config.services:
        stage.ask("stop", service=name)
    nothing_is_left(stage, before)


def _until_said(stage: Stage, text: str) -> None:
    _until(lambda: text in stage.complaints(), f"it was not said: {text}")


def _until(holds: Callable[[], bool], otherwise: str) -> None:
    """Wait until it is so, ten seconds at most."""
    tick = threading.Event()
    for _ in range(500):
        if holds():
            return
        tick.wait(0.02)
    raise AssertionError(otherwise)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def _address(stage: Stage, name: str) -> str:
    return str(stage.config.services[name].address)
