"""The main job, many times over: real guests, real packets, and a witness of each SYN."""

import random
import socket
import threading
from pathlib import Path

import pytest

from jitsu.demo.client import Client, SynCounter
from jitsu.demo.stage import ZONE, Cast, Stage
from jitsu.network.namespace import inside
from tests.vm.dual import dual_stage, with_ipv6
from tests.vm.load import Load, jobs
from tests.vm.witness import belongings, nothing_is_left, row, syn_witness, until_asleep

pytestmark = [pytest.mark.usefixtures("private_network"), pytest.mark.timeout(900)]

CLIENTS = 4
SERVICES = 6


def test_every_summon_is_answered_and_every_syn_delivered_once(hello: Path, full: bool, seeded: random.Random) -> None:
    """300 summons, 6 services, 4 clients at a time, half by DNS and half by a bare SYN, half over IPv4 and half over
    IPv6; then nothing is left."""
    count = 3000 if full else 300
    names = [f"s{number}" for number in range(SERVICES)]
    cast = [with_ipv6(Cast(name, hello), number) for number, name in enumerate(names)]
    with dual_stage(cast) as stage, SynCounter(stage.client) as counter:
        before = belongings(stage)
        with syn_witness() as witness:
            load = Load(stage, Client(stage.client, counter), jobs(names, count, seeded, versions=(4, 6)), CLIENTS)
            load.run()
        assert load.errors == [], stage.complaints()
        assert [visit.status for visit, _ in load.visits] == [200] * count
        assert witness.lost == 0
        assert len(witness.arrived) >= count
        assert {len(target) for target, *_ in witness.arrived} == {4, 16}
        wrong = {syn: witness.delivered[syn] for syn in witness.arrived if witness.delivered[syn] != 1}
        assert wrong == {}
        late = [(visit, trace) for visit, trace in load.visits if visit.syn_sent > 1]
        for visit, trace in late:
            assert trace["total_ms"] > 1000, f"{visit.syn_sent} SYNs, but the summon took {trace['total_ms']} ms"
            assert any("repeated its SYN" in note for note in trace["notes"])
        nothing_is_left(stage, before)
    print(f"{count} summons answered, {len(witness.arrived)} SYNs delivered once each, {len(late)} repeated by clients")


def test_a_guest_that_nobody_uses_is_dismissed_and_comes_back(hello: Path) -> None:
    with (
        Stage([Cast("www", hello, {"idle": 0.5})]) as stage,
        SynCounter(stage.client) as counter,
    ):
        client = Client(stage.client, counter)
        before = belongings(stage)
        for turn in range(1, 4):
            assert client.by_name(f"www.{ZONE}").status == 200
            dismissed = until_asleep(stage, "www")
            assert dismissed["summons"] == turn
            assert "idle for" in dismissed["last"]
            nothing_is_left(stage, before)


def test_an_open_connection_keeps_its_guest_and_a_question_does_for_a_while(hello: Path) -> None:
    with (
        Stage([Cast("www", hello, {"idle": 0.5})]) as stage,
        SynCounter(stage.client) as counter,
    ):
        client = Client(stage.client, counter)
        with inside(stage.client):
            connection = socket.create_connection((str(stage.config.services["www"].address), 80), timeout=10)
        with connection:
            threading.Event().wait(2)
            kept = row(stage, "www")
            assert (kept["state"], kept["connections"]) == ("serving", 1)
        until_asleep(stage, "www")
        for _ in range(6):
            client.resolve(f"www.{ZONE}")
            threading.Event().wait(0.25)
        assert row(stage, "www")["state"] == "serving"
        assert until_asleep(stage, "www")["summons"] == 2


def test_an_open_connection_that_is_silent_for_too_long_keeps_nobody(hello: Path) -> None:
    with Stage([Cast("www", hello, {"idle": 0.5, "linger": 1.5})]) as stage:
        with inside(stage.client):
            connection = socket.create_connection((str(stage.config.services["www"].address), 80), timeout=10)
        with connection:
            assert "idle for" in until_asleep(stage, "www")["last"]
