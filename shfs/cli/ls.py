"""`shfs ls`: the objects of a volume."""

import click

from shfs.cli.listing import print_listing
from shfs.cli.options import human, output_option, print_json, split, volume_arguments
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
    rows = []
    for item in items:
        name = item.name + (" (default)" if item.default else "") + (f" -> {item.target}" if item.link else "")
        rows.append((item.digest.hex(), "" if item.link else human(item.size), item.type, item.mime, name))
    print_listing(("DIGEST", "SIZE", "TYPE", "MIME", "NAME"), rows, right=("SIZE",))
