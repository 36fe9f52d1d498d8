"""`shfs rm`: objects out of a volume."""

import click

from shfs.cli.options import parse_digest, printable, split, volume_arguments
from shfs.volume import Volume


@click.command()
@volume_arguments("OBJECT...")
@click.option("--digest", "digests", multiple=True, metavar="HEX", help="An object by its digest.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be removed.")
def command(members: tuple[str, ...], arguments: tuple[str, ...], digests: tuple[str, ...], dry_run: bool) -> None:
    """Remove objects, given by name or digest; prints each. All of them are gone afterwards, or none.

    Their chunks are used again after `shfs trim`, since readers that have not remounted still read them.
    """
    paths, names = split(members, arguments, least=0 if digests else 1, most=None, what="OBJECT")
    with Volume.open(paths, write=not dry_run) as volume:
        found = {item.slot: item for item in [volume.get(name, unique=True) for name in names]}
        found |= {item.slot: item for item in [volume.get(f"?{parse_digest(digest).hex()}") for digest in digests]}
        if not dry_run:
            with volume.batch() as batch:
                for item in found.values():
                    batch.remove(item.digest)
    for item in found.values():
        click.echo(f"{item.digest.hex()}  {printable(item.name)}")
