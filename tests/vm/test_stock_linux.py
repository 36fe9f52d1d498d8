"""A stock Linux guest that knows nothing of us, summoned the same way at level 0: held, probed, delivered."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from jitsu.demo.client import Client, SynCounter
from jitsu.demo.stage import ZONE, Cast, Stage
from jitsu.trace import TraceRecord
from tests.vm.dual import dual_stage
from tests.vm.witness import belongings, nothing_is_left, row, syn_witness, until_asleep

pytestmark = [pytest.mark.usefixtures("private_network"), pytest.mark.timeout(600)]

OPTIONS: dict[str, str | int | float] = {
    "memory": "128 MiB",
    "ready": "probe",
    "cmdline": "console=ttyS0 quiet",
}


@pytest.fixture
def linux(stock_linux: Path) -> Iterator[Stage]:
    cast = Cast("linux", stock_linux / "vmlinuz", {**OPTIONS, "initrd": str(stock_linux / "initrd"), "idle": 3600})
    with Stage([cast], sections={"limits": {"boot": 60}}) as stage:
        yield stage


def test_a_bare_syn_is_held_and_repeated_and_delivered_once(linux: Stage) -> None:
    before = belongings(linux)
    with SynCounter(linux.client) as counter, syn_witness() as witness:
        visit = Client(linux.client, counter, patience=60).by_address(_address(linux))
    trace: TraceRecord = linux.ask("trace", service="linux", last=1)[0]
    assert visit.status == 200
    assert b"Hello from linux" in visit.body
    assert trace["cause"] == "syn"
    # A client repeats its SYN after a second; under emulation this guest takes longer than that.
    assert (visit.syn_sent > 1) == (trace["total_ms"] > 1000)
    assert len([note for note in trace["notes"] if "repeated its SYN" in note]) == visit.syn_sent - 1
    ours = {syn: count for syn, count in witness.delivered.items() if syn in witness.arrived}
    assert list(ours.values()) == [1]
    linux.ask("stop", service="linux")
    nothing_is_left(linux, before)
    print(
        f"boot {trace['total_ms']:.0f} ms, first byte after {visit.http_ms:.0f} ms, {visit.syn_sent} SYNs, delivered 1"
    )


def test_a_question_summons_it_too(linux: Stage) -> None:
    with SynCounter(linux.client) as counter:
        visit = Client(linux.client, counter, patience=60).by_name(f"linux.{ZONE}")
    assert visit.status == 200
    assert visit.dns_ms is not None
    assert visit.dns_ms < visit.http_ms / 4, "the answer waited for the guest"


def test_one_of_ipv6_alone_is_probed_over_ipv6_and_met(stock_linux: Path) -> None:
    options = {**OPTIONS, "initrd": str(stock_linux / "initrd"), "address": "", "address6": "fd77::60"}
    with dual_stage([Cast("linux", stock_linux / "vmlinuz", options)], {"limits": {"boot": 60}}) as stage:
        with SynCounter(stage.client) as counter, syn_witness() as witness:
            visit = Client(stage.client, counter, patience=60).by_address("fd77::60")
        assert visit.status == 200
        assert b"Hello from linux" in visit.body
        ours = {syn: count for syn, count in witness.delivered.items() if syn in witness.arrived}
        assert list(ours.values()) == [1]
        assert len(witness.delivered) > 1, "there was no probe"


def test_our_probes_are_nobodys_traffic(stock_linux: Path) -> None:
    options = {**OPTIONS, "initrd": str(stock_linux / "initrd"), "idle": 2}
    with Stage([Cast("linux", stock_linux / "vmlinuz", options)], sections={"limits": {"boot": 60}}) as stage:
        with syn_witness() as witness:
            stage.ask("start", service="linux")
            started = row(stage, "linux")
            assert (started["state"], started["connections"]) == ("serving", 0)
        assert sum(witness.delivered.values()) > 1, "there was no probe"
        assert sum(witness.arrived.values()) == 0
        assert "idle for" in until_asleep(stage, "linux")["last"]


def _address(stage: Stage) -> str:
    return str(stage.config.services["linux"].address)
