"""What a program painted, as it sees it: rows of cells from where its edit began, which know whether they are written.

No terminal: rows are not limited by the window's height, nothing scrolls away, colours are passed over. The verbs are
those of ECMA-48 and xterm's ctlseqs that line editors use.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field

from enrich.lines.sequences import ENDS_STRING, TOKENS, UNFINISHED, numbers_of
from enrich.lines.width import width

UNWRITTEN, REST = "\0", "\x01"
"""A cell that was never written, or was erased; the second cell of a wide character. Neither is ever printed."""
MOST_ROWS, MOST_CELLS = 8192, 262_144
"""Bounds of one grid; beyond them the oldest rows go."""
_CLUSTERS, _MOST_CLUSTERS, _CLUSTER_CHARS = 0xD800, 2048, 16
"""Cells of several code points are numbered in the range of surrogates, which no decoded text has."""
_CLUSTER = re.compile("[\ud800-\udfff]")
_CODES = re.compile(r"(?:<[0-9a-f]{4,8}>)+")
_LONGEST_SEQUENCE = 256
_WIDEST = 1024
"""Columns of a window in which somebody may type."""


@dataclass(slots=True, eq=False)
class Grid:
    """Rows of cells, a cursor, and what was left unfinished of the bytes."""

    columns: int = 80
    rows: list[str] = field(default_factory=lambda: [""])
    soft: set[int] = field(default_factory=set)
    """Rows that go on in the next, since their end was reached."""
    x: int = 0
    """Column of the cursor, from 0; `columns`: behind the last, the next character begins a row."""
    y: int = 0
    height: int = 24
    """Of the window: absolute rows count in its last so many."""
    cells: int = 0
    dropped: int = 0
    """Rows that went since there were too many."""
    reverse: bool = False
    saved: tuple[int, int] = (0, 0)
    under: str = ""
    """The row of the saved cursor as it was then."""
    clusters: list[str] = field(default_factory=list)
    rest: bytes = b""
    """An unfinished control sequence or character."""
    in_string: bool = False
    """In an OSC or the like, whose end is awaited."""
    absolute: int = 0
    """How often the cursor was put to an absolute place."""
    alternate: bool = False
    """Its last switch of screens was to the alternate one."""

    def feed(self, content: bytes, *, onlcr: bool = True) -> None:
        """Paints what was written; `onlcr`: the terminal makes \\n go to column 0 (OPOST and ONLCR of termios(3))."""
        content = self.rest + content if self.rest else content
        text, used = codecs.utf_8_decode(content, "replace", False)
        self.rest = content[used:]
        at = 0
        while at < len(text):
            if self.in_string:
                end = ENDS_STRING.search(text, at)
                if end is None:
                    self.rest = b"\x1b" + self.rest if text.endswith("\x1b", at) else self.rest
                    return
                self.in_string, at = False, end.end()
                continue
            token = TOKENS.match(text, at)
            if token is None:
                if len(text) - at < _LONGEST_SEQUENCE and UNFINISHED.match(text, at):
                    self.rest = text[at:].encode() + self.rest
                    return
                at += 1
                continue
            at = token.end()
            self._do(token, onlcr=onlcr)

    def _do(self, token: re.Match[str], *, onlcr: bool) -> None:
        run, arguments, verb, string, escape, control = token.groups()
        if run is not None:
            self._print(run)
        elif verb is not None:
            self._csi(verb, arguments)
        elif string is not None:
            self.in_string = True
        elif control is not None:
            self._control(control, onlcr=onlcr)
        elif escape in {"7", "8"}:
            self._save(back=escape == "8")

    def text(self, row: str) -> str:
        """The characters of a row or a part of it, blanks for what was not written."""
        shown = row.replace(REST, "").replace(UNWRITTEN, " ")
        return _CLUSTER.sub(lambda found: self._whole(found[0]), shown) if self.clusters else shown

    def is_blank(self) -> bool:
        """Nothing is on it."""
        return not any(row.strip(UNWRITTEN + " ") for row in self.rows)

    def _whole(self, cell: str) -> str:
        number = ord(cell) - _CLUSTERS
        return self.clusters[number] if 0 <= number < len(self.clusters) else cell

    def _print(self, text: str) -> None:
        if self.reverse and self._stand_in(text):
            return
        if not text.isascii() and any(width(c) != 1 for c in text):
            for character in text:
                self._put(character, width(character))
            return
        at = 0
        while at < len(text):
            if self.x >= self.columns:
                self._wrap()
            piece = text[at : at + self.columns - self.x]
            self._write(piece)
            at += len(piece)

    def _stand_in(self, text: str) -> bool:
        """Zsh shows in reverse what fills a row before a wide character, and <0301> for what it can't paint."""
        if text == " " and self.x == self.columns - 1:
            self._write(REST)
            return True
        if not text.startswith("<") or not _CODES.fullmatch(text):
            return False
        for code in text[1:-1].split("><"):
            cell = self._number(chr(min(int(code, 16), 0x10FFFF)))
            if self.x + len(code) + 2 > self.columns:
                self._wrap()
            self._write((cell + REST * (len(code) + 1))[: self.columns - self.x])
        return True

    def _number(self, whole: str) -> str:
        """A cell that stands for any text."""
        if len(self.clusters) >= _MOST_CLUSTERS:
            return "?"
        self.clusters.append(whole)
        return chr(_CLUSTERS + len(self.clusters) - 1)

    def _put(self, character: str, cells: int) -> None:
        if cells == 0:
            self._combine(character)
            return
        if self.x + min(cells, self.columns) > self.columns:
            self._wrap()
        self._write(character + REST if cells == 2 <= self.columns else character)

    def _combine(self, character: str) -> None:
        row, at = self.rows[self.y], min(self.x, len(self.rows[self.y])) - 1
        if at > 0 and row[at] == REST:
            at -= 1
        if at < 0 or row[at] == UNWRITTEN or len(self.clusters) >= _MOST_CLUSTERS:
            return
        whole = self._whole(row[at]) + character
        if len(whole) <= _CLUSTER_CHARS:
            self.rows[self.y] = row[:at] + self._number(whole) + row[at + 1 :]

    def _write(self, piece: str) -> None:
        row = self.rows[self.y]
        if len(row) > self.columns:  # the window was wider
            row = row[: self.columns]
        if len(row) == self.x:
            self._set(self.y, row + piece)
        else:
            self._set(self.y, row[: self.x].ljust(self.x, UNWRITTEN) + piece + row[self.x + len(piece) :])
        self.x += len(piece)

    def _set(self, y: int, row: str) -> None:
        self.cells += len(row) - len(self.rows[y])
        self.rows[y] = row
        if self.cells > MOST_CELLS:
            self._bound()

    def _wrap(self) -> None:
        self.soft.add(self.y)
        self.x = 0
        self._down(1)

    def _down(self, count: int) -> None:
        self.y += count
        missing = self.y + 1 - len(self.rows)
        if missing > 0:
            self.rows += [""] * missing
            if len(self.rows) > MOST_ROWS:
                self._bound()

    def _bound(self) -> None:
        """Half of the rows go, but never that of the cursor."""
        gone = min(len(self.rows) // 2, self.y)
        self.drop(gone)
        if self.cells > MOST_CELLS:
            self.rows[self.y + 1 :] = []
            self.rows[self.y] = self.rows[self.y][: self.columns]
            self.cells = sum(map(len, self.rows))

    def drop(self, gone: int) -> None:
        """So many rows at the top go."""
        self.cells -= sum(map(len, self.rows[:gone]))
        del self.rows[:gone]
        self.soft = {y - gone for y in self.soft if y >= gone}
        self.y -= gone
        self.dropped += gone

    def _control(self, control: str, *, onlcr: bool) -> None:
        if control == "\r":
            self.x = 0
        elif control in "\n\x0b\x0c":
            self.x = 0 if onlcr else min(self.x, self.columns - 1)
            self._down(1)
        elif control == "\b":
            self.x = max(min(self.x, self.columns - 1) - 1, 0)
        elif control == "\t":
            self.x = min((self.x // 8 + 1) * 8, self.columns - 1)

    def _csi(self, verb: str, arguments: str) -> None:
        if arguments[:1] in {"?", ">", "=", "<"}:
            if verb in "hl" and arguments in {"?1049", "?47", "?1047"}:
                self.alternate = verb == "h"
            return
        numbers = numbers_of(arguments[:32])
        count = max(numbers[0] if numbers else 1, 1)
        if verb == "m":
            self.reverse = 7 in numbers or (self.reverse and numbers != () and 0 not in numbers and 27 not in numbers)
        elif verb in "su":
            self._save(back=verb == "u")
        elif verb in "ABCDEFGHdf`":
            self._move(verb, count, numbers)
        elif verb == "J":
            self._erase_rows(numbers[0] if numbers else 0)
        elif verb in "KX@P":
            self._erase_cells(verb, numbers[0] if numbers else 0, min(count, self.columns))

    def _save(self, *, back: bool) -> None:
        """Keeps the cursor's place, or goes back there: what prompts paint aside in between is no part of a line."""
        if not back:
            self.saved, self.under = (self.y + self.dropped, self.x), self.rows[self.y]
            return
        self.x = min(self.saved[1], self.columns)
        self.y = max(min(self.saved[0] - self.dropped, len(self.rows) - 1), 0)
        row, under, self.under = self.rows[self.y], self.under, ""
        if self.saved[0] == self.y + self.dropped and under != row and len(row) <= _WIDEST:
            both = zip(under, row, strict=False)
            self._set(self.y, "".join(UNWRITTEN if now == UNWRITTEN else was for was, now in both))

    def _move(self, verb: str, count: int, numbers: tuple[int, ...]) -> None:
        if verb in "AF":
            self.y = max(self.y - count, 0)
        elif verb in "BE":
            self._down(min(count, max(len(self.rows) - 1 - self.y, self.height)))
        elif verb == "C":
            self.x = min(self.x + count, self.columns - 1)
        elif verb == "D":
            self.x = max(min(self.x, self.columns - 1) - count, 0)
        elif verb in "G`":
            self.x = min(count, self.columns) - 1
        else:
            self.absolute += verb in "Hf"
            self.y = max(len(self.rows) - self.height, 0)
            self._down(min(count, self.height) - 1)
            if verb != "d":
                self.x = min(max(numbers[1], 1) if len(numbers) > 1 else 1, self.columns) - 1
        self.x = 0 if verb in "EF" else self.x

    def _erase_rows(self, how: int) -> None:
        first = min(max(len(self.rows) - self.height, 0) if how else self.y + 1, self.y + 1)
        end = self.y if how == 1 else len(self.rows)
        self.cells -= sum(map(len, self.rows[first:end]))
        self.rows[first:end] = [""] * (end - first)
        self.soft = {y for y in self.soft if not first <= y < end}
        if how != 1:
            del self.rows[self.y + 1 :]
        self._erase_cells("K", min(how, 2), 1)

    def _erase_cells(self, verb: str, how: int, count: int) -> None:
        row, x = self.rows[self.y], min(self.x, self.columns - 1)
        if verb == "K" and how == 0:
            row = row[: self.x]
            self.soft.discard(self.y)
        elif verb == "K":
            row = "" if how == 2 else UNWRITTEN * min(x + 1, len(row)) + row[x + 1 :]
        elif verb == "P":
            row = row[:x] + row[x + count :]
        elif verb == "@":
            row = (row[:x].ljust(x, UNWRITTEN) + " " * count + row[x:])[: self.columns]
        else:
            row = row[:x] + UNWRITTEN * len(row[x : x + count]) + row[x + count :]
        self._set(self.y, row)
