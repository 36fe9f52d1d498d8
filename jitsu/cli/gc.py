"""`jitsu gc`."""

import click

from jitsu.cli.columns import columns
from jitsu.cli.options import daemon_option, output_option, print_json
from jitsu.config import DaemonConfig
from jitsu.errors import ResourceBusy


@click.command("gc", epilog="Example: jitsu gc; jitsu gc --remove")
@daemon_option
@output_option
@click.option("--remove", is_flag=True, help="Remove it, and do not only say what there is.")
def command(daemon: DaemonConfig, output: str, remove: bool) -> None:
    """Say what a daemon that is dead left on this host: guests, files, bridges; and remove it with --remove.

    A daemon that starts again takes over what is good of it. One that runs owns it all, and nothing is left over.
    """
    from jitsu.daemon.leftovers import leftovers
    from jitsu.daemon.lock import runtime_folder

    owner = ""
    try:
        with runtime_folder(daemon.runtime):
            found = leftovers(daemon)
            for each in found if remove else ():
                each.remove()
    except ResourceBusy:
        found, owner = [], ": a daemon runs, and owns it all"
    if output == "json":
        facts = [{"kind": each.kind, "name": each.name, "detail": each.detail, "removed": remove} for each in found]
        print_json(facts)
    elif not found:
        click.echo(f"nothing of {daemon.instance} is left over{owner}")
    else:
        click.echo(columns(("KIND", "NAME", "WHAT IT IS"), [(each.kind, each.name, each.detail) for each in found]))
        click.echo("\nremoved all of it" if remove else "\nnothing was removed; to do so: jitsu gc --remove")
