"""Options, arguments and ways of printing that several commands share."""

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from shfs.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

_WIDE = 10_000
"""Characters of a line that goes to a file or another program: rich would take 80."""

_F = TypeVar("_F", bound=Callable[..., Any])


def volume_arguments(rest: str = "") -> Callable[[_F], _F]:
    """`VOLUME` or `-v MEMBER ...`, and behind it whatever `rest` names. Passed on as `members` and `arguments`: use
    `split`."""

    def decorate(function: _F) -> _F:
        function = click.argument(
            "arguments", nargs=-1, metavar=f"[VOLUME] {rest}".strip(), type=click.Path(allow_dash=True)
        )(function)
        return click.option(
            "-v",
            "--volume",
            "members",
            multiple=True,
            metavar="MEMBER",
            type=click.Path(),
            help="A member of the volume; once for each. Without it the first argument is the volume.",
        )(function)

    return decorate


def split(
    members: tuple[str, ...],
    arguments: tuple[str, ...],
    *,
    least: int = 0,
    most: int | None = 0,
    what: str = "argument",
) -> tuple[list[str], list[str]]:
    """The members of the volume, and the other arguments, of which there are `least` to `most` (None: any number) and
    each is a `what`. Raises click's UsageError."""
    paths, rest = (list(members), list(arguments)) if members else (list(arguments[:1]), list(arguments[1:]))
    if not paths:
        raise click.UsageError("no volume was given: give its file, or -v MEMBER for each of its members")
    if len(rest) < least:
        raise click.UsageError(f"no {what} was given")
    if most is not None and len(rest) > most:
        raise click.UsageError(f"unexpected {what}: {rest[most]}" + ("" if members else " (members are given with -v)"))
    return paths, rest


def output_option(function: _F) -> _F:
    """`-o table|json`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="For people or for programs.",
    )(function)


def parse_digest(text: str) -> bytes:
    """A digest in hexadecimal, with the `?` of an URL or without. Raises InputError."""
    try:
        return bytes.fromhex(text.removeprefix("?"))
    except ValueError:
        raise InputError(f"{text!r} is no digest", hint="a digest is written in hexadecimal digits") from None


def console() -> "Console":
    """Where tables are printed: colours only on a terminal, and never with NO_COLOR; elsewhere nothing is cut.
    Brackets in a text are its own."""
    from rich.console import Console

    return Console(
        highlight=False, markup=False, emoji=False, soft_wrap=True, width=None if sys.stdout.isatty() else _WIDE
    )


def printable(text: str) -> str:
    """A name or a path on one line, whatever is in it: what is no letter, as in a string of Python. Nothing in it moves
    a cursor, and bytes that are no UTF-8 are told."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode("ascii")


def print_json(value: Any) -> None:
    """Print one JSON document. A listing has a row on each line."""
    if isinstance(value, list):
        lines = ",\n ".join(map(json.dumps, value))
        click.echo(f"[{lines}]")
    else:
        click.echo(json.dumps(value, indent=2))


def human(size: int) -> str:
    """A size as people read it: `312 B`, `4.0 KiB`, `1.5 GiB`."""
    if size < 1024:
        return f"{size} B"
    value = float(size)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if value < 1024:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} PiB"
