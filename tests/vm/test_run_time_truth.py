"""What the daemon knows of its domains stands in the XenStore, whoever is killed: the daemon, the store, or a guest."""

import asyncio
import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jitsu.demo.client import Client, SynCounter
from jitsu.demo.stage import ZONE, Cast, Stage
from jitsu.errors import JitsuError
from tests.store_nodes import nodes
from tests.vm.load import Load, jobs
from tests.vm.witness import belongings, monitors, nothing_is_left, row, until, until_asleep

pytestmark = [pytest.mark.usefixtures("private_network"), pytest.mark.timeout(1200)]

NAMES = ("s0", "s1", "s2", "s3")


def told(stage: Stage) -> dict[str, str]:
    """What stands there: of each service its domid, state and fingerprint, and every domain that has a home."""
    found = asyncio.run(nodes(stage.config.daemon.runtime / "xenstore.sock", "/jitsu", "/local/domain"))
    short = {}
    for node, value in found.items():
        match node.split("/")[1:]:
            case ["jitsu", "domains", domid, ("service" | "state" | "fingerprint") as key]:
                short[f"{domid} {key}"] = value
            case ["jitsu", "services", name]:
                short[name] = value
            case ["local", "domain", domid, "data", "jitsu", "config", "ip"]:
                short[f"{domid} ip"] = value
    return short


def known(stage: Stage) -> dict[str, str]:
    """The same as the daemon itself knows it."""
    short = {}
    for each in stage.ask("ps"):
        domid, service = each["domid"], stage.config.services[each["service"]]
        if domid is not None:
            short |= {each["service"]: f"{domid}", f"{domid} service": each["service"]}
            short |= {f"{domid} state": each["state"], f"{domid} fingerprint": service.fingerprint}
            short[f"{domid} ip"] = f"{each['address']}/24"
    return short


def until_true(stage: Stage) -> dict[str, str]:
    """Wait until both say the same, for ten seconds at most."""
    give_up = time.monotonic() + 10
    while True:
        try:
            there = told(stage)
        except JitsuError as error:
            there = {"error": str(error)}
        if there == known(stage):
            return there
        assert time.monotonic() < give_up, (there, known(stage), stage.last_words())
        threading.Event().wait(0.02)


def kill_store(stage: Stage) -> bool:
    """Says whether one ran just now."""
    pid = stage.ask("status")["xenstored"]
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
    return pid is not None


@pytest.fixture
def serving(hello: Path) -> Iterator[tuple[Stage, Client]]:
    """Three services that serve and one that sleeps; two of the guests have the XenStore, and two the ready port."""
    ways = ("store", "told", "store", "told")
    cast = [Cast(name, hello, {"ready": ready}) for name, ready in zip(NAMES, ways, strict=True)]
    with Stage(cast) as stage, SynCounter(stage.client) as counter:
        client = Client(stage.client, counter)
        # The first guest with a port to the store has the folder of the ports made.
        client.by_name(f"s0.{ZONE}")
        stage.ask("stop", service="s0")
        until_true(stage)
        before = belongings(stage)
        for name in NAMES[:3]:
            assert client.by_name(f"{name}.{ZONE}").status == 200
        yield stage, client
        for name in NAMES:
            stage.ask("stop", service=name)
        assert until_true(stage) == {}
        nothing_is_left(stage, before)


def test_what_stands_there_is_what_is(serving: tuple[Stage, Client]) -> None:
    stage, client = serving
    assert len(until_true(stage)) == 15
    stage.ask("stop", service="s0")
    assert client.by_name(f"s3.{ZONE}").status == 200
    assert sorted(name for name in until_true(stage) if name in NAMES) == ["s1", "s2", "s3"]


def test_the_next_daemon_finds_it_and_corrects_what_is_no_longer_so(serving: tuple[Stage, Client]) -> None:
    """The store says so of each domain that no monitor confirms, until a daemon looks; guests are adopted as ever."""
    stage, client = serving
    before = until_true(stage)
    ended, up, then = row(stage, "s1"), row(stage, "s0")["up"], time.monotonic()
    assert ended["pid"] is not None
    assert up is not None
    stage.kill_daemon()
    os.kill(ended["pid"], signal.SIGKILL)
    assert told(stage) == before
    stage.start_daemon()
    after = until_true(stage)
    assert after == {key: value for key, value in before.items() if key.split()[0] not in ("s1", f"{ended['domid']}")}
    # It has served since the daemon before, and not since this one found it.
    until(stage, "s0", lambda row: (row["up"] or 0) > up + time.monotonic() - then - 0.2)
    [missed] = [event for event in stage.ask("events", last=50) if event["event"] == "crashed"]
    assert (missed["service"], missed["domid"]) == ("s1", ended["domid"])
    assert missed["detail"] == row(stage, "s1")["last"] == "it ended while no daemon ran"
    assert client.by_name(f"s1.{ZONE}").status == 200


def test_a_store_that_was_lost_with_its_daemon_costs_no_guest(serving: tuple[Stage, Client]) -> None:
    """What the monitors say of themselves is enough."""
    stage, client = serving
    before, alive = until_true(stage), monitors(stage)
    stage_store = stage.ask("status")["xenstored"]
    stage.kill_daemon()
    os.kill(stage_store, signal.SIGKILL)
    stage.start_daemon()
    assert until_true(stage) == before
    assert monitors(stage) == alive
    assert client.by_name(f"s0.{ZONE}").status == 200


def test_summons_go_on_while_the_store_dies_and_it_is_whole_again(
    hello: Path, full: bool, seeded: random.Random
) -> None:
    """Of 60 visits (600) each is answered while the store is killed every now and then; of more on a machine so fast
    that it was killed less than three times meanwhile."""
    names = [f"s{number}" for number in range(8)]
    # Guests that have the ready port need no store. (Those with a store port wait for the next one.)
    with Stage([Cast(name, hello) for name in names]) as stage, SynCounter(stage.client) as counter:
        before = belongings(stage)
        loads: list[Load] = []
        over = threading.Event()
        kills = 0

        def sabotage() -> None:
            nonlocal kills
            while not over.wait(seeded.uniform(0.2, 1.0)):
                kills += kill_store(stage)

        saboteur = threading.Thread(target=sabotage)
        saboteur.start()
        try:
            while not loads or kills < 3:
                work = jobs(names, 600 if full else 60, seeded)
                loads.append(Load(stage, Client(stage.client, counter), work, clients=4))
                loads[-1].run()
                assert loads[-1].errors == []
        finally:
            over.set()
            saboteur.join()
        answers = [visit.status for load in loads for visit, _ in load.visits]
        assert answers == [200] * len(answers)
        client = Client(stage.client, counter)
        for name in names[:4]:
            assert client.by_name(f"{name}.{ZONE}").status == 200
        until(stage, "s0", lambda row: row["state"] == "serving")
        assert len(until_true(stage)) == 20
        for name in names:
            stage.ask("stop", service=name)
        assert until_true(stage) == {}
        nothing_is_left(stage, before)
        print(f"{len(answers)} visits answered, the store killed {kills} times")


def test_guests_that_speak_to_the_store_come_through_its_death_and_the_daemons(
    hello: Path, full: bool, seeded: random.Random
) -> None:
    """Whoever of them is killed while guests boot, rest and wake: each visit is answered in the end."""
    names = ("cold", "paused", "snapshot")
    cast = [Cast(name, hello, {"ready": "store", "mode": name, "idle": 0.5}) for name in names]
    with Stage(cast) as stage, SynCounter(stage.client) as counter:
        client = Client(stage.client, counter, patience=20.0)
        for turn in range(30 if full else 4):
            visits = [threading.Thread(target=client.by_name, args=(f"{name}.{ZONE}",)) for name in names]
            for visit in visits:
                visit.start()
            threading.Event().wait(seeded.uniform(0.0, 0.2))
            kill_store(stage)
            if turn % 2:
                stage.kill_daemon()
            for visit in visits:
                visit.join()
            if turn % 2:
                stage.start_daemon()
            for name in names:
                assert client.by_name(f"{name}.{ZONE}").status == 200, stage.last_words()
        for name in names:
            stage.ask("stop", service=name)
        until_asleep(stage, "cold")
        stage.stop_daemon()
        assert monitors(stage) == []


def test_a_guest_may_have_nothing_but_the_store(hello: Path) -> None:
    """Who it is, where, that it serves and that it shall stop: its command line says nothing, and it has no other port.

    (That it wakes, too: tests/vm/test_warm.py.)"""
    with (
        Stage([Cast("www", hello, {"ready": "store", "dismiss": "ask"})]) as stage,
        SynCounter(stage.client) as counter,
    ):
        client = Client(stage.client, counter)
        for _ in range(3):
            page = json.loads(client.by_name(f"www.{ZONE}", path="/status").body)
            assert page["name"] == "www"
            [monitor] = monitors(stage)
            words = Path(f"/proc/{monitor}/cmdline").read_bytes().split(b"\0")
            assert words[words.index(b"-append") + 1] == b""
            assert not any(b"org.jitsu.ready" in word for word in words)
            stage.ask("stop", service="www")
            assert row(stage, "www")["last"] == "stopped by hand; it shut down when asked"
