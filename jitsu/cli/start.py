"""`jitsu start`."""

import click

from jitsu.cli.options import complete_service, daemon_option, output_option, print_json
from jitsu.config import DaemonConfig
from jitsu.daemon.client import ask


@click.command("start", epilog="Example: jitsu start hello")
@daemon_option
@output_option
@click.argument("services", nargs=-1, required=True, metavar="SERVICE...", shell_complete=complete_service)
def command(daemon: DaemonConfig, output: str, services: tuple[str, ...]) -> None:
    """Summon services by hand; returns when they serve."""
    for service in services:
        ask(daemon.runtime, "start", service=service)
        if output == "table":
            click.echo(f"{service}: serving")
    if output == "json":
        print_json([{"service": service, "state": "serving"} for service in services])
