"""`jitsu demo`."""

import os

import click

from jitsu import artifacts
from jitsu.cli.options import console, print_json
from jitsu.cli.waterfall import waterfall
from jitsu.demo.client import Visit
from jitsu.network.namespace import unshare_network
from jitsu.network.tap import check_device
from jitsu.trace import TraceRecord


@click.command("demo", epilog="Example: jitsu demo --json | jq .cold.http_ms")
@click.option("--json", "as_json", is_flag=True, help="Print the figures for programs.")
def command(as_json: bool) -> None:
    """See it work: private namespaces, five services, a client, and where each millisecond went.

    A guest is built from source if the cache has none. Nothing outside the private namespaces is touched.
    """
    from jitsu.demo.play import play

    out = console()

    def say(line: str) -> None:
        click.echo(line, err=True)

    def tell(what: str, visit: Visit | None, trace: TraceRecord | None) -> None:
        if as_json:
            return
        out.print(f"\n[bold green]●[/] {what}")
        if visit is not None:
            asked = "" if visit.dns_ms is None else f"address after {visit.dns_ms:.1f} ms, "
            out.print(f"  {asked}first byte after [bold]{visit.http_ms:.1f} ms[/], SYNs sent: {visit.syn_sent}")
        if trace is not None:
            out.print(waterfall(trace))

    check_device()
    kernel = artifacts.build("hello", say) / "hello.elf"
    if os.geteuid() != 0 and not as_json:
        out.print(
            "Not root: in a user namespace of its own. Degraded: guests run under this user's id, not one of their own."
        )
    unshare_network()
    figures = play(kernel, tell)
    if as_json:
        print_json(figures)
        return
    floor, cold = figures["floor_ms"], figures["cold"]["http_ms"]
    out.print(
        f"\nAccelerator: {figures['accelerator']}. A cold start by DNS took {cold:.1f} ms,"
        f" {cold / floor:.2f} times the floor."
    )
