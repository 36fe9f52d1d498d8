"""Where the milliseconds of a summon went: named spans on one monotonic clock.

A `Trace` is one summon. Marks and spans are offsets in milliseconds from its origin, the arrival of the packet that
caused it. `Traces` keeps the last N of them. Rendering belongs to the commands.
"""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypedDict

MOST_NOTES = 32


class SpanRecord(TypedDict):
    """One span as JSON: `start_ms` and `ms` from the origin of its trace."""

    name: str
    start_ms: float
    ms: float


class TraceRecord(TypedDict):
    """One trace as JSON; `started` is Unix time in seconds."""

    service: str
    cause: str
    outcome: str
    domid: int
    started: float
    total_ms: float
    notes: list[str]
    spans: list[SpanRecord]


@dataclass(slots=True)
class Span:
    """A named stretch of time; `start` and `end` are `time.monotonic()` seconds, `end` is None while it is open."""

    name: str
    start: float
    end: float | None = None


@dataclass(slots=True)
class Trace:
    """The spans of one summon of `service`, caused by `cause` (`dns`, `syn`, `start`)."""

    service: str
    cause: str
    origin: float = field(default_factory=time.monotonic)
    wall: float = 0.0
    """The origin, in seconds since 1970; 0: as the clock has it now."""
    domid: int = 0
    outcome: str = ""
    notes: list[str] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)

    def __post_init__(self) -> None:
        # The packet that it is for may have come a while ago.
        self.wall = self.wall or time.time() - (time.monotonic() - self.origin)

    def note(self, text: str) -> None:
        """Remember what explains the figures; the first few tell as much as all of a flood."""
        if len(self.notes) < MOST_NOTES:
            self.notes.append(text)

    def begin(self, name: str, at: float | None = None) -> None:
        """Open a span; `end` closes the last open one of that name."""
        self.spans.append(Span(name, time.monotonic() if at is None else at))

    def end(self, name: str) -> None:
        """Close the open span of this name; a span that is not open is left as it was."""
        for span in reversed(self.spans):
            if span.name == name and span.end is None:
                span.end = time.monotonic()
                return

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Time the block as one span."""
        self.begin(name)
        try:
            yield
        finally:
            self.end(name)

    def finish(self, outcome: str) -> None:
        """Close what is open and say how it ended: `serving`, or the reason it did not."""
        now = time.monotonic()
        for span in self.spans:
            if span.end is None:
                span.end = now
        self.outcome = outcome

    def record(self) -> TraceRecord:
        """The trace as plain data, times in milliseconds from the origin."""
        last = max((span.end or span.start for span in self.spans), default=self.origin)
        return {
            "service": self.service,
            "cause": self.cause,
            "outcome": self.outcome or "running",
            "domid": self.domid,
            "started": round(self.wall, 3),
            "total_ms": round((last - self.origin) * 1000, 3),
            "notes": list(self.notes),
            "spans": [
                {
                    "name": span.name,
                    "start_ms": round((span.start - self.origin) * 1000, 3),
                    "ms": round(((span.end or last) - span.start) * 1000, 3),
                }
                for span in self.spans
            ],
        }


class Traces:
    """The last `keep` traces, oldest first."""

    def __init__(self, keep: int = 256) -> None:
        self._kept: deque[Trace] = deque(maxlen=keep)

    def add(self, trace: Trace) -> None:
        self._kept.append(trace)

    def last(self, count: int, service: str = "") -> list[Trace]:
        """The newest `count` traces, oldest first, of one service or of all."""
        found = [trace for trace in self._kept if not service or trace.service == service]
        return found[-count:] if count > 0 else []
