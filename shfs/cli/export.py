"""`shfs export`: the objects of a volume as files."""

import sys

import click

from shfs.cli.options import printable, split, volume_arguments
from shfs.cli.progress import bar
from shfs.cli.taking import Progress
from shfs.errors import ShfsError, VolumeError
from shfs.export import MANIFEST, placed, write_folder, write_tar
from shfs.manifest_text import manifest_text
from shfs.volume import StoredObject, Volume


@click.command()
@volume_arguments("DIR")
@click.option("--digests", is_flag=True, help="Name files by digest, and not by name.")
@click.option("--keep-going", is_flag=True, help="Leave out objects that cannot be read, and fail at the end.")
def command(members: tuple[str, ...], arguments: tuple[str, ...], digests: bool, keep_going: bool) -> None:
    """Write the objects of a volume to files in a new or empty folder; to standard output as a tar archive with -.

    manifest.toml beside them makes a volume of them again, links, types and default object included: shfs apply.
    """
    paths, (folder,) = split(members, arguments, least=1, most=1, what="DIR")
    if folder == "-" and sys.stdout.isatty():
        raise click.UsageError("standard output is a terminal: give a folder, or send the archive elsewhere")
    notes: list[str] = []
    try:
        with Volume.open(paths) as volume, bar("writing") as show:
            items, lost = _readable(volume, keep_going=keep_going)
            notes += lost
            files = placed(items, by_digest=digests, tell=notes.append)
            manifest = manifest_text(volume, files, notes.append)
            progress = Progress(show, sum(file.item.size for file in files)).more
            if folder == "-":
                write_tar(volume, files, manifest, sys.stdout.buffer, progress)
                sys.stdout.buffer.flush()
            else:
                write_folder(volume, files, manifest, folder, progress)
    finally:
        for note in notes:
            click.echo(f"note: {printable(note)}", err=True)
    links = len(items) - len(files)
    click.echo(f"{len(files)} files, and {MANIFEST} with {links} links", err=True)
    if lost:
        count = f"{len(lost)} of the objects {'was' if len(lost) == 1 else 'were'}"
        raise ShfsError(f"{count} left out", hint="`shfs check` tells what is damaged")


def _readable(volume: Volume, *, keep_going: bool) -> tuple[list[StoredObject], list[str]]:
    """The objects whose chunks lie where chunks can lie, and what is wrong with the others, if that is not the end."""
    items, lost = [], []
    for item in volume.objects():
        try:
            volume.check_run(item)
            items.append(item)
        except VolumeError as error:
            if not keep_going:
                raise
            lost.append(error.message)
    return items, lost
