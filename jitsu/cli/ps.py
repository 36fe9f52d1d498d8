"""`jitsu ps`."""

from contextlib import closing
from typing import TYPE_CHECKING

import click

from jitsu.cli.columns import columns
from jitsu.cli.options import daemon_option, output_option, print_json
from jitsu.config import DaemonConfig
from jitsu.daemon.client import ask
from jitsu.domains.console import ConsoleReader, newest

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
        cells = [[shown[title] for title in titles] for shown in map(_shown, rows)]
        click.echo(columns(titles, cells, paint={"STATE": STATE_COLOURS}))
        for name, lines in consoles.items():
            if lines:
                click.echo("\n" + click.style(f"{name}: what it printed last", bold=True))
                click.echo("\n".join(lines))


def _console(daemon: DaemonConfig, row: "Row") -> list[str]:
    """The end of the console of a guest that crashed; of no other."""
    if not row["crashes"]:
        return []
    with closing(ConsoleReader(daemon.state / "console", row["service"])) as reader:
        return newest(reader.read(), _LAST_LINES)


def _shown(row: "Row") -> dict[str, str]:
    return {
        "SERVICE": row["service"],
        "STATE": row["state"],
        "WARM": row["warm"] or "-",
        "ADDRESS": ",".join(row["addresses"]),
        "DOMID": _known(row["domid"]),
        "PID": _known(row["pid"]),
        "MEMORY": f"{row['memory'] / (1 << 20):g} MiB",
        "UP": "-" if row["up"] is None else duration(row["up"]),
        "CONNECTIONS": str(row["connections"]),
        "HELD": str(row["held"]),
        "SUMMONS": str(row["summons"]),
        "CRASHES": str(row["crashes"]),
        "RETRY": "-" if row["retry"] is None else duration(row["retry"]),
        "NAMES": ",".join(row["names"]) or "-",
        "LAST END": row["last"] or "-",
    }


def _known(number: int | None) -> str:
    return "-" if number is None else str(number)


def duration(seconds: float) -> str:
    """A duration as roughly as anybody wants it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
