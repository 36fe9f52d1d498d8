"""Hours of the week, on the wall clock of wherever it is looked at: `Mon-Fri 08:00-18:00`. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = 24 * 60
_SPAN = re.compile(r"(?:([a-z,-]+)\s+)?(\d\d):(\d\d)\s*-\s*(\d\d):(\d\d)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Hours:
    """From `begin` to before `end`, in minutes since midnight, of each of `days` (Monday is 0). An `end` beyond 24
    hours is in the morning after."""

    days: frozenset[int]
    begin: int
    end: int

    def cover(self, moment: datetime) -> bool:
        """Is it in these hours? What clocks show counts: an hour that is skipped is not there, one that comes twice is
        there twice."""
        minute, day = moment.hour * 60 + moment.minute, moment.weekday()
        if day in self.days and self.begin <= minute < self.end:
            return True
        return (day - 1) % 7 in self.days and minute < self.end - _DAY


def within(hours: Iterable[Hours], moment: datetime) -> bool:
    """Is it in any of these?"""
    return any(each.cover(moment) for each in hours)


def read_hours(text: str) -> Hours:
    """The hours that `text` names; without days, those of every day. Raises ValueError with the way out, for people."""
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise ValueError("write days and hours, as in Mon-Fri 08:00-18:00, or hours alone")
    begin, end = (int(match[at]) * 60 + int(match[at + 1]) for at in (2, 4))
    if begin >= _DAY or end > _DAY or int(match[3]) > 59 or int(match[5]) > 59:
        raise ValueError("a day goes from 00:00 to 24:00")
    if begin == end:
        raise ValueError("begin and end are the same; all day is 00:00-24:00")
    return Hours(_days(match[1]), begin, end if end > begin else end + _DAY)


def _days(text: str | None) -> frozenset[int]:
    if text is None:
        return frozenset(range(7))
    days: set[int] = set()
    for part in text.lower().split(","):
        first, dash, last = part.partition("-")
        if first not in _DAYS or (dash and last not in _DAYS):
            raise ValueError("the days are: Mon Tue Wed Thu Fri Sat Sun, as in Mon-Wed,Sat")
        begin = _DAYS.index(first)
        count = (_DAYS.index(last) - begin) % 7 if dash else 0
        days.update((begin + number) % 7 for number in range(count + 1))
    return frozenset(days)
