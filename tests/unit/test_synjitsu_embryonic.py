"""SYNs on hold: each is delivered to a domain once, and no flood makes the table grow."""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from jitsu.network.frames import SYN, Segment
from jitsu.synjitsu.embryonic import EmbryonicTable, Verdict, WaitingRoom, client_of, key_of

CAPACITY = 3

FIRST = Segment(
    source_mac=b"\x02\0\0\0\0\1",
    target_mac=b"\x52\x54\0\0\0\1",
    source=bytes([10, 77, 0, 200]),
    target=bytes([10, 77, 0, 10]),
    source_port=40000,
    target_port=80,
    sequence=1000,
    acknowledged=0,
    flags=SYN,
    length=0,
)


def syn(number: int) -> Segment:
    return replace(FIRST, sequence=number)


def room(places: int = 8 * CAPACITY, a_client: int = CAPACITY) -> WaitingRoom:
    return WaitingRoom(places, a_service=CAPACITY, a_client=a_client)


@pytest.fixture
def table() -> EmbryonicTable:
    return EmbryonicTable(room())


def test_a_syn_is_held_with_its_frame_and_the_time_it_came(table: EmbryonicTable) -> None:
    assert table.hold(FIRST, b"the frame", 12.5) is Verdict.HELD

    assert len(table) == 1
    assert table.held_since(FIRST) == 12.5
    (embryo,) = table.release()
    assert (embryo.segment, embryo.frame, embryo.arrived) == (FIRST, b"the frame", 12.5)


def test_a_repeated_syn_is_known_and_keeps_the_time_of_the_first(table: EmbryonicTable) -> None:
    table.hold(FIRST, b"first", 1.0)

    assert table.hold(FIRST, b"again", 2.0) is Verdict.KNOWN
    assert table.held_since(FIRST) == 1.0
    assert [embryo.frame for embryo in table.release()] == [b"first"]


@pytest.mark.parametrize(
    "other",
    [
        replace(FIRST, source=bytes([10, 77, 0, 201])),
        replace(FIRST, source_port=40001),
        replace(FIRST, target_port=443),
        replace(FIRST, sequence=1001),
    ],
    ids=["client", "client-port", "service-port", "sequence"],
)
def test_a_syn_that_differs_in_its_connection_is_another_one(table: EmbryonicTable, other: Segment) -> None:
    table.hold(FIRST, b"", 1.0)

    assert table.hold(other, b"", 2.0) is Verdict.HELD
    assert len(table) == 2


def test_a_syn_that_came_another_way_is_the_same_one(table: EmbryonicTable) -> None:
    table.hold(FIRST, b"", 1.0)

    assert table.hold(replace(FIRST, source_mac=b"\x02\0\0\0\0\2", acknowledged=5), b"", 2.0) is Verdict.KNOWN


def test_syns_are_released_in_order_of_arrival_and_only_once(table: EmbryonicTable) -> None:
    for number in (3, 1, 2):
        table.hold(syn(number), b"", float(number))

    assert [embryo.segment.sequence for embryo in table.release()] == [3, 1, 2]
    assert table.release() == []
    assert len(table) == 0


def test_what_was_delivered_is_not_held_again_for_the_same_domain(table: EmbryonicTable) -> None:
    table.hold(FIRST, b"", 1.0)
    table.release()

    assert table.hold(FIRST, b"", 2.0) is Verdict.KNOWN
    assert table.held_since(FIRST) is None
    assert table.mark_delivered(FIRST) is False


def test_a_syn_can_be_delivered_without_having_been_held(table: EmbryonicTable) -> None:
    assert table.mark_delivered(FIRST) is True
    assert table.mark_delivered(FIRST) is False
    assert table.hold(FIRST, b"", 1.0) is Verdict.KNOWN


def test_a_syn_on_hold_that_is_delivered_another_way_waits_no_longer(table: EmbryonicTable) -> None:
    table.hold(FIRST, b"", 1.0)

    assert table.mark_delivered(FIRST) is True
    assert len(table) == 0
    assert table.release() == []


def test_what_a_domain_got_may_be_delivered_to_its_successor(table: EmbryonicTable) -> None:
    table.hold(FIRST, b"", 1.0)
    table.release()
    table.domain_ended()

    assert table.hold(FIRST, b"", 2.0) is Verdict.HELD
    assert [embryo.segment for embryo in table.release()] == [FIRST]


def test_the_end_of_a_domain_does_not_forget_who_waits(table: EmbryonicTable) -> None:
    table.hold(FIRST, b"", 1.0)
    table.domain_ended()

    assert table.held_since(FIRST) == 1.0


def test_a_full_table_takes_no_more_and_loses_nothing(table: EmbryonicTable) -> None:
    for number in range(CAPACITY):
        table.hold(syn(number), b"", 0.0)

    assert table.hold(syn(99), b"", 0.0) is Verdict.FULL
    assert table.hold(syn(0), b"", 0.0) is Verdict.KNOWN
    assert [embryo.segment.sequence for embryo in table.release()] == list(range(CAPACITY))
    assert table.hold(syn(99), b"", 0.0) is Verdict.HELD


def test_only_the_newest_deliveries_are_remembered(table: EmbryonicTable) -> None:
    for number in range(CAPACITY + 1):
        table.mark_delivered(syn(number))

    assert [table.mark_delivered(syn(number)) for number in range(CAPACITY, 0, -1)] == [False] * CAPACITY
    assert table.mark_delivered(syn(0)) is True


def test_what_is_abandoned_is_told_and_was_not_delivered(table: EmbryonicTable) -> None:
    table.hold(FIRST, b"", 1.0)

    assert [embryo.segment for embryo in table.abandon()] == [FIRST]
    assert table.abandon() == []
    assert table.hold(FIRST, b"", 2.0) is Verdict.HELD


class TestRoom:
    def test_one_client_cannot_take_the_places_of_others(self) -> None:
        tables = [EmbryonicTable(shared) for shared in [room(a_client=2)] * 3]
        assert [table.hold(FIRST, b"", 0.0) for table in tables] == [Verdict.HELD, Verdict.HELD, Verdict.FULL]

        other = replace(FIRST, source=bytes([10, 77, 0, 201]))
        assert tables[2].hold(other, b"", 0.0) is Verdict.HELD
        tables[0].release()
        assert tables[2].hold(FIRST, b"", 0.0) is Verdict.HELD

    def test_all_services_together_have_so_many_places(self) -> None:
        shared = room(places=4, a_client=9)
        tables = [EmbryonicTable(shared), EmbryonicTable(shared)]
        verdicts = [tables[number % 2].hold(syn(number), b"", 0.0) for number in range(5)]
        assert verdicts == [Verdict.HELD] * 4 + [Verdict.FULL]
        assert shared.taken == 4

        tables[0].abandon()
        assert shared.taken == 2
        assert tables[0].hold(syn(9), b"", 0.0) is Verdict.HELD

    def test_it_is_crowded_when_more_than_half_is_taken_by_one_or_by_all(self) -> None:
        shared = room(places=6, a_client=9)
        one, another, third = (EmbryonicTable(shared) for _ in range(3))
        one.hold(syn(1), b"", 0.0)
        assert not one.crowded
        one.hold(syn(2), b"", 0.0)
        assert (one.crowded, another.crowded) == (True, False)
        another.hold(syn(3), b"", 0.0)
        assert not third.crowded
        another.hold(syn(4), b"", 0.0)
        assert third.crowded

    def test_an_ipv6_client_is_its_network(self) -> None:
        assert client_of(bytes(range(16))) == bytes(range(8))
        assert client_of(bytes([192, 0, 2, 7])) == bytes([192, 0, 2, 7])


class Deliveries(RuleBasedStateMachine):
    """Whatever comes in whatever order: no domain gets a SYN twice, and none is lost that was said to be held."""

    numbers = st.integers(0, CAPACITY - 1)

    def __init__(self) -> None:
        super().__init__()
        self.room = room()
        self.table = EmbryonicTable(self.room)
        self.waiting: list[int] = []
        self.delivered: set[int] = set()

    @rule(number=numbers)
    def it_comes(self, number: int) -> None:
        known = number in self.waiting or number in self.delivered
        verdict = self.table.hold(syn(number), b"", 0.0)
        assert verdict is (Verdict.KNOWN if known else Verdict.HELD)
        if not known:
            self.waiting.append(number)

    @rule(number=numbers)
    def it_is_passed_on(self, number: int) -> None:
        assert self.table.mark_delivered(syn(number)) is (number not in self.delivered)
        self.delivered.add(number)
        self.waiting = [waiting for waiting in self.waiting if waiting != number]

    @rule()
    def everything_is_delivered(self) -> None:
        assert [embryo.segment.sequence for embryo in self.table.release()] == self.waiting
        self.delivered.update(self.waiting)
        self.waiting = []

    @rule()
    def everything_is_reset(self) -> None:
        assert [embryo.segment.sequence for embryo in self.table.abandon()] == self.waiting
        self.waiting = []

    @rule()
    def the_domain_ends(self) -> None:
        self.table.domain_ended()
        self.delivered = set()

    @invariant()
    def the_table_knows_who_waits(self) -> None:
        assert len(self.table) == len(self.waiting) <= CAPACITY
        assert self.room.taken == len(self.waiting)
        assert all(self.table.held_since(syn(number)) == 0.0 for number in self.waiting)


TestDeliveries = Deliveries.TestCase
TestDeliveries.settings = settings(deadline=None, max_examples=100)


def test_the_key_of_a_syn_is_its_connection_and_its_number() -> None:
    assert key_of(FIRST) == (bytes([10, 77, 0, 200]), 40000, 80, 1000)
