"""Text that came from a container, made safe for a terminal: nothing that moves, hides or reorders goes out raw."""

from __future__ import annotations

import re
import unicodedata

_UNSAFE = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # invisible: soft hyphen, joiners, fillers, selectors
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # zero-width, line and paragraph separators, bidi
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd\U00013430-\U0001343f"  # other format characters
    "\ud800-\udfff"  # lone surrogates
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"  # format characters, tags, selectors
    "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"  # spaces that are not the space
    "\u2800\U00013440\U00016fe4\U0001d159"  # blank or invisible, whatever their category says
    "\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd"  # private use: each font shows what it likes
    "\ufdd0-\ufdef"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000))
    + "]"
)
# A terminal that knows bidi would set the rest of a line, other columns included, in another order.
_RIGHT_TO_LEFT = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff"
_UNSAFE_IN_LINES = re.compile(_UNSAFE.pattern[:-1] + _RIGHT_TO_LEFT + "]")
# Backslashes that could be taken for the notation's own: those before it, and before what looks like it.
_UNSAFE_OR_NOTATION = re.compile(rf"(?<!\\)\\++(?=[xuU]|{_UNSAFE_IN_LINES.pattern})|{_UNSAFE_IN_LINES.pattern}")
MAX_MARKS = 4
"""Combining marks that may lie on one character: more would paint over other lines."""
_PLAINLY = {"Zs": " ", "Cf": "", "Mn": ""}
_SPACE = str.maketrans("\t\r\n", "   ")


def json_line(document: bytes) -> bytes:
    """JSON in UTF-8 as one line that a terminal can show, without its newline: json.loads gives the same of both.

    Characters that are unsafe become JSON escapes. Line breaks and tabs of valid JSON stand between its tokens, and
    become spaces. Raises UnicodeDecodeError where it is not UTF-8.
    """
    return _UNSAFE.sub(_json_escape, document.decode().translate(_SPACE)).encode()


def text(value: str) -> str:
    r"""Plain text for a terminal: `\xNN`, `\uNNNN` or `\UNNNNNNNN` for what is unsafe.

    Letters that are written from right to left, and marks beyond MAX_MARKS on one character, are unsafe in a line with
    columns. Backslashes that stand before such a notation, or before x, u or U, are doubled, so that it can be undone.
    All others stay, so that a command line reads as it was typed.
    """
    return _unstacked(_UNSAFE_OR_NOTATION.sub(_escape, value))


def message(value: str) -> str:
    """An error's message for a terminal: as `text`, but all backslashes stay: what it quotes has its own already."""
    return _unstacked(_UNSAFE_IN_LINES.sub(_escape, value))


def visible(value: str, mark: str) -> str:
    """Text for a screen's cells: spaces for spaces, nothing for what has no width, `mark` for what else is unsafe.

    Letters that are written from right to left stay, a backslash too; marks are left for who fills cells to count.
    """
    return _UNSAFE.sub(lambda found: _PLAINLY.get(unicodedata.category(found[0]), mark), value)


def _unstacked(value: str) -> str:
    if value.isascii():
        return value
    shown, marks = [], 0
    for char in value:
        marks = marks + 1 if unicodedata.category(char) in ("Mn", "Me") else 0
        shown.append(char if marks <= MAX_MARKS else _escaped(char))
    return "".join(shown)


def _json_escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\u{0xD800 + (code - 0x10000 >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


def _escape(found: re.Match[str]) -> str:
    return found[0] * 2 if found[0][0] == "\\" else _escaped(found[0])


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
