"""How wide characters are on a terminal."""

from __future__ import annotations

import unicodedata


def width(character: str) -> int:
    """How many cells a printable character takes: 0, 1 or 2 (as wcwidth(3) has it)."""
    if character < "\u0300":
        return 0 if character == "\xad" else 1
    if unicodedata.category(character) in {"Mn", "Me", "Cf"} or "\u1160" <= character <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1
