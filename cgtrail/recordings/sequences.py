"""What a terminal is told, taken apart: text, control characters and sequences (ECMA-48, 5.4; Williams's VT500 parser).

Strings that would reach beyond the screen (OSC, DCS, SOS, PM, APC: titles, clipboards, links, queries) are passed over
whole, also without an end. Controls of 8 bits (U+0080 to U+009F) are nothing to a terminal in UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

LONGEST = 4096
"""Characters of a sequence; a longer one is dropped."""
MOST = 9999
"""The largest number that a sequence can have; what is above counts as this."""
_PARAMETERS = 32
_NEXT = re.compile(
    "(?P<text>[^\x00-\x1f\x7f-\x9f]+)"
    "|\x1b\\[(?P<given>[0-?]*)(?P<between>[ -/]*)(?P<final>[@-~])"
    "|\x1b(?P<string>[]PX^_])"
    "|\x1b(?P<escape>[ -/]+[0-~]|[0-OQ-WYZ\\\\`-~])"
    "|(?P<control>[\x00-\x1a\x1c-\x1f\x7f-\x9f])"
)
_BEGUN = re.compile("\x1b(?:\\[[0-?]*[ -/]*|[ -/]*)")
_STRING_END = re.compile("[\x07\x18\x1a\x1b]")


class Text(NamedTuple):
    """Characters to show."""

    text: str


class Control(NamedTuple):
    """A control character: C0, DEL or C1."""

    char: str


class Escape(NamedTuple):
    """ESC and what follows it: intermediates and a final character."""

    name: str


class Sequence(NamedTuple):
    """A control sequence, ESC [ …: `name` is its private mark, intermediates and final character, as in `?h`.

    `given` are its numbers, from 0 to MOST; None where none stands. Those behind a colon belong to the one before.
    """

    name: str
    given: tuple[tuple[int | None, ...], ...]

    def number(self, index: int, default: int) -> int:
        """A number; where it is missing or 0, the default (which is what 0 means to nearly all sequences)."""
        found = self.given[index][0] if index < len(self.given) else None
        return found or default


Token = Text | Control | Escape | Sequence


class Parser:
    """Takes a stream apart that comes in pieces: where it is cut makes no difference."""

    def __init__(self) -> None:
        self._held = ""
        """The beginning of a sequence."""
        self._in_string = False

    def feed(self, piece: str) -> Iterator[Token]:
        """What a piece brings to its end."""
        data, self._held = self._held + piece, ""
        at = 0
        while at < len(data):
            if self._in_string:
                at = self._passed(data, at)
                continue
            found = _NEXT.match(data, at)
            if found is None:
                at = self._unfinished(data, at)
                continue
            at = found.end()
            if found["string"]:
                self._in_string = True
            else:
                yield _token(found)

    def _passed(self, data: str, at: int) -> int:
        """Where a string ends: at BEL, CAN, SUB, or before the ESC that begins ST or whatever comes next."""
        end = _STRING_END.search(data, at)
        if end is None:
            return len(data)
        self._in_string = False
        return end.start() if end[0] == "\x1b" else end.end()

    def _unfinished(self, data: str, at: int) -> int:
        """Hold a sequence that may go on; pass over what is none."""
        begun = _BEGUN.match(data, at)
        assert begun is not None, "only ESC begins what is no token"
        if begun.end() == len(data) and len(data) - at < LONGEST:
            self._held = data[at:]
        return begun.end()


def _token(found: re.Match[str]) -> Token:
    match found.lastgroup:
        case "text":
            return Text(found[0])
        case "control":
            return Control(found[0])
        case "escape":
            return Escape(found["escape"])
    return _sequence(found["given"], found["between"], found["final"])


@lru_cache(1024)
def _sequence(given: str, between: str, final: str) -> Sequence:
    private = given[0] if given[:1] in ("<", "=", ">", "?") else ""
    numbers = given[len(private) :].split(";")[:_PARAMETERS] if given[len(private) :] else []
    each = tuple(tuple(map(_number, number.split(":")[:8])) for number in numbers)
    return Sequence(private + between + final, each)


def _number(digits: str) -> int | None:
    if not digits.isdecimal():
        return None
    return min(int(digits[-5:]), MOST) if len(digits) <= 5 else MOST
