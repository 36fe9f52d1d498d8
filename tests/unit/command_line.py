"""What tests of the command line share: what their daemon says, and what is printed."""

from collections.abc import AsyncGenerator, Callable
from typing import Any

from jitsu.trace import TraceRecord

ROWS: list[dict[str, Any]] = [
    {
        "service": "hello",
        "state": "serving",
        "address": "10.77.0.10",
        "addresses": ["10.77.0.10", "fd77::10"],
        "names": ["hello"],
        "domid": 3,
        "pid": 4711,
        "memory": 16 << 20,
        "up": 61.4,
        "connections": 2,
        "held": 0,
        "warm": "",
        "summons": 7,
        "crashes": 0,
        "retry": None,
        "last": "idle for 60.1 s",
    },
    {"service": "world", "state": "asleep", "address": "10.77.0.11", "names": [], "domid": None, "pid": None}
    | {"memory": 16 << 20, "up": None, "warm": "blank", "connections": 0, "held": 0, "summons": 1, "last": ""}
    | {"crashes": 0, "retry": None, "addresses": ["10.77.0.11"]},
]

TRACE: TraceRecord = {
    "service": "hello",
    "cause": "syn",
    "outcome": "serving",
    "domid": 3,
    "started": 1_700_000_000.5,
    "total_ms": 24.0,
    "notes": ["10.77.0.200:40000 repeated its SYN after 1003 ms on hold"],
    "spans": [
        {"name": "decide", "start_ms": 0.0, "ms": 0.05},
        {"name": "tap", "start_ms": 0.1, "ms": 0.4},
        {"name": "spawn", "start_ms": 0.5, "ms": 1.5},
        {"name": "boot", "start_ms": 2.0, "ms": 21.0},
        {"name": "gate", "start_ms": 23.0, "ms": 0.02},
        {"name": "deliver", "start_ms": 23.99, "ms": 0.01},
    ],
}

SERVICES: list[dict[str, Any]] = [
    {"service": "hello", "origin": "file", "addresses": ["10.77.0.10"], "names": ["hello"], "kernel": "/boot/hello.elf"}
    | {"memory": 16 << 20, "pending": False, "problem": ""},
    {
        "service": "shop",
        "origin": "added",
        "addresses": ["10.77.0.20", "fd77::20"],
        "names": ["shop", "store"],
        "kernel": "/boot/s.elf",
    }
    | {"memory": 8 << 20, "pending": True, "problem": ""},
    {"service": "twin", "origin": "added", "addresses": [], "names": [], "kernel": "", "memory": 0, "pending": False}
    | {"problem": "jitsu.db: [service.twin] has the same address 10.77.0.10 as [service.hello]"},
]

EVENTS: list[dict[str, Any]] = [
    {"number": number, "time": 1_700_000_000.125 + number, "event": event, "service": service, "domid": domid}
    | {"by": by, "detail": detail}
    for number, (event, service, domid, by, detail) in enumerate(
        [
            ("started", "", 0, "", "2 services of jitsu.test"),
            ("summoned", "hello", 0, "", "by dns"),
            ("ready", "hello", 3, "", "after 24.0 ms"),
            ("ordered", "hello", 0, "anna", "stop"),
            ("dismissed", "hello", 3, "", "stopped by hand"),
            ("added", "shop", 0, "anna", "10.77.0.20"),
        ],
        start=1,
    )
]


def _guest(service: str, state: str, domid: int | None, up: float | None, cpu: float | None) -> dict[str, Any]:
    known = {"service": service, "state": state, "address": "10.77.0.10", "domid": domid, "up": up, "memory": 16 << 20}
    resident, pid = (None, None) if domid is None else (41 << 20, 4700 + domid)
    return {**known, "pid": pid, "resident": resident, "cpu": cpu, "connections": 2, "held": 1, "summons": 7}


TOPS: list[dict[str, Any]] = [
    {"time": seconds, "zone": "board.example.org", "accelerator": "tcg", "services": 10_000, "memory": 112 << 20}
    | {"memory_limit": 2 << 30, "events": EVENTS[-3:]}
    | {
        "guests": [
            _guest("a-name-that-is-rather-long-for-a-service", "crash-looping", None, None, None),
            _guest("hello", "serving", 11, 61.4, 3.5 + cpu),
            _guest("world", "booting", 12, None, 0.25 + cpu * 2),
        ]
    }
    for seconds, cpu in ((100.0, 0.0), (102.0, 0.5))
]
"""Two looks at the same guests."""


async def each(items: list[Any]) -> AsyncGenerator[Any, None]:
    """A stream that ends."""
    for item in items:
        yield item


Printed = tuple[int, str, str]
"""Exit code, standard output, standard error."""

Jitsu = Callable[..., Printed]


def trimmed(text: str) -> str:
    """Without the blanks with which a table fills its lines."""
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())
