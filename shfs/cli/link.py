"""`shfs link`: an object that another server has."""

import click

from shfs.cli.options import parse_digest, printable, split, volume_arguments
from shfs.links import LinkKind
from shfs.volume import Volume


@click.command()
@volume_arguments("URL")
@click.option(
    "-t",
    "--type",
    "kind",
    type=click.Choice([k.name.lower() for k in LinkKind]),
    default="redirect",
    show_default=True,
    help="Send clients there, or fetch the stream and clone it.",
)
@click.option("-n", "--name", help="The object's name, at most 64 bytes; else the last part of the URL.")
@click.option("-d", "--digest", metavar="HEX", help="Its digest, where digests are given by hand.")
def command(
    members: tuple[str, ...], arguments: tuple[str, ...], kind: str, name: str | None, digest: str | None
) -> None:
    """Add a link; prints its digest, which is that of the URL as written, and its name."""
    paths, (url,) = split(members, arguments, least=1, most=1, what="URL")
    with Volume.open(paths, write=True) as volume, volume.batch() as batch:
        item = batch.link(
            url, LinkKind[kind.upper()], name=name, digest=None if digest is None else parse_digest(digest)
        )
    click.echo(f"{item.digest.hex()}  {printable(item.name)}")
