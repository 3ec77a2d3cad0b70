"""Recordings as messages of tlog 2.3, for tlog-play (https://github.com/Scribery/tlog/blob/main/doc/log_format.md)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from cgtrail.recordings.events import Event, Shown, Typed, Window
from cgtrail.recordings.find import Session
from enrich.printable import json_line

_MILLISECOND = 1_000_000
_LONGEST = 2048
"""Characters of a message, as tlog's own have bytes by default."""
_NO_AUDIT_SESSION = 1
"""Players want a number above 0, and containers have no audit session."""


def messages(session: Session, events: Iterable[Event]) -> Iterator[bytes]:
    """Lines, a message each. The format has no words for gaps and marks: they are left out."""
    made = _Message(session)
    columns, rows = session.size
    if columns and rows:
        made.add(Window(0, columns, rows))
    for event in events:
        for piece in _pieces(event):
            if made.full:
                yield made.finished()
            made.add(piece)
    if made.timing:
        yield made.finished()


class _Message:
    """The message that is being made, and what all have in common."""

    def __init__(self, session: Session) -> None:
        document = session.document
        self._common = {
            "ver": "2.3",
            "host": document.get("host", {}).get("name", ""),
            "rec": session.id,
            "user": document.get("user", {}).get("name") or document.get("user", {}).get("id", ""),
            "term": "xterm",
            "session": _NO_AUDIT_SESSION,
        }
        self._start = session.start
        self._number = 0
        self._size = (0, 0)
        self._begin(0)

    def _begin(self, at: int) -> None:
        self._first = self._last = at
        self.timing: list[str] = []
        self._in: list[str] = []
        self._out: list[str] = []
        self._length = 0

    @property
    def full(self) -> bool:
        """Whether a message ends here."""
        return self._length >= _LONGEST or len(self.timing) >= _LONGEST

    def add(self, event: Event) -> None:
        """Put an event into it, as far as there is a notation for it."""
        if not isinstance(event, Shown | Typed | Window):
            return
        at = event.at // _MILLISECOND
        if not self.timing:
            self._begin(at)
        if at > self._last:
            self.timing.append(f"+{at - self._last}")
            self._last = at
        match event:
            case Window() if (event.columns, event.rows) != self._size:
                self._size = event.columns, event.rows
                self.timing.append(f"={event.columns}x{event.rows}")
            case Shown():
                self.timing.append(f">{len(event.text)}")
                self._out.append(event.text)
                self._length += len(event.text)
            case Typed():
                self.timing.append(f"<{len(event.text)}")
                self._in.append(event.text)
                self._length += len(event.text)

    def finished(self) -> bytes:
        """It as JSON; the next one begins."""
        self._number += 1
        message: dict[str, Any] = self._common | {
            "id": self._number,
            "pos": self._first,
            "time": self._start / 1e9 + self._first / 1e3,
            "timing": "".join(self.timing),
            "in_txt": "".join(self._in),
            "in_bin": [],
            "out_txt": "".join(self._out),
            "out_bin": [],
        }
        self._begin(self._last)
        return json_line(orjson.dumps(message)) + b"\n"


def _pieces(event: Event) -> Iterator[Event]:
    """Long texts in pieces; texts without a character are nothing."""
    if not isinstance(event, Shown | Typed):
        yield event
        return
    for at in range(0, len(event.text), _LONGEST):
        yield event._replace(text=event.text[at : at + _LONGEST])
