"""Admission: what all guests together may take."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitsu.domains.driver import MONITOR_OVERHEAD
from jitsu.summon.admission import Budget

MIB = 1 << 20


@pytest.fixture
def budget() -> Budget:
    """Room for two guests of 16 MiB, and not a byte more."""
    return Budget(memory=2 * (16 * MIB + MONITOR_OVERHEAD), guests=3, vcpus=4)


def test_an_empty_box_takes_what_fits(budget: Budget) -> None:
    assert budget.refuses(16 * MIB, 1) is None
    assert budget.refuses(2 * (16 * MIB + MONITOR_OVERHEAD) - MONITOR_OVERHEAD, 1) is None


def test_the_last_byte_may_be_used_and_no_byte_more(budget: Budget) -> None:
    budget.grant(1, 16 * MIB, 1)

    assert budget.refuses(16 * MIB, 1) is None
    assert budget.refuses(16 * MIB + 1, 1) is not None


def test_a_monitor_takes_memory_too(budget: Budget) -> None:
    budget.grant(1, 16 * MIB, 1)

    assert budget.memory_used == 16 * MIB + MONITOR_OVERHEAD
    assert budget.guests_used == 1


def test_a_box_without_memory_says_how_much_is_wanted_and_free(budget: Budget) -> None:
    budget.grant(1, 16 * MIB, 1)
    budget.grant(2, 16 * MIB, 1)

    assert budget.refuses(8 * MIB, 1) == "the box is full: 48 MiB asked for, 0 of 112 MiB free ([limits] memory)"


def test_a_box_with_too_many_guests_says_so(budget: Budget) -> None:
    for domid in (1, 2, 3):
        budget.grant(domid, 0, 1)

    assert budget.refuses(0, 1) == "the box is full: 3 of 3 guests run ([limits] guests)"


def test_a_box_without_processors_says_how_many_are_wanted_and_left(budget: Budget) -> None:
    budget.grant(1, 0, 3)

    assert budget.refuses(0, 1) is None
    assert budget.refuses(0, 2) == "the box is full: 2 vcpus asked for, 1 of 4 not in use ([limits] vcpus)"
    budget.release(1)
    assert budget.refuses(0, 4) is None


def test_adopted_guests_may_have_more_processors_than_there_are(budget: Budget) -> None:
    budget.grant(1, 0, 9)

    assert budget.refuses(0, 1) == "the box is full: 1 vcpus asked for, 0 of 4 not in use ([limits] vcpus)"


def test_what_is_given_back_can_be_granted_again(budget: Budget) -> None:
    budget.grant(1, 16 * MIB, 1)
    budget.grant(2, 16 * MIB, 1)
    budget.release(1)

    assert budget.refuses(16 * MIB, 1) is None
    assert budget.guests_used == 1


def test_to_give_back_what_was_not_granted_changes_nothing(budget: Budget) -> None:
    budget.grant(1, 16 * MIB, 1)
    budget.release(7)
    budget.release(1)
    budget.release(1)

    assert (budget.memory_used, budget.guests_used) == (0, 0)


def test_adopted_guests_may_take_more_than_there_is_and_then_nobody_else_comes(budget: Budget) -> None:
    budget.grant(1, 500 * MIB, 1)

    assert budget.refuses(0, 1) == "the box is full: 40 MiB asked for, 0 of 112 MiB free ([limits] memory)"


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 8), st.integers(0, 64 * MIB), st.integers(1, 4)), max_size=40))
@settings(deadline=None)
def test_who_is_not_refused_never_takes_more_than_there_is(steps: list[tuple[bool, int, int, int]]) -> None:
    budget = Budget(memory=256 * MIB, guests=4, vcpus=8)
    running: dict[int, tuple[int, int]] = {}
    for starts, domid, memory, vcpus in steps:
        if starts and domid not in running and budget.refuses(memory, vcpus) is None:
            budget.grant(domid, memory, vcpus)
            running[domid] = memory, vcpus
        elif not starts:
            budget.release(domid)
            running.pop(domid, None)

        taken = sum(memory for memory, _ in running.values()) + len(running) * MONITOR_OVERHEAD
        assert budget.guests_used == len(running) <= 4
        assert budget.memory_used == taken <= 256 * MIB
        assert budget.vcpus_used == sum(vcpus for _, vcpus in running.values()) <= 8
