"""`jitsu ps`."""

from typing import TYPE_CHECKING

import click

from jitsu.cli.columns import columns
from jitsu.cli.options import config_option, output_option, print_json
from jitsu.config import Config
from jitsu.daemon.client import ask

if TYPE_CHECKING:
    # Only a name for a dictionary, and with it would come half of the daemon.
    from jitsu.summon.tenant import Row

_COLOURS = {
    "serving": "green",
    "booting": "yellow",
    "starting": "yellow",
    "dismissing": "yellow",
    "asleep": "bright_black",
}
_TITLES = ("SERVICE", "STATE", "ADDRESS", "DOMID", "UP", "CONNECTIONS", "SUMMONS", "LAST END")
_VERBOSE = (*_TITLES[:4], "PID", "MEMORY", "UP", "CONNECTIONS", "HELD", "SUMMONS", "NAMES", "LAST END")


@click.command("ps", epilog="Example: jitsu ps -o json | jq '.[] | select(.state == \"serving\")'")
@config_option
@output_option
@click.option("-v", "--verbose", is_flag=True, help="Also process, memory, SYNs on hold and names.")
@click.option("-q", "--quiet", is_flag=True, help="The names of the services and nothing else.")
def command(config: Config, output: str, verbose: bool, quiet: bool) -> None:
    """List the services and the state of each."""
    rows: list[Row] = ask(config.daemon.runtime, "ps")
    names = [row["service"] for row in rows]
    if output == "json":
        print_json(names if quiet else rows)
    elif quiet:
        click.echo("".join(f"{name}\n" for name in names), nl=False)
    else:
        titles = _VERBOSE if verbose else _TITLES
        cells = [[shown[title] for title in titles] for shown in map(_shown, rows)]
        click.echo(columns(titles, cells, paint={"STATE": _COLOURS}))


def _shown(row: "Row") -> dict[str, str]:
    return {
        "SERVICE": row["service"],
        "STATE": row["state"],
        "ADDRESS": row["address"],
        "DOMID": _known(row["domid"]),
        "PID": _known(row["pid"]),
        "MEMORY": f"{row['memory'] / (1 << 20):g} MiB",
        "UP": "-" if row["up"] is None else _duration(row["up"]),
        "CONNECTIONS": str(row["connections"]),
        "HELD": str(row["held"]),
        "SUMMONS": str(row["summons"]),
        "NAMES": ",".join(row["names"]) or "-",
        "LAST END": row["last"] or "-",
    }


def _known(number: int | None) -> str:
    return "-" if number is None else str(number)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
