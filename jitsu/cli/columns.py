"""Rows as aligned text. Ten thousand of them take a moment, and nothing is loaded for it."""

from collections.abc import Collection, Mapping, Sequence

import click

Paint = Mapping[str, str]
"""The colour of a column's cells, by what they say."""


def columns(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Collection[str] = (),
    paint: Mapping[str, Paint] | None = None,
) -> str:
    """The rows below their titles, each column as wide as its widest cell; those in `right` end on one edge.

    The last column is as long as it likes, on the left. `click.echo` takes the colours out where they are not wanted.
    """
    paints = [(paint or {}).get(title) for title in titles]
    widths = [max(map(len, cells)) for cells in zip(titles, *rows, strict=True)]
    widths[-1] = 0
    aligned = [
        [cell.rjust(width) if title in right else cell.ljust(width) for cell in cells]
        for title, width, cells in zip(titles, widths, zip(titles, *rows, strict=True), strict=True)
    ]
    for number, colours in enumerate(paints):
        if colours is not None:
            painted = {cell: _painted(cell, colours) for cell in set(aligned[number][1:])}
            aligned[number][1:] = [painted[cell] for cell in aligned[number][1:]]
    head, *lines = ("  ".join(cells).rstrip() for cells in zip(*aligned, strict=True))
    return "\n".join([click.style(head, bold=True), *lines])


def _painted(cell: str, colours: Paint) -> str:
    colour = colours.get(cell.strip())
    return cell if colour is None else click.style(cell, fg=colour)
