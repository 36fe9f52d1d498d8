"""`shfs add-hls`: an HLS presentation into a volume."""

from dataclasses import replace

import click

from shfs.cli.options import print_json, printable, split, volume_arguments
from shfs.cli.planned import Planning, Progress, carry_out, planning_options
from shfs.fingerprint import Fingerprints
from shfs.hls import Presentation
from shfs.volume import Volume
from shfs.wanted import Wanted


@click.command()
@volume_arguments("PLAYLIST")
@click.option("--prefix", default="", metavar="TEXT", help="What each name begins with.")
@click.option(
    "--root",
    metavar="DIR",
    type=click.Path(file_okay=False, exists=True),
    help="The folder that all files lie in, and from which names and absolute paths count; else the playlist's.",
)
@click.option("--default", is_flag=True, help="Make the playlist the default object.")
@click.option("--link-remote", is_flag=True, help="Make links of http URLs, instead of leaving them as they are.")
@click.option(
    "--provider",
    default="",
    metavar="NAME",
    help="What makes the digests of a volume whose are given by hand: blake2b.",
)
@planning_options
def command(
    members: tuple[str, ...],
    arguments: tuple[str, ...],
    prefix: str,
    root: str | None,
    default: bool,
    link_remote: bool,
    provider: str,
    planning: Planning,
) -> None:
    """Add an HLS presentation: a playlist and all that it names, which it names by digest afterwards.

    Segments, keys, maps and inner playlists (RFC 8216) are objects that are there afterwards, all or none of them. What
    the volume has already is not added again; an older playlist of the same name is replaced.
    """
    paths, (playlist,) = split(members, arguments, least=1, most=1, what="PLAYLIST")
    presentation = Presentation(playlist, root=root, prefix=prefix, link_remote=link_remote)
    for note in presentation.notes:
        click.echo(f"note: {note}", err=True)
    top: dict[str, str] = {}

    def ask(volume: Volume, progress: Progress) -> tuple[Wanted, Fingerprints]:
        fingerprints = Fingerprints(volume, compat_digest=planning.compat_digest, provider=provider)
        wanted = presentation.wanted(fingerprints, progress)
        file = wanted.files[-1]
        top.update(digest=fingerprints.of(file).digest.hex(), name=file.name)
        return replace(wanted, default=file.name if default else None), fingerprints

    told = carry_out(paths, planning, ask, keep=True)
    if planning.output == "json":
        print_json(told | {"playlist": top})
    else:
        click.echo(f"{top['digest']}  {printable(top['name'])}")
