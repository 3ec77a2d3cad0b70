"""A terminal's screen, as far as a recording may drive it: what is shown where, and nothing beyond.

It follows xterm (https://invisible-island.net/xterm/ctlseqs/ctlseqs.html) in what programs use on a screen: text,
cursor, erasing, inserting, scrolling, line drawing, the alternate screen. It answers no query, sets no title, and knows
no sequence that reaches a keyboard, mouse, clipboard or printer: those are never looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from cgtrail.recordings.grid import Grid, Row, Saved, bounded, fresh
from cgtrail.recordings.sequences import Control, Escape, Parser, Sequence, Text
from cgtrail.recordings.style import NOTE, PLAIN, changed
from cgtrail.table import columns as width
from enrich.printable import visible

_TAB = 8
_LINES = dict(zip(range(ord("`"), ord("~") + 1), "◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·", strict=True))
"""DEC's special graphics, which programs draw frames with."""


class Screen(Grid):
    """Shows what it is fed. `left` is called with each line that leaves the main screen at its top.

    `cleared` is called before the main screen is erased whole, `switched` with True when the alternate screen is shown
    and with False when the main one is again.
    """

    def __init__(
        self,
        columns: int,
        rows: int,
        *,
        left: Callable[[Row], object] = lambda _: None,
        cleared: Callable[[], object] = lambda: None,
        switched: Callable[[bool], object] = lambda _: None,
    ) -> None:
        super().__init__(*bounded(columns, rows), left)
        self._cleared, self._switched = cleared, switched
        self._parser = Parser()
        self._last = ""
        """The character that can be repeated: for a line at most, so that a few bytes make no megabytes."""

    def feed(self, text: str) -> None:
        """Show what a program wrote."""
        for token in self._parser.feed(text):
            match token:
                case Text(text):
                    self._print(text)
                case Control(char):
                    control = self._CONTROLS.get(char)
                    if control:
                        control(self)
                case Escape(name):
                    escape = self._ESCAPES.get(name)
                    if escape:
                        escape(self)
                case Sequence(name):
                    sequence = self._SEQUENCES.get(name)
                    if sequence:
                        sequence(self, token)

    def note(self, words: str) -> None:
        """Show words of the player's own, on a line of their own."""
        style, self.style = self.style, NOTE
        if self.x:
            self._next_line()
        self.put(visible(words, "?"), width)
        self.style = style
        self._next_line()

    def resize(self, columns: int, rows: int) -> None:
        """The window has another size; 0 is what a terminal has whose size nobody set."""
        self.fit(*bounded(columns, rows))

    def _print(self, text: str) -> None:
        if self.graphics[self.shift]:
            text = text.translate(_LINES)
        shown = text if text.isascii() else visible(text, "\ufffd")
        self._last = shown[-1:]
        self.put(shown, width)

    def _back(self) -> None:
        self.x = max(min(self.x, self.columns - 1) - 1, 0)

    def _tab(self, count: int = 1) -> None:
        self.x = min((self.x // _TAB + count) * _TAB, self.columns - 1)

    def _back_tab(self, count: int) -> None:
        self.x = max((-(-min(self.x, self.columns - 1) // _TAB) - count) * _TAB, 0)

    def _return(self) -> None:
        self.x = 0

    def _next_line(self) -> None:
        self.x = 0
        self.line_feed()

    def _shift(self, number: int) -> None:
        self.shift = number

    def _charset(self, number: int, *, graphics: bool) -> None:
        self.graphics = (graphics, self.graphics[1]) if number == 0 else (self.graphics[0], graphics)

    def _home(self, sequence: Sequence) -> None:
        self.place(sequence.number(1, 1) - 1, sequence.number(0, 1) - 1)

    def _to_row(self, sequence: Sequence) -> None:
        self.place(min(self.x, self.columns - 1), sequence.number(0, 1) - 1)

    def _to_column(self, sequence: Sequence) -> None:
        self.x = min(sequence.number(0, 1), self.columns) - 1

    def _right(self, sequence: Sequence) -> None:
        self.x = min(self.x + sequence.number(0, 1), self.columns - 1)

    def _left(self, sequence: Sequence) -> None:
        self.x = max(min(self.x, self.columns - 1) - sequence.number(0, 1), 0)

    def _lines_away(self, sequence: Sequence, sign: int) -> None:
        self.x = 0
        self.move(sign * sequence.number(0, 1))

    def _erase_screen(self, sequence: Sequence) -> None:
        what = sequence.number(0, 0)
        if what == 2 or (what == 0 and not self.x and not self.y):
            self._clearing()
        if what == 0:
            self.erase(self.y, self.x, self.columns)
            self.erase_rows(self.y + 1, self.rows)
        elif what == 1:
            self.erase_rows(0, self.y)
            self.erase(self.y, 0, self.x + 1)
        elif what == 2:
            self.erase_rows(0, self.rows)

    def _erase_line(self, sequence: Sequence) -> None:
        what = sequence.number(0, 0)
        if what in (0, 1, 2):
            self.erase(self.y, self.x if what == 0 else 0, self.x + 1 if what == 1 else self.columns)

    def _erase_characters(self, sequence: Sequence) -> None:
        self.erase(self.y, self.x, self.x + sequence.number(0, 1))

    def _repeat(self, sequence: Sequence) -> None:
        if self._last:
            self.put(self._last * min(sequence.number(0, 1), self.columns), width)

    def _style(self, sequence: Sequence) -> None:
        self.style = changed(self.style, sequence)

    def _margins(self, sequence: Sequence) -> None:
        top, bottom = sequence.number(0, 1) - 1, min(sequence.number(1, self.rows), self.rows) - 1
        if top < bottom:
            self.top, self.bottom = top, bottom
            self.place(0, 0)

    def _modes(self, sequence: Sequence, *, on: bool) -> None:
        for numbers in sequence.given:
            match numbers[0]:
                case 6:
                    self.origin = on
                    self.place(0, 0)
                case 7:
                    self.autowrap = on
                case 25:
                    self.cursor_shown = on
                case 47 | 1047:
                    self._alternate(on=on)
                case 1048:
                    self._keep(on=on)
                case 1049:
                    if on:
                        self._keep(on=True)
                    self._alternate(on=on)
                    if not on:
                        self._keep(on=False)

    def _insert_mode(self, sequence: Sequence, *, on: bool) -> None:
        if (4,) in sequence.given:
            self.insert = on

    def _keep(self, *, on: bool) -> None:
        if on:
            self.saved = Saved(self.x, self.y, self.style, self.origin, self.graphics, self.shift)
            return
        self.x, self.y, self.style, self.origin, self.graphics, self.shift = self.saved
        self.x, self.y = min(self.x, self.columns), min(self.y, self.rows - 1)

    def _alternate(self, *, on: bool) -> None:
        if on == self.alternate:
            return
        self._switched(on)
        self.alternate = on
        self.cells, self.other = self.other, self.cells
        if on:
            self.cells = fresh(self.columns, self.rows)

    def _clearing(self) -> None:
        if not self.alternate:
            self._cleared()

    def _reset(self) -> None:
        self._alternate(on=False)
        self._clearing()
        self._soft_reset()
        self.x = self.y = 0
        self.erase_rows(0, self.rows)

    def _soft_reset(self) -> None:
        self.style, self.saved = PLAIN, Saved()
        self.top, self.bottom = 0, self.rows - 1
        self.origin = self.insert = False
        self.autowrap = self.cursor_shown = True
        self.graphics, self.shift = (False, False), 0

    def _adjust(self) -> None:
        """DECALN. Its screen full of E is nobody's words, and in txt three bytes would make a megabyte: left empty."""
        self._clearing()
        self.erase_rows(0, self.rows)
        self.x = self.y = 0

    _CONTROLS: ClassVar[dict[str, Callable[[Any], object]]] = {
        "\b": _back,
        "\t": _tab,
        "\n": Grid.line_feed,
        "\v": Grid.line_feed,
        "\f": Grid.line_feed,
        "\r": _return,
        "\x0e": lambda self: self._shift(1),
        "\x0f": lambda self: self._shift(0),
    }
    _ESCAPES: ClassVar[dict[str, Callable[[Any], object]]] = {
        "7": lambda self: self._keep(on=True),
        "8": lambda self: self._keep(on=False),
        "D": Grid.line_feed,
        "E": _next_line,
        "M": Grid.reverse_line_feed,
        "c": _reset,
        "#8": _adjust,
        "(0": lambda self: self._charset(0, graphics=True),
        "(B": lambda self: self._charset(0, graphics=False),
        ")0": lambda self: self._charset(1, graphics=True),
        ")B": lambda self: self._charset(1, graphics=False),
    }
    _SEQUENCES: ClassVar[dict[str, Callable[[Any, Sequence], object]]] = {
        "@": lambda self, found: self.insert_cells(found.number(0, 1)),
        "A": lambda self, found: self.move(-found.number(0, 1)),
        "B": lambda self, found: self.move(found.number(0, 1)),
        "C": _right,
        "D": _left,
        "E": lambda self, found: self._lines_away(found, 1),
        "F": lambda self, found: self._lines_away(found, -1),
        "G": _to_column,
        "H": _home,
        "I": lambda self, found: self._tab(found.number(0, 1)),
        "J": _erase_screen,
        "K": _erase_line,
        "L": lambda self, found: self.insert_rows(found.number(0, 1)),
        "M": lambda self, found: self.delete_rows(found.number(0, 1)),
        "P": lambda self, found: self.delete_cells(found.number(0, 1)),
        "S": lambda self, found: self.scroll_up(found.number(0, 1)),
        "T": lambda self, found: self.scroll_down(found.number(0, 1)),
        "X": _erase_characters,
        "Z": lambda self, found: self._back_tab(found.number(0, 1)),
        "`": _to_column,
        "a": _right,
        "b": _repeat,
        "d": _to_row,
        "e": lambda self, found: self.move(found.number(0, 1)),
        "f": _home,
        "h": lambda self, found: self._insert_mode(found, on=True),
        "l": lambda self, found: self._insert_mode(found, on=False),
        "m": _style,
        "r": _margins,
        "s": lambda self, _: self._keep(on=True),
        "u": lambda self, _: self._keep(on=False),
        "!p": lambda self, _: self._soft_reset(),
        "?h": lambda self, found: self._modes(found, on=True),
        "?l": lambda self, found: self._modes(found, on=False),
    }
    """All that is obeyed; whatever is not here is nothing."""
