"""`jitsu consoled`."""

import click

from jitsu.cli.options import config_option
from jitsu.config import Config


@click.command("consoled", epilog="Example: jitsu consoled -c jitsu.toml")
@config_option
def command(config: Config) -> None:
    """Keep the consoles of all guests, in the foreground.

    `jitsu serve` starts one by itself where none runs; this is for service managers that start it before. It keeps what
    guests print, also while no daemon runs, and serves `jitsu console`. It ends on SIGTERM; guests are not touched.
    """
    from jitsu.daemon.consoled import consoled

    consoled(config.daemon.runtime, config.daemon.state)
