"""What line a picture shows: where its prompt stands, and what stands behind that."""

from __future__ import annotations

import re
from dataclasses import dataclass

from enrich.lines.grid import REST, UNWRITTEN, Grid

_BLANKS = UNWRITTEN + " "
_MARGIN = re.compile(r"[\0 ]*(?:\.{3,}:?|[|>])?[\0 ]*\Z")
_DIGITS = re.compile(r"[0-9]")
_FURTHER = re.compile(r"[\0 ]*\.{3,}:[\0 ]?\Z")
"""ipython paints it before each row, also where a long one goes on."""
_EMPTY_END = re.compile(r"(?:\n *)+\Z")
_FILLER = "\u22ee"
"""ipython fills the end of a row with it where a wide character did not fit."""


@dataclass(slots=True, eq=False)
class Picture:
    """A grid as it was once, with the row in which its line began."""

    rows: list[str]
    soft: set[int]
    columns: int
    height: int
    x: int
    y: int
    origin: int
    """Row of the prompt, as it was first."""
    prompt: str
    """The prompt's cells in its last row."""
    aside: str = ""
    """What stood behind the cursor at first: a right prompt."""
    end: tuple[int, int] = (-1, -1)
    """Where the cursor stood when Return came: blanks before it were typed, if its row is still the same."""
    left: str = ""
    """What stood left of it."""


def picture(
    grid: Grid, origin: int, prompt: str, aside: str = "", end: tuple[int, int] = (-1, -1), left: str = ""
) -> Picture:
    """The picture that a grid shows now. `origin` and the row of `end` count rows that were dropped, too."""
    gone = grid.dropped
    return Picture(
        list(grid.rows), set(grid.soft), grid.columns, grid.height, grid.x, grid.y, origin - gone, prompt, aside,
        (end[0] - gone, end[1]), left
    )  # fmt: skip


def plain(cells: str) -> str:
    """Cells to compare: those that were not written are blanks."""
    return cells.replace(UNWRITTEN, " ")


def alike(text: str) -> str:
    """Cells or text to compare where digits may differ: clocks, numbers of lines."""
    return _DIGITS.sub("0", text)


def is_partial(shown: Picture) -> bool:
    """Whether the line may go on beyond what is shown: it fills the window, or its prompt was scrolled away.

    Editors that think it ends at the window's last row may leave the cursor far above what they painted before.
    """
    last = shown.y
    while last + 1 < len(shown.rows) and shown.rows[last + 1].strip(_BLANKS):
        last += 1
    if last - _first(shown, shown.y) >= shown.height - 1:  # its prompt stands below a list of completions again
        return True
    prompt = _outline(shown.prompt)
    return bool(prompt) and not any(_outline(row[: len(shown.prompt)]) == prompt for row in shown.rows[: shown.y + 1])


def begins(row: str, prompt: str) -> bool:
    """Whether a row begins with a prompt's cells."""
    return _outline(row[: len(prompt)]) == _outline(prompt)


def prompt_row(grid: Grid, before: str) -> int:
    """The row of the prompt: the cursor's, or one above, if what was typed ahead wraps already at the first key.

    That one begins as the prompt before did.
    """
    y = grid.y
    while y > 0 and (y - 1 in grid.soft or _FURTHER.match(grid.rows[y][: len(before)])):
        y -= 1
    return y if before.strip(_BLANKS) and begins(alike(grid.rows[y]), alike(before)) else grid.y


def _outline(cells: str) -> str:
    """Cells to compare with others, in time that does not depend on blanks at their end."""
    return plain(cells).rstrip(" ")


def line_cells(shown: Picture, *, fillers: bool = False) -> str:
    """The cells of the line that a picture shows, rows that it was broken into joined; \\n where it has several.

    `fillers`: blanks in the last column before a wide character belong to it.
    """
    last = shown.y - 1 if shown.x == 0 and shown.y > 0 else shown.y
    first = _first(shown, last)
    last = min(max(last, first), len(shown.rows) - 1)
    parts = list[str]()
    for y in range(first, last + 1):
        row = shown.rows[y]
        soft = y > first and _goes_on(shown, y - 1)
        if y == first:
            row = row[len(shown.prompt) :]
        elif soft:
            row = row[len(shown.prompt) :] if _FURTHER.match(row[: len(shown.prompt)]) else row
        else:  # fish moves behind its indentation, which is no part of the line
            row = _without_margin(row, len(shown.prompt))
        if y < last and _goes_on(shown, y):
            cells = _joined(row, shown, y, fillers=fillers)
        else:
            cells = _written(row, shown.aside)
            end = shown.end[1] - (len(shown.rows[y]) - len(row)) if y == shown.end[0] and _is_same(shown, y) else 0
            cells = cells.rstrip(" ").ljust(end)
        parts.append(cells if soft or y == first else "\n" + cells)
    return _EMPTY_END.sub("", "".join(parts))


def _is_same(shown: Picture, y: int) -> bool:
    """Whether the cursor's row is what it was when Return came."""
    end = shown.end[1]
    return plain(shown.rows[y][:end]).ljust(end) == plain(shown.left).ljust(end)


def _first(shown: Picture, last: int) -> int:
    """The lowest row that begins with the prompt."""
    if not shown.prompt:
        return max(min(shown.origin, len(shown.rows) - 1), 0)
    prompt, width, end = _outline(shown.prompt), len(shown.prompt), min(last, len(shown.rows) - 1)
    for y in range(end, -1, -1):
        if (y == shown.origin or y - 1 not in shown.soft) and _outline(shown.rows[y][:width]) == prompt:
            return y
    return max(min(shown.origin, last), 0)


def _goes_on(shown: Picture, y: int) -> bool:
    return y in shown.soft or (len(shown.rows[y]) >= shown.columns and UNWRITTEN not in shown.rows[y][-1:])


def _without_margin(row: str, width: int) -> str:
    """A further row without what stands below the prompt, if that is but a margin."""
    margin = row[:width]
    return (row[width:] if _MARGIN.match(margin) else row).lstrip(UNWRITTEN)


def _written(row: str, aside: str) -> str:
    """A row up to where nothing was written. A single such cell is a blank that zsh moved over, for it was erased."""
    end = row.find(UNWRITTEN)
    while 0 <= end < len(row) - 1 and row[end + 1] != UNWRITTEN and not (aside and row.startswith(aside, end + 1)):
        end = row.find(UNWRITTEN, end + 1)
    return plain(row if end < 0 else row[:end])


def _joined(row: str, shown: Picture, y: int, *, fillers: bool) -> str:
    """A row that goes on in the next, without what fills its last column where a wide character did not fit."""
    cells = plain(row)
    following = shown.rows[y + 1][1:2] if y + 1 < len(shown.rows) else ""
    if cells.endswith(" ") and following == REST and len(shown.rows[y]) >= shown.columns and not fillers:
        return cells[:-1]
    if cells.endswith("\\") and y not in shown.soft:  # pyrepl ends rows so, and begins the next itself
        return cells[:-1]
    return cells.rstrip(_FILLER)
