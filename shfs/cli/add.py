"""`shfs add`: files and folders into a volume."""

import os
import sys

import click

from shfs.cli.options import parse_digest, split, volume_arguments
from shfs.cli.taking import Taking, take_in, taking_options, threads_option
from shfs.errors import InputError
from shfs.intake import Outcome, additions
from shfs.tree import Tree, raising


@click.command()
@volume_arguments("FILE|DIR...")
@click.option("-n", "--name", help="The name of the object, of one file; at most 64 bytes.")
@click.option(
    "-d",
    "--digest",
    metavar="HEX",
    help="Its digest, where digests are given by hand; elsewhere it must be the true one.",
)
@click.option("-T", "--files-from", metavar="FILE", help="Add what is listed in a file too, a path a line; - is stdin.")
@click.option("-0", "--null", is_flag=True, help="In that list, paths end with NUL and not with the line.")
@click.option("--follow", is_flag=True, help="In folders, take what symbolic links point to.")
@click.option("--keep-going", is_flag=True, help="Add whatever can be added, and fail at the end.")
@threads_option
@taking_options
def command(
    members: tuple[str, ...],
    arguments: tuple[str, ...],
    name: str | None,
    digest: str | None,
    files_from: str | None,
    null: bool,
    follow: bool,
    keep_going: bool,
    threads: int,
    taking: Taking,
) -> None:
    """Add files, and all files in folders; prints digest and name of each. All of them are there afterwards, or none.

    Content that the volume has already is an error for a file that is given here, and counted elsewhere. Many files in
    one call take a fraction of the time of as many calls: give folders, or a list with -T.
    """
    paths, given = split(members, arguments, least=0 if files_from else 1, most=None, what="FILE")
    listed = [] if files_from is None else _listed(files_from, null=null)
    if (name, digest) != (None, None) and (len(given) != 1 or listed or os.path.isdir(given[0])):
        raise InputError("a name or a digest was given for several files", hint="add them one by one, or without")
    wanted = None if digest is None else parse_digest(digest)
    outcome = Outcome()
    failed = outcome.keep if keep_going or taking.dry_run else raising
    tree = Tree(taking.selection, follow, outcome.notes.append, failed)
    found, more = list(tree.files(given)), list(tree.files(listed))
    naming = taking.naming(outcome)
    wanted_files = [
        *additions(found, naming, failed, name=name, digest=wanted, must_be_new=True),
        *additions(more, naming, failed),
    ]
    take_in(
        paths,
        taking,
        outcome,
        wanted_files,
        size=sum(file.size for file in (*found, *more)),
        threads=threads,
        keep_going=keep_going,
        summary=bool(listed) or not all(file.alone for file in found),
    )


def _listed(file: str, *, null: bool) -> list[str]:
    """The paths in a list. Raises InputError."""
    try:
        if file == "-":
            data = sys.stdin.buffer.read()
        else:
            with open(file, "rb") as source:
                data = source.read()
    except OSError as error:
        raise InputError(
            f"the list {file} cannot be read: {error.strerror}", hint="it has a path a line; - is standard input"
        ) from None
    return [os.fsdecode(path) for path in data.split(b"\0" if null else b"\n") if path]
