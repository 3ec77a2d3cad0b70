"""A recording as it happened: what was shown and typed, when, and what is missing, out of `terminal` documents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from heapq import merge
from typing import Any, NamedTuple

import orjson

from cgtrail import typed
from cgtrail.recordings.find import ANY, AROUND, DAMAGED, ID, Session, instant
from cgtrail.told_sessions import ALERTS
from enrich.stores import Store
from enrich.stores.query import Term

_STEP = re.compile(r"\+(?P<wait>\d+)|>(?P<shown>\d+)|<\d+|=(?P<columns>\d+)x(?P<rows>\d+)", re.ASCII)
"""tlog 2.3's notation, as far as documents use it (https://github.com/Scribery/tlog/blob/main/doc/log_format.md)."""
_MILLISECOND = 1_000_000
_LONGEST = 200
"""Columns of a line that stands beside a recording."""


class Shown(NamedTuple):
    """Text that a program wrote. `at` is nanoseconds since the session's start, here and below."""

    at: int
    text: str


class Typed(NamedTuple):
    """A line that a program took, with what was masked in it."""

    at: int
    text: str


class Window(NamedTuple):
    """The window's size from now on."""

    at: int
    columns: int
    rows: int


class Mark(NamedTuple):
    """Something to know about the session."""

    at: int
    words: str


class Gap(NamedTuple):
    """What was shown here and is in no document."""

    at: int
    size: int
    documents: int = 0

    @property
    def words(self) -> str:
        """It as a text for people."""
        parts = []
        if self.documents:
            parts.append(f"{self.documents:,} document{'s' * (self.documents != 1)} missing")
        if self.size:
            parts.append(f"{self.size:,} byte{'s' * (self.size != 1)} skipped")
        return f"[… {', '.join(parts)} …]"


class Command(NamedTuple):
    """A line was typed that has something done."""

    at: int
    id: str
    number: int
    words: str
    """Mark of its prompt and the line, safe for a terminal."""


Event = Shown | Typed | Window | Mark | Gap | Command


class Recording:
    """A session's events, read from the store one document after another."""

    def __init__(self, store: Store, session: Session) -> None:
        self.session = session
        self.start = session.start
        self._store, self._own = store, Term(ID, session.id)
        self.skipped = self.missing = self.damaged = 0
        """Bytes that no document has, documents that are gone, and damaged or surplus ones: of what was read last."""

    def events(self) -> Iterator[Event]:
        """All of it from the beginning, in order; `at` never falls. Raises StoreError."""
        yield from merge(self._recorded(), self.commands(), key=lambda event: event.at)

    def again(self) -> Recording:
        """The same with counts of its own."""
        return Recording(self._store, self.session)

    def commands(self) -> Iterator[Command]:
        """The lines that were typed, further lines and what programs read left out; as `events` they are in order."""
        last = 0
        for document in self._documents("command"):
            try:
                if typed.is_input(document) or typed.continues(document):
                    continue
                last = max(last, self._at(document))
                name, number = str(document["cgtrail"]["command"]["id"]), typed.number(document)
                yield Command(last, name, number, typed.words(document, _LONGEST))
            except DAMAGED:
                self.damaged += 1

    def _recorded(self) -> Iterator[Event]:
        self.skipped = self.missing = self.damaged = 0
        last, number, passed = 0, 0, 0
        for document in self._documents("terminal", "session"):
            try:
                if document["event"]["dataset"] == "cgtrail.session":
                    found: list[Event] = [self._alert(document)]
                else:
                    terminal = document["cgtrail"]["terminal"]
                    if terminal["number"] <= number:
                        self.damaged += 1
                        continue
                    found = self._before(document, number, passed)
                    found += self._of(document)
                    number = terminal["number"]
                    passed = _passed(document, passed)
            except DAMAGED:
                self.damaged += 1
                continue
            for event in found:
                last = max(last, event.at)
                yield event._replace(at=last)

    def length(self) -> int:
        """Nanoseconds from the start to the end; while it is open, to what was recorded last. Raises StoreError."""
        end = self.session.end
        if end is None:
            last = self._store.search(self._own, since=self.start, kind="terminal", limit=1)
            end = max((instant(orjson.loads(body)["@timestamp"]) for body in last), default=self.start)
        return max(end - self.start, 0)

    def _documents(self, *kinds: str) -> Iterator[dict[str, Any]]:
        until = None if self.session.end is None else self.session.end + AROUND
        streams = [
            self._read(
                self._store.search(
                    self._own, since=self.start - AROUND, until=until, kind=kind, limit=ANY, ascending=True
                )
            )
            for kind in kinds
        ]
        for _, document in merge(*streams, key=lambda dated: dated[0]):
            yield document

    def _read(self, bodies: Iterator[bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
        for body in bodies:
            try:
                document = orjson.loads(body)
                action, dataset = document["event"]["action"], document["event"]["dataset"]
                if dataset == "cgtrail.terminal" or action in ALERTS or action == typed.STARTED:
                    yield str(document["@timestamp"]), document
            except DAMAGED:
                self.damaged += 1

    def _at(self, document: dict[str, Any]) -> int:
        return max(instant(document["@timestamp"]) - self.start, 0)

    def _alert(self, document: dict[str, Any]) -> Mark:
        return Mark(self._at(document), ALERTS[document["event"]["action"]])

    def _before(self, document: dict[str, Any], number: int, passed: int) -> list[Event]:
        """What is missing between the last document and this one."""
        terminal = document["cgtrail"]["terminal"]
        documents = terminal["number"] - number - 1
        size = max(int(terminal.get("offset", passed)) - passed, 0)
        if not documents:
            return []
        self.missing += documents
        self.skipped += size
        return [Gap(self._at(document), size, documents)]

    def _of(self, document: dict[str, Any]) -> list[Event]:
        at, shown = self._at(document), document["process"].get("io", {})
        masked = document["cgtrail"]["terminal"].get("masked")
        if masked is not None:
            return [Mark(at, f"a {masked['kind']} of {masked['length']} characters was typed")]
        if document["event"]["action"] == "text_input":
            return [Typed(at, shown["text"])]
        text, timing = shown.get("text", ""), document["cgtrail"]["terminal"].get("timing", "")
        gaps = _places(text, shown.get("bytes_skipped", ()))
        self.skipped += sum(size for _, size in gaps)
        found, waited, rest = _played(text, timing, gaps, at)
        if rest is not None:
            self.damaged += 1
            found += _cut(text, rest, len(text), gaps, waited)
        return found + [Gap(waited, size) for _, size in gaps]


def _played(text: str, timing: str, gaps: list[tuple[int, int]], at: int) -> tuple[list[Event], int, int | None]:
    """Events by a document's timing, when they end, and from where on the timing says nothing of the text."""
    found: list[Event] = []
    place = end = 0
    while end < len(timing):
        step = _STEP.match(timing, end)
        if step is None:
            return found, at, place
        end = step.end()
        if step["wait"]:
            at += int(step["wait"][:12]) * _MILLISECOND
        elif step["shown"]:
            upto = min(place + int(step["shown"][:12]), len(text))
            found += _cut(text, place, upto, gaps, at)
            place = upto
        elif step["columns"]:
            found.append(Window(at, int(step["columns"][:5]), int(step["rows"][:5])))
    return found, at, place if place < len(text) else None


def _cut(text: str, start: int, end: int, gaps: list[tuple[int, int]], at: int) -> list[Event]:
    """A piece of the text, with the gaps that lie in it; those are taken from the list."""
    found: list[Event] = []
    while gaps and gaps[0][0] < end:
        place, size = gaps.pop(0)
        if start < place:
            found.append(Shown(at, text[start:place]))
            start = place
        found.append(Gap(at, size))
    return [*found, Shown(at, text[start:end])] if start < end else found


def _places(text: str, skipped: Any) -> list[tuple[int, int]]:
    """(character, bytes) of what was skipped, from offsets in bytes of the text (ECS process.io.bytes_skipped)."""
    encoded = b"" if text.isascii() else text.encode()
    found = []
    for gap in skipped:
        offset = int(gap["offset"])
        place = len(encoded[:offset].decode(errors="ignore")) if encoded else offset
        found.append((min(place, len(text)), int(gap["length"])))
    return sorted(found)


def _passed(document: dict[str, Any], passed: int) -> int:
    """Bytes shown up to a document's end."""
    shown, offset = document["process"].get("io", {}), document["cgtrail"]["terminal"].get("offset")
    if offset is None:
        return passed
    return int(offset) + int(shown.get("total_bytes_captured", 0)) + int(shown.get("total_bytes_skipped", 0))
