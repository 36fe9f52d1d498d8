"""`jitsu top`."""

import sys
import time
from typing import TYPE_CHECKING

import click

from jitsu.cli.options import daemon_option, output_option, print_json
from jitsu.config import DaemonConfig
from jitsu.daemon.client import ask

if TYPE_CHECKING:
    from jitsu.daemon.requests import TopRecord

_EVENTS = 6
_SHORTEST = 0.25
"""Seconds between two looks, from which the use of processors is known."""


@click.command("top", epilog="Example: jitsu top -d 5; jitsu top --once | cat")
@daemon_option
@output_option
@click.option(
    "-d", "--delay", type=click.FloatRange(_SHORTEST), default=2.0, show_default=True, help="Seconds between two looks."
)
@click.option("--once", is_flag=True, help="One look and no more; so it is where there is no terminal.")
def command(daemon: DaemonConfig, output: str, delay: float, once: bool) -> int:
    """Watch the guests that run, what they take, and what happens. Ctrl-C ends it.

    CPU is of one processor, of a guest and its monitor together; RSS is what both have in memory.
    """
    before = _look(daemon)
    if output == "json":
        print_json(before)
        return 0
    from rich.console import Console
    from rich.live import Live

    from jitsu.cli.screen import screen

    console = Console(highlight=False)
    if once or not sys.stdout.isatty():
        time.sleep(_SHORTEST)
        console.print(screen(before, _look(daemon), None))
        return 0
    try:
        with Live(screen(None, before, console.height), console=console, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(delay)
                now = _look(daemon)
                live.update(screen(before, now, console.height), refresh=True)
                before = now
    except KeyboardInterrupt:
        # The usual end of it, which needs no word.
        return 130


def _look(daemon: DaemonConfig) -> "TopRecord":
    record: TopRecord = ask(daemon.runtime, "top", events=_EVENTS)
    return record
