"""A screen on a terminal: only what has changed, and nothing but text, colours and places.

Whatever a recording contains, what comes out is made of CSI H, CSI K, CSI m, CSI ?25 h and l, and characters that can
be shown: a terminal is driven by this module, never by the recording.
"""

from __future__ import annotations

from cgtrail.recordings.grid import Row
from cgtrail.recordings.screen import Screen
from cgtrail.recordings.style import NOTE, PLAIN, Style
from cgtrail.table import columns, fit

_CLEAR = "\x1b[m\x1b[2J"


class Painter:
    """Knows what a terminal of this size shows. The last row is the status line's."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = max(width, 1), max(height, 1)
        self._shown: list[Row | None] = []
        self._status = ""

    def holds(self, screen: Screen) -> bool:
        """Whether all of a screen is seen here."""
        return screen.columns <= self._width and screen.rows < self._height

    def frame(self, screen: Screen, status: str) -> str:
        """What brings the terminal from the last frame to this one. Of a larger screen, where the cursor is."""
        room = self._height - 1
        first = max(screen.y - room + 1, 0)
        left = max(min(screen.x, screen.columns - 1) - self._width + 1, 0)
        wanted = [row[left : left + self._width] for row in screen.cells[first : first + room]]
        out = ["\x1b[?25l"]
        if not self._shown:
            out.append(_CLEAR)
            self._shown = [None] * room
        for y in range(room):
            row = wanted[y] if y < len(wanted) else []
            if self._shown[y] != row:
                out.append(f"\x1b[{y + 1};1H{line(row)}")
                self._shown[y] = row
        if status != self._status:
            self._status = status
            out.append(f"\x1b[{self._height};1H{NOTE.sgr}{fit(status, self._width)}{PLAIN.sgr}")
        if screen.cursor_shown and room:
            x = min(screen.x, screen.columns - 1) - left
            out.append(f"\x1b[{screen.y - first + 1};{x + 1}H\x1b[?25h")
        return "".join(out)


def line(row: Row) -> str:
    """A row with its colours, on a line that was erased."""
    out = [PLAIN.sgr, "\x1b[K"]
    style: Style = PLAIN
    for char, wanted in whole(row):
        if wanted != style:
            out.append(wanted.sgr)
            style = wanted
        out.append(char)
    return "".join(out if style == PLAIN else [*out, PLAIN.sgr])


def whole(row: Row) -> Row:
    """A row's cells in which every wide character has both its halves: spaces stand for single halves."""
    cells: Row = []
    for at, (char, style) in enumerate(row):
        following = row[at + 1][0] if at + 1 < len(row) else " "
        if not char:
            if not at or columns(row[at - 1][0]) != 2:
                cells.append((" ", style))
        elif columns(char) == 2 and following:
            cells.append((" ", style))
        else:
            cells.append((char, style))
    return cells
