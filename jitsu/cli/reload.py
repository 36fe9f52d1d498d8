"""`jitsu reload`."""

import click

from jitsu.cli.options import daemon_option, output_option, print_json
from jitsu.config import DaemonConfig
from jitsu.daemon.client import ask


@click.command("reload", epilog="Example: jitsu config check && jitsu reload")
@daemon_option
@output_option
def command(daemon: DaemonConfig, output: str) -> None:
    """Let the daemon read its configuration again; returns when it is in effect. A broken file changes nothing.

    Services come and go, and change as `jitsu service edit` changes them. [daemon], [network] and [dns] listen cannot
    change while the daemon runs.
    """
    counts = ask(daemon.runtime, "reload")
    if output == "json":
        print_json(counts)
    else:
        came, changed, went, all_of_them = (counts[key] for key in ("added", "changed", "removed", "services"))
        click.echo(f"reloaded: {came} added, {changed} changed, {went} removed; {all_of_them} services now")
