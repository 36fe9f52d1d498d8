"""`shfs cat`: the bytes of an object."""

import sys

import click

from shfs.cli.options import parse_digest, split, volume_arguments
from shfs.errors import ObjectError
from shfs.volume import Volume


@click.command()
@volume_arguments("[OBJECT]")
@click.option("--digest", metavar="HEX", help="The object by its digest.")
def command(members: tuple[str, ...], arguments: tuple[str, ...], digest: str | None) -> None:
    """Write the bytes of an object to standard output: by name, by digest, or else of the default object."""
    paths, names = split(members, arguments, most=0 if digest else 1, what="OBJECT")
    with Volume.open(paths) as volume:
        if digest is not None:
            item = volume.get(f"?{parse_digest(digest).hex()}")
        elif names:
            item = volume.get(names[0])
        elif volume.default is not None:
            item = volume.default
        else:
            raise ObjectError(f"volume {volume.name} has no default object", hint="give a name, or --digest HEX")
        for block in volume.read(item):
            sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()
