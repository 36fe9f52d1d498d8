"""`shfs import`: the files of a tar archive into a volume."""

import os
import sys
from contextlib import ExitStack

import click

from shfs.cli.options import split, volume_arguments
from shfs.cli.taking import Taking, take_in, taking_options
from shfs.errors import InputError
from shfs.intake import Outcome
from shfs.tarball import additions


@click.command("import")
@volume_arguments("[TARFILE]")
@taking_options
def command(members: tuple[str, ...], arguments: tuple[str, ...], taking: Taking) -> None:
    """Add the files of a tar archive, packed or not; without a TARFILE, or with -, from standard input.

    It is read as it comes, and never unpacked to the disk. All of its files are there afterwards, or none.
    """
    paths, files = split(members, arguments, most=1, what="TARFILE")
    file = files[0] if files else "-"
    if file == "-" and sys.stdin.isatty():
        raise click.UsageError("no TARFILE was given, and standard input is a terminal")
    outcome = Outcome()
    with ExitStack() as stack:
        try:
            source = stack.enter_context(open(0 if file == "-" else file, "rb", buffering=0, closefd=file != "-"))
        except OSError as error:
            raise InputError(
                f"{file} cannot be read: {error.strerror}", hint="give a tar archive, or - for standard input"
            ) from None
        what = "the archive on standard input" if file == "-" else os.fspath(file)
        taken = additions(source, what, taking.selection, taking.naming(outcome))
        take_in(paths, taking, outcome, taken, size=None)
