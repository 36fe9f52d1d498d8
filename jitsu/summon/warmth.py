"""What is worth keeping warm: decided from what was asked for lately, and from how much room there is. Pure.

Two kinds of spares are kept: a booted guest that rests, for a service with `mode = "paused"`, and blank monitors, for
those with `mode = "snapshot"`, by the shape of the machine. Times are `time.monotonic()` seconds, sizes bytes.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

REFILL = 2.0
"""Seconds in which a monitor that was used is certainly replaced: as many as were used in so long must be there."""

_REMEMBERED = 64


class Demand:
    """When the things of one kind were asked for. A thing that nobody asked for in `keep` seconds is not wanted."""

    def __init__(self, keep: float) -> None:
        self._keep = keep
        self._last: dict[str, float] = {}
        self._times: dict[str, deque[float]] = {}

    def expect(self, name: str, now: float) -> None:
        """Want it as if somebody had asked just now, unless somebody has."""
        self._last.setdefault(name, now)

    def asked(self, name: str, now: float) -> None:
        """Somebody asked for it."""
        self._last[name] = now
        self._times.setdefault(name, deque(maxlen=_REMEMBERED)).append(now)

    def renew(self, name: str, now: float) -> None:
        """It is wanted from now on for as long as if somebody had asked, though nobody has."""
        self._last[name] = now

    def forget(self, name: str) -> None:
        """Want it no more, until it is asked for again."""
        self._last.pop(name, None)
        self._times.pop(name, None)

    def last(self, name: str) -> float:
        """When it was last asked for; long ago if never."""
        return self._last.get(name, float("-inf"))

    def wanted_ever(self, name: str) -> bool:
        """Was it asked for, or expected, and not forgotten since?"""
        return name in self._last

    def wanted(self, name: str, now: float) -> bool:
        return now - self.last(name) <= self._keep

    def at_once(self, name: str, now: float) -> int:
        """How many are needed at once: as many as were asked for within any `REFILL` seconds lately, and at least one
        of what is wanted at all."""
        if not self.wanted(name, now):
            return 0
        times = [time for time in self._times.get(name, ()) if now - time <= self._keep]
        return max((_within(times[index:], REFILL) for index in range(len(times))), default=1)


def _within(times: Sequence[float], span: float) -> int:
    """How many of these times, in order, lie within `span` of the first."""
    return sum(time - times[0] <= span for time in times)


@dataclass(frozen=True, slots=True)
class Resting:
    """A service whose guest may rest, and what that takes. `there`: it rests; `away`: it is asleep, so that it could;
    `fits`: the box has room for it."""

    name: str
    cost: int
    there: bool
    away: bool
    fits: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind of blank monitor: what one takes, how many there are, and whether the box has room for one more."""

    name: str
    cost: int
    there: int
    fits: bool


@dataclass(frozen=True, slots=True)
class Room:
    """What all spares together may take and take now, and how many blank monitors there may be of a shape."""

    bound: int
    used: int
    most: int

    def has(self, cost: int) -> bool:
        return self.used + cost <= self.bound


@dataclass(frozen=True, slots=True)
class Boot:
    """Boot the service's guest and let it rest."""

    service: str


@dataclass(frozen=True, slots=True)
class AddBlank:
    """Start a blank monitor of this shape."""

    shape: str


@dataclass(frozen=True, slots=True)
class EndResting:
    """Nobody has asked for this service for long: let its guest go."""

    service: str


@dataclass(frozen=True, slots=True)
class EndBlank:
    """There are more monitors of this shape than are needed."""

    shape: str


Step = Boot | AddBlank | EndResting | EndBlank


def next_step(
    services: Iterable[Resting], shapes: Iterable[Shape], guests: Demand, monitors: Demand, room: Room, now: float
) -> Step | None:
    """The one thing to do now, so that what is kept warm is what is wanted; None: it is.

    What is too much goes before anything is added; what was asked for last is added first.
    """
    services, shapes = list(services), list(shapes)
    for service in services:
        if service.there and not guests.wanted(service.name, now):
            return EndResting(service.name)
    needed = {shape.name: min(monitors.at_once(shape.name, now), room.most) for shape in shapes}
    for shape in shapes:
        if shape.there > needed[shape.name]:
            return EndBlank(shape.name)
    steps: list[tuple[float, Step]] = [
        (guests.last(service.name), Boot(service.name))
        for service in services
        if service.away and not service.there and guests.wanted(service.name, now)
        if service.fits and room.has(service.cost)
    ]
    steps += [
        (monitors.last(shape.name), AddBlank(shape.name))
        for shape in shapes
        if shape.there < needed[shape.name] and shape.fits and room.has(shape.cost)
    ]
    return max(steps, key=lambda step: step[0], default=(0.0, None))[1]


class Failures:
    """What failed, and for how long it is left alone: `first` seconds, then twice as long each time up to `last`."""

    def __init__(self, first: float, last: float) -> None:
        self._first, self._last = first, last
        self._until: dict[str, tuple[float, float]] = {}

    def note(self, name: str, now: float) -> float:
        """It failed. Seconds until it may be tried again."""
        _, pause = self._until.get(name, (0.0, self._first / 2))
        pause = min(pause * 2, self._last)
        self._until[name] = now + pause, pause
        return pause

    def hold(self, name: str, now: float) -> bool:
        """Is it to be left alone?"""
        return self._until.get(name, (0.0, 0.0))[0] > now

    def forget(self, name: str) -> None:
        """It went well, or is another thing now."""
        self._until.pop(name, None)
