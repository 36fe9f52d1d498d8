"""Which SYNs may wake somebody: launches a second, the part of strangers, and the second chance of who asks again."""

from dataclasses import replace

import pytest

from jitsu.config import LimitsConfig
from jitsu.summon.doorman import Allowance, Doorman, Repetitions
from jitsu.synjitsu.embryonic import Key
from tests.unit.box import LIMITS

MIB = 1 << 20
GUEST = 8 * MIB


def key(number: int, client: int = 0) -> Key:
    return (0x64400000 + client).to_bytes(4, "big"), 40000, 80, number


def knocks(doorman: Doorman, count: int, now: float, *, first: int = 0, client: int = 0) -> int:
    """How many of so many SYNs of different connections, to a service each, wake somebody."""
    numbers = range(first, first + count)
    return sum(doorman.lets_wake(f"s{number}", GUEST, key(number, client), now) for number in numbers)


def limits(**given: int) -> LimitsConfig:
    """Limits of which only those given bind."""
    return replace(LIMITS, **{"memory": 1 << 40, "guests": 1 << 20, **given})  # type: ignore[arg-type]


class TestRates:
    def test_all_clients_together_have_half_of_the_launches_at_their_first_try(self) -> None:
        doorman = Doorman(limits(knocks=10))
        assert knocks(doorman, 100, 1000.0) == 10, "twice as many at once as half of ten a second"
        assert knocks(doorman, 100, 1000.2, first=100) == 1
        assert knocks(doorman, 100, 1060.0, first=200) == 10
        assert doorman.refused == {"knocks": 279}

    def test_who_asks_again_after_a_while_has_the_other_half(self) -> None:
        doorman = Doorman(limits(knocks=10))
        knocks(doorman, 100, 1000.0)
        assert not doorman.lets_wake("s50", GUEST, key(50), 1000.1), "that is an echo"
        assert doorman.lets_wake("s50", GUEST, key(50), 1001.0)
        assert knocks(doorman, 100, 1001.0) == 9, "for they all come again now"

    def test_one_client_has_launches_of_its_own(self) -> None:
        doorman = Doorman(limits(client_knocks=3))
        assert knocks(doorman, 10, 1000.0) == 6
        assert knocks(doorman, 10, 1000.0, client=1, first=100) == 6
        assert knocks(doorman, 10, 1001.0, first=200) == 3
        assert doorman.refused == {"client-knocks": 15}

    def test_what_one_client_is_refused_is_not_taken_from_the_others(self) -> None:
        doorman = Doorman(limits(knocks=20, client_knocks=2))
        assert knocks(doorman, 100, 1000.0) == 4
        assert knocks(doorman, 3, 1000.0, client=1, first=100) == 3

    def test_no_flood_makes_it_remember_every_client(self) -> None:
        doorman = Doorman(limits(client_knocks=1))
        for client in range(5000):
            knocks(doorman, 1, 1000.0, client=client, first=client)
        assert len(doorman._clients) == 4096

    def test_zero_is_any_number(self) -> None:
        assert knocks(Doorman(limits()), 1000, 1000.0) == 1000


class TestStrangers:
    @pytest.fixture
    def doorman(self) -> Doorman:
        return Doorman(limits(strangers=50, guests=16))

    def test_they_have_half_of_their_part_at_first_and_all_of_it_when_they_ask_again(self, doorman: Doorman) -> None:
        assert knocks(doorman, 100, 1000.0) == 4
        assert knocks(doorman, 96, 1001.0, first=4) == 4
        assert knocks(doorman, 92, 1002.0, first=8) == 0
        assert doorman.refused == {"strangers": 96 + 92 + 92}

    def test_one_that_is_about_to_go_has_its_place_already(self, doorman: Doorman) -> None:
        knocks(doorman, 4, 1000.0)
        assert knocks(doorman, 4, 1000.0) == 4

    def test_memory_counts_as_guests_do(self) -> None:
        doorman = Doorman(limits(strangers=50, memory=480 * MIB))
        assert knocks(doorman, 100, 1000.0) == 2, "48 MiB each with their monitors, of a quarter of 480"

    def test_one_may_always(self) -> None:
        doorman = Doorman(limits(strangers=1, guests=1))
        assert knocks(doorman, 2, 1000.0) == 1

    @pytest.mark.parametrize("reached", ["s0", "s3"])
    def test_whoever_was_reached_is_a_stranger_no_more(self, doorman: Doorman, reached: str) -> None:
        knocks(doorman, 100, 1000.0)
        assert doorman.is_stranger(reached)
        doorman.forget_stranger(reached)
        assert not doorman.is_stranger(reached)
        assert knocks(doorman, 100, 1000.0, first=200) == 1

    def test_a_refused_one_is_none(self, doorman: Doorman) -> None:
        knocks(doorman, 100, 1000.0)
        assert not doorman.is_stranger("s99")


class TestComplaint:
    def test_it_is_one_line_in_ten_seconds_with_what_is_new(self) -> None:
        doorman = Doorman(limits(client_knocks=1))
        knocks(doorman, 3, 1000.0)
        assert doorman.complaint(1000.0) == "1 SYNs for sleepers are not listened to: 1 by client-knocks ([limits])"
        doorman.refuse("held")
        assert doorman.complaint(1009.9) == ""
        doorman.refuse("held")
        assert doorman.complaint(1010.0) == "2 SYNs for sleepers are not listened to: 2 by held ([limits])"


class TestAllowance:
    def test_it_fills_up_to_twice_its_rate(self) -> None:
        allowance = Allowance(2.5)
        assert [allowance.take(10.0) for _ in range(6)] == [True] * 5 + [False]
        assert [allowance.take(10.4), allowance.take(10.4)] == [True, False]
        assert [allowance.take(1e6) for _ in range(6)] == [True] * 5 + [False]


class TestRepetitions:
    def test_a_syn_comes_again_from_half_a_second_on(self) -> None:
        seen = Repetitions()
        assert not seen.again("www", key(1), 100.0)
        assert not seen.again("www", key(1), 100.3)
        assert seen.again("www", key(1), 101.0)
        assert seen.again("www", key(1), 107.0)

    def test_another_service_or_number_or_client_is_another_syn(self) -> None:
        seen = Repetitions()
        seen.again("www", key(1), 100.0)
        assert not seen.again("shop", key(1), 101.0)
        assert not seen.again("www", key(2), 101.0)
        assert not seen.again("www", key(1, client=1), 101.0)

    def test_a_flood_is_hardly_ever_taken_for_a_repetition_and_hardly_drowns_one(self) -> None:
        seen = Repetitions()
        waiting = [key(number, client=1) for number in range(100)]
        for syn in waiting:
            seen.again("www", syn, 100.0)
        assert sum(seen.again("www", key(number), 100.0 + number / 20_000) for number in range(20_000)) <= 2
        assert sum(seen.again("www", syn, 101.0) for syn in waiting) >= 75
