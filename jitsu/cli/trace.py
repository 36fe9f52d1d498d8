"""`jitsu trace`."""

import click

from jitsu.cli.options import config_option, console, output_option, print_json
from jitsu.cli.waterfall import waterfall
from jitsu.config import Config
from jitsu.daemon.client import ask
from jitsu.trace import TraceRecord


@click.command("trace", epilog="Example: jitsu trace hello --last 3")
@config_option
@output_option
@click.argument("service", required=False, default="")
@click.option("--last", "count", default=1, show_default=True, type=click.IntRange(1, 256), help="How many summons.")
def command(config: Config, output: str, service: str, count: int) -> None:
    """Show where the milliseconds of the last summons went, of one service or of all."""
    traces: list[TraceRecord] = ask(config.daemon.runtime, "trace", service=service, last=count)
    if output == "json":
        print_json(traces)
        return
    if not traces:
        click.echo("nobody was summoned yet")
    for trace in traces:
        console().print(waterfall(trace))
