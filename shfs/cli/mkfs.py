"""`shfs mkfs`: make a volume."""

import os
import re
import sys
import uuid
from contextlib import ExitStack
from pathlib import Path

import click

from shfs.cli.options import human, printable
from shfs.cli.progress import bar
from shfs.digests import HashFunction
from shfs.entry import SLOT_SIZE
from shfs.errors import HostError, InputError, ObjectError, VolumeError
from shfs.formatting import DEFAULT_BUCKETS, DEFAULT_ENTRIES, DEFAULT_STRIPE, mkfs
from shfs.geometry import StripeMode
from shfs.journal import sync_folder
from shfs.volume import Volume

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def _size(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    match = re.fullmatch(r"(\d+)([KMGT]?)(?:i?B)?", value, re.IGNORECASE)
    if match is None:
        raise click.BadParameter(f"{value!r} is no size: 64M, 1G, 1048576")
    return int(match[1]) * _UNITS[match[2].upper()]


def _uuid(ctx: click.Context, param: click.Parameter, value: str | tuple[str, ...] | None) -> object:
    if value is None or value == ():
        return None
    return _parsed(value) if isinstance(value, str) else [_parsed(one) for one in value]


def _parsed(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise InputError(f"{text!r} is no UUID", hint="for example 74211434-0163-4d84-b257-0d70f828e617") from None


@click.command()
@click.argument("paths", nargs=-1, metavar="MEMBER...", type=click.Path())
@click.option(
    "-v",
    "--volume",
    "members",
    multiple=True,
    metavar="MEMBER",
    type=click.Path(),
    help="The same, as other commands take it.",
)
@click.option("-n", "--name", default="unnamed", show_default=True, help="The volume's name, at most 16 bytes.")
@click.option(
    "-s", "--stripe", default=DEFAULT_STRIPE, show_default=True, metavar="BYTES", help="4096, 8192, 16384 or 32768."
)
@click.option(
    "--mode",
    type=click.Choice(["independent", "combined"]),
    default="independent",
    show_default=True,
    help="How stripes of several members make up chunks.",
)
@click.option(
    "-b", "--buckets", default=DEFAULT_BUCKETS, show_default=True, metavar="N", help="Buckets of the hash table."
)
@click.option("-e", "--entries", default=DEFAULT_ENTRIES, show_default=True, metavar="N", help="Entries in a bucket.")
@click.option(
    "--hash",
    "function",
    type=click.Choice([f.name.lower() for f in HashFunction]),
    default="sha",
    show_default=True,
    help="Where digests come from; `manual`: from you.",
)
@click.option(
    "--hash-len", "length", type=int, metavar="BYTES", help="Length of a digest; each function has its usual one."
)
@click.option(
    "--allocator",
    type=click.Choice(["first", "best"]),
    default="first",
    show_default=True,
    help="First or best fit. The original cannot add to a best-fit volume.",
)
@click.option("--backup", is_flag=True, help="Keep a second copy of the table.")
@click.option("--size", callback=_size, metavar="SIZE", help="Make each member that is missing, this large: 64M, 1G.")
@click.option("-x", "--erase", is_flag=True, help="Zero the whole volume, and not its table only.")
@click.option("-f", "--force", is_flag=True, help="Do not ask, whatever the members hold.")
@click.option("--uuid", "volume_uuid", callback=_uuid, metavar="UUID", help="The volume's UUID, which is random else.")
@click.option(
    "--member-uuid",
    "member_uuids",
    callback=_uuid,
    multiple=True,
    metavar="UUID",
    help="A member's UUID; once for each.",
)
@click.option(
    "--created", type=click.IntRange(0, 2**64 - 1), metavar="SECONDS", help="The creation time, in Unix seconds."
)
def command(
    paths: tuple[str, ...],
    members: tuple[str, ...],
    name: str,
    stripe: int,
    mode: str,
    buckets: int,
    entries: int,
    function: str,
    length: int | None,
    allocator: str,
    backup: bool,
    size: int | None,
    erase: bool,
    force: bool,
    volume_uuid: uuid.UUID | None,
    member_uuids: list[uuid.UUID] | None,
    created: int | None,
) -> None:
    """Make a volume on files or devices; their order is that of the members. Everything on them is lost.

    It asks first where the members hold a volume with objects on it.
    """
    given = [*members, *paths]
    if not given:
        raise click.UsageError("no member was given")
    with ExitStack() as undo:
        if size is not None:
            for path in given:
                _make(path, size, undo)
        if not force:
            _ask(given)
        with bar("erasing" if erase else None) as progress:
            label = mkfs(
                given,
                name=name,
                stripe=stripe,
                mode=StripeMode[mode.upper()],
                buckets=buckets,
                entries=entries,
                function=HashFunction.named(function),
                digest_length=length,
                allocator=("first", "best").index(allocator),
                backup=backup,
                erase=erase,
                volume_uuid=volume_uuid,
                member_uuids=member_uuids,
                created=created,
                progress=progress,
            )
        undo.pop_all()
    size_text = human(label.geometry.chunks * label.geometry.chunk_size)
    click.echo(
        f"volume {printable(name)} ({label.volume}): "
        f"{label.geometry.chunks} chunks of {human(label.geometry.chunk_size)}, {size_text}"
    )
    if buckets * entries % (label.geometry.chunk_size // SLOT_SIZE):
        click.echo(
            "note: the table does not fill its last chunk; original MiniCache guests die of that when they remount",
            err=True,
        )


def _make(path: str, size: int, undo: ExitStack) -> None:
    """A sparse file, unless there is something; gone again if no volume comes of it."""
    try:
        with open(path, "xb") as file:
            undo.callback(os.unlink, path)
            file.truncate(size)
        sync_folder(Path(path).parent)
    except FileExistsError:
        return
    except OSError as error:
        raise HostError(f"{path} cannot be made: {error.strerror}", hint="look at its folder") from None


def _ask(paths: list[str]) -> None:
    """Is a volume lost that has something on it? Where nobody can be asked the answer is no. Raises ObjectError."""
    try:
        with Volume.open(paths) as volume:
            count = sum(1 for _ in volume.objects())
            name = volume.name
    except (VolumeError, InputError):
        return
    if not count:
        return
    told = f"{paths[0]} holds volume {name} with {count} objects"
    if not sys.stdin.isatty():
        raise ObjectError(told, hint="--force makes a new volume, and everything on the old one is lost")
    click.confirm(f"{told}: are they to be lost?", abort=True)
