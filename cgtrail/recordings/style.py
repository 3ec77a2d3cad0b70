"""How characters look: colours and what SGR (ECMA-48, 8.3.117) says besides.

Concealed and blinking text is shown as any other: who watches a recording wants to read it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from cgtrail.recordings.sequences import Sequence

_ON = {1: 1, 2: 2, 3: 3, 4: 4, 7: 7, 9: 9, 21: 4}
_OFF = {22: (1, 2), 23: (3,), 24: (4,), 27: (7,), 29: (9,)}


class Style(NamedTuple):
    """Attributes by their SGR numbers, and colours as SGR writes them; "" is the terminal's own."""

    on: frozenset[int] = frozenset()
    front: str = ""
    back: str = ""

    @property
    def sgr(self) -> str:
        """The sequence that sets exactly this."""
        parts = ["0", *map(str, sorted(self.on)), self.front, self.back]
        return f"\x1b[{';'.join(filter(None, parts))}m"

    @property
    def blank(self) -> Style:
        """What is erased with it looks so: only the background stays."""
        return Style(back=self.back) if self.on or self.front else self


PLAIN = Style()
NOTE = Style(frozenset({7}))
"""How the player's own words stand out."""


@lru_cache(1024)
def changed(style: Style, sequence: Sequence) -> Style:
    """The style after an SGR sequence."""
    numbers = iter(sequence.given or ((0,),))
    for parts in numbers:
        number = parts[0] or 0
        if number in (38, 48):
            colour = _colour(parts, numbers)
            if colour:
                whole = f"{number};{colour}"
                style = style._replace(front=whole) if number == 38 else style._replace(back=whole)
        elif number == 4 and len(parts) > 1:  # kinds of underlining; 0 is none
            style = style._replace(on=style.on | {4} if parts[1] else style.on - {4})
        else:
            style = _simple(style, number)
    return style


def _simple(style: Style, number: int) -> Style:
    if number == 0:
        return PLAIN
    if number in _ON:
        return style._replace(on=style.on | {_ON[number]})
    if number in _OFF:
        return style._replace(on=style.on.difference(_OFF[number]))
    if 30 <= number <= 37 or 90 <= number <= 97:
        return style._replace(front=str(number))
    if 40 <= number <= 47 or 100 <= number <= 107:
        return style._replace(back=str(number))
    if number == 39:
        return style._replace(front="")
    return style._replace(back="") if number == 49 else style


def _colour(parts: tuple[int | None, ...], numbers: Iterator[tuple[int | None, ...]]) -> str:
    """The rest of an extended colour, `5;N` or `2;R;G;B`, from behind colons or semicolons; "" where it is none."""
    if len(parts) > 1:
        kind, rest = parts[1], list(parts[2:])
        if kind == 2 and len(rest) > 3:
            del rest[0]  # the colour space
    else:
        kind = next(numbers, (None,))[0]
        rest = [next(numbers, (None,))[0] for _ in range({5: 1, 2: 3}.get(kind or 0, 0))]
    wanted = {5: 1, 2: 3}.get(kind or 0)
    values = [value or 0 for value in rest][:wanted]
    if wanted is None or len(values) < wanted or max(values) > 255:
        return ""
    return ";".join(map(str, (kind, *values)))
