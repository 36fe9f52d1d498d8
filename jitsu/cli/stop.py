"""`jitsu stop`."""

import click

from jitsu.cli.options import complete_service, daemon_option, output_option, print_json
from jitsu.config import DaemonConfig
from jitsu.daemon.client import ask


@click.command("stop", epilog="Example: jitsu stop hello")
@daemon_option
@output_option
@click.argument("services", nargs=-1, required=True, metavar="SERVICE...", shell_complete=complete_service)
def command(daemon: DaemonConfig, output: str, services: tuple[str, ...]) -> None:
    """Dismiss services by hand; returns when they are gone."""
    for service in services:
        ask(daemon.runtime, "stop", service=service)
        if output == "table":
            click.echo(f"{service}: asleep")
    if output == "json":
        print_json([{"service": service, "state": "asleep"} for service in services])
