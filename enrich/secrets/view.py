"""What a terminal shows of its output, as rules see it: the characters in order, without control sequences.

Sequences are those of ECMA-48 and xterm (invisible-island.net/xterm/ctlseqs/ctlseqs.html). A row's wrap in readline
(` ` and carriage return) and a rub-out by the kernel (backspace, space, backspace) are sequences too.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field

STRING = 4096
"""Characters of a title, or another sequence with text in it, that is waited for."""
_CSI = r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}"
_TEXT = rf"\x1b[\]PX^_k][^\x07\x1b\x9c]{{0,{STRING}}}"
_TOKEN = re.compile(
    rf"(?P<rest>(?:{_CSI}|{_TEXT}\x1b?|\x1b[ -/]{{0,8}}|\x08 ?)\Z| \r\Z)"
    rf"|(?P<move>{_CSI}[HfdEF]|\x1b[DEM]|\x84|\x85|\x8d)"
    rf"|(?P<text>{_TEXT}(?:\x07|\x1b\\|\x9c))"
    rf"|{_CSI}[@-~]|\x1b[ -/]{{0,8}}[0-OQ-WYZ\\`-jl-~]|\x1b[\]PX^_k\[]?"
    r"|\x08 \x08|[\x00\x07\x08\x0e\x0f\x7f\x9b]| \r(?!\n)"
)
_TITLE = re.compile(rf"(\x1b[\]PX^_k])([^\x07\x1b\x9c]{{0,{STRING}}})(?=\x07|\x1b\\|\x9c)")
_SPECIAL = re.compile(r"[\x00\x07\x08\x0e\x0f\x1b\x7f\x84\x85\x8d\x9b]| \r")
_BREAK = bytes.maketrans(b"\r\x0b\x0c", b"\n\n\n")


@dataclass(slots=True)
class View:
    """Characters as one byte each (`?` beyond Latin-1, \\n for a line break), and where they stand in the raw."""

    raw: str
    shown: bytes
    lexed: int
    """Raw characters that it is made of; behind them a sequence has begun and not ended."""
    _starts: list[int] = field(default_factory=list)
    _shifts: list[int] = field(default_factory=list)
    """From a shown character on, how many more raw ones there are before it."""

    def at(self, place: int) -> int:
        """Where a shown character stands in the raw text."""
        found = bisect_right(self._starts, place)
        return place + self._shifts[found - 1] if found else place

    def behind(self, place: int) -> int:
        """Where the raw text goes on behind the last shown character before `place`."""
        return self.at(place - 1) + 1 if place else 0


def plain(text: str) -> View:
    """Text that no terminal interprets, as arguments are: its line breaks end no line."""
    return View(text, text.encode("latin-1", "replace").replace(b"\n", b"\r"), len(text))


def terminal(raw: str, *, final: bool = False) -> View:
    """Terminal output; `final`: nothing more comes, so that what has begun has ended."""
    if not _SPECIAL.search(raw):
        return View(raw, _bytes(raw), len(raw))
    shown: list[str] = []
    starts: list[int] = []
    shifts: list[int] = []
    at = length = 0
    for token in _TOKEN.finditer(raw):
        start, end = token.span()
        rest = token.lastgroup == "rest"
        if rest and not final and token[0] != " \r":
            return View(raw, _bytes("".join([*shown, raw[at:start]])), start, starts, shifts)
        if rest and not final:  # the space may stay where it is
            return View(raw, _bytes("".join([*shown, raw[at : start + 1]])), start + 1, starts, shifts)
        shown.append(raw[at:start])
        length += start - at
        if token.lastgroup == "move":
            shown.append("\n")
            length += 1
        at = end
        starts.append(length)
        shifts.append(end - length)
    shown.append(raw[at:])
    return View(raw, _bytes("".join(shown)), len(raw), starts, shifts)


def titles(raw: str) -> re.Pattern[str] | None:
    """The pattern of sequences that have text in them, if there are any: they are no part of the line."""
    return _TITLE if _TITLE.search(raw) else None


def _bytes(text: str) -> bytes:
    return text.encode("latin-1", "replace").translate(_BREAK)
