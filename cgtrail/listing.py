"""Tables of what is so now: columns as wide as their cells, lines no longer than the terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

import click

from cgtrail.table import columns, fit

_CELL, _LAST = 32, 16
"""Columns at most for a cell on a terminal; the last gets what is left, and at least so many."""
_LONGEST = 1000
"""Elsewhere a line stays a line."""


def table(
    names: Sequence[str], rows: Sequence[Sequence[str]], *, marked: Sequence[bool] = (), places: bool = False
) -> None:
    """Print rows below their names. Cells are safe for a terminal already; `marked` ones stand out there.

    `places`: the last cell is a file and a line, of which the end says more than the beginning.
    """
    shown = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    widths = [max(map(columns, column)) for column in zip(names, *rows, strict=True)]
    widths = [min(width, _CELL if shown else _LONGEST) for width in widths]
    if shown:
        widths[-1] = max(shown - sum(width + 2 for width in widths[:-1]), _LAST)
    for number, row in enumerate([names, *rows]):
        cells = [*row[:-1], _end(row[-1], widths[-1])] if places else row
        line = "  ".join(fit(cell, width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        red = "red" if number and number <= len(marked) and marked[number - 1] else None
        click.echo(click.style(line, bold=number == 0, fg=red) if number == 0 or red else line)


def _end(cell: str, width: int) -> str:
    """A cell without so much of its beginning that it fits."""
    if columns(cell) <= width:
        return cell
    while columns(cell) > width - 1:
        cell = cell[1:]
    return f"…{cell}"
