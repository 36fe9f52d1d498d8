"""`shfs apply`: make a volume hold what a manifest says."""

import click

from shfs.cli.options import print_json, split, volume_arguments
from shfs.cli.planned import Planning, carry_out, planning_options
from shfs.fingerprint import Fingerprints
from shfs.manifest import read_manifest


@click.command()
@volume_arguments("MANIFEST")
@click.option("-y", "--yes", is_flag=True, help="Do not ask, on a terminal, before objects are removed or replaced.")
@click.option("--keep", is_flag=True, help="Remove nothing but what has the name of an object of the manifest.")
@planning_options
def command(members: tuple[str, ...], arguments: tuple[str, ...], yes: bool, keep: bool, planning: Planning) -> None:
    """Make a volume hold what a manifest (TOML or JSON) says, and nothing else.

    First it says what has to be added, replaced, changed and removed, and whether there is room; then it does all of
    it, or nothing. To a volume that is as it should be nothing is written.
    """
    paths, (manifest,) = split(members, arguments, least=1, most=1, what="MANIFEST")
    wanted = read_manifest(manifest)
    told = carry_out(
        paths,
        planning,
        lambda volume, progress: (
            wanted,
            Fingerprints(volume, compat_digest=planning.compat_digest, provider=wanted.provider),
        ),
        keep=keep,
        sure=yes,
    )
    if planning.output == "json":
        print_json(told)
