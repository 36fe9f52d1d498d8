"""`shfs default`: the object that is served for an empty request."""

import click

from shfs.cli.options import output_option, parse_digest, print_json, printable, split, volume_arguments
from shfs.errors import ObjectError
from shfs.volume import Volume


@click.command()
@volume_arguments("[OBJECT]")
@click.option("--digest", metavar="HEX", help="The object by its digest.")
@click.option("--clear", is_flag=True, help="Let no object be the default one.")
@output_option
def command(members: tuple[str, ...], arguments: tuple[str, ...], digest: str | None, clear: bool, output: str) -> None:
    """Show the default object, or set it, or clear it."""
    paths, names = split(members, arguments, most=0 if clear or digest else 1, what="OBJECT")
    if clear and digest:
        raise click.UsageError("--clear takes no object")
    wanted = names[0] if names else None if digest is None else f"?{parse_digest(digest).hex()}"
    with Volume.open(paths, write=clear or wanted is not None) as volume:
        if clear or wanted is not None:
            item = None if wanted is None else volume.get(wanted, unique=True)
            with volume.batch() as batch:
                batch.set_default(None if item is None else item.digest)
        item = volume.default
        if item is None and not clear:
            raise ObjectError(
                f"volume {volume.name} has no default object", hint="`shfs default VOLUME OBJECT` sets it"
            )
    if output == "json":
        print_json(None if item is None else item.as_json())
    elif item is not None:
        click.echo(f"{item.digest.hex()}  {printable(item.name)}")
