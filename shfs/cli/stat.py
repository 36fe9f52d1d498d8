"""`shfs stat`: all that a volume says about objects."""

from datetime import UTC, datetime
from typing import Any

import click

from shfs.cli.options import console, human, output_option, parse_digest, print_json, printable, split, volume_arguments
from shfs.volume import StoredObject, Volume


@click.command()
@volume_arguments("OBJECT...")
@click.option("--digest", "digests", multiple=True, metavar="HEX", help="An object by its digest.")
@output_option
def command(members: tuple[str, ...], arguments: tuple[str, ...], digests: tuple[str, ...], output: str) -> None:
    """Show everything that a volume says about objects, given by name or digest."""
    paths, names = split(members, arguments, least=0 if digests else 1, most=None, what="OBJECT")
    wanted = [*names, *(f"?{parse_digest(digest).hex()}" for digest in digests)]
    with Volume.open(paths) as volume:
        items = [(item, _row(volume, item)) for item in map(volume.get, wanted)]
    if output == "json":
        print_json([row for _, row in items])
        return
    from rich.table import Table

    for item, row in items:
        table = Table(box=None, pad_edge=False, show_header=False)
        for key, value in row.items():
            table.add_row(key, _text(key, value, item))
        console().print(table)


def _row(volume: Volume, item: StoredObject) -> dict[str, Any]:
    chunks = 0 if item.link else volume.geometry.chunks_of(item.offset + item.size)
    place = {"slot": item.slot, "bucket": volume.table.bucket(item.digest), "chunks": chunks, "offset": item.offset}
    return item.as_json() | {"encoding": item.encoding} | place


def _text(key: str, value: Any, item: StoredObject) -> str:
    if value is None:
        return ""
    if key == "size":
        return f"{value} ({human(value)})"
    if key == "created":
        return moment(item.created)
    return printable(str(value))


def moment(seconds: int) -> str:
    """A Unix time as people read it, in UTC; whatever the calendar does not have as a number."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"{seconds} seconds after 1970"
