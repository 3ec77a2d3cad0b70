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
    r"(?=[\x00\x07\x08\x0e\x0f\x1b\x7f\x84\x85\x8d\x9b]| \r)(?:"
    rf"(?P<rest>(?:{_CSI}|{_TEXT}\x1b?|\x1b[ -/]{{0,8}}|\x08 ?)\Z| \r\Z)"
    rf"|(?P<move>{_CSI}[HfdEF]|\x1b[DEM]|\x84|\x85|\x8d)"
    rf"|(?P<text>{_TEXT}(?:\x07|\x1b\\|\x9c))"
    rf"|{_CSI}[@-~]|\x1b[ -/]{{0,8}}[0-OQ-WYZ\\`-jl-~]|\x1b[\]PX^_k\[]?"
    r"|\x08 \x08|[\x00\x07\x08\x0e\x0f\x7f\x9b]| \r(?!\n))"
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
    special: bool = False
    """Whether there are others in the raw than those that are shown."""
    _starts: list[int] = field(default_factory=list)
    _shifts: list[int] = field(default_factory=list)
    """From a shown character on, how many more raw ones there are before it; made when it is asked for."""

    def at(self, place: int) -> int:
        """Where a shown character stands in the raw text."""
        if self.special and not self._starts:
            self._place()
        found = bisect_right(self._starts, place)
        return place + self._shifts[found - 1] if found else place

    def behind(self, place: int) -> int:
        """Where the raw text goes on behind the last shown character before `place`."""
        return self.at(place - 1) + 1 if place else 0

    def _place(self) -> None:
        at = length = 0
        for token in _TOKEN.finditer(self.raw):
            start, end = token.span()
            if end > self.lexed:
                break
            length += start - at + (token.lastgroup == "move")
            at = end
            self._starts.append(length)
            self._shifts.append(end - length)


def plain(text: str) -> View:
    """Text that no terminal interprets, as arguments are: its line breaks end no line."""
    return View(text, text.encode("latin-1", "replace").replace(b"\n", b"\r"), len(text))


def terminal(raw: str, *, final: bool = False) -> View:
    """Terminal output; `final`: nothing more comes, so that what has begun has ended."""
    if not _SPECIAL.search(raw):
        return View(raw, _bytes(raw), len(raw))
    parts = _TOKEN.split(raw)
    lexed = len(raw)
    if len(parts) > 1 and parts[-4]:  # only the last can be one
        rest = parts[-4]
        if not final:  # of a wrap, the space may stay where it is
            parts[-1] = " " if rest == " \r" else ""
            lexed -= len(rest) - len(parts[-1])
    shown = "".join(parts[::4])
    if any(parts[2::4]):
        shown = "".join(
            [f"{text}\n" if move else text for text, move in zip(parts[::4], [*parts[2::4], None], strict=True)]
        )
    return View(raw, _bytes(shown), lexed, special=True)


def titles(raw: str) -> re.Pattern[str] | None:
    """The pattern of sequences that have text in them, if there are any: they are no part of the line."""
    return _TITLE if _TITLE.search(raw) else None


def _bytes(text: str) -> bytes:
    return text.encode("latin-1", "replace").translate(_BREAK)
