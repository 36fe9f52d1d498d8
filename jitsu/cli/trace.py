"""`jitsu trace`."""

from typing import TYPE_CHECKING

import click

from jitsu.cli.options import complete_service, console, daemon_option, output_option, print_json
from jitsu.cli.summary import summary
from jitsu.config import DaemonConfig
from jitsu.daemon.client import ask

if TYPE_CHECKING:
    from jitsu.trace import TraceRecord


@click.command("trace", epilog="Example: jitsu trace hello --last 20")
@daemon_option
@output_option
@click.argument("service", required=False, default="", shell_complete=complete_service)
@click.option("--last", "count", default=1, show_default=True, type=click.IntRange(1, 256), help="How many summons.")
@click.option("--waterfall", "pictured", is_flag=True, help="A picture of each, also of many.")
def command(daemon: DaemonConfig, output: str, service: str, count: int, pictured: bool) -> None:
    """Show where the milliseconds of the last summons went, of one service or of all.

    One summon is a picture, several are a table with a line each.
    """
    traces: list[TraceRecord] = ask(daemon.runtime, "trace", service=service, last=count)
    if output == "json":
        print_json(traces)
        return
    if not traces:
        click.echo("nobody was summoned yet")
    elif count > 1 and not pictured:
        click.echo(summary(traces))
    else:
        from jitsu.cli.waterfall import waterfall

        for trace in traces:
            console().print(waterfall(trace))
