"""Guests that end by themselves: how often, how long the pauses are, who is let in meanwhile, and that a stop wins."""

import asyncio
import errno
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from jitsu.config import Restart
from jitsu.domains.driver import Happening
from jitsu.domains.fake import Behaviour
from jitsu.errors import DomainError
from jitsu.summon import summoner as summoning
from jitsu.summon.machine import (
    Action,
    Asked,
    BecameReady,
    Bury,
    CallOff,
    Dismiss,
    Due,
    Ended,
    Event,
    Gone,
    Knocked,
    Launch,
    Ordered,
    Overdue,
    Phase,
    Refused,
    ResetHeld,
    Rest,
    State,
    Tell,
    Unwanted,
    Wait,
    ends,
    step,
)
from jitsu.summon.upkeep import GOOD_RUN, LONGEST_PAUSE, SECOND_TRY, WINDOW, Upkeep
from tests.unit.box import HELLO, NEVER, Box, boxed, eventually, settled

AGAIN = Rest(1.0, again=True)
LOOPING = Rest(16.0, looping=True)
BOTH = Rest(16.0, again=True, looping=True)
CLOSED = State(Phase.CRASH_LOOPING, rest=LOOPING, fault="crash")
CLOSED_FOR_NOW = State(Phase.CRASH_LOOPING, rest=BOTH, fault="crash")
REFUSAL = "crash-looping: crash"

TABLE: dict[str, tuple[State, Event, Rest, State, list[Action]]] = {
    "after a pause it is started again": (
        State(Phase.SERVING),
        Ended("crash"),
        AGAIN,
        State(),
        [Bury("crash"), Wait(1.0)],
    ),
    "who knocks does not wait for the pause": (
        State(Phase.SERVING),
        Ended("crash", wanted=True),
        AGAIN,
        State(Phase.STARTING),
        [Bury("crash"), Launch("syn")],
    ),
    "one that does not boot is tried again": (
        State(Phase.BOOTING, serving=(1,)),
        Ended("crash"),
        AGAIN,
        State(),
        [Tell((1,), "crash"), ResetHeld("crash"), Bury("crash"), Wait(1.0)],
    ),
    "one that was refused is tried again": (
        State(Phase.STARTING),
        Refused("full"),
        AGAIN,
        State(),
        [ResetHeld("full"), Bury("full"), Wait(1.0)],
    ),
    "but not one that was stopped meanwhile": (
        State(Phase.STARTING, leaving=(1,), unwanted="stop"),
        Refused("full"),
        AGAIN,
        State(),
        [Tell((1,)), ResetHeld("full"), Bury("full")],
    ),
    "one end too many while it boots": (
        State(Phase.BOOTING),
        Ended("crash"),
        LOOPING,
        CLOSED,
        [ResetHeld("crash"), Bury("crash"), Wait(16.0)],
    ),
    "one end too many while it serves refuses who knocks": (
        State(Phase.SERVING),
        Ended("crash", wanted=True),
        LOOPING,
        CLOSED,
        [Bury("crash"), ResetHeld(REFUSAL), Wait(16.0)],
    ),
    "what follows one that is late waits until it is gone": (
        State(Phase.BOOTING, serving=(1,)),
        Overdue("late"),
        LOOPING,
        State(Phase.DISMISSING, rest=LOOPING, fault="late"),
        [Tell((1,), "late"), ResetHeld("late"), Dismiss("late")],
    ),
    "and then follows": (
        State(Phase.DISMISSING, rest=LOOPING, fault="late"),
        Gone(),
        Rest(),
        State(Phase.CRASH_LOOPING, rest=LOOPING, fault="late"),
        [Bury(""), Wait(16.0)],
    ),
    "who asks while it is being ended is refused": (
        State(Phase.DISMISSING, rest=LOOPING, fault="crash"),
        Asked(1),
        Rest(),
        State(Phase.DISMISSING, rest=LOOPING, fault="crash"),
        [Tell((1,), REFUSAL)],
    ),
    "an order while it is being ended is carried out when it is gone": (
        State(Phase.DISMISSING, rest=LOOPING, fault="crash"),
        Ordered(1),
        Rest(),
        State(Phase.DISMISSING, serving=(1,)),
        [],
    ),
    "a stop while it is being ended is the end of it": (
        State(Phase.DISMISSING, rest=BOTH, fault="crash"),
        Unwanted(1, "stop"),
        Rest(),
        State(Phase.DISMISSING, leaving=(1,)),
        [ResetHeld("stop")],
    ),
    "a question is refused": (CLOSED, Asked(1), Rest(), CLOSED, [Tell((1,), REFUSAL)]),
    "a syn is refused": (CLOSED, Knocked(), Rest(), CLOSED, [ResetHeld(REFUSAL)]),
    "a person tries at once": (CLOSED, Ordered(1), Rest(), State(Phase.STARTING, serving=(1,)), [Launch("start")]),
    "a stop ends the pause": (CLOSED_FOR_NOW, Unwanted(1, "stop"), Rest(), State(), [CallOff(), Tell((1,))]),
    "after the pause the next packet may try": (CLOSED, Due("restart"), Rest(), State(), []),
    "after the pause we try ourselves": (
        CLOSED_FOR_NOW,
        Due("restart"),
        Rest(),
        State(Phase.STARTING),
        [Launch("restart")],
    ),
    "a time that comes too late means nothing": (
        State(Phase.SERVING),
        Due("restart"),
        Rest(),
        State(Phase.SERVING),
        [],
    ),
}


@pytest.mark.parametrize("transition", TABLE)
def test_the_picture(transition: str) -> None:
    state, event, rest, expected, actions = TABLE[transition]

    assert step(state, event, rest) == (expected, actions)


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("event", [Ended("crash"), Overdue("late"), Refused("full"), BecameReady(), Gone(), Knocked()])
def test_only_an_end_is_an_end(phase: Phase, event: Event) -> None:
    """What is called an end loses its domain, and nothing else is let follow by a pause."""
    state = State(phase)
    after, actions = step(state, event, AGAIN)
    pauses = Wait(1.0) in actions or after.rest == AGAIN

    assert ends(state, event) is pauses


class TestUpkeep:
    """Policy alone: `now` is whatever we say."""

    def crash(self, upkeep: Upkeep, now: float, served: float = 0.0, **keys: object) -> Rest:
        return upkeep.ended(replace(HELLO, **keys), now, served, in_order=False)  # type: ignore[arg-type]

    def test_pauses_double_and_have_an_end(self) -> None:
        upkeep = Upkeep()
        now, pauses = 0.0, []
        for _ in range(60):
            rest = self.crash(upkeep, now)
            pauses.append(rest.seconds)
            now += rest.seconds

        assert pauses[:10] == [1, 2, 4, 8, 16, 32, 64, 128, 256, LONGEST_PAUSE]
        assert set(pauses[9:]) == {LONGEST_PAUSE}

    def test_the_first_pause_is_the_services_own(self) -> None:
        assert self.crash(Upkeep(), 0, backoff=0.25).seconds == 0.25

    def test_from_the_fifth_on_nobody_is_let_in(self) -> None:
        upkeep = Upkeep()

        assert [self.crash(upkeep, 0).looping for _ in range(6)] == [False] * 4 + [True] * 2

    def test_ends_that_are_far_apart_have_nothing_to_do_with_each_other(self) -> None:
        upkeep = Upkeep()
        pause = self.crash(upkeep, 0).seconds
        self.crash(upkeep, pause + WINDOW)
        before = upkeep.crashes
        self.crash(upkeep, 10 * WINDOW)

        assert (before, upkeep.crashes) == (2, 1)

    def test_a_good_run_ends_the_row(self) -> None:
        upkeep = Upkeep()
        for _ in range(4):
            self.crash(upkeep, 0, served=GOOD_RUN - 0.1)

        assert not self.crash(upkeep, 0, served=GOOD_RUN).looping
        assert upkeep.crashes == 1

    @pytest.mark.parametrize("good", [Upkeep.dismissed, Upkeep.stop])
    def test_an_end_of_our_own_ends_the_row(self, good: object) -> None:
        upkeep = Upkeep()
        self.crash(upkeep, 0)
        good(upkeep)  # type: ignore[operator]

        assert upkeep.crashes == 0

    @pytest.mark.parametrize(
        ("policy", "crashed", "shut_down"),
        [
            (Restart("no"), False, False),
            (Restart("on-failure"), True, False),
            (Restart("always"), True, True),
            (Restart("unless-stopped"), True, True),
        ],
        ids=lambda value: value.when if isinstance(value, Restart) else "",
    )
    def test_each_policy_has_its_own_ends(self, policy: Restart, crashed: bool, shut_down: bool) -> None:
        service = replace(HELLO, restart=policy)

        assert Upkeep().ended(service, 0, 5.0, in_order=False).again is crashed
        assert Upkeep().ended(service, 0, 5.0, in_order=True).again is shut_down
        assert Upkeep().ended(service, 0, 0.0, in_order=True).again is crashed, "it never served: that is a failure"

    def test_a_guest_that_shuts_down_at_once_all_the_time_is_crash_looping_too(self) -> None:
        upkeep, service = Upkeep(), replace(HELLO, restart=Restart("always"))

        assert [upkeep.ended(service, 0, 0.1, in_order=True).looping for _ in range(5)][-1]

    def test_on_failure_has_its_bound(self) -> None:
        upkeep, bounded = Upkeep(), Restart("on-failure", 2)

        assert [self.crash(upkeep, 0, restart=bounded).again for _ in range(3)] == [True, True, False]

    def test_unless_stopped_knows_a_stop_by_hand_until_a_start(self) -> None:
        upkeep, policy = Upkeep(), Restart("unless-stopped")
        upkeep.stop()
        stopped = self.crash(upkeep, 0, restart=policy).again
        upkeep.start()

        assert not stopped
        assert self.crash(upkeep, 0, restart=policy).again
        upkeep.stop()
        assert self.crash(upkeep, 0, restart=Restart("always")).again

    def test_only_what_we_wanted_ourselves_is_tried_again_when_it_is_refused(self) -> None:
        assert Upkeep().refused(own=False) == Rest()
        assert Upkeep().refused(own=True) == Rest(SECOND_TRY, again=True)


def _set(box: Box, **keys: object) -> None:
    tenant = box.summoner.tenant("hello")
    tenant.service = replace(HELLO, **keys)  # type: ignore[arg-type]


class TestBox:
    @pytest.fixture
    async def box(self) -> AsyncIterator[Box]:
        async with boxed() as box:
            yield box

    async def crashes(self, box: Box) -> None:
        box.driver.happen(box.domain(box.launches()[-1]), Happening.CRASHED, "it reset itself")
        await settled()

    async def loops(self, box: Box, **keys: object) -> None:
        """Let it crash twice in a row, which makes a crash loop here."""
        _set(box, crashes=2, **{"backoff": 100.0, **keys})
        box.driver.behaviours["hello"] = NEVER
        for _ in range(2):
            box.knock(5)
            await eventually(lambda: box.state() == "booting")
            await self.crashes(box)
        assert box.state() == "crash-looping"
        box.resets()

    async def test_a_guest_that_crashed_comes_back_by_itself(self, box: Box) -> None:
        _set(box, restart=Restart("always"), backoff=0.01)
        await box.serve()
        await self.crashes(box)
        await eventually(lambda: box.state() == "serving")

        assert box.launches() == [1, 2]
        assert box.trace()["cause"] == "restart"

    async def test_one_that_is_still_being_removed_has_crashed_and_was_not_cut_off(
        self, box: Box, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On Xen its port goes first, and then its last words are waited for."""
        monkeypatch.setattr(summoning, "IDLE_TICK", 0)
        await box.serve()
        box.driver.ending.add(1)
        box.network.gates.clear()
        box.network.locked = OSError(errno.EOPNOTSUPP, "Operation not supported")
        watching = asyncio.create_task(box.summoner.watch_idleness())
        await settled()
        watching.cancel()
        state = box.state()
        await self.crashes(box)

        row = box.summoner.tenant("hello").row()
        assert (state, row["crashes"], row["last"]) == ("serving", 1, "it reset itself")

    async def test_while_it_pauses_a_packet_brings_it_back_at_once(self, box: Box) -> None:
        _set(box, restart=Restart("always"), backoff=100.0)
        await box.serve()
        await self.crashes(box)
        row = box.summoner.tenant("hello").row()
        box.knock(5)
        await eventually(lambda: box.state() == "serving")

        assert row["state"] == "asleep"
        assert row["crashes"] == 1
        assert row["retry"] is not None
        assert 90 < row["retry"] <= 100
        assert box.summoner.tenant("hello").row()["retry"] is None

    async def test_who_wants_a_guest_that_is_crash_looping_is_refused_at_once(self, box: Box) -> None:
        await self.loops(box)
        answers = box.ask()
        box.knock(6)

        assert answers == [False]
        assert box.resets() == [6]
        assert box.launches() == [1, 2]
        row = box.summoner.tenant("hello").row()
        assert (row["crashes"], row["held"], row["last"]) == (2, 0, "it reset itself")

    async def test_after_the_pause_a_packet_may_try_again_and_the_next_pause_is_longer(self, box: Box) -> None:
        await self.loops(box, backoff=0.005)
        await eventually(lambda: box.state() == "asleep")
        box.knock(6)
        await eventually(lambda: box.state() == "booting")
        _set(box, crashes=2, backoff=100.0)
        await self.crashes(box)

        row = box.summoner.tenant("hello").row()
        assert (row["state"], row["crashes"]) == ("crash-looping", 3)
        assert row["retry"] is not None
        assert 290 < row["retry"] <= LONGEST_PAUSE
        await box.summoner.stop("hello")

    async def test_a_start_by_hand_tries_at_once(self, box: Box) -> None:
        await self.loops(box)
        box.driver.behaviours["hello"] = Behaviour()
        await box.summoner.start("hello")

        assert box.state() == "serving"
        assert box.summoner.tenant("hello").row()["retry"] is None

    @pytest.mark.parametrize("policy", ["always", "unless-stopped", "on-failure"])
    async def test_a_stop_wins_over_every_policy(self, box: Box, policy: str) -> None:
        await self.loops(box, restart=Restart(policy), backoff=0.05)
        await box.summoner.stop("hello")
        row = box.summoner.tenant("hello").row()

        assert (row["state"], row["crashes"], row["retry"]) == ("asleep", 0, None)
        assert box.launches() == [1, 2]

    async def test_a_stop_while_it_boots_once_more_wins_too(self, box: Box) -> None:
        _set(box, restart=Restart("always"), backoff=0.005)
        await box.serve()
        box.driver.behaviours["hello"] = NEVER
        await self.crashes(box)
        await eventually(lambda: box.state() == "booting")
        await box.summoner.stop("hello")

        assert box.state() == "asleep"
        assert box.summoner.tenant("hello").row()["retry"] is None
        assert box.launches() == [1, 2]

    async def test_a_start_of_our_own_that_is_refused_is_tried_again(
        self, box: Box, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("jitsu.summon.upkeep.SECOND_TRY", 0.01)
        _set(box, restart=Restart("always"), backoff=0.01)
        await box.serve()
        box.network.broken = DomainError("no tap today")
        await self.crashes(box)
        await eventually(lambda: len(box.summoner.traces.last(100, "hello")) > 2)
        box.network.broken = None
        await eventually(lambda: box.state() == "serving")

    async def test_idle_guests_are_no_crashed_ones(self, box: Box) -> None:
        _set(box, restart=Restart("always"), backoff=0.01, idle=0.0)
        await box.serve()
        watching = asyncio.create_task(box.summoner.watch_idleness())
        await eventually(lambda: box.state() == "asleep")
        watching.cancel()

        row = box.summoner.tenant("hello").row()
        assert (row["crashes"], row["retry"]) == (0, None)
        assert box.launches() == [1]

    async def test_when_the_daemon_stops_nobody_comes_back(self, box: Box) -> None:
        _set(box, restart=Restart("always"), backoff=100.0)
        await box.serve()
        await self.crashes(box)
        await box.summoner.close()

        assert box.summoner.tenant("hello").row()["retry"] is None
