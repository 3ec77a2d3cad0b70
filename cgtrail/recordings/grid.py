"""Rows of cells, a cursor, and what moves them: the parts of a terminal's screen that know no sequences."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from cgtrail.recordings.style import PLAIN, Style
from enrich.printable import MAX_MARKS

Cell: TypeAlias = tuple[str, Style]
"""A character with the marks on it; "" is the right half of a wide one."""
Row: TypeAlias = list[Cell]
MOST = 1000
"""Columns and rows of the largest window that is shown; a larger one is cut."""
_UNSET = (80, 24)
"""For a window whose size nobody has set."""


class Saved(NamedTuple):
    """What DECSC keeps."""

    x: int = 0
    y: int = 0
    style: Style = PLAIN
    origin: bool = False
    graphics: tuple[bool, bool] = (False, False)
    shift: int = 0


def bounded(columns: int, rows: int) -> tuple[int, int]:
    """A window's size that can be shown: 1 to MOST each, and what is usual instead of 0."""
    return min(max(columns, 0) or _UNSET[0], MOST), min(max(rows, 0) or _UNSET[1], MOST)


def fresh(columns: int, rows: int, style: Style = PLAIN) -> list[Row]:
    """Empty rows."""
    return [[(" ", style)] * columns for _ in range(rows)]


class Grid:
    """A screen's state. `x` is from 0 to `columns`: there the next character begins a new line; `y` from 0."""

    def __init__(self, columns: int, rows: int, gone: Callable[[Row], object]) -> None:
        self.columns, self.rows = columns, rows
        self.cells = fresh(columns, rows)
        self.other = fresh(columns, rows)
        """The main screen while the alternate one is shown, and the other way round."""
        self.alternate = False
        self.x = self.y = self.top = 0
        self.bottom = rows - 1
        self.style, self.saved = PLAIN, Saved()
        self.origin = self.insert = False
        self.autowrap = self.cursor_shown = True
        self.graphics, self.shift = (False, False), 0
        self._gone = gone

    def place(self, x: int, y: int) -> None:
        """Move the cursor; in origin mode rows count from the top margin."""
        first, last = (self.top, self.bottom) if self.origin else (0, self.rows - 1)
        self.x, self.y = min(x, self.columns - 1), min(first + y, last)

    def move(self, rows: int) -> None:
        """Move the cursor down, or up; margins hold it where it is within them."""
        first = self.top if self.y >= self.top else 0
        last = self.bottom if self.y <= self.bottom else self.rows - 1
        self.x, self.y = min(self.x, self.columns - 1), min(max(self.y + rows, first), last)

    def put(self, text: str, width: Callable[[str], int]) -> None:
        """Show characters that are safe, each as wide as `width` says: 0 to 2 columns."""
        if text.isascii() or all(width(char) == 1 for char in text):
            self._run(text)
            return
        for char in text:
            columns = width(char)
            if columns == 1:
                self._run(char)
            elif columns == 2:
                self._wide(char)
            else:
                self._mark(char)

    def line_feed(self) -> None:
        """One row down; at the bottom margin the rows within the margins move up."""
        if self.y == self.bottom:
            self.scroll_up(1)
        elif self.y < self.rows - 1:
            self.y += 1

    def reverse_line_feed(self) -> None:
        """One row up; at the top margin the rows within the margins move down."""
        if self.y == self.top:
            self.scroll_down(1)
        elif self.y:
            self.y -= 1

    def scroll_up(self, count: int) -> None:
        """Rows leave at the top margin."""
        count = min(count, self.bottom - self.top + 1)
        if not self.top and not self.alternate:
            for row in self.cells[:count]:
                self._gone(row)
        self._exchange(self.top, self.bottom + 1 - count, count)

    def scroll_down(self, count: int) -> None:
        """Rows leave at the bottom margin."""
        count = min(count, self.bottom - self.top + 1)
        self._exchange(self.bottom + 1 - count, self.top, count)

    def insert_rows(self, count: int) -> None:
        """At the cursor, if it is within the margins."""
        if self.top <= self.y <= self.bottom:
            count = min(count, self.bottom - self.y + 1)
            self._exchange(self.bottom + 1 - count, self.y, count)
            self.x = 0

    def delete_rows(self, count: int) -> None:
        """At the cursor, if it is within the margins."""
        if self.top <= self.y <= self.bottom:
            count = min(count, self.bottom - self.y + 1)
            self._exchange(self.y, self.bottom + 1 - count, count)
            self.x = 0

    def insert_cells(self, count: int) -> None:
        """At the cursor; what follows moves right."""
        row, x = self.cells[self.y], min(self.x, self.columns - 1)
        row[x:x] = [(" ", self.style.blank)] * min(count, self.columns - x)
        del row[self.columns :]

    def delete_cells(self, count: int) -> None:
        """At the cursor; what follows moves left."""
        row, x = self.cells[self.y], min(self.x, self.columns - 1)
        count = min(count, self.columns - x)
        del row[x : x + count]
        row.extend([(" ", self.style.blank)] * count)

    def erase(self, y: int, start: int, end: int) -> None:
        """Cells of one row, from a column up to another."""
        start, end = min(start, self.columns - 1), min(end, self.columns)
        self.cells[y][start:end] = [(" ", self.style.blank)] * (end - start)

    def erase_rows(self, start: int, end: int) -> None:
        """Whole rows, from one up to another."""
        self.cells[start:end] = fresh(self.columns, max(end - start, 0), self.style.blank)

    def fit(self, columns: int, rows: int) -> None:
        """Have another size. Lines are cut, not wrapped again; the cursor's stays."""
        above = max(self.y - rows + 1, 0)
        if not self.alternate:
            for row in self.cells[:above]:
                self._gone(row)
        self.cells = _fitted(self.cells[above:], columns, rows)
        self.other = _fitted(self.other, columns, rows)
        self.columns, self.rows, self.top, self.bottom = columns, rows, 0, rows - 1
        self.x, self.y = min(self.x, columns), self.y - above

    def _exchange(self, out: int, made: int, count: int) -> None:
        """Take rows out, and put empty ones in where `made` is then."""
        del self.cells[out : out + count]
        self.cells[made:made] = fresh(self.columns, count, self.style.blank)

    def _run(self, text: str) -> None:
        """Characters of one column each."""
        at = 0
        while at < len(text):
            if self.x >= self.columns:
                self._wrap()
            room = self.columns - self.x
            part = text[at : at + room]
            at += len(part)
            if not self.autowrap and at < len(text):
                part, at = part[:-1] + text[-1], len(text)
            self._write([(char, self.style) for char in part])

    def _write(self, cells: Row) -> None:
        row, x = self.cells[self.y], self.x
        if self.insert:
            row[x:x] = cells
            del row[self.columns :]
        else:
            if x and not row[x][0]:
                row[x - 1] = (" ", row[x - 1][1])
            row[x : x + len(cells)] = cells
        self.x = end = x + len(cells)
        if end < self.columns and not row[end][0]:
            row[end] = (" ", row[end][1])

    def _wide(self, char: str) -> None:
        if self.columns < 2:
            self._run("\ufffd")
            return
        if self.x > self.columns - 2:
            self._wrap()
            self.x = min(self.x, self.columns - 2)
        self._write([(char, self.style), ("", self.style)])

    def _wrap(self) -> None:
        if self.autowrap:
            self.x = 0
            self.line_feed()
        else:
            self.x = self.columns - 1

    def _mark(self, char: str) -> None:
        """On the character before; no more than lie on it in any line that is shown."""
        row, x = self.cells[self.y], min(self.x, self.columns) - 1
        if x > 0 and not row[x][0]:
            x -= 1
        if x >= 0 and 0 < len(row[x][0]) <= MAX_MARKS:
            row[x] = (row[x][0] + char, row[x][1])


def _fitted(cells: list[Row], columns: int, rows: int) -> list[Row]:
    kept = [row[:columns] + [(" ", PLAIN)] * (columns - len(row)) for row in cells[:rows]]
    return kept + fresh(columns, rows - len(kept))
