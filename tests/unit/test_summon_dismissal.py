"""How domains end, with a fake network and a fake driver: late, crashed, silent, sent away; and what follows."""

import asyncio
import errno
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace

import pytest

from jitsu.domains.driver import Domain, Happening
from jitsu.domains.fake import Behaviour, Call
from jitsu.errors import DomainError
from jitsu.network.frames import ACK, FIN, RST, SYN, read_segment
from jitsu.network.packet import Interest
from jitsu.summon import executor as executing
from jitsu.summon import summoner as summoning
from jitsu.synjitsu import probe as probing
from tests.unit.box import HELLO, NETWORK, NEVER, PROBED, Box, boxed, eventually, from_guest, packet, settled

IMPATIENT = pytest.mark.parametrize("box", [0.0], indirect=True, ids=["impatient"])


@pytest.fixture
async def box(request: pytest.FixtureRequest) -> AsyncIterator[Box]:
    async with boxed(boot_limit=getattr(request, "param", 30.0)) as box:
        yield box


class TestBoot:
    @IMPATIENT
    async def test_a_guest_that_is_late_is_ended_and_who_knocked_is_reset(self, box: Box) -> None:
        box.driver.behaviours["hello"] = NEVER
        answers = box.ask()
        box.knock(5)
        await eventually(lambda: box.state() == "asleep")

        assert answers == [True], "the resources were granted"
        assert box.resets() == [5]
        assert box.driver.running == {}
        assert box.guest().sent == []
        assert box.trace()["outcome"] == "not ready within 0 s ([limits] boot)"

    @IMPATIENT
    async def test_who_ordered_a_guest_that_is_late_is_told(self, box: Box) -> None:
        box.driver.behaviours["hello"] = NEVER

        with pytest.raises(DomainError, match=r"service hello: not ready within 0 s \(\[limits\] boot\)"):
            await box.summoner.start("hello")

    @IMPATIENT
    async def test_a_guest_that_was_ready_in_time_is_not_ended_when_its_time_is_up(self, box: Box) -> None:
        box.ask()
        await eventually(lambda: box.state() == "serving")
        await settled()

        assert box.state() == "serving"

    @pytest.mark.parametrize("happening", [Happening.CRASHED, Happening.EXITED])
    async def test_a_guest_that_ends_while_booting_is_not_tried_again(self, box: Box, happening: Happening) -> None:
        box.driver.behaviours["hello"] = NEVER
        box.knock(5)
        await eventually(lambda: box.state() == "booting")
        box.driver.happen(box.domain(), happening, "it reset itself")
        await settled()

        assert box.resets() == [5]
        assert box.state() == "asleep"
        assert box.launches() == [1]
        assert box.summoner.tenant("hello").row()["last"] == "it reset itself"

    async def test_a_guest_whose_gate_cannot_be_opened_is_ended_and_who_knocked_is_reset(self, box: Box) -> None:
        box.network.locked = OSError(errno.ENODEV, "No such device")
        box.knock(5)
        await eventually(lambda: box.state() == "serving")
        await eventually(lambda: box.state() == "asleep")

        assert len(box.resets()) == 1
        assert box.guest().sent == []
        assert box.launches() == [1]
        assert box.summoner.tenant("hello").last == "its gate cannot be opened: [Errno 19] No such device"


class TestProbe:
    async def test_a_guest_that_does_not_speak_up_is_probed_behind_the_closed_gate(self, box: Box) -> None:
        box.driver.behaviours["probed"] = NEVER
        box.knock(5, name="probed")
        await eventually(lambda: box.state("probed") == "booting")
        guest = box.guest()
        probe = next(segment for frame in guest.sent if (segment := read_segment(frame)) is not None)

        assert guest.interest is Interest.PROBES
        assert (probe.flags, probe.source, probe.target_port) == (SYN, NETWORK.probe.packed, 80)
        assert box.network.gates == {}

    async def test_it_serves_when_the_probe_is_answered(self, box: Box) -> None:
        box.driver.behaviours["probed"] = NEVER
        knock = box.knock(5, name="probed")
        await eventually(lambda: box.state("probed") == "booting")
        guest = box.guest()
        probe = next(frame for frame in guest.sent if read_segment(frame) is not None)
        guest.reader(probe, True)
        guest.reader(from_guest(probe, SYN | ACK), False)

        assert box.state("probed") == "serving"
        assert box.network.gates == {PROBED.mac: "fake1"}
        assert guest.sent[-1] == knock
        assert guest.interest is Interest.SEGMENTS, "only a SYN is known of whoever wanted it"
        assert box.summoner.tenant("probed").row()["connections"] == 1, "the probe is not anybody's connection"

    async def test_a_probe_ends_with_its_guest(self, box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(probing, "FIRST_INTERVAL", 0.0)
        box.driver.behaviours["probed"] = NEVER
        box.ask("probed")
        await eventually(lambda: box.state("probed") == "booting")
        guest = box.guest()
        await eventually(lambda: len(guest.sent) > 4)
        probe = next(frame for frame in guest.sent if read_segment(frame) is not None)
        box.driver.happen(box.domain(), Happening.CRASHED, "gone")
        await settled()
        guest.closed = False
        before = len(guest.sent)
        await settled()
        guest.reader(from_guest(probe, SYN | ACK), False)

        assert read_segment(guest.sent[before]) is not None, "a late answer is reset"
        assert len(guest.sent) == before + 1
        assert box.state("probed") == "asleep"


class TestCrash:
    async def test_a_guest_that_crashes_while_it_serves_is_asleep_again(self, box: Box) -> None:
        await box.serve()
        box.guest().reader(packet(SYN), True)
        box.driver.happen(box.domain(), Happening.CRASHED, "the guest reset itself")
        await settled()

        assert await box.sentinel_answers()
        row = box.summoner.tenant("hello").row()
        assert (row["state"], row["last"], row["connections"]) == ("asleep", "the guest reset itself", 0)
        assert box.guest().closed
        assert box.launches() == [1]

    async def test_a_syn_that_a_dying_guest_did_not_get_summons_the_next(self, box: Box) -> None:
        await box.serve()
        box.network.gates.clear()
        box.network.locked = OSError(errno.ENODEV, "No such device")
        frame = box.knock(5)
        held = box.summoner.tenant("hello").row()["held"]
        box.network.locked = None
        box.driver.happen(box.domain(), Happening.CRASHED, "the guest reset itself")
        await eventually(lambda: box.state() == "serving")

        assert held == 1
        assert box.launches() == [1, 2]
        assert box.guest(2).sent[1] == frame
        assert box.trace()["cause"] == "syn"
        assert box.resets() == []

    async def test_a_gate_that_somebody_removed_is_opened_again_by_the_next_syn(self, box: Box) -> None:
        await box.serve()
        box.network.gates.clear()
        frame = box.knock(5)

        assert box.guest().sent[-1] == frame
        assert list(box.network.gates.values()) == [box.guest().port.name]
        assert box.launches() == [1]

    async def test_a_syn_that_was_lost_on_its_way_into_the_guest_is_held_for_the_next(self, box: Box) -> None:
        await box.serve()
        box.guest().closed = True
        frame = box.knock(5)
        box.driver.happen(box.domain(), Happening.CRASHED, "the guest reset itself")
        await eventually(lambda: box.state() == "serving")

        assert box.guest(1).sent == []
        assert box.guest(2).sent[1] == frame

    async def test_the_next_domain_gets_a_syn_that_the_last_had_got_already(self, box: Box) -> None:
        box.knock(5)
        await eventually(lambda: box.state() == "serving")
        box.driver.happen(box.domain(), Happening.CRASHED, "the guest reset itself")
        await settled()
        frame = box.knock(5)
        await eventually(lambda: box.state() == "serving")

        assert box.guest(1).sent[1] == box.guest(2).sent[1] == frame

    async def test_news_of_a_domain_that_was_replaced_is_no_news(self, box: Box) -> None:
        await box.serve()
        first = box.domain(1)
        await box.summoner.stop("hello")
        await box.serve()
        box.summoner.happened(summoning.DomainEvent(Happening.CRASHED, first, "long ago"))
        box.summoner.happened(summoning.DomainEvent(Happening.CRASHED, Domain("nobody", 2, 2), "who?"))

        assert box.state() == "serving"
        assert box.network.gates == {HELLO.mac: "fake2"}


class TestDismissal:
    async def test_the_gate_is_closed_before_the_domain_is_ended(self, box: Box) -> None:
        await box.serve()
        await box.summoner.stop("hello")

        assert box.network.done == ["open", "close", "destroy"]

    async def test_who_knocks_during_a_dismissal_gets_the_next_domain(self, box: Box) -> None:
        await box.serve()
        box.driver.may_end.clear()
        stopping = asyncio.create_task(box.summoner.stop("hello"))
        await eventually(lambda: box.state() == "dismissing")
        frame = box.knock(5)
        box.driver.may_end.set()
        await stopping
        await eventually(lambda: box.state() == "serving")

        assert box.launches() == [1, 2]
        assert box.guest(2).sent[1] == frame
        assert box.guest(1).sent == []

    async def test_who_asks_during_a_dismissal_is_answered_when_the_next_domain_runs(self, box: Box) -> None:
        await box.serve()
        box.driver.may_end.clear()
        stopping = asyncio.create_task(box.summoner.stop("hello"))
        await eventually(lambda: box.state() == "dismissing")
        answers = box.ask()
        await settled()
        meanwhile = (list(answers), box.launches())
        assert await box.sentinel_answers(), "until the next one serves"
        box.driver.may_end.set()
        await stopping
        await eventually(lambda: bool(answers))

        assert meanwhile == ([], [1])
        assert answers == [True]
        assert sorted(box.driver.running) == [2]

    async def test_when_the_daemon_stops_nobody_who_waits_brings_a_guest_back(self, box: Box) -> None:
        await box.serve()
        box.driver.may_end.clear()
        stopping = asyncio.create_task(box.summoner.stop("hello"))
        await eventually(lambda: box.state() == "dismissing")
        answers = box.ask()
        box.knock(5)
        closing = asyncio.create_task(box.summoner.close())
        await settled()
        box.driver.may_end.set()
        await asyncio.gather(closing, stopping)

        assert answers == [False]
        assert box.resets() == [5]
        assert box.launches() == [1]
        assert box.driver.running == {}

    async def test_a_domain_that_cannot_be_ended_is_given_up(self, box: Box, caplog: pytest.LogCaptureFixture) -> None:
        await box.serve()
        box.driver.complaint = DomainError("process 7 does not die")
        await box.summoner.stop("hello")

        assert box.state() == "asleep"
        assert "domain 1 could not be ended: process 7 does not die" in caplog.text

    async def test_a_gate_that_cannot_be_closed_does_not_keep_the_domain(
        self, box: Box, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await box.serve()

        def close_gate(mac: str, port: object) -> None:
            box.network.gates.clear()
            raise TimeoutError("the kernel did not answer")

        monkeypatch.setattr(box.network, "close_gate", close_gate)
        await box.summoner.stop("hello")

        assert box.driver.running == {}

    async def test_a_launch_that_fails_twice_over_is_still_over(
        self, box: Box, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def plug(domid: int) -> None:
            raise OSError(errno.ENODEV, "No such device")

        monkeypatch.setattr(box.network, "plug", plug)
        box.driver.complaint = DomainError("process 7 does not die")

        with pytest.raises(DomainError, match="No such device"):
            await box.summoner.start("hello")
        assert box.state() == "asleep"

    async def test_closing_ends_everything_that_is_under_way(self, box: Box) -> None:
        box.driver.behaviours["world"] = NEVER
        box.driver.behaviours["probed"] = Behaviour(build_time=0.001)
        await box.serve("hello")
        box.ask("world")
        box.knock(5, name="probed")
        await eventually(lambda: box.state("world") == "booting")
        await box.summoner.close()

        assert [row["state"] for row in await box.summoner.register.rows()] == ["asleep"] * 3
        assert box.driver.running == {}
        assert box.resets() == [5]


class TestAsking:
    """How far one has to go to be rid of a guest."""

    @pytest.mark.parametrize(
        ("obeys", "last"),
        [
            (True, "stopped by hand; it shut down when asked"),
            (False, "stopped by hand; it did not shut down within 3 s, and was ended"),
        ],
    )
    async def test_a_guest_is_asked_where_the_service_says_so(self, obeys: bool, last: str) -> None:
        async with boxed(hello=replace(HELLO, dismiss="ask", patience=3.0)) as box:
            box.driver.behaviours["hello"] = Behaviour(obeys=obeys)
            await box.serve()
            await box.summoner.stop("hello")

            assert box.driver.calls[-1] == Call("destroy", "hello", 1, patience=3.0)
            assert box.summoner.tenant("hello").last == last
            assert box.trace()["notes"] == [last]
            assert box.network.done == ["open", "close", "destroy"], "the gate is closed before it is asked"

    async def test_one_that_never_served_is_not_asked(self) -> None:
        async with boxed(hello=replace(HELLO, dismiss="ask")) as box:
            box.driver.behaviours["hello"] = NEVER
            box.ask()
            await eventually(lambda: box.state() == "booting")
            await box.summoner.stop("hello")

            assert box.driver.calls[-1] == Call("destroy", "hello", 1)
            assert box.summoner.tenant("hello").last == "stopped by hand"

    async def test_without_it_nobody_is_asked(self, box: Box) -> None:
        await box.serve()
        await box.summoner.stop("hello")

        assert box.driver.calls[-1] == Call("destroy", "hello", 1)
        assert box.summoner.tenant("hello").last == "stopped by hand"


class Clock(SimpleNamespace):
    """Stands in for the summoner's `time`."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


class TestIdleness:
    """`serving` is a box with one guest that serves, and somebody who looks for idle guests all the time."""

    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> Clock:
        clock = Clock()
        monkeypatch.setattr(summoning, "time", clock)
        monkeypatch.setattr(executing, "time", clock)
        monkeypatch.setattr(summoning, "IDLE_TICK", 0)
        return clock

    @pytest.fixture
    async def serving(self, box: Box, clock: Clock) -> AsyncIterator[Box]:
        await box.serve()
        watching = asyncio.create_task(box.summoner.watch_idleness())
        yield box
        assert not watching.done(), "nobody looks any more"
        watching.cancel()

    async def passes(self, box: Box, clock: Clock, seconds: float, unused: float | None = None) -> str:
        """Let time pass in which the bridge forwards nothing; where the service stands then."""
        clock.now += seconds
        box.network.unused[HELLO.mac] = seconds if unused is None else unused
        await settled()
        return box.state()

    async def test_a_guest_is_dismissed_when_it_was_silent_for_its_idle_time(self, serving: Box, clock: Clock) -> None:
        just_before = await self.passes(serving, clock, 59.9)
        just_then = await self.passes(serving, clock, 0.2, unused=60.1)

        assert (just_before, just_then) == ("serving", "asleep")
        assert serving.summoner.tenant("hello").row()["last"] == "idle for 60.1 s"

    async def test_traffic_keeps_it(self, serving: Box, clock: Clock) -> None:
        assert await self.passes(serving, clock, 1000, unused=1.0) == "serving"

    async def test_a_question_keeps_it(self, serving: Box, clock: Clock) -> None:
        clock.now += 59
        serving.summoner.question("hello", "10.77.0.200", clock.now, lambda granted: None)

        assert await self.passes(serving, clock, 59, unused=118) == "serving"
        assert await self.passes(serving, clock, 2, unused=120) == "asleep"

    async def test_an_open_connection_keeps_it_as_long_as_it_lingers(self, serving: Box, clock: Clock) -> None:
        serving.guest().reader(packet(SYN), True)

        assert await self.passes(serving, clock, 3599) == "serving"
        assert await self.passes(serving, clock, 2, unused=3601) == "asleep"

    async def test_a_connection_that_is_over_keeps_nobody(self, serving: Box, clock: Clock) -> None:
        serving.guest().reader(packet(SYN), True)
        serving.guest().reader(from_guest(packet(SYN), RST), False)

        assert await self.passes(serving, clock, 61) == "asleep"

    async def test_a_segment_that_ends_a_connection_is_a_sign_of_life(self, serving: Box, clock: Clock) -> None:
        clock.now += 59
        serving.guest().reader(packet(FIN | ACK), True)

        assert await self.passes(serving, clock, 30, unused=89) == "serving"

    async def test_a_gate_that_cannot_be_asked_about_stops_nobody_from_looking(
        self, serving: Box, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def gate_unused(mac: str, port: object) -> float | None:
            raise TimeoutError("the kernel did not answer")

        with monkeypatch.context() as patched:
            patched.setattr(serving.network, "gate_unused", gate_unused)
            unknown = await self.passes(serving, clock, 1000)

        assert (unknown, await self.passes(serving, clock, 61)) == ("serving", "asleep")

    async def test_a_guest_that_was_dismissed_comes_back_for_the_next_question(
        self, serving: Box, clock: Clock
    ) -> None:
        await self.passes(serving, clock, 61)
        answers: list[bool] = []
        serving.summoner.question("hello", "10.77.0.200", clock.now, answers.append)
        serving.network.unused.clear()
        await eventually(lambda: serving.state() == "serving")

        assert answers == [True]
        assert serving.launches() == [1, 2]
