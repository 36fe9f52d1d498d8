"""`shfs ls`: the objects of a volume."""

import click

from shfs.cli.options import console, human, output_option, print_json, split, volume_arguments
from shfs.volume import Volume


@click.command()
@volume_arguments()
@click.option("--removed", is_flag=True, help="List what is left of removed objects instead.")
@output_option
def command(members: tuple[str, ...], arguments: tuple[str, ...], removed: bool, output: str) -> None:
    """List the objects of a volume, in the order of its table."""
    paths, _ = split(members, arguments)
    with Volume.open(paths) as volume:
        items = list(volume.removed() if removed else volume.objects())
    if output == "json":
        print_json([item.as_json() for item in items])
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("DIGEST", "SIZE", "TYPE", "MIME", "NAME"):
        table.add_column(title, justify="right" if title == "SIZE" else "left", no_wrap=True)
    for item in items:
        size = "" if item.link else human(item.size)
        name = item.name + (" (default)" if item.default else "") + (f" -> {item.target}" if item.link else "")
        table.add_row(item.digest.hex(), size, item.type, item.mime, name)
    console().print(table)
