"""`jitsu logs`."""

import click

from jitsu.cli.options import config_option, output_option, print_json
from jitsu.config import Config
from jitsu.domains.console import read_tail
from jitsu.errors import ConfigError


@click.command("logs", epilog="Example: jitsu logs hello --tail 20")
@config_option
@output_option
@click.argument("service")
@click.option("--tail", default=100, show_default=True, type=click.IntRange(1), help="How many lines.")
def command(config: Config, output: str, service: str, tail: int) -> None:
    """Show what a guest printed on its console, also when no daemon runs."""
    if service not in config.services:
        known = ", ".join(config.services)
        raise ConfigError(f"there is no service {service} in {config.path}", hint=f"the services are: {known}")
    lines = read_tail(config.daemon.state / "console", service, tail)
    if output == "json":
        print_json(lines)
        return
    for line in lines:
        click.echo(line)
