"""Warm modes with real guests: who answers, how often, who he is, and what becomes of spares when things go wrong."""

import json
import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jitsu.demo.client import Client, SynCounter, Visit
from jitsu.demo.stage import ZONE, Cast, Stage, interface_names
from jitsu.trace import TraceRecord
from tests.vm.witness import monitors, row, syn_witness, until_asleep

pytestmark = [pytest.mark.usefixtures("private_network"), pytest.mark.timeout(300)]

MINUTE = 60_000_000
"""In the microseconds of hello's status page."""


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until it is so, twenty seconds at most."""
    tick = threading.Event()
    for _ in range(800):
        if holds():
            return
        tick.wait(0.025)
    raise AssertionError(what)


def until_kept(stage: Stage, service: str, what: str) -> None:
    """Wait until that is kept for the next summon of the service."""
    until(lambda: row(stage, service)["warm"] == what, f"{row(stage, service)} / {stage.last_words()}")


def visit(stage: Stage, client: Client, service: str, *, by_name: bool, path: str = "/") -> Visit:
    """A visit that goes well, at the first SYN."""
    there = f"{service}.{ZONE}" if by_name else str(stage.config.services[service].address)
    seen = client.by_name(there, path) if by_name else client.by_address(there, path)
    assert seen.status == 200, stage.last_words()
    return seen


def status(stage: Stage, client: Client, service: str, *, by_name: bool = True) -> dict[str, Any]:
    page: dict[str, Any] = json.loads(visit(stage, client, service, by_name=by_name, path="/status").body)
    return page


def last_trace(stage: Stage, service: str) -> TraceRecord:
    trace: TraceRecord = stage.ask("trace", service=service, last=1)[0]
    return trace


def spans(trace: TraceRecord) -> list[str]:
    return [span["name"] for span in trace["spans"]]


def knows_the_time(stage: Stage, page: dict[str, Any], service: str) -> bool:
    """Is the guest's clock that of the host when it was summoned, give or take a minute?"""
    return abs(page["unix_us"] - last_trace(stage, service)["started"] * 1e6) < MINUTE


def nobody_is_left(stage: Stage) -> None:
    """Stop the daemon in good order, and find nothing of it."""
    stage.stop_daemon()
    assert monitors(stage) == []
    assert [name for name in interface_names() if name.startswith("j")] == []
    assert not (stage.folder / "run").exists() or list((stage.folder / "run").rglob("*")) == []


@pytest.mark.parametrize("ready", ["told", "store"])
def test_a_guest_that_rests_goes_on_for_every_summon(hello: Path, full: bool, ready: str) -> None:
    rounds = 60 if full else 8
    cast = [Cast("www", hello, {"mode": "paused", "idle": 1.0, "ready": ready})]
    with Stage(cast) as stage, SynCounter(stage.client) as counter, syn_witness() as witness:
        client = Client(stage.client, counter)
        until_kept(stage, "www", "paused")
        assert row(stage, "www")["state"] == "paused"
        boots, tokens = set(), set()
        for turn in range(rounds):
            page = status(stage, client, "www", by_name=turn % 2 == 0)
            boots.add(page["boot_id"])
            tokens.add(page["token"])
            assert page["connections"]["accepted"] == turn + 1, "one guest, and each connection once"
            assert knows_the_time(stage, page, "www")
            assert {"resume", "wake", "gate"} <= set(spans(last_trace(stage, "www")))
            assert "spawn" not in spans(last_trace(stage, "www"))
            until_kept(stage, "www", "paused")
        assert (len(boots), len(tokens)) == (1, rounds)
        assert row(stage, "www")["summons"] == rounds
        nobody_is_left(stage)
    assert set(witness.delivered.values()) == {1}
    assert witness.delivered == dict.fromkeys(witness.arrived, 1)


@pytest.mark.parametrize("ready", ["told", "store"])
def test_a_saved_guest_is_restored_for_every_summon_and_is_never_the_same_twice(
    hello: Path, full: bool, ready: str
) -> None:
    rounds = 60 if full else 8
    cast = [Cast("www", hello, {"mode": "snapshot", "idle": 0.3, "ready": ready})]
    with Stage(cast) as stage, SynCounter(stage.client) as counter, syn_witness() as witness:
        client = Client(stage.client, counter)
        boots, tokens = set(), set()
        for turn in range(rounds):
            until_kept(stage, "www", "blank")
            page = status(stage, client, "www", by_name=turn % 2 == 0)
            boots.add(page["boot_id"])
            tokens.add(page["token"])
            assert page["connections"]["accepted"] == 1, "nobody was there before"
            assert knows_the_time(stage, page, "www")
            assert {"restore", "wake", "gate"} <= set(spans(last_trace(stage, "www")))
            assert "spawn" not in spans(last_trace(stage, "www"))
            until_asleep(stage, "www")
        assert (len(boots), len(tokens)) == (1, rounds), "copies of one guest, each with secrets of its own"
        nobody_is_left(stage)
    assert set(witness.delivered.values()) == {1}
    assert witness.delivered == dict.fromkeys(witness.arrived, 1)


def test_a_saved_state_outlives_the_daemon(hello: Path) -> None:
    with Stage([Cast("www", hello, {"mode": "snapshot"})]) as stage, SynCounter(stage.client) as counter:
        client = Client(stage.client, counter)
        until_kept(stage, "www", "blank")
        first = status(stage, client, "www")
        [file] = _snapshots(stage)
        made = file.stat().st_mtime_ns
        stage.ask("stop", service="www")
        stage.kill_daemon()
        stage.start_daemon()
        until_kept(stage, "www", "blank")
        second = status(stage, client, "www")
        assert second["boot_id"] == first["boot_id"]
        assert second["token"] != first["token"]
        assert file.stat().st_mtime_ns == made
        stage.kill_daemon()
        stage.path.write_text(stage.path.read_text().replace('memory = "8 MiB"', 'memory = "12 MiB"'))
        stage.start_daemon()
        until_kept(stage, "www", "blank")
        assert status(stage, client, "www")["boot_id"] != first["boot_id"]
        assert not file.exists()
        assert len(_snapshots(stage)) == 1
        nobody_is_left(stage)


def test_a_state_that_is_damaged_costs_a_cold_boot_and_is_made_anew(hello: Path) -> None:
    with Stage([Cast("www", hello, {"mode": "snapshot"})]) as stage, SynCounter(stage.client) as counter:
        client = Client(stage.client, counter)
        until_kept(stage, "www", "blank")
        first = status(stage, client, "www")
        stage.ask("stop", service="www")
        _damage(*_snapshots(stage))
        second = status(stage, client, "www")
        assert second["boot_id"] != first["boot_id"]
        assert last_trace(stage, "www")["notes"] == ["no state of it is saved: a cold boot"]
        assert "spawn" in spans(last_trace(stage, "www"))
        until_kept(stage, "www", "blank")
        stage.ask("stop", service="www")
        third = status(stage, client, "www")
        assert third["boot_id"] not in (first["boot_id"], second["boot_id"])
        assert "restore" in spans(last_trace(stage, "www"))
        # The next daemon looks before it trusts.
        stage.ask("stop", service="www")
        stage.kill_daemon()
        _damage(*_snapshots(stage))
        stage.start_daemon()
        until_kept(stage, "www", "blank")
        fourth = status(stage, client, "www")
        assert fourth["boot_id"] != third["boot_id"]
        assert "restore" in spans(last_trace(stage, "www"))
        nobody_is_left(stage)


def test_a_spare_that_dies_is_replaced(hello: Path) -> None:
    cast = [Cast("rest", hello, {"mode": "paused"}), Cast("copy", hello, {"mode": "snapshot"})]
    with Stage(cast) as stage, SynCounter(stage.client) as counter:
        client = Client(stage.client, counter)
        until_kept(stage, "rest", "paused")
        until_kept(stage, "copy", "blank")
        killed = set(monitors(stage))
        assert len(killed) == 2
        for pid in killed:
            os.kill(int(pid), signal.SIGKILL)
        until(lambda: len(set(monitors(stage)) - killed) == 2, "both are there again")
        until_kept(stage, "rest", "paused")
        until_kept(stage, "copy", "blank")
        for name in ("rest", "copy"):
            visit(stage, client, name, by_name=True)
        nobody_is_left(stage)


def test_spares_give_way_to_summons_and_come_back(hello: Path) -> None:
    """Room for two guests of 48 MiB each, monitors included."""
    cast = [
        Cast("rest", hello, {"mode": "paused"}),
        Cast("copy", hello, {"mode": "snapshot"}),
        Cast("one", hello),
        Cast("two", hello),
    ]
    with Stage(cast, sections={"limits": {"memory": "100 MiB"}}) as stage, SynCounter(stage.client) as counter:
        client = Client(stage.client, counter)
        until(lambda: len(monitors(stage)) == 2, "two spares")
        until(lambda: row(stage, "copy")["warm"] in ("snapshot", "blank"), stage.last_words())
        for name in ("one", "two"):
            visit(stage, client, name, by_name=True)
        until(lambda: len(monitors(stage)) == 2, "nobody else has room")
        assert [row(stage, name)["state"] for name in ("one", "two")] == ["serving", "serving"]
        assert row(stage, "rest")["warm"] == ""
        stage.ask("stop", service="one")
        stage.ask("stop", service="two")
        until(lambda: len(monitors(stage)) == 2, "the spares are back")
        until_kept(stage, "rest", "paused")
        until_kept(stage, "copy", "blank")
        nobody_is_left(stage)


def test_guests_rest_only_as_long_as_there_is_room_for_spares(hello: Path) -> None:
    """Room for one spare: who was wanted last rests."""
    names = ("one", "two", "three")
    cast = [Cast(name, hello, {"mode": "paused", "idle": 0.3}) for name in names]
    with Stage(cast, sections={"warm": {"memory": "60 MiB"}}) as stage, SynCounter(stage.client) as counter:
        client = Client(stage.client, counter)
        for name in names:
            visit(stage, client, name, by_name=True)
            until_kept(stage, name, "paused")
            assert [other for other in names if row(stage, other)["warm"]] == [name]
        nobody_is_left(stage)


def test_stop_ends_a_guest_that_rests_until_it_is_summoned_again(hello: Path) -> None:
    with Stage([Cast("www", hello, {"mode": "paused", "idle": 0.3})]) as stage, SynCounter(stage.client) as counter:
        client = Client(stage.client, counter)
        until_kept(stage, "www", "paused")
        stage.ask("stop", service="www")
        until(lambda: monitors(stage) == [], "it is gone")
        # Longer than the pools take to look after what is missing.
        threading.Event().wait(1.5)
        assert monitors(stage) == []
        visit(stage, client, "www", by_name=True)
        assert last_trace(stage, "www")["notes"] == ["no guest of it rests: a cold boot"]
        until_kept(stage, "www", "paused")
        nobody_is_left(stage)


def test_a_guest_that_always_runs_is_there_from_the_start_and_comes_back(hello: Path) -> None:
    with Stage([Cast("www", hello, {"mode": "running", "idle": 0.1, "backoff": 0.1})]) as stage:
        until(lambda: row(stage, "www")["state"] == "serving", stage.last_words())
        pid = row(stage, "www")["pid"]
        assert pid is not None
        threading.Event().wait(1.0)
        assert row(stage, "www")["pid"] == pid, "silence does not matter"
        os.kill(pid, signal.SIGKILL)
        until(lambda: row(stage, "www")["state"] == "serving" and row(stage, "www")["pid"] != pid, stage.last_words())
        stage.ask("stop", service="www")
        threading.Event().wait(0.5)
        assert row(stage, "www")["state"] == "asleep"
        nobody_is_left(stage)


def test_spares_of_a_killed_daemon_are_adopted_or_gone(hello: Path, full: bool, seeded: random.Random) -> None:
    kills = 40 if full else 5
    cast = [
        Cast("rest", hello, {"mode": "paused"}),
        Cast("quick", hello, {"mode": "paused", "idle": 0.2}),
        Cast("copy", hello, {"mode": "snapshot", "idle": 0.2}),
        Cast("kept", hello, {"mode": "snapshot"}),
    ]
    with Stage(cast) as stage, SynCounter(stage.client) as counter:
        client = Client(stage.client, counter)
        for name in ("rest", "quick"):
            until_kept(stage, name, "paused")
        until_kept(stage, "kept", "blank")
        served = status(stage, client, "kept")
        for turn in range(kills):
            if turn:
                for name in ("quick", "copy"):
                    visit(stage, client, name, by_name=turn % 2 == 0)
                threading.Event().wait(seeded.uniform(0.0, 0.5))
            before = set(monitors(stage))
            serving = row(stage, "kept")["pid"]
            stage.kill_daemon()
            stage.start_daemon()
            assert (row(stage, "kept")["state"], row(stage, "kept")["pid"]) == ("serving", serving)
            assert row(stage, "rest")["state"] == "paused", "adopted, not booted again"
            again = status(stage, client, "kept")
            assert again["boot_id"] == served["boot_id"]
            for name in ("rest", "quick", "copy"):
                until(lambda name=name: bool(row(stage, name)["warm"]), stage.last_words())  # type: ignore[misc]
            assert before & set(monitors(stage)), "somebody was adopted"
        nobody_is_left(stage)


def test_a_stock_linux_rests_and_is_copied_too(stock_linux: Path) -> None:
    """It says nothing, so it is asked; and a q35 knows its kernel, so no blank monitor fits."""
    options: dict[str, str | int | float] = {
        "initrd": str(stock_linux / "initrd"),
        "memory": "128 MiB",
        "ready": "probe",
        "cmdline": "console=ttyS0 quiet",
    }
    cast = [
        Cast("rest", stock_linux / "vmlinuz", options | {"mode": "paused", "idle": 0.5}),
        Cast("copy", stock_linux / "vmlinuz", options | {"mode": "snapshot", "idle": 0.5}),
    ]
    with Stage(cast, sections={"limits": {"boot": 60}}) as stage, SynCounter(stage.client) as counter:
        client = Client(stage.client, counter)
        until(lambda: bool(row(stage, "rest")["warm"] or row(stage, "copy")["warm"]), stage.last_words())
        until_kept(stage, "rest", "paused")
        until_kept(stage, "copy", "snapshot")
        for by_name in (True, False):
            for name, stage_of in (("rest", "resume"), ("copy", "restore")):
                visit(stage, client, name, by_name=by_name)
                assert stage_of in spans(last_trace(stage, name))
                until_kept(stage, name, "paused" if name == "rest" else "snapshot")
                until(lambda name=name: row(stage, name)["state"] in ("asleep", "paused"), name)  # type: ignore[misc]
        nobody_is_left(stage)


def _snapshots(stage: Stage) -> list[Path]:
    return list((stage.config.daemon.state / "snapshots").iterdir())


def _damage(file: Path) -> None:
    """Turn one bit, deep inside."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
