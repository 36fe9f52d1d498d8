"""`jitsu ps`."""

import click
from rich.table import Table
from rich.text import Text

from jitsu.cli.options import config_option, console, output_option, print_json
from jitsu.config import Config
from jitsu.daemon.client import ask
from jitsu.summon.tenant import Row

_COLOURS = {"serving": "green", "booting": "yellow", "starting": "yellow", "dismissing": "yellow", "asleep": "dim"}


@click.command("ps", epilog="Example: jitsu ps -o json | jq '.[] | select(.state == \"serving\")'")
@config_option
@output_option
def command(config: Config, output: str) -> None:
    """List the services and the state of each."""
    rows: list[Row] = ask(config.daemon.runtime, "ps")
    if output == "json":
        print_json(rows)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("SERVICE", "STATE", "ADDRESS", "DOMID", "UP", "CONNECTIONS", "SUMMONS", "LAST END"):
        table.add_column(title, no_wrap=title != "LAST END")
    for row in rows:
        table.add_row(
            row["service"],
            Text(row["state"], style=_COLOURS[row["state"]]),
            row["address"],
            "-" if row["domid"] is None else str(row["domid"]),
            "-" if row["up"] is None else _duration(row["up"]),
            str(row["connections"]),
            str(row["summons"]),
            # As it is: brackets in it are no markup of ours, and some of it was said by guests.
            Text(row["last"] or "-"),
        )
    console().print(table)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
