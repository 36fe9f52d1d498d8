"""`jitsu serve`."""

import logging

import click

from jitsu.cli.options import config_option
from jitsu.config import Config


@click.command("serve", epilog="Example: jitsu serve -c jitsu.toml")
@config_option
@click.option("-v", "--verbose", is_flag=True, help="Log what is of interest to developers too.")
def command(config: Config, verbose: bool) -> None:
    """Run the daemon in the foreground.

    It answers DNS for its zone, and a question for a service's address, or a SYN to it, summons the service's guest.
    SIGTERM dismisses all guests and removes what was made. Guests of a daemon that was killed are adopted.
    """
    from jitsu.daemon.serve import serve

    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)-7s %(message)s",
    )
    # Its debugging lines are about every select() of the loop.
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    serve(config)
