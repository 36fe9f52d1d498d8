"""Services that are kept running within their hours, and are on demand outside of them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime

import pytest

from jitsu.config.hours import read_hours
from jitsu.domains.driver import Happening
from jitsu.domains.fake import Behaviour
from jitsu.errors import DomainError
from jitsu.summon import summoner as summoning
from tests.unit.box import HELLO, NEVER, Box, boxed, eventually, settled

NIGHT, DAY = datetime(2026, 11, 23, 3), datetime(2026, 11, 23, 12)
TIMED = replace(HELLO, hours=(read_hours("Mon-Fri 08:00-18:00"),), idle=0.0, backoff=0.01)


class Calendar:
    """Stands in for the summoner's `datetime`."""

    def __init__(self) -> None:
        self.shown = NIGHT

    def now(self) -> datetime:
        return self.shown


@pytest.fixture
def calendar(monkeypatch: pytest.MonkeyPatch) -> Calendar:
    calendar = Calendar()
    monkeypatch.setattr(summoning, "datetime", calendar)
    monkeypatch.setattr(summoning, "IDLE_TICK", 0)
    return calendar


@pytest.fixture
async def box(calendar: Calendar) -> AsyncIterator[Box]:
    async with boxed(hello=TIMED) as box:
        watching = asyncio.create_task(box.summoner.watch_idleness())
        await settled()
        yield box
        assert not watching.done(), "nobody looks any more"
        watching.cancel()


async def test_it_is_started_when_they_begin_and_kept_until_they_are_over(box: Box, calendar: Calendar) -> None:
    before = box.state()
    calendar.shown = DAY
    await eventually(lambda: box.state() == "serving")
    cause = box.trace()["cause"]
    await settled()
    kept = box.state()
    calendar.shown = NIGHT
    await eventually(lambda: box.state() == "asleep")

    assert (before, cause, kept) == ("asleep", "hours", "serving")
    assert box.launches() == [1]
    assert "idle for" in box.summoner.tenant("hello").last


async def test_outside_of_them_it_is_on_demand(box: Box) -> None:
    answers = box.ask()
    await eventually(lambda: bool(answers))
    await eventually(lambda: box.state() == "asleep")

    assert answers == [True]


async def test_a_guest_that_ends_within_them_comes_back(box: Box, calendar: Calendar) -> None:
    calendar.shown = DAY
    await eventually(lambda: box.state() == "serving")
    for happening in (Happening.CRASHED, Happening.EXITED):
        box.driver.happen(box.domain(box.launches()[-1]), happening, "it ended")
        await eventually(lambda: box.state() == "serving")

    assert box.launches() == [1, 2, 3]
    assert box.summoner.tenant("hello").row()["crashes"] == 2


async def test_one_that_always_ends_is_crash_looping_and_pauses(box: Box, calendar: Calendar) -> None:
    box.driver.behaviours["hello"] = Behaviour(ready_after=None, crash_after=0.0)
    calendar.shown = DAY
    await eventually(lambda: box.state() == "crash-looping")

    assert box.launches() == [1, 2, 3, 4, 5]
    assert box.ask() == [False]


async def test_a_stop_by_hand_holds_until_they_begin_anew(box: Box, calendar: Calendar) -> None:
    calendar.shown = DAY
    await eventually(lambda: box.state() == "serving")
    await box.summoner.stop("hello")
    await settled()
    stopped = box.state()
    calendar.shown = NIGHT
    await settled()
    calendar.shown = DAY
    await eventually(lambda: box.state() == "serving")

    assert stopped == "asleep"
    assert box.launches() == [1, 2]


async def test_after_a_stop_by_hand_a_packet_summons_it_and_silence_dismisses_it(box: Box, calendar: Calendar) -> None:
    calendar.shown = DAY
    await eventually(lambda: box.state() == "serving")
    await box.summoner.stop("hello")
    answers = box.ask()
    await eventually(lambda: bool(answers) and box.state() == "asleep")

    assert answers == [True]
    assert box.launches() == [1, 2]
    assert "idle for" in box.summoner.tenant("hello").last


async def test_a_start_by_hand_keeps_it_again(box: Box, calendar: Calendar) -> None:
    calendar.shown = DAY
    await eventually(lambda: box.state() == "serving")
    await box.summoner.stop("hello")
    await box.serve()
    await settled()

    assert box.state() == "serving"


async def test_a_box_without_room_is_asked_again_and_not_all_the_time(
    box: Box, calendar: Calendar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jitsu.summon.upkeep.SECOND_TRY", 0.05)
    box.network.broken = DomainError("no tap today")
    calendar.shown = DAY
    await eventually(lambda: len(box.summoner.traces.last(100, "hello")) == 1)
    for _ in range(5):
        await settled()
    tried = len(box.summoner.traces.last(100, "hello"))
    box.network.broken = None
    await eventually(lambda: box.state() == "serving")

    assert tried <= 2


async def test_a_boot_that_is_under_way_when_they_end_goes_on(box: Box, calendar: Calendar) -> None:
    box.driver.behaviours["hello"] = NEVER
    calendar.shown = DAY
    await eventually(lambda: box.state() == "booting")
    calendar.shown = NIGHT
    await settled()

    assert box.state() == "booting"
