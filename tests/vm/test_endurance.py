"""A long life: summons without end, and whatever can be killed is killed in the midst of it."""

import os
import random
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from jitsu.demo.client import Client, SynCounter
from jitsu.demo.stage import ZONE, Cast, Stage
from tests.vm.load import Load, address_of, jobs, load_until_killed
from tests.vm.witness import belongings, monitors, nothing_is_left, row, until_asleep

pytestmark = [pytest.mark.usefixtures("private_network"), pytest.mark.timeout(3600)]

SERVICES = [f"s{number}" for number in range(20)]
CLIENTS = 8


@contextmanager
def stage_of(kernel: Path) -> Iterator[tuple[Stage, SynCounter]]:
    with Stage([Cast(name, kernel) for name in SERVICES]) as stage, SynCounter(stage.client) as counter:
        yield stage, counter


def test_two_thousand_summons_among_dying_guests_and_consoles(hello: Path, full: bool, seeded: random.Random) -> None:
    """2,000 summons (100 in CI), 50 (2) guests and 20 (1) consoled killed; memory stays, and nothing is left."""
    count, guests, consoles = (2000, 50, 20) if full else (100, 2, 1)
    # The first visits load what loads late; a tenth of the short run would be in the midst of it.
    early = 200 if full else 50
    with stage_of(hello) as (stage, counter):
        before = belongings(stage)
        memory: list[int] = []
        lock = threading.Lock()
        left = 0
        doomed = set(seeded.sample(range(count), guests))
        mute = set(seeded.sample(range(early, count), consoles))

        def leave(name: str) -> None:
            nonlocal left
            with lock:
                left += 1
                number = left
            if number == early:
                memory.append(resident(stage))
            if number in mute:
                kill_consoled(stage)
            if number in doomed:
                # The next visit finds a service whose guest died without a word.
                os.kill(row(stage, name)["pid"] or 0, signal.SIGKILL)
                until_asleep(stage, name)
            else:
                stage.ask("stop", service=name)

        load = Load(stage, Client(stage.client, counter), jobs(SERVICES, count, seeded), CLIENTS, leave)
        load.run()
        assert load.errors == [], stage.complaints()
        assert [visit.status for visit, _ in load.visits] == [200] * count
        memory.append(resident(stage))
        nothing_is_left(stage, before)
    print(f"{count} summons, {guests} guests and {consoles} consoled killed; {memory[0]}, then {memory[1]} KiB")
    assert memory[1] <= memory[0] * 1.05


def test_guests_killed_at_any_instant_cost_their_own_visitor_at_most(
    hello: Path, full: bool, seeded: random.Random
) -> None:
    """A killer at random beside the load: a visit fails only where its guest was killed, and the next one does not."""
    count, kills = (500, 50) if full else (60, 6)
    with stage_of(hello) as (stage, counter):
        before = belongings(stage)
        over = threading.Event()
        killed: list[str] = []

        def kill_on() -> None:
            while len(killed) < kills and not over.wait(seeded.uniform(0.01, 0.1)):
                alive = monitors(stage)
                with suppress(ProcessLookupError):
                    if alive:
                        victim = seeded.choice(alive)
                        os.kill(int(victim), signal.SIGKILL)
                        killed.append(victim)

        killer = threading.Thread(target=kill_on)
        killer.start()
        load = Load(stage, Client(stage.client, counter), jobs(SERVICES, count, random.Random(0)), CLIENTS)
        load.run()
        over.set()
        killer.join()
        broken = [visit for visit, _ in load.visits if visit.status != 200]
        assert len(load.errors) + len(broken) <= len(killed), load.errors
        client = Client(stage.client, counter)
        for name in SERVICES:
            assert client.by_name(f"{name}.{ZONE}").status == 200, stage.last_words()
            stage.ask("stop", service=name)
        nothing_is_left(stage, before)
    print(f"{count} visits, {len(killed)} guests killed, {len(load.errors) + len(broken)} visits failed with them")
    assert killed


def test_every_service_answers_after_each_kill_of_the_daemon(hello: Path, full: bool, seeded: random.Random) -> None:
    kills = 50 if full else 3
    with stage_of(hello) as (stage, counter):
        before = belongings(stage)
        client = Client(stage.client, counter)
        for _ in range(kills):
            load_until_killed(stage, counter, seeded, seeded.sample(SERVICES, CLIENTS))
            stage.start_daemon()
            rows = stage.ask("ps")
            assert monitors(stage) == sorted(str(row["pid"]) for row in rows if row["pid"] is not None)
            for number, name in enumerate(SERVICES):
                visit = client.by_name(f"{name}.{ZONE}") if number % 2 else client.by_address(address_of(stage, name))
                assert visit.status == 200, stage.last_words()
                if number % 3:
                    stage.ask("stop", service=name)
        for name in SERVICES:
            stage.ask("stop", service=name)
        nothing_is_left(stage, before)


def resident(stage: Stage) -> int:
    """KiB that the daemon has in memory."""
    daemon = stage.daemon
    assert daemon is not None
    match = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{daemon.pid}/status").read_text(), re.MULTILINE)
    assert match is not None
    return int(match[1])


def kill_consoled(stage: Stage) -> None:
    """Kill whoever keeps the consoles; one that was killed a moment ago is replaced first, ten seconds at most."""
    tick = threading.Event()
    for _ in range(200):
        if (consoled := stage.ask("status")["consoled"]) is not None:
            with suppress(ProcessLookupError):
                os.kill(consoled, signal.SIGKILL)
                return
        tick.wait(0.05)
    raise AssertionError("nobody keeps the consoles")
