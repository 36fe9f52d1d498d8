"""`shfs trim`: what removed objects took is free again."""

import click

from shfs.cli.options import human, split, volume_arguments
from shfs.volume import Volume


@click.command()
@volume_arguments()
def command(members: tuple[str, ...], arguments: tuple[str, ...]) -> None:
    """Forget removed objects: their chunks and entries are used again, and they cannot be had back.

    Only when every reader of the volume has remounted since, or there is none: a reader that has not would serve what
    is written over them.
    """
    paths, _ = split(members, arguments)
    with Volume.open(paths, write=True) as volume:
        count = len(list(volume.removed()))
        with volume.batch() as batch:
            chunks = batch.trim()
        click.echo(
            f"{count} removed objects forgotten, {chunks} chunks ({human(chunks * volume.geometry.chunk_size)}) freed"
        )
