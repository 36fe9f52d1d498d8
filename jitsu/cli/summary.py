"""Many traces as a table: one line a summon, one column a span."""

from datetime import datetime
from typing import TYPE_CHECKING

from jitsu.cli.columns import columns

if TYPE_CHECKING:
    from jitsu.trace import TraceRecord

_TITLES = ("STARTED", "SERVICE", "CAUSE", "TOTAL")
_COLOURS = {"serving": "green", "running": "yellow"}


def summary(traces: "list[TraceRecord]") -> str:
    """The traces one below the other, in milliseconds; a span that a summon did not have is a dash."""
    spans = list(dict.fromkeys(span["name"] for trace in traces for span in trace["spans"]))
    titles = (*_TITLES, *(name.upper() for name in spans), "OUTCOME")
    rows = [_row(trace, spans) for trace in traces]
    return columns(titles, rows, right={"TOTAL", *titles[len(_TITLES) : -1]}, paint={"OUTCOME": _COLOURS})


def _row(trace: "TraceRecord", spans: list[str]) -> list[str]:
    taken: dict[str, float] = {}
    for span in trace["spans"]:
        taken[span["name"]] = taken.get(span["name"], 0.0) + span["ms"]
    return [
        datetime.fromtimestamp(trace["started"]).astimezone().strftime("%m-%d %H:%M:%S"),
        trace["service"],
        trace["cause"],
        f"{trace['total_ms']:.1f}",
        *(f"{taken[name]:.2f}" if name in taken else "-" for name in spans),
        trace["outcome"],
    ]
