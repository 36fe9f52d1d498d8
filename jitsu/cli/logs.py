"""`jitsu logs`."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import datetime
from itertools import chain

import click

from jitsu.cli.moment import moment
from jitsu.cli.options import complete_service, daemon_option, known_service, output_option, print_json
from jitsu.config import DaemonConfig
from jitsu.domains.console import ConsoleReader, newest

_PAUSE = 0.2
"""Seconds between two looks at the logs."""

_LINES = 100
_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")

Said = tuple[str, str]
"""A service and a line of its console, with the time in front."""


@click.command("logs", epilog="Example: jitsu logs hello --since 10m -f")
@daemon_option
@output_option
@click.argument("services", nargs=-1, required=True, metavar="SERVICE...", shell_complete=complete_service)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is printed from now on, until Ctrl-C.")
@click.option(
    "--tail", type=click.IntRange(0), metavar="N", help=f"How many lines of each: {_LINES}, or all with --since."
)
@click.option("--since", callback=moment, metavar="TIME", help="Only what is newer: 10m (s, m, h, d), or a date.")
@click.pass_context
def command(
    ctx: click.Context,
    daemon: DaemonConfig,
    output: str,
    services: tuple[str, ...],
    follow: bool,
    tail: int | None,
    since: datetime | None,
) -> int:
    """Show what guests printed on their consoles, also when no daemon runs.

    The lines of several services are merged by their time. With -f -o json each line is an object of its own.
    """
    count = _LINES if tail is None and since is None else tail
    with ExitStack() as stack:
        logs = daemon.state / "console"
        readers = {
            name: stack.enter_context(closing(ConsoleReader(logs, known_service(ctx, name)))) for name in services
        }
        kept = [(name, line) for name, reader in readers.items() for line in newest(reader.read(), count, since)]
        kept.sort(key=_when)
        if output == "json" and not follow:
            print_json([_fields(said) for said in kept])
            return 0
        show = _as_json if output == "json" else _as_text(list(readers))
        try:
            for said in chain(kept, _coming(readers) if follow else ()):
                click.echo(show(said))
        except KeyboardInterrupt:
            # The usual end of it, which needs no word.
            return 130
    return 0


def _coming(readers: dict[str, ConsoleReader]) -> Iterator[Said]:
    """What is printed from now on, for ever."""
    while True:
        time.sleep(_PAUSE)
        yield from sorted(((name, line) for name, reader in readers.items() for line in reader.read()), key=_when)


def _when(said: Said) -> str:
    return said[1].partition(" ")[0]


def _fields(said: Said) -> dict[str, str]:
    moment, _, line = said[1].partition(" ")
    return {"service": said[0], "time": moment, "line": line}


def _as_json(said: Said) -> str:
    return json.dumps(_fields(said))


def _as_text(services: list[str]) -> Callable[[Said], str]:
    """How a line is shown to people: as it is, and behind the name of its service where there are several."""
    if len(services) == 1:
        return lambda said: said[1]
    width = max(map(len, services))
    prefixes = {
        name: click.style(f"{name:{width}} |", fg=_COLOURS[number % len(_COLOURS)])
        for number, name in enumerate(services)
    }
    return lambda said: f"{prefixes[said[0]]} {said[1]}"
