"""`shfs stats`: what caches counted."""

import sys
from typing import BinaryIO

import click

from shfs.cli.listing import print_listing
from shfs.cli.options import print_json
from shfs.cli.stat import moment
from shfs.errors import HostError, InputError
from shfs.statistics import Access, Report, Shape, Statistics, merge, read_statistics, report
from shfs.volume import Volume


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(allow_dash=True))
@click.option(
    "-v",
    "--volume",
    "members",
    multiple=True,
    metavar="MEMBER",
    type=click.Path(),
    help="A member of the volume whose objects were counted; once for each.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "text"]),
    default="table",
    show_default=True,
    help="For people, for programs, or as caches export it.",
)
def command(files: tuple[str, ...], members: tuple[str, ...], output: str) -> None:
    """Show how often objects were asked for, by the statistics that caches exported: hot objects first.

    A FILE is the text of an export, the block device that a cache wrote it to or a copy of it, or what this command
    printed as JSON; `-` is standard input. Several are added up.
    """
    exports = [_read(path) for path in files]
    statistics = exports[0] if len(exports) == 1 else merge(exports)
    if output == "text":
        click.echo(statistics.encode(), nl=False)
        return
    if members:
        with Volume.open(members) as volume:
            found = report(statistics, volume)
    else:
        found = report(statistics)
    if output == "json":
        print_json(found.as_json())
    else:
        _print(found)


def _read(path: str) -> Statistics:
    if path == "-":
        return read_statistics(sys.stdin.buffer, "standard input")
    try:
        file: BinaryIO = open(path, "rb")  # noqa: SIM115  closed below
    except OSError as error:
        kind = (
            InputError if isinstance(error, (FileNotFoundError, IsADirectoryError, NotADirectoryError)) else HostError
        )
        raise kind(f"{path} cannot be read: {error.strerror}", hint="give the file or device of an export") from None
    with file:
        return read_statistics(file, path)


def _print(found: Report) -> None:
    shape = found.shape
    counts = ["HITS", "MISSES"]
    if shape.counts_transfers:
        counts += ["COMPLETED", *(f"{threshold}%" for threshold in shape.thresholds)]
    known = [(*_cells(record, shape), "" if item is None else item.name) for record, item in found.known]
    print_listing(["DIGEST", *counts, "LAST ACCESS", "NAME"], known, right=counts)
    if found.unknown:
        unknown = [_cells(record, shape) for record in found.unknown]
        click.echo()
        print_listing(["NOT ON THE VOLUME", *counts, "LAST ACCESS"], unknown, right=counts)


def _cells(record: Access, shape: Shape) -> tuple[str, ...]:
    transfers = (record.completed, *record.progress) if shape.counts_transfers else ()
    last = moment(record.last) if record.last else "never"
    return record.digest.hex(), *map(str, (record.hits, record.misses, *transfers)), last
