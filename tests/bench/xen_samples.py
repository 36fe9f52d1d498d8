"""What `make bench-xen` measures, in dom0 and for its tables, pictures and files."""

from dataclasses import dataclass
from typing import Any

JITSU, POOL, STOCK, MINIMAL_SCRIPT = "jitsu", "jitsu, from a pool", "xl, stock script", "xl, minimal script"
PROCESS = "a process for each domain"

PLAIN, STEADY = "time", "instructions"
"""Clocks: the emulator's, or one that counts instructions."""

CREATED, SHELL, BOOTED = "xl create, stock script", "a built domain, unpaused", "a booted domain, unpaused"
COLD, WARM, RUNNING = "jitsu, cold", "jitsu, warm (paused)", "jitsu, running"
"""Ways to a first byte: without jitsu, by one packet that starts a domain; and by jitsu, from a DNS question on."""

FLOORS = {COLD: SHELL, WARM: BOOTED}
"""What nothing can be faster than: the guest's own part."""

FLOOR_ADDRESS, FLOOR_MAC = "10.78.0.40", "00:16:3e:78:00:28"
PORT = 5300
"""Where a program in dom0 is asked to start one without jitsu."""


@dataclass(frozen=True, slots=True)
class Sample:
    """So many domains of `memory` MiB at once, in one way: milliseconds until all were built, and until all had ended.

    `task` is the part of the measurement that it belongs to.
    """

    board: str
    clock: str
    task: str
    way: str
    memory: int
    at_once: int
    build: float
    end: float


@dataclass(frozen=True, slots=True)
class Visit:
    """One client's way to a first byte: milliseconds from its first packet, as the board's interface took it in, until
    the DNS answer left there (0: nobody asked), and until the page's first byte did. `spans` are the daemon's, as
    [name, start, length], on the same clock."""

    board: str
    way: str
    answer: float
    first: float
    spans: list[tuple[str, float, float]]

    @classmethod
    def by_events(cls, board: str, way: str, address: str, events: list[Any], trace: dict[str, Any] | None) -> "Visit":
        """From what passed the wire, and the daemon's trace. Raises ValueError without a page."""
        began = next(at for at, what, _ in events if what in ("question", "create", "unpause"))
        answers = [at for at, what, _ in events if what == "answer" and at > began]
        pages = [at for at, what, where in events if (what, where) == ("page", address) and at > began]
        if not pages:
            raise ValueError(f"{board}, {way}: no page from {address} passed the wire: {events}")
        spans = []
        if trace is not None:
            late = (trace["started"] - began) * 1000
            spans = [(each["name"], late + each["start_ms"], each["ms"]) for each in trace["spans"]]
        answered = (answers[0] - began) * 1000 if answers else 0.0
        return cls(board, way, round(answered, 2), round((pages[0] - began) * 1000, 2), spans)
