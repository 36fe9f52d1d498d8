"""`shfs add`: files into a volume."""

import click

from shfs.cli.options import parse_digest, split, volume_arguments
from shfs.errors import InputError
from shfs.volume import Volume


@click.command()
@volume_arguments("FILE...")
@click.option("-n", "--name", help="The object's name, at most 64 bytes; else the last part of the path.")
@click.option("-m", "--mime", default="", help="Its MIME type, at most 32 bytes.")
@click.option(
    "-d",
    "--digest",
    metavar="HEX",
    help="Its digest, where digests are given by hand; elsewhere it must be the true one.",
)
@click.option(
    "--compat-digest", is_flag=True, help="Digests as the original makes them: a last chunk that is full is left out."
)
@click.option(
    "--reuse-removed", is_flag=True, help="All readers have remounted: use chunks of removed objects, as if trimmed."
)
def command(
    members: tuple[str, ...],
    arguments: tuple[str, ...],
    name: str | None,
    mime: str,
    digest: str | None,
    compat_digest: bool,
    reuse_removed: bool,
) -> None:
    """Add files to a volume; prints digest and name of each. All of them are there afterwards, or none."""
    paths, files = split(members, arguments, least=1, most=None, what="FILE")
    if len(files) > 1 and (name is not None or digest is not None):
        raise InputError("a name or a digest was given for several files", hint="add them one by one, or without")
    wanted = None if digest is None else parse_digest(digest)
    with (
        Volume.open(paths, write=True) as volume,
        volume.batch(compat_digest=compat_digest, reuse_removed=reuse_removed) as batch,
    ):
        added = [batch.add(file, name=name, mime=mime, digest=wanted) for file in files]
    for item in added:
        click.echo(f"{item.digest.hex()}  {item.name}")
