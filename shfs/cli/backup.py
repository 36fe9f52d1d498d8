"""`shfs backup`: a second copy of the hash table."""

import click

from shfs.backup import drop_backup, make_backup
from shfs.cli.options import human, printable, split, volume_arguments
from shfs.volume import Volume


@click.command()
@volume_arguments()
@click.option("--drop", is_flag=True, help="Give the backup table up.")
def command(members: tuple[str, ...], arguments: tuple[str, ...], drop: bool) -> None:
    """Make a backup table on a volume that has none, in free chunks that lie together.

    Every change is made in both tables from then on, and `shfs check` compares them. All readers read such a volume.
    """
    paths, _ = split(members, arguments)
    with Volume.open(paths, write=True) as volume:
        unit = volume.geometry.chunk_size
        if drop:
            count = drop_backup(volume)
            click.echo(f"volume {printable(volume.name)}: {count} chunks ({human(count * unit)}) freed")
        else:
            first = make_backup(volume)
            size = human(volume.configuration.table_chunks(unit) * unit)
            click.echo(f"volume {printable(volume.name)}: backup table of {size} at chunk {first}")
