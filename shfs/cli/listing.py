"""A table of many rows as plain text: aligned and never cut, for it is copied from and sent to other programs."""

from collections.abc import Collection, Sequence

import click

from shfs.cli.options import printable


def listing(titles: Sequence[str], rows: Collection[Sequence[str]], *, right: Collection[str] = ()) -> list[str]:
    """The lines, titles first; the columns named by `right` are aligned to the right. A hundred thousand rows take a
    fraction of the time that rich's tables do, since what can be done is done for a column at once."""
    *columns, last = map(_printable, zip(titles, *rows, strict=True))
    aligned = [_aligned(column, to_the_right=column[0] in right) for column in columns]
    return list(map("  ".join, zip(*aligned, last, strict=True)))


def print_listing(titles: Sequence[str], rows: Collection[Sequence[str]], *, right: Collection[str] = ()) -> None:
    """Print a listing, titles bold on a terminal."""
    first, *lines = listing(titles, rows, right=right)
    click.secho(first, bold=True)
    if lines:
        click.echo("\n".join(lines))


def _printable(column: Sequence[str]) -> Sequence[str]:
    return column if "".join(column).isprintable() else [printable(text) for text in column]


def _aligned(column: Sequence[str], *, to_the_right: bool) -> list[str]:
    """The texts, with blanks up to the width of the widest of them in columns of a terminal."""
    if "".join(column).isascii():
        widths = list(map(len, column))
    else:
        from rich.cells import cell_len

        widths = list(map(cell_len, column))
    widest = max(widths)
    filling = {width: " " * (widest - width) for width in set(widths)}
    if to_the_right:
        return [filling[width] + text for text, width in zip(column, widths, strict=True)]
    return [text + filling[width] for text, width in zip(column, widths, strict=True)]
