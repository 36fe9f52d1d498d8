"""Rows as aligned text, whole on any terminal and in any pipe, whatever a volume has for names."""

from collections.abc import Collection, Sequence

import click


def columns(titles: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[str] = ()) -> str:
    """The rows below their titles, each column as wide as its widest cell; those in `right` end on one edge. The last
    column is as long as it likes."""
    cells = [[printable(cell) for cell in row] for row in (titles, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    widths[-1] = 0
    lines = [
        "  ".join(
            cell.rjust(width) if title in right else cell.ljust(width)
            for title, width, cell in zip(titles, widths, row, strict=True)
        ).rstrip()
        for row in cells
    ]
    return "\n".join([click.style(lines[0], bold=True), *lines[1:]])


def printable(text: str) -> str:
    """Foreign text for a terminal: what would move its cursor, or is no character, as an escape like `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
