"""`jitsu events`."""

import json
from datetime import datetime
from typing import TYPE_CHECKING

import click

from jitsu.cli.moment import moment
from jitsu.cli.options import daemon_option, output_option, print_json
from jitsu.config import DaemonConfig
from jitsu.daemon.client import ask, follow
from jitsu.errors import DaemonError

if TYPE_CHECKING:
    from jitsu.events import EventRecord

_COLOURS = {
    "ready": "green",
    "summoned": "yellow",
    "crashed": "red",
    "crash-looping": "red",
    "refused": "red",
    "denied": "red",
    "dismissed": "bright_black",
}


@click.command("events", epilog="Example: jitsu events -f -o json | jq 'select(.event == \"crashed\")'")
@daemon_option
@output_option
@click.option("-f", "--follow", "on", is_flag=True, help="Go on with what happens from now on, until Ctrl-C.")
@click.option("--since", callback=moment, metavar="TIME", help="Only what is newer: 10m (s, m, h, d), or a date.")
def command(daemon: DaemonConfig, output: str, on: bool, since: datetime | None) -> int:
    """Show what happened: summons and their ends, services that came and went, and who wanted what.

    The daemon keeps the last 1,024. With -f -o json each is a line of its own.
    """
    moment_of = since.timestamp() if since is not None else 0.0
    if not on:
        events: list[EventRecord] = ask(daemon.runtime, "events", since=moment_of, follow=False)
        if output == "json":
            print_json(events)
        else:
            for event in events:
                click.echo(line(event))
        return 0
    try:
        for event in follow(daemon.runtime, "events", since=moment_of, follow=True):
            click.echo(json.dumps(event) if output == "json" else line(event))
    except KeyboardInterrupt:
        # The usual end of it, which needs no word.
        return 130
    raise DaemonError("the daemon has ended", hint="ask again when it runs: jitsu events --since 10m")


def line(event: "EventRecord") -> str:
    """An event for people."""
    when = datetime.fromtimestamp(event["time"]).astimezone().strftime("%m-%d %H:%M:%S.%f")[:-3]
    kind = click.style(f"{event['event']:13}", fg=_COLOURS.get(event["event"]))
    subject = f"{event['service']} #{event['domid']}" if event["domid"] else event["service"]
    details = ", ".join(filter(None, (event["detail"], f"by {event['by']}" if event["by"] else "")))
    return f"{when}  {kind}  {subject:16}  {details}".rstrip()
