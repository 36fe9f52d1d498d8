"""A table of many rows as plain text: aligned and never cut, for it is copied from and sent to other programs."""

from collections.abc import Collection, Iterator, Sequence

import click

from shfs.cli.options import printable


def listing(titles: Sequence[str], rows: Collection[Sequence[str]], *, right: Collection[str] = ()) -> Iterator[str]:
    """The lines, titles first; the columns named by `right` are aligned to the right. A hundred thousand rows take a
    fraction of the time that rich's tables do."""
    texts = [[printable(text) for text in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(titles, *texts, strict=True)]
    *before, _ = widths
    for row in (titles, *texts):
        cells = [
            " " * (width - _width(text)) + text if title in right else text + " " * (width - _width(text))
            for text, title, width in zip(row, titles, before, strict=False)
        ]
        yield "  ".join([*cells, row[-1]])


def print_listing(titles: Sequence[str], rows: Collection[Sequence[str]], *, right: Collection[str] = ()) -> None:
    """Print a listing, titles bold on a terminal."""
    first, *lines = listing(titles, rows, right=right)
    click.secho(first, bold=True)
    if lines:
        click.echo("\n".join(lines))


def _width(text: str) -> int:
    """Columns of a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
