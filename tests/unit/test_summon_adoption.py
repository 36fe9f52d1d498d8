"""Domains that outlived an earlier daemon, with a fake network and a fake driver: taken over, or ended."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from jitsu.domains.domain_record import Record, Standing
from jitsu.domains.driver import Domain, Happening
from jitsu.errors import DomainError, HostError
from jitsu.events import Kind
from jitsu.network.host import Port
from jitsu.network.packet import Interest
from tests.unit.box import HELLO, NEVER, PROBED, WORLD, Box, boxed, eventually, settled


@pytest.fixture
async def box() -> AsyncIterator[Box]:
    async with boxed() as box:
        yield box


def survivor(name: str = "hello", domid: int = 4, fingerprint: str = "") -> Domain:
    fits = {"hello": HELLO, "world": WORLD, "probed": PROBED}.get(name, HELLO).fingerprint
    return Domain(name, domid, handle=4000 + domid, fingerprint=fingerprint or fits)


async def adopt(box: Box, *domains: Domain) -> None:
    """What the daemon does when it starts."""
    box.driver.survivors = list(domains)
    await box.summoner.adopt(await box.driver.adopt())


def gate_of(box: Box, domain: Domain) -> None:
    """The earlier daemon had opened the gate for this domain."""
    box.network.gates[HELLO.mac] = f"fake{domain.domid}"


class TestServing:
    async def test_a_guest_whose_gate_is_open_serves(self, box: Box) -> None:
        box.driver.behaviours["hello"] = NEVER
        gate_of(box, survivor())
        await adopt(box, survivor())

        row = box.summoner.tenant("hello").row()
        assert (row["state"], row["domid"], row["pid"], row["summons"]) == ("serving", 4, 4004, 0)
        assert row["up"] is not None
        assert box.network.gates == {HELLO.mac: "fake4"}
        assert not await box.sentinel_answers()

    async def test_that_it_says_ready_once_more_changes_nothing(self, box: Box) -> None:
        gate_of(box, survivor())
        await adopt(box, survivor())
        await settled()

        assert box.state() == "serving"
        assert box.network.done == [], "the gate was left as it was"

    async def test_a_question_is_answered_at_once_and_a_syn_passed_on(self, box: Box) -> None:
        gate_of(box, survivor())
        await adopt(box, survivor())
        answers = box.ask()
        frame = box.knock(5)

        assert answers == [True]
        assert box.guest(4).sent[1] == frame
        assert box.launches() == []

    async def test_it_counts_as_busy_for_one_idle_period(self, box: Box) -> None:
        gate_of(box, survivor())
        await adopt(box, survivor())
        tenant = box.summoner.tenant("hello")

        assert not tenant.is_idle(unused=1000.0, now=tenant.active + 59)
        assert tenant.is_idle(unused=1000.0, now=tenant.active + 61)

    async def test_it_has_its_share_of_the_box(self, box: Box) -> None:
        await adopt(box, survivor(), survivor("world", 7))

        assert box.budget.guests_used == 2

    async def test_it_can_be_stopped(self, box: Box) -> None:
        gate_of(box, survivor())
        await adopt(box, survivor())
        await box.summoner.stop("hello")

        assert box.driver.running == {}
        assert box.network.gates == {}

    async def test_its_crash_is_noticed(self, box: Box) -> None:
        gate_of(box, survivor())
        await adopt(box, survivor())
        box.driver.happen(survivor(), Happening.CRASHED, "the guest reset itself")

        assert box.state() == "asleep"

    async def test_the_adoption_leaves_a_trace(self, box: Box) -> None:
        gate_of(box, survivor())
        await adopt(box, survivor())

        trace = box.trace()
        assert (trace["cause"], trace["domid"], trace["outcome"]) == ("adoption", 4, "serving")


class TestBooting:
    async def test_a_guest_whose_gate_is_closed_boots_and_serves_when_it_says_so_again(self, box: Box) -> None:
        await adopt(box, survivor())
        before = (box.state(), dict(box.network.gates))
        await eventually(lambda: box.state() == "serving")

        assert before == ("booting", {})
        assert box.network.gates == {HELLO.mac: "fake4"}
        assert box.launches() == []

    async def test_a_syn_meanwhile_is_held_for_it(self, box: Box) -> None:
        await adopt(box, survivor())
        frame = box.knock(5)
        await eventually(lambda: box.state() == "serving")

        assert box.guest(4).sent[1] == frame

    async def test_a_guest_that_does_not_speak_up_is_probed(self, box: Box) -> None:
        box.driver.behaviours["probed"] = NEVER
        await adopt(box, survivor("probed"))

        assert box.guest(4).interest is Interest.PROBES
        assert len(box.guest(4).sent) == 2

    async def test_one_that_never_says_so_is_ended_at_the_deadline(self) -> None:
        async with boxed(boot_limit=0.0) as box:
            box.driver.behaviours["hello"] = NEVER
            await adopt(box, survivor())
            await eventually(lambda: box.state() == "asleep")

            assert box.driver.running == {}


class TestMisfits:
    @pytest.mark.parametrize(
        "domain",
        [survivor(fingerprint="00000000"), survivor("forgotten")],
        ids=["of another configuration", "of no service"],
    )
    async def test_a_domain_that_does_not_fit_is_ended(self, box: Box, domain: Domain) -> None:
        await adopt(box, domain)

        assert box.driver.running == {}
        assert box.state() == "asleep"
        assert box.budget.guests_used == 0

    async def test_of_two_for_one_service_one_is_kept(self, box: Box) -> None:
        await adopt(box, survivor(domid=4), survivor(domid=5))

        assert sorted(box.driver.running) == [4]
        assert box.summoner.tenant("hello").row()["domid"] == 4

    async def test_while_one_is_ended_what_another_says_is_not_missed(self, box: Box) -> None:
        box.driver.may_end.clear()
        adopting = asyncio.create_task(adopt(box, survivor("forgotten", 3), survivor("hello", 4)))
        await settled()
        meanwhile = box.state()
        box.driver.may_end.set()
        await adopting

        assert meanwhile == "serving"
        assert sorted(box.driver.running) == [4]

    @pytest.mark.parametrize("broken", ["plug", "listen", "gate_unused"])
    async def test_one_whose_port_is_of_no_use_is_ended_and_leaves_nothing(
        self, box: Box, monkeypatch: pytest.MonkeyPatch, broken: str
    ) -> None:
        def fails(*arguments: object) -> Port:
            raise HostError("port fake4 cannot join bridge jitsu0") if broken == "plug" else OSError("no such device")

        with monkeypatch.context() as patched:
            patched.setattr(box.network, broken, fails)
            await adopt(box, survivor())

        row = box.summoner.tenant("hello").row()
        assert (row["state"], row["domid"]) == ("asleep", None)
        assert box.driver.running == {}
        assert box.budget.guests_used == 0
        await box.summoner.start("hello")
        assert box.state() == "serving"

    async def test_one_that_cannot_even_be_ended_does_not_stop_the_daemon(
        self, box: Box, caplog: pytest.LogCaptureFixture
    ) -> None:
        box.driver.complaint = DomainError("process 4003 does not die")
        await adopt(box, survivor("forgotten", 3), survivor("hello", 4))
        await eventually(lambda: box.state() == "serving")

        assert "domain 3 could not be ended: process 4003 does not die" in caplog.text


class TestNumbers:
    async def test_the_next_domain_gets_a_number_that_none_of_them_had(self, box: Box) -> None:
        await adopt(box, survivor("hello", 4), survivor("forgotten", 9), survivor("world", 7))
        await box.summoner.stop("hello")
        await box.summoner.start("hello")

        assert box.launches() == [10]

    async def test_without_survivors_they_begin_with_one(self, box: Box) -> None:
        await adopt(box)
        await box.summoner.start("hello")

        assert box.launches() == [1]


def record(domid: int = 4, standing: Standing = Standing.SERVING, *, fingerprint: str = "", ago: float = 100) -> Record:
    """What the earlier daemon left in the store."""
    since = time.monotonic() - ago
    return Record(domid, "hello", fingerprint or HELLO.fingerprint, "10.77.0.10", HELLO.mac, standing, since)


class TestTheStoresWord:
    async def test_says_since_when_a_guest_serves(self, box: Box) -> None:
        gate_of(box, survivor())
        await adopt(box, survivor())
        box.summoner.recalled(record(ago=100), True)

        up = box.summoner.tenant("hello").row()["up"]
        assert up is not None
        assert up >= 100

    @pytest.mark.parametrize(
        "wrong",
        [record(5), record(fingerprint="older"), record(ago=-1e6), record(standing=Standing.TEMPLATE)],
        ids=["another-domain", "another-definition", "a-time-to-come", "a-template"],
    )
    async def test_counts_for_nothing_where_the_monitor_says_otherwise(self, box: Box, wrong: Record) -> None:
        gate_of(box, survivor())
        await adopt(box, survivor())
        box.summoner.recalled(wrong, True)

        up = box.summoner.tenant("hello").row()["up"]
        assert up is not None
        assert 0 <= up < 50

    async def test_makes_no_guest_serve_that_does_not(self, box: Box) -> None:
        box.driver.behaviours["hello"] = NEVER
        await adopt(box, survivor())
        box.summoner.recalled(record(), True)

        assert box.state() == "booting"
        assert box.summoner.tenant("hello").row()["up"] is None

    async def test_tells_of_a_guest_that_is_no_more(self, box: Box) -> None:
        await adopt(box)
        box.summoner.recalled(record(), False)
        box.summoner.recalled(record(6, Standing.TEMPLATE), False)

        assert box.summoner.tenant("hello").last == "it ended while no daemon ran"
        told = [(event.kind, event.service, event.domid) for event in box.summoner.events.last(5)]
        assert told == [(Kind.CRASHED, "hello", 4)]

    async def test_of_a_service_that_is_no_more_is_nobodys_business(self, box: Box) -> None:
        box.summoner.recalled(replace(record(), service="gone"), False)
        assert box.summoner.events.last(5) == []
