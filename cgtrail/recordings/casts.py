"""Recordings as asciicast files, for asciinema's players (https://docs.asciinema.org/manual/asciicast/v3/ and v2/)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import orjson

from cgtrail.recordings.events import Command, Event, Gap, Mark, Shown, Typed, Window
from cgtrail.recordings.find import Session
from cgtrail.recordings.grid import bounded
from enrich.printable import json_line

_SECOND = 1_000_000_000
_MICROSECOND = 1_000


def version3(session: Session, events: Iterable[Event]) -> Iterator[bytes]:
    """Lines of a file of version 3: what happened, and how many seconds after what was before it."""
    columns, rows, events = _size(session, events)
    yield _line({"version": 3, "term": {"cols": columns, "rows": rows}, **_header(session)})
    last = 0
    for event in events:
        at = event.at // _MICROSECOND
        yield _line([(at - last) / 1e6, *_told(event)])
        last = at


def version2(session: Session, events: Iterable[Event]) -> Iterator[bytes]:
    """Lines of a file of version 2: what happened, and how many seconds after the beginning."""
    columns, rows, events = _size(session, events)
    yield _line({"version": 2, "width": columns, "height": rows, **_header(session)})
    for event in events:
        yield _line([event.at // _MICROSECOND / 1e6, *_told(event)])


def _header(session: Session) -> dict[str, Any]:
    container = session.document.get("container", {})
    name = container.get("name") or container.get("id") or "host"
    return {"timestamp": session.start // _SECOND, "title": f"cgtrail {session.id}, {name}"}


def _size(session: Session, events: Iterable[Event]) -> tuple[int, int, Iterator[Event]]:
    """The window's size at first, and the events without that."""
    rest = iter(events)
    first = next(rest, None)
    if isinstance(first, Window):
        return *bounded(first.columns, first.rows), rest
    return *bounded(*session.size), rest if first is None else chain([first], rest)


def _told(event: Event) -> tuple[str, str]:
    match event:
        case Shown():
            return "o", event.text
        case Typed():
            return "i", event.text
        case Window():
            columns, rows = bounded(event.columns, event.rows)
            return "r", f"{columns}x{rows}"
        case Mark() | Gap() | Command():
            return "m", event.words


def _line(value: Any) -> bytes:
    """JSON that any terminal can show: its readers get the same."""
    return json_line(orjson.dumps(value)) + b"\n"
