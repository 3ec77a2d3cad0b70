"""Typed lines as people read them: documents of the kind command, of which a line has one or two."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import orjson

from cgtrail import lives
from cgtrail.recordings.find import ANY, DAMAGED, instant
from enrich.stores import Cursor, Store
from enrich.stores.query import Term, any_of

KIND = "command"
DATASET = f"cgtrail.{KIND}"
STARTED, ENDED = "command_started", "command_ended"
DOCUMENTS = any_of([Term("event.action", STARTED), Term("event.action", ENDED)])
"""All of the kind, by a field that the store has an index for."""
_MARK = re.compile(r"(?P<mark>(?P<one>[$#%>:.\u276f\u279c\u00bb\u03bb])(?P=one){0,2})\s*\Z")
"""What ends a prompt: `$`, `#`, `>>>`."""
_PROMPT = 64
"""Characters at a prompt's end that are looked at."""
_AT_ONCE = 200
"""Lines whose ends are looked up together."""
_DEEPEST = 24
"""Columns of a directory: of a longer one the end is shown."""


def number(document: dict[str, Any]) -> int:
    """Its position among the lines of its session; 0 where that is not told."""
    return int(document["cgtrail"]["command"].get("number", 0))


def line(document: dict[str, Any]) -> str:
    """What was typed, raw."""
    return str(document["cgtrail"]["command"]["line"])


def is_input(document: dict[str, Any]) -> bool:
    """It is data for a program."""
    return bool(document["cgtrail"]["command"].get("role") == "input")


def continues(document: dict[str, Any]) -> bool:
    """It is a further line of the one before, as in a here-document."""
    return bool(document["cgtrail"]["command"].get("continues"))


def when(document: dict[str, Any]) -> str:
    """When it was typed, as a document's time; its end says that of itself too."""
    ended = document["event"]["action"] == ENDED
    return str(document["event"]["start"] if ended else document["@timestamp"])


def exit_code(document: dict[str, Any]) -> int | None:
    """With what it ended; None where it goes on, or nobody knows."""
    found = document.get("process", {}).get("exit_code") if document["event"]["action"] == ENDED else None
    return None if found is None else int(found)


def mark(document: dict[str, Any]) -> str:
    """What stands before the line, as its prompt ended: $, #, >>>; > for any other, < for what a program read.

    A question mark before it: the line may have been another one.
    """
    command = document["cgtrail"]["command"]
    unsure = "?" if command.get("confidence") == "low" else ""
    if is_input(document):
        return f"{unsure}<"
    found = _MARK.search(str(command.get("prompt", ""))[-_PROMPT:])
    return unsure + (found["mark"] if found else ">")


def where(document: dict[str, Any]) -> str:
    """The directory that it was typed in, safe for a terminal; of a long one the end."""
    directory = str(document.get("process", {}).get("working_directory", ""))
    shown = lives.short(directory[-_DEEPEST * 4 :], _DEEPEST * 40)
    return shown if len(shown) <= _DEEPEST and len(directory) <= _DEEPEST * 4 else f"…{shown[1 - _DEEPEST :]}"


def words(document: dict[str, Any], columns: int) -> str:
    """Mark and line in one row, safe for a terminal, the line of so many columns at most."""
    return f"{mark(document)} {lives.short(line(document), columns)}"


def settled(store: Store, bodies: Iterable[bytes], upto: Cursor | None = None) -> Iterator[bytes]:
    """Beginnings of lines, and in place of those that have ended their ends, in the order of the beginnings.

    Any other document passes. An end behind the cursor `upto` is none yet. Raises StoreError.
    """
    rest = iter(bodies)
    while batch := list(islice(rest, _AT_ONCE)):
        began: dict[str, int] = {}
        since = None
        for place, body in enumerate(batch):
            try:
                document = orjson.loads(body)
                if document["event"]["action"] == STARTED:
                    began[f"{document['event']['id']}-end"] = place
                    since = instant(document["@timestamp"]) if since is None else since
            except DAMAGED:
                continue
        for end in _ends(store, began, since, upto):
            batch[began.pop(end[0])] = end[1]
        yield from batch


def _ends(store: Store, wanted: dict[str, int], since: int | None, upto: Cursor | None) -> Iterator[tuple[str, bytes]]:
    """Ends by their ids; the search is over with the last of them, whatever days lie behind."""
    if not wanted:
        return
    query, left = any_of([Term("event.id", name) for name in wanted]), len(wanted)
    for body in store.search(query, since=since, limit=ANY, ascending=True, upto=upto):
        try:
            document = orjson.loads(body)
            name = str(document["event"]["id"])
            number(document), when(document), line(document)  # what a row needs: of a damaged one the beginning stays
        except DAMAGED:
            continue
        if name in wanted:
            yield name, body
        left -= 1
        if not left:
            return
