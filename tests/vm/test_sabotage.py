"""QEMU is killed at every stage of its build: it is said why, nothing is left, and the next summon works."""

import sys
import time
from pathlib import Path

import pytest

from jitsu.demo.client import Client, SynCounter
from jitsu.demo.stage import ZONE, Cast, Stage
from tests.vm.saboteur import STAGES
from tests.vm.witness import belongings, nothing_is_left, row

pytestmark = pytest.mark.usefixtures("private_network")

UNNOTICED = ("gate", "delivered")
"""The guest was serving: whoever knocked is held for its successor, and served."""

REASONS = {"ready": "its gate cannot be opened: [Errno 19] No such device"}


@pytest.mark.parametrize("stage_of_death", STAGES)
def test_a_qemu_that_is_killed_costs_one_try_at_most(hello: Path, stage_of_death: str, full: bool) -> None:
    """By a question at every second stage and by a bare SYN at the others; at full count by both at each."""
    by_question = STAGES.index(stage_of_death) % 2 == 0
    for by_name in (True, False) if full else (by_question,):
        _sabotage(hello, stage_of_death, by_name)


def _sabotage(hello: Path, stage_of_death: str, by_name: bool) -> None:
    serve = (sys.executable, "-m", "tests.vm.saboteur", stage_of_death, "serve")
    with Stage([Cast("www", hello)], serve=serve) as stage, SynCounter(stage.client) as counter:
        before = belongings(stage)
        client = Client(stage.client, counter, patience=10)
        address = str(stage.config.services["www"].address)

        def visit() -> int:
            return (client.by_name(f"www.{ZONE}") if by_name else client.by_address(address)).status

        begin = time.monotonic()
        try:
            seen = str(visit())
        except OSError as error:
            seen = type(error).__name__
        taken = time.monotonic() - begin
        print(f"killed at {stage_of_death}: the client saw {seen} after {taken:.2f} s")
        assert REASONS.get(stage_of_death, "killed by signal 9 (Killed)") in stage.complaints(), "it is said why"
        assert seen == "200" if stage_of_death in UNNOTICED else seen in ("200", "ConnectionRefusedError")
        assert visit() == 200, "the next summon works"
        assert row(stage, "www")["summons"] == 2
        stage.ask("stop", service="www")
        nothing_is_left(stage, before)
