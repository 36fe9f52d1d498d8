"""Hours of the week: what may be written, and when they are, on clocks that jump as clocks do."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitsu.config.hours import Hours, read_hours, within

MONDAY = datetime(2026, 11, 23)

WRITTEN = {
    "Mon-Fri 08:00-18:00": Hours(frozenset(range(5)), 480, 1080),
    "08:00-18:00": Hours(frozenset(range(7)), 480, 1080),
    "sat,SUN  10:30 - 12:00": Hours(frozenset((5, 6)), 630, 720),
    "Fri-Mon 00:00-24:00": Hours(frozenset((4, 5, 6, 0)), 0, 1440),
    "Mon-Wed,Fri 22:00-06:00": Hours(frozenset((0, 1, 2, 4)), 1320, 1800),
    "Sun 23:59-00:00": Hours(frozenset((6,)), 1439, 1440),
}


@pytest.mark.parametrize("text", WRITTEN)
def test_hours_are_written_so(text: str) -> None:
    assert read_hours(text) == WRITTEN[text]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "write days and hours"),
        ("Mon-Fri", "write days and hours"),
        ("8:00-18:00", "write days and hours"),
        ("Mon-Fri 08:00-18:00 sharp", "write days and hours"),
        ("Mo-Fr 08:00-18:00", "the days are"),
        ("Mon- 08:00-18:00", "the days are"),
        ("Mon,,Tue 08:00-18:00", "the days are"),
        ("08:00-25:00", "from 00:00 to 24:00"),
        ("24:00-08:00", "from 00:00 to 24:00"),
        ("08:60-09:00", "from 00:00 to 24:00"),
        ("08:00-24:01", "from 00:00 to 24:00"),
        ("08:00-08:00", "all day is 00:00-24:00"),
    ],
)
def test_other_writings_are_refused_with_the_way_out(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_hours(text)


@pytest.mark.parametrize(
    ("text", "day", "clock", "expected"),
    [
        ("Mon-Fri 08:00-18:00", 0, "07:59", False),
        ("Mon-Fri 08:00-18:00", 0, "08:00", True),
        ("Mon-Fri 08:00-18:00", 4, "17:59", True),
        ("Mon-Fri 08:00-18:00", 4, "18:00", False),
        ("Mon-Fri 08:00-18:00", 5, "12:00", False),
        ("00:00-24:00", 6, "23:59", True),
        # Over midnight: the morning belongs to the day before.
        ("Fri 22:00-06:00", 4, "21:59", False),
        ("Fri 22:00-06:00", 4, "22:00", True),
        ("Fri 22:00-06:00", 5, "05:59", True),
        ("Fri 22:00-06:00", 5, "06:00", False),
        ("Fri 22:00-06:00", 4, "05:00", False),
        ("Fri 22:00-06:00", 5, "22:00", False),
        ("Sun 22:00-06:00", 0, "05:59", True),
        ("Mon 22:00-24:00", 1, "00:00", False),
    ],
)
def test_when_they_are(text: str, day: int, clock: str, expected: bool) -> None:
    hour, _, minute = clock.partition(":")
    moment = MONDAY + timedelta(days=day, hours=int(hour), minutes=int(minute), seconds=59)

    assert within([read_hours(text)], moment) is expected


def test_any_of_several_counts_and_none_of_none() -> None:
    several = [read_hours("Mon 08:00-12:00"), read_hours("Mon 14:00-18:00")]
    shown = [within(several, MONDAY + timedelta(hours=hour)) for hour in (9, 13, 15, 19)]

    assert shown == [True, False, True, False]
    assert not within([], MONDAY)


@settings(deadline=None)
@given(st.integers(0, 1439), st.integers(1, 1440), st.sets(st.integers(0, 6)))
def test_a_week_has_as_many_minutes_of_them_as_is_written(begin: int, length: int, days: set[int]) -> None:
    hours = Hours(frozenset(days), begin, begin + length)
    covered = sum(hours.cover(MONDAY + timedelta(minutes=minute)) for minute in range(0, 7 * 1440, 1))

    assert covered == length * len(days)


class TestSummerTime:
    """Central European time: on 29 March 2026 clocks go from 02:00 to 03:00, on 25 October from 03:00 to 02:00."""

    @pytest.fixture(autouse=True)
    def europe(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
        monkeypatch.undo()
        time.tzset()

    def minutes(self, text: str, day: datetime) -> int:
        """How many minutes of that day, as they really pass, are within the hours."""
        first = round(day.timestamp())
        hours = [read_hours(text)]
        moments = (datetime.fromtimestamp(first + 60 * minute) for minute in range(25 * 60))
        return sum(within(hours, moment) for moment in moments if moment.date() == day.date())

    def test_an_hour_that_is_skipped_is_not_there(self) -> None:
        assert self.minutes("01:00-04:00", datetime(2026, 3, 29)) == 120
        assert self.minutes("02:00-03:00", datetime(2026, 3, 29)) == 0
        assert self.minutes("08:00-18:00", datetime(2026, 3, 29)) == 600

    def test_an_hour_that_comes_twice_is_there_twice(self) -> None:
        assert self.minutes("01:00-04:00", datetime(2026, 10, 25)) == 240
        assert self.minutes("02:00-03:00", datetime(2026, 10, 25)) == 120
        assert self.minutes("08:00-18:00", datetime(2026, 10, 25)) == 600
