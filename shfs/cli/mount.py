"""`shfs mount`: a volume in the file system."""

import click

from shfs.cli.options import split, volume_arguments


@click.command()
@volume_arguments("DIR")
@click.option("-f", "--foreground", is_flag=True, help="Stay until it is unmounted, or Ctrl-C.")
@click.option("--allow-other", is_flag=True, help="Let other users look at it too.")
def command(members: tuple[str, ...], arguments: tuple[str, ...], foreground: bool, allow_other: bool) -> None:
    """Mount a volume on a folder, to be read: by name in names/, by digest in hashes/. umount ends it."""
    from shfs.fuse import mount

    paths, (folder,) = split(members, arguments, least=1, most=1, what="DIR")
    mount(paths, folder, foreground=foreground, allow_other=allow_other)
