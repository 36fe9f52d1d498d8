"""Leases: who has to wait for whom, for how long, and in which order they go on."""

import pytest

from jitsu.xenstore.lease import HOT, MOST_HOT, PERIOD, Leases
from jitsu.xenstore.view import NAMES, NODE

LIST = (NAMES, "/backend")


@pytest.fixture
def leases() -> Leases[str]:
    return Leases()


def test_the_next_who_wants_a_thing_waits_for_it(leases: Leases[str]) -> None:
    assert leases.claim("first", [LIST], 0.0) is None
    assert leases.claim("second", [LIST], 0.0) == LIST

    leases.wait(LIST, "client")
    assert leases.end("first") == ["client"]
    assert leases.claim("second", [LIST], 0.0) is None


def test_who_has_a_lease_never_waits_and_gets_what_is_free(leases: Leases[str]) -> None:
    other, free = (NODE, "/other"), (NODE, "/free")
    leases.claim("first", [LIST], 0.0)
    leases.claim("second", [other], 0.0)

    assert leases.claim("first", [other, free], 0.0) is None
    assert leases.claim("third", [free], 0.0) == free
    assert leases.claim("third", [other], 0.0) == other


def test_a_lease_ends_after_its_period_and_no_sooner(leases: Leases[str]) -> None:
    leases.claim("first", [LIST], 10.0)
    leases.wait(LIST, "client")
    # What it gets later does not make it longer.
    leases.claim("first", [(NODE, "/more")], 10.0 + PERIOD / 2)

    assert leases.next_deadline() == 10.0 + PERIOD
    assert leases.expire(10.0 + PERIOD * 0.99) == []
    assert leases.expire(10.0 + PERIOD) == ["client"]
    assert not leases
    assert leases.next_deadline() is None
    assert leases.claim("second", [(NODE, "/more")], 11.0) is None


def test_changes_of_what_is_leased_are_in_the_way(leases: Leases[str]) -> None:
    leases.claim("first", [LIST, (NODE, "/a/b")], 0.0)

    assert leases.in_the_way(["/backend"], [], [], None) == LIST
    assert leases.in_the_way([], ["/a/b"], [], None) == (NODE, "/a/b")
    assert leases.in_the_way([], ["/backend"], [], None) is None, "the list is leased, not the node"
    assert leases.in_the_way(["/a"], ["/a", "/a/b/c"], [], None) is None
    assert leases.in_the_way(["/backend"], ["/a/b"], ["/a"], "first") is None, "by himself he is not held"


def test_removing_a_node_above_what_is_leased_is_in_the_way(leases: Leases[str]) -> None:
    leases.claim("first", [(NODE, "/a/b/c")], 0.0)

    assert leases.in_the_way([], [], ["/a"], None) == (NODE, "/a/b/c")
    assert leases.in_the_way([], [], ["/a/b/c"], None) == (NODE, "/a/b/c")
    assert leases.in_the_way([], [], ["/a/b/cc"], None) is None


def test_who_failed_before_goes_on_first_then_who_came_first(leases: Leases[str]) -> None:
    leases.failed("unlucky", [], 1.0)
    leases.failed("longer unlucky", [], 0.5)
    leases.claim("first", [LIST], 2.0)
    for waiter in ("early", "late", "unlucky", "longer unlucky"):
        leases.wait(LIST, waiter)

    assert leases.end("first") == ["longer unlucky", "unlucky", "early", "late"]


def test_who_waits_again_keeps_his_place(leases: Leases[str]) -> None:
    leases.claim("first", [LIST], 0.0)
    leases.wait(LIST, "early")
    leases.wait(LIST, "late")
    assert leases.end("first") == ["early", "late"]

    # A third was quicker than both, and who waited longest is still the next.
    leases.claim("third", [LIST], 0.0)
    assert leases.waits_on("late")
    assert leases.waits_on("early")
    assert leases.end("third") == ["early", "late"]
    assert not leases.waits_on("early")


def test_a_place_ends_when_it_was_served(leases: Leases[str]) -> None:
    leases.claim("first", [LIST], 0.0)
    leases.wait(LIST, "a")
    leases.wait(LIST, "b")
    leases.end("first")
    leases.served("a")
    leases.served("b")

    leases.claim("second", [LIST], 0.0)
    leases.wait(LIST, "b")
    leases.wait(LIST, "a")
    assert leases.end("second") == ["b", "a"]


def test_success_makes_up_for_failures(leases: Leases[str]) -> None:
    leases.failed("unlucky", [], 1.0)
    leases.succeeded("unlucky")
    leases.claim("first", [LIST], 2.0)
    leases.wait(LIST, "early")
    leases.wait(LIST, "unlucky")

    assert leases.end("first") == ["early", "unlucky"]


def test_a_client_that_is_gone_is_not_resumed(leases: Leases[str]) -> None:
    leases.claim("first", [LIST], 0.0)
    leases.wait(LIST, "gone")
    leases.wait(LIST, "there")
    leases.forget("gone")

    assert leases.end("first") == ["there"]


def test_what_was_failed_over_is_hot_for_a_while(leases: Leases[str]) -> None:
    assert not leases.anything_hot
    leases.failed("client", [LIST], 100.0)

    assert leases.is_hot(LIST, 100.0 + HOT * 0.99)
    assert not leases.is_hot(LIST, 100.0 + HOT)
    assert not leases.is_hot((NODE, "/backend"), 100.0)


def test_of_hot_things_the_latest_are_remembered(leases: Leases[str]) -> None:
    leases.failed("client", [LIST], 1.0)
    leases.failed("client", [(NODE, f"/{number}") for number in range(MOST_HOT)], 1.0)

    assert not leases.is_hot(LIST, 1.0)
    assert leases.is_hot((NODE, "/0"), 1.0)
