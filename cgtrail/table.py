"""Documents as lines for people: time, container, uid, event, comm, pid, ppid, ret, args."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from datetime import datetime
from typing import Any

import click
import orjson

from cgtrail import lives, told_sessions, typed
from enrich.printable import MAX_MARKS, text

_COLUMNS = (
    ("TIME", 12),
    ("CONTAINER", 16),
    ("UID", 6),
    ("EVENT", 5),
    ("COMM", 15),
    ("PID", 7),
    ("PPID", 7),
    ("RET", 4),
)
_ID_DIGITS = 12
_MIN_ARGS, _MAX_ARGS = 20, 1000
"""Columns for arguments, on a narrow terminal and in a file."""


def header() -> str:
    """The names of the columns."""
    return click.style("  ".join([*(name.ljust(width) for name, width in _COLUMNS), "ARGS"]), bold=True)


def row(body: bytes) -> str:
    """One document as a line. Whatever a container chose is shown with its control characters made visible."""
    document = orjson.loads(body)
    if document["event"]["dataset"] == "cgtrail.loss":
        return click.style(_line(document, lost(document)), fg="red")
    if document["event"]["dataset"] in lives.DATASETS:
        return life(document, _line(document, lives.told(document)))
    if document["event"]["dataset"] in told_sessions.DATASETS:
        return session(document, _line(document, told_sessions.told(document)))
    if document["event"]["dataset"] == typed.DATASET:
        return _typed(document)
    process = document.get("process", {})
    identity, name = lives.user(document)
    cells = [
        _time(document),
        container(document),
        name or identity or "-",
        document["event"]["action"],
        text(process.get("name", "?")),
        str(process.get("pid", "")),
        str(process.get("parent", {}).get("pid", "")),
        str(process.get("exit_code", document.get("cgtrail", {}).get("return_code", ""))),
    ]
    line = "  ".join(fit(cell, width) for cell, (_, width) in zip(cells, _COLUMNS, strict=True))
    line = f"{line}  {_cut(process.get('command_line', ''), used=sum(w + 2 for _, w in _COLUMNS))}"
    if document["event"]["action"] == "end":
        return click.style(line, dim=True)
    return click.style(line, fg="yellow") if document["event"].get("outcome") == "failure" else line


def _typed(document: dict[str, Any]) -> str:
    """A typed line, when it was typed and when it was done: what stands behind its prompt's mark."""
    process, done = document.get("process", {}), document["event"]["action"] == typed.ENDED
    identity, name = lives.user(document)
    code = typed.exit_code(document)
    cells = [
        _time(document),
        container(document),
        name or identity or "-",
        "done" if done else "typed",
        text(str(process.get("name", "?"))),
        str(process.get("pid", "")),
        "",
        "" if code is None else f"{code:d}",
    ]
    line = "  ".join(fit(cell, width) for cell, (_, width) in zip(cells, _COLUMNS, strict=True))
    room = _room(sum(width + 2 for _, width in _COLUMNS))
    line = f"{line}  {fit(typed.words(document, room), room).rstrip()}"
    if done:
        return click.style(line, fg="yellow") if code else click.style(line, dim=True)
    return click.style(line, bold=True)


def life(document: dict[str, Any], line: str) -> str:
    """The line of a container's or tenant's document, in the colour that it deserves."""
    return click.style(line, fg="red" if lives.dangerous(document) else "cyan")


def session(document: dict[str, Any], line: str) -> str:
    """The same of a session's or a terminal's."""
    return click.style(line, fg="red" if told_sessions.dangerous(document) else "blue")


def _line(document: dict[str, Any], words: str) -> str:
    """What happened in words instead of columns."""
    before = f"{_time(document)}  {fit(container(document), 16)}  "
    return before + fit(words, _room(len(before))).rstrip()


def _time(document: dict[str, Any]) -> str:
    return datetime.fromisoformat(document["@timestamp"]).astimezone().strftime("%H:%M:%S.%f")[:12]


def container(document: dict[str, Any]) -> str:
    """Its name, or the beginning of its id; - of what is no container's, and ? where it is not known."""
    found = document.get("container")
    if found is None:
        return "-" if document.get("cgtrail", {}).get("attribution") != "unknown" else "?"
    return text(found.get("name") or found.get("id", "?")[:_ID_DIGITS])


def lost(document: dict[str, Any]) -> str:
    """A loss in words."""
    loss = document["cgtrail"]["loss"]
    what = f"LOST {_lost(loss)}: {loss['cause']}"
    if "start" in document["event"] and "count" not in loss:
        what += f", since {document['event']['start']}"
    return what


def _lost(loss: dict[str, Any]) -> str:
    if "count" in loss:
        return f"{loss['count']} {loss.get('record', '')} records".replace("  ", " ")
    return f"{loss['frames']} frames of records" if "frames" in loss else "all records"


def _cut(arguments: str, used: int) -> str:
    """As much as fits the terminal's line, escaped; elsewhere at most so much that a line stays a line."""
    room = _room(used)
    # Every character takes a column, but for the marks on it: what lies behind so many could not be seen.
    shown = text(arguments[: (room + 2) * (1 + MAX_MARKS)])
    return fit(shown, room).rstrip() if len(shown) * 2 > room else shown


def _room(used: int) -> int:
    return max(shutil.get_terminal_size().columns - used, _MIN_ARGS) if sys.stdout.isatty() else _MAX_ARGS


def fit(cell: str, width: int) -> str:
    """Padded or cut to so many columns of a terminal; wide characters take two."""
    if columns(cell) > width:
        kept, left = "", width - 1
        for char in cell:
            left -= _columns(char)
            if left < 0:
                break
            kept += char
        cell = f"{kept}…"
    return cell + " " * (width - columns(cell))


def columns(cell: str) -> int:
    """How many columns of a terminal it takes."""
    return sum(map(_columns, cell))


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
