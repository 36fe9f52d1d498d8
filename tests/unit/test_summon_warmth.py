"""What is worth keeping warm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitsu.summon.warmth import (
    REFILL,
    AddBlank,
    Boot,
    Demand,
    EndBlank,
    EndResting,
    Failures,
    Resting,
    Room,
    Shape,
    Step,
    next_step,
)

KEEP, COST = 100.0, 50


def demand(**asked: float) -> Demand:
    made = Demand(KEEP)
    for name, when in asked.items():
        made.asked(name, when)
    return made


def service(name: str, *, there: bool = False, away: bool = True, fits: bool = True) -> Resting:
    return Resting(name, COST, there, away, fits)


def step(
    services: list[Resting],
    shapes: list[Shape],
    guests: Demand,
    monitors: Demand | None = None,
    *,
    bound: int = 1000,
    used: int = 0,
    most: int = 4,
    now: float = 50.0,
) -> Step | None:
    return next_step(services, shapes, guests, monitors or demand(), Room(bound, used, most), now)


def test_what_was_asked_for_last_is_made_first() -> None:
    services = [service("old"), service("new"), service("never")]
    assert step(services, [], demand(old=10, new=20)) == Boot("new")
    services[1] = service("new", there=True)
    assert step(services, [], demand(old=10, new=20)) == Boot("old")
    services[0] = service("old", there=True)
    assert step(services, [], demand(old=10, new=20)) is None


def test_guests_and_monitors_stand_in_one_queue() -> None:
    shape = Shape("8 MiB", COST, there=0, fits=True)
    assert step([service("www")], [shape], demand(www=10), Demand(KEEP)) == Boot("www")
    monitors = Demand(KEEP)
    monitors.asked("8 MiB", 20)
    assert step([service("www")], [shape], demand(www=10), monitors) == AddBlank("8 MiB")


def test_who_is_awake_has_no_spare_and_what_does_not_fit_is_not_made() -> None:
    assert step([service("www", away=False)], [], demand(www=10)) is None
    assert step([service("www", fits=False)], [], demand(www=10)) is None
    assert step([service("www")], [], demand(www=10), bound=100, used=51) is None
    assert step([service("www")], [], demand(www=10), bound=100, used=50) == Boot("www")


def test_what_nobody_asked_for_in_a_while_goes() -> None:
    there = [service("www", there=True)]
    assert step(there, [], demand(www=10), now=10 + KEEP) is None
    assert step(there, [], demand(www=10), now=10 + KEEP + 1) == EndResting("www")
    monitors = demand(shape=10)
    blank = [Shape("shape", COST, there=1, fits=True)]
    assert step([], blank, demand(), monitors, now=10 + KEEP) is None
    assert step([], blank, demand(), monitors, now=10 + KEEP + 1) == EndBlank("shape")


def test_what_is_expected_at_the_start_is_wanted_once() -> None:
    monitors = Demand(KEEP)
    for _ in range(20):
        monitors.expect("shape", 10)
    assert monitors.at_once("shape", 50) == 1
    assert monitors.at_once("shape", 10 + KEEP + 1) == 0
    monitors.asked("shape", 60)
    monitors.expect("shape", 70)
    assert monitors.last("shape") == 60


def test_as_many_monitors_as_were_used_at_once() -> None:
    monitors = Demand(KEEP)
    for when in (10.0, 20.0, 20.5, 20.9, 21.9, 40.0):
        monitors.asked("shape", when)
    assert monitors.at_once("shape", 50) == 4
    assert monitors.at_once("shape", 21.9 + KEEP + 0.1) == 1, "the crowd is forgotten, the last one is not"
    shape = [Shape("shape", COST, there=3, fits=True)]
    assert step([], shape, demand(), monitors) == AddBlank("shape")
    assert step([], shape, demand(), monitors, most=3) is None
    assert step([], shape, demand(), monitors, most=2) == EndBlank("shape")


@given(times=st.lists(st.floats(0, 1000), min_size=1, max_size=60), now=st.floats(1000, 1000 + KEEP))
def test_the_count_is_that_of_the_fullest_window(times: list[float], now: float) -> None:
    times.sort()
    monitors = Demand(KEEP)
    for when in times:
        monitors.asked("shape", when)
    lately = [when for when in times if now - when <= KEEP]
    fullest = max((sum(0 <= other - when <= REFILL for other in lately) for when in lately), default=0)
    assert monitors.at_once("shape", now) == fullest


def test_what_is_stopped_is_wanted_no_more() -> None:
    guests = demand(www=10)
    guests.forget("www")
    assert not guests.wanted("www", 11)
    assert step([service("www", there=True)], [], guests) == EndResting("www")
    guests.asked("www", 12)
    assert guests.wanted("www", 13)


def test_failures_are_left_alone_for_longer_each_time() -> None:
    failures = Failures(5, 30)
    assert not failures.hold("www", 0)
    assert [failures.note("www", 100) for _ in range(5)] == [5, 10, 20, 30, 30]
    assert failures.hold("www", 129)
    assert not failures.hold("www", 130)
    assert not failures.hold("shop", 100)
    failures.forget("www")
    assert not failures.hold("www", 100)
    assert failures.note("www", 100) == pytest.approx(5)
