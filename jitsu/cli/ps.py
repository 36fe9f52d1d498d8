"""`jitsu ps`."""

import gc
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

import click

from jitsu.cli.columns import columns
from jitsu.cli.options import daemon_option, output_option, print_json
from jitsu.config import DaemonConfig
from jitsu.daemon.client import ask

if TYPE_CHECKING:
    # Only a name for a dictionary, and with it would come half of the daemon.
    from jitsu.summon.tenant import Row

STATE_COLOURS = {
    "serving": "green",
    "booting": "yellow",
    "starting": "yellow",
    "dismissing": "yellow",
    "asleep": "bright_black",
    "paused": "cyan",
    "crash-looping": "red",
}
_TITLES = ("SERVICE", "STATE", "ADDRESS", "DOMID", "UP", "CONNECTIONS", "SUMMONS", "LAST END")
_VERBOSE = (
    *_TITLES[:4],
    "PID",
    "MEMORY",
    "UP",
    "WARM",
    "CONNECTIONS",
    "HELD",
    "SUMMONS",
    "CRASHES",
    "RETRY",
    "NAMES",
    "LAST END",
)
_LAST_LINES = 40
"""Lines of its console that are shown of a guest that crashed."""


@click.command("ps", epilog="Example: jitsu ps -o json | jq '.[] | select(.state == \"serving\")'")
@daemon_option
@output_option
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Also process, memory, what is kept warm, SYNs on hold, names, and what crashed guests printed last.",
)
@click.option("-q", "--quiet", is_flag=True, help="The names of the services and nothing else.")
def command(daemon: DaemonConfig, output: str, verbose: bool, quiet: bool) -> None:
    """List the services and the state of each."""
    # Over before any garbage counts: looking for some among ten thousand rows takes longer than printing them.
    gc.disable()
    rows: list[Row] = ask(daemon.runtime, "ps")
    names = [row["service"] for row in rows]
    consoles = {row["service"]: _console(daemon, row) for row in rows} if verbose else {}
    if output == "json":
        print_json(
            names if quiet else [{**row, "console": consoles[row["service"]]} if verbose else row for row in rows]
        )
    elif quiet:
        click.echo("".join(f"{name}\n" for name in names), nl=False)
    else:
        titles = _VERBOSE if verbose else _TITLES
        shown = [_CELLS[title] for title in titles]
        cells = [[cell(row) for cell in shown] for row in rows]
        click.echo(columns(titles, cells, paint={"STATE": STATE_COLOURS}))
        for name, lines in consoles.items():
            if lines:
                click.echo("\n" + click.style(f"{name}: what it printed last", bold=True))
                click.echo("\n".join(lines))


def _console(daemon: DaemonConfig, row: "Row") -> list[str]:
    """The end of the console of a guest that crashed; of no other."""
    if not row["crashes"]:
        return []
    from jitsu.domains.console import ConsoleReader, newest

    with closing(ConsoleReader(daemon.state / "console", row["service"])) as reader:
        return newest(reader.read(), _LAST_LINES)


def _known(number: int | None) -> str:
    return "-" if number is None else str(number)


def duration(seconds: float) -> str:
    """A duration as roughly as anybody wants it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


_CELLS: dict[str, Callable[["Row"], str]] = {
    "SERVICE": lambda row: row["service"],
    "STATE": lambda row: row["state"],
    "WARM": lambda row: row["warm"] or "-",
    "ADDRESS": lambda row: ",".join(row["addresses"]),
    "DOMID": lambda row: _known(row["domid"]),
    "PID": lambda row: _known(row["pid"]),
    "MEMORY": lambda row: f"{row['memory'] / (1 << 20):g} MiB",
    "UP": lambda row: "-" if row["up"] is None else duration(row["up"]),
    "CONNECTIONS": lambda row: str(row["connections"]),
    "HELD": lambda row: str(row["held"]),
    "SUMMONS": lambda row: str(row["summons"]),
    "CRASHES": lambda row: str(row["crashes"]),
    "RETRY": lambda row: "-" if row["retry"] is None else duration(row["retry"]),
    "NAMES": lambda row: ",".join(row["names"]) or "-",
    "LAST END": lambda row: row["last"] or "-",
}
