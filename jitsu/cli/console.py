"""`jitsu console`."""

import sys

import click

from jitsu.cli.options import complete_service, daemon_option, known_service
from jitsu.config import DaemonConfig

_LINES = 20


@click.command("console", epilog="Example: jitsu console hello")
@daemon_option
@click.argument("service", shell_complete=complete_service)
@click.option(
    "--tail",
    type=click.IntRange(0),
    default=_LINES,
    show_default=True,
    metavar="N",
    help="Begin with the last N lines.",
)
@click.option(
    "--raw", is_flag=True, help="Show the guest's control characters too: it can then do anything to the terminal."
)
@click.pass_context
def command(ctx: click.Context, daemon: DaemonConfig, service: str, tail: int, raw: bool) -> int:
    """Look at the console of a running guest, and type to it.

    Ctrl-] leaves, and all other keys are the guest's. Where input is no terminal it is passed on as it is, its end is
    kept from the guest, and Ctrl-C leaves. Several may look at once, and all of them type to the same guest. It all
    ends with the guest.
    """
    from jitsu.daemon.console_client import relay, view

    with view(daemon.runtime, known_service(ctx, service), lines=tail, raw=raw) as connection:
        terminal = sys.stdin.isatty()
        if terminal:
            click.echo(f"the console of {service}; Ctrl-] leaves", err=True)
        try:
            relay(connection, terminal=terminal)
        except KeyboardInterrupt:
            # The usual end of it where there is no terminal, which needs no word.
            return 130
        if terminal:
            click.echo(err=True)
    return 0
