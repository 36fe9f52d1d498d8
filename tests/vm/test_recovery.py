"""`kill -9` of the daemon at random instants of a load: what lives is adopted, the rest is gone, everybody answers."""

import random
from contextlib import suppress
from pathlib import Path

import pytest

from jitsu.demo.client import Client, SynCounter
from jitsu.demo.stage import ZONE, Cast, Stage
from jitsu.errors import DaemonError, JitsuError
from tests.vm.load import address_of, load_until_killed
from tests.vm.witness import belongings, monitors, nothing_is_left

pytestmark = [pytest.mark.usefixtures("private_network"), pytest.mark.timeout(900)]

NAMES = ("s0", "s1", "s2", "s3")


def test_nothing_is_lost_to_a_kill_at_any_instant(hello: Path, full: bool, seeded: random.Random) -> None:
    kills = 100 if full else 10
    with Stage([Cast(name, hello) for name in NAMES]) as stage, SynCounter(stage.client) as counter:
        before = belongings(stage)
        adopted = 0
        for _ in range(kills):
            load_until_killed(stage, counter, seeded, NAMES)
            alive = monitors(stage)
            stage.start_daemon()
            rows = stage.ask("ps")
            assert monitors(stage) == sorted(str(row["pid"]) for row in rows if row["pid"] is not None)
            adopted += len([row for row in rows if str(row["pid"]) in alive])
            client = Client(stage.client, counter)
            for number, name in enumerate(NAMES):
                visit = client.by_name(f"{name}.{ZONE}") if number % 2 else client.by_address(address_of(stage, name))
                assert visit.status == 200, stage.last_words()
        for name in NAMES:
            stage.ask("stop", service=name)
        nothing_is_left(stage, before)
        print(f"{kills} kills, {adopted} guests adopted, every service answered after each")
        assert adopted > 0


def test_a_guest_of_a_changed_definition_is_not_adopted(hello: Path) -> None:
    with Stage([Cast("www", hello)]) as stage, SynCounter(stage.client) as counter:
        client = Client(stage.client, counter)
        client.by_name(f"www.{ZONE}")
        [old] = monitors(stage)
        stage.kill_daemon()
        stage.path.write_text(stage.path.read_text().replace('memory = "8 MiB"', 'memory = "12 MiB"'))
        stage.start_daemon()
        assert monitors(stage) == []
        assert client.by_name(f"www.{ZONE}").status == 200
        assert monitors(stage) != [old]


def test_a_serving_guest_answers_while_no_daemon_runs_and_is_adopted_serving(hello: Path) -> None:
    with Stage([Cast("www", hello)]) as stage, SynCounter(stage.client) as counter:
        client = Client(stage.client, counter)
        assert client.by_name(f"www.{ZONE}").status == 200
        stage.kill_daemon()
        assert client.by_address(address_of(stage, "www")).status == 200
        stage.start_daemon()
        [row] = stage.ask("ps")
        assert (row["state"], row["summons"]) == ("serving", 0)
        assert client.by_name(f"www.{ZONE}").status == 200


def test_a_start_that_fails_harms_no_guest_that_waits_for_its_daemon(hello: Path) -> None:
    with Stage([Cast("www", hello)]) as stage, SynCounter(stage.client) as counter:
        Client(stage.client, counter).by_name(f"www.{ZONE}")
        alive = monitors(stage)
        stage.kill_daemon()
        good = stage.path.read_text()
        stage.path.write_text(good.replace("hello.elf", "nosuch.elf"))
        with pytest.raises(DaemonError, match=r"did not begin: kernel .*nosuch\.elf: no such file"):
            stage.start_daemon()
        stage.path.write_text(good)
        stage.start_daemon()
        assert monitors(stage) == alive
        assert stage.ask("ps")[0]["state"] == "serving"


@pytest.mark.parametrize("ready", ["told", "store"])
def test_a_guest_that_was_booting_becomes_ready_for_the_next_daemon(hello: Path, ready: str) -> None:
    with Stage([Cast("www", hello, {"ready": ready})]) as stage, SynCounter(stage.client) as counter:
        impatient = Client(stage.client, counter, patience=0.01)
        with suppress(OSError, JitsuError):
            impatient.by_name(f"www.{ZONE}")
        while not (alive := monitors(stage)):
            pass
        stage.kill_daemon()
        stage.start_daemon()
        assert Client(stage.client, counter).by_name(f"www.{ZONE}").status == 200
        assert monitors(stage) == alive
