"""What plain keys come to, where that cannot be seen.

Busybox shows `?` for what it has no glyph for; of a line that is taller than the window editors show a part.
"""

from __future__ import annotations

import re

MOST = 65_536
"""Bytes of keys that are kept of one line."""
RETURNS = re.compile(rb"[\r\n]")
_KEY = re.compile(
    r"\x16(?P<literal>.)|\x1b\[200~(?P<paste>.*?)(?:\x1b\[201~|\Z)|\x1b(?:\[|O)(?P<arrow>[CDHF])|\x1b\[(?P<number>[1347])~|(?P<control>[\x01\x02\x04\x05\x06\x08\x0b\x15\x17\x19\x7f])"
    r"|(?P<end>[\r\n])|(?P<text>[^\x00-\x1f\x7f]+)",
    re.DOTALL,
)
_MOVES = {"C": "right", "D": "left", "H": "home", "F": "end", "1": "home", "7": "home", "4": "end", "3": "delete"}
_CONTROLS = {
    "\x01": "home",
    "\x02": "left",
    "\x04": "delete",
    "\x05": "end",
    "\x06": "right",
    "\x08": "back",
    "\x7f": "back",
    "\x0b": "kill",
    "\x15": "clear",
    "\x17": "word",
    "\x19": "yank",
}
_KILLS = frozenset({"kill", "clear", "word"})


def typed(keys: bytearray) -> str | None:
    """The line that keys make, up to their Return; None where the effect of one is not known (history, completion)."""
    line, x, at = list[str](), 0, 0
    killed, killing = "", False
    text = keys.decode(errors="replace")
    while at < len(text):
        key = _KEY.match(text, at)
        if key is None:
            return None
        at = key.end()
        if key["end"] is not None:
            break
        added = key["text"] or key["literal"]
        if key["paste"] is not None:
            added = key["paste"].replace("\r", "\n")
        if added is not None:
            line[x:x] = added
            x += len(added)
            killing = False
            continue
        move = _CONTROLS[key["control"]] if key["control"] else _MOVES[key["arrow"] or key["number"]]
        if move == "yank":
            if not killed:
                return None
            line[x:x] = killed
            x += len(killed)
        before = "".join(line)
        x = _move(line, x, move)
        if move in _KILLS:  # what is killed at once is yanked as one
            gone = before[x : x + len(before) - len(line)]
            killed = gone if not killing else killed + gone if move == "kill" else gone + killed
        killing = move in _KILLS
    return "".join(line).rstrip("\n")


def _move(line: list[str], x: int, move: str) -> int:
    if move == "left":
        return max(x - 1, 0)
    if move == "right":
        return min(x + 1, len(line))
    if move == "home":
        return 0
    if move == "end":
        return len(line)
    start = x
    if move == "back":
        start = max(x - 1, 0)
    elif move == "clear":
        start = 0
    elif move == "word":
        while start and line[start - 1] == " ":
            start -= 1
        while start and line[start - 1] != " ":
            start -= 1
    end = {"delete": x + 1, "kill": len(line)}.get(move, x)
    del line[start:end]
    return start


def fits(line: str, keys: str) -> bool:
    """Whether what was painted is what was typed, but for what shows as `?`."""
    painted, meant = line.rstrip(), keys.rstrip()
    return len(painted) == len(meant) and all(
        a == b or (a == "?" and not b.isascii()) for a, b in zip(painted, meant, strict=True)
    )
