"""A trace as a picture: one line a span, its bar where and as long as it was."""

from rich.console import Group
from rich.table import Table
from rich.text import Text

from jitsu.trace import TraceRecord

_WIDTH = 48
_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")


def waterfall(trace: TraceRecord) -> Group:
    """The spans of one summon on a common scale, in milliseconds from the packet that caused it."""
    total = max(trace["total_ms"], 0.001)
    title = f"{trace['service']}, domain {trace['domid']}, by {trace['cause']}: {trace['outcome']}, {total:.1f} ms"
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("span")
    table.add_column("from", justify="right")
    table.add_column("ms", justify="right")
    table.add_column("")
    for number, span in enumerate(trace["spans"]):
        begin = min(round(span["start_ms"] / total * _WIDTH), _WIDTH - 1)
        length = max(1, round(span["ms"] / total * _WIDTH))
        bar = Text(" " * begin + "━" * min(length, _WIDTH - begin), style=_COLOURS[number % len(_COLOURS)])
        table.add_row(span["name"], f"{span['start_ms']:.2f}", f"{span['ms']:.2f}", bar)
    for note in trace["notes"]:
        table.add_row(Text("note", style="dim"), "", "", Text(note, style="dim"))
    return Group(Text(title, style="bold"), table)
