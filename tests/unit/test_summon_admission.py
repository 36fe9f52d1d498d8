"""Admission: what all guests together may take."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitsu.summon.admission import MONITOR_OVERHEAD, Budget

MIB = 1 << 20


@pytest.fixture
def budget() -> Budget:
    """Room for two guests of 16 MiB, and not a byte more."""
    return Budget(memory=2 * (16 * MIB + MONITOR_OVERHEAD), guests=3)


def test_an_empty_box_takes_what_fits(budget: Budget) -> None:
    assert budget.refuses(16 * MIB) is None
    assert budget.refuses(2 * (16 * MIB + MONITOR_OVERHEAD) - MONITOR_OVERHEAD) is None


def test_the_last_byte_may_be_used_and_no_byte_more(budget: Budget) -> None:
    budget.grant(1, 16 * MIB)

    assert budget.refuses(16 * MIB) is None
    assert budget.refuses(16 * MIB + 1) is not None


def test_a_monitor_takes_memory_too(budget: Budget) -> None:
    budget.grant(1, 16 * MIB)

    assert budget.memory_used == 16 * MIB + MONITOR_OVERHEAD
    assert budget.guests_used == 1


def test_a_box_without_memory_says_how_much_is_wanted_and_free(budget: Budget) -> None:
    budget.grant(1, 16 * MIB)
    budget.grant(2, 16 * MIB)

    assert budget.refuses(8 * MIB) == "the box is full: 48 MiB asked for, 0 of 112 MiB free ([limits] memory)"


def test_a_box_with_too_many_guests_says_so(budget: Budget) -> None:
    for domid in (1, 2, 3):
        budget.grant(domid, 0)

    assert budget.refuses(0) == "the box is full: 3 of 3 guests run ([limits] guests)"


def test_what_is_given_back_can_be_granted_again(budget: Budget) -> None:
    budget.grant(1, 16 * MIB)
    budget.grant(2, 16 * MIB)
    budget.release(1)

    assert budget.refuses(16 * MIB) is None
    assert budget.guests_used == 1


def test_to_give_back_what_was_not_granted_changes_nothing(budget: Budget) -> None:
    budget.grant(1, 16 * MIB)
    budget.release(7)
    budget.release(1)
    budget.release(1)

    assert (budget.memory_used, budget.guests_used) == (0, 0)


def test_adopted_guests_may_take_more_than_there_is_and_then_nobody_else_comes(budget: Budget) -> None:
    budget.grant(1, 500 * MIB)

    assert budget.refuses(0) == "the box is full: 40 MiB asked for, 0 of 112 MiB free ([limits] memory)"


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 8), st.integers(0, 64 * MIB)), max_size=40))
@settings(deadline=None)
def test_who_is_not_refused_never_takes_more_than_there_is(steps: list[tuple[bool, int, int]]) -> None:
    budget = Budget(memory=256 * MIB, guests=4)
    running: dict[int, int] = {}
    for starts, domid, memory in steps:
        if starts and domid not in running and budget.refuses(memory) is None:
            budget.grant(domid, memory)
            running[domid] = memory
        elif not starts:
            budget.release(domid)
            running.pop(domid, None)

        assert budget.guests_used == len(running) <= 4
        assert budget.memory_used == sum(running.values()) + len(running) * MONITOR_OVERHEAD <= 256 * MIB
