"""What a line reads where its picture does not tell alone: blanks at its end, what fills rows, what is not painted."""

from __future__ import annotations

from enrich.lines import keys
from enrich.lines.grid import REST
from enrich.lines.picture import Picture, is_partial, line_cells, plain
from enrich.lines.program import Edit
from enrich.lines.prompts import is_masked
from enrich.lines.typed import Reason
from enrich.lines.width import width

_TAB = 8
_ENOUGH = 4
"""Characters that don't stand on a row by chance."""


def choose(edit: Edit, shown: Picture, *, unseen: bool) -> tuple[str, Reason, bool]:
    """The line that a picture shows, or that plain keys make where the picture agrees with them, or is not whole.

    `unseen`: the editor may show nothing of what is typed. The last of the result: a part of it may be missing.
    """
    text = edit.grid.text
    line = text(line_cells(shown))
    typed = keys.typed(edit.keys) if edit.keys is not None else None
    partly = is_partial(shown) or shown.origin < 0
    if typed is None or typed == line:
        return line, Reason.EDITED, partly and typed is None
    if (partly and echoes(shown, typed)) or (unseen and not line):
        return typed, Reason.KEYS, len(edit.keys or b"") >= keys.MOST
    if partly:
        return line, Reason.EDITED, bool(line)
    filled = text(line_cells(shown, fillers=True))
    if typed.rstrip(" ") == line.rstrip(" ") or typed == filled or painted(typed, len(shown.prompt)) == line:
        return typed, Reason.EDITED, False
    hidden = ("?" in line and keys.fits(line, typed)) or _is_interrupted(typed, line, edit.keys)
    return (typed, Reason.KEYS, False) if hidden else (line, Reason.EDITED, False)


def echoes(shown: Picture, typed: str) -> bool:
    """Whether some of what was typed is to be seen: else it may be a secret, and is not looked at."""
    whole = typed.strip()
    rows = (plain(row).replace(REST, "") for row in shown.rows[max(shown.origin, 0) : shown.y + 1])
    if len(whole) <= _ENOUGH:
        return bool(whole) and any(whole in row for row in rows)
    return any(
        len(piece) == _ENOUGH and not is_masked(piece) and piece in whole
        for row in rows
        for piece in (row.strip()[-_ENOUGH:], row[len(shown.prompt) :].strip()[:_ENOUGH])
    )


def _is_interrupted(typed: str, line: str, typed_keys: bytearray | None) -> bool:
    """Whether the program said something in the middle of the line, as bash does of jobs (`set -b`).

    That are whole rows, and the line goes on behind them. With several Returns rows are the line's own.
    """
    if len(keys.RETURNS.findall(typed_keys or b"")) != 1 or len(line) <= len(typed) or not typed:
        return False
    if line.startswith(f"{typed}\n"):  # zsh, of a job that ends while Return is taken
        return True
    said, newline, behind = line.rpartition("\n")
    return bool(newline) and typed.endswith(behind) and said.startswith(typed.removesuffix(behind))


def painted(typed: str, column: int) -> str:
    """How editors show a line that begins at this column: tabs as blanks, other control characters as ^A."""
    if typed.isprintable():
        return typed
    shown = list[str]()
    for character in typed:
        piece = character
        if character == "\t":
            piece = " " * (_TAB - column % _TAB)
        elif character < " " and character != "\n":
            piece = "^" + chr(ord(character) + 64)
        column += sum(map(width, piece))
        shown.append(piece)
    return "".join(shown)
