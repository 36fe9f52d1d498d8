"""What `jitsu top` shows: a table of guests between a summary and the last events."""

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from jitsu.cli.events import line
from jitsu.cli.ps import STATE_COLOURS, duration

if TYPE_CHECKING:
    from jitsu.daemon.requests import GuestRow, TopRecord

_FRAME = 5
"""Lines that are neither a guest nor an event: what is granted, the titles, and space between."""


def screen(before: "TopRecord | None", now: "TopRecord", height: int | None) -> RenderableType:
    """All that is shown. `height` is how many lines there are, None: any number."""
    guests = sorted(now["guests"], key=lambda guest: (guest["state"] != "serving", guest["service"]))
    room = len(guests) if height is None else max(1, height - _FRAME - len(now["events"]))
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    table.add_column("SERVICE", ratio=1, no_wrap=True)
    table.add_column("STATE", no_wrap=True)
    table.add_column("ADDRESS", no_wrap=True)
    for title in ("UP", "CPU", "RSS", "CONN", "HELD", "SUMMONS"):
        table.add_column(title, justify="right", no_wrap=True)
    for guest in guests[:room]:
        state = guest["state"]
        table.add_row(
            guest["service"],
            Text(state, style=STATE_COLOURS.get(state, "")),
            guest["address"],
            "-" if guest["up"] is None else duration(guest["up"]),
            _cpu(before, now, guest),
            "-" if guest["resident"] is None else f"{guest['resident'] >> 20} MiB",
            str(guest["connections"]),
            str(guest["held"]),
            str(guest["summons"]),
        )
    hidden = [Text(f"... and {len(guests) - room} more", style="dim")] if len(guests) > room else []
    events = [Text.from_ansi(line(event), no_wrap=True, overflow="ellipsis") for event in now["events"]]
    return Group(_head(now), Text(), table, *hidden, Text(), *events)


def _head(now: "TopRecord") -> Text:
    mib = 1 << 20
    running = sum(guest["domid"] is not None for guest in now["guests"])
    return Text.assemble(
        (now["zone"], "bold"),
        f": {running} of {now['services']:,} services awake, "
        f"{now['memory'] // mib:,} of {now['memory_limit'] // mib:,} MiB granted, {now['accelerator']}",
    )


def _cpu(before: "TopRecord | None", now: "TopRecord", guest: "GuestRow") -> str:
    """Per cent of one processor since the look before, if it is the same domain."""
    if before is None or guest["cpu"] is None:
        return "-"
    for earlier in before["guests"]:
        if earlier["domid"] == guest["domid"] and earlier["cpu"] is not None:
            return f"{(guest['cpu'] - earlier['cpu']) / (now['time'] - before['time']):.0%}"
    return "-"
