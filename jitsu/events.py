"""What happened on this board: the last events, and everybody who wants to hear of the next.

An `Event` is for people and programs alike; numbers grow by one, so that who reads a stream sees what was left out.
"""

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict


class Kind(StrEnum):
    """What can happen. The words are what people see."""

    STARTED = "started"
    """The daemon serves."""
    RELOADED = "reloaded"
    ADOPTED = "adopted"
    """A guest that outlived an earlier daemon was taken over."""
    ADDED = "added"
    EDITED = "edited"
    REMOVED = "removed"
    SUMMONED = "summoned"
    READY = "ready"
    REFUSED = "refused"
    """A summon that could not be."""
    DISMISSED = "dismissed"
    EXITED = "exited"
    """A guest shut down in good order, by itself."""
    CRASHED = "crashed"
    """It ended in any other way."""
    CRASH_LOOPING = "crash-looping"
    """It did so too often in a row, and is refused until its pause is over."""
    ORDERED = "ordered"
    """Somebody asked for a change on the control socket."""
    DENIED = "denied"
    """Somebody asked for one who may not."""


class EventRecord(TypedDict):
    """An event as JSON; `time` is Unix time in seconds, what does not apply is empty or 0."""

    number: int
    time: float
    event: str
    service: str
    domid: int
    by: str
    detail: str


@dataclass(frozen=True, slots=True)
class Event:
    """`service` and `domid` say whom it is about, `by` who did it, `detail` is one line for people."""

    number: int
    time: float
    kind: Kind
    service: str = ""
    domid: int = 0
    by: str = ""
    detail: str = ""

    def record(self) -> EventRecord:
        return {
            "number": self.number,
            "time": round(self.time, 3),
            "event": self.kind.value,
            "service": self.service,
            "domid": self.domid,
            "by": self.by,
            "detail": self.detail,
        }


Listener = Callable[[Event], None]


class Events:
    """The last `keep` events, how many there were of each kind, and listeners, which are called at once."""

    def __init__(self, keep: int = 1024) -> None:
        self._kept: deque[Event] = deque(maxlen=keep)
        self._listeners: list[Listener] = []
        self._count = 0
        self.counts: Counter[Kind] = Counter()

    def add(self, kind: Kind, service: str = "", *, domid: int = 0, by: str = "", detail: str = "") -> None:
        """Something happened just now."""
        self._count += 1
        self.counts[kind] += 1
        event = Event(self._count, time.time(), kind, service, domid, by, detail)
        self._kept.append(event)
        for listener in list(self._listeners):
            listener(event)

    def since(self, moment: float) -> list[Event]:
        """Those that are kept and not older than `moment`, Unix time in seconds; oldest first."""
        return [event for event in self._kept if event.time >= moment]

    def last(self, count: int) -> list[Event]:
        """The newest `count`, oldest first."""
        return list(self._kept)[-count:] if count > 0 else []

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every event from now on, until what is returned is called. It must not raise."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)
