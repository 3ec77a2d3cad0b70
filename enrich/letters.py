"""Dead letters: what could not become a document, or a document no store would take, kept with its bytes and reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import orjson
import structlog

from enrich.document import Document
from enrich.statefile import open_database

_log = structlog.get_logger()

MAX_BYTES = 256 << 20
_FORMAT = 1
_DDL = """
CREATE TABLE letters (id TEXT PRIMARY KEY, kind TEXT, stream TEXT, frame INTEGER, idx INTEGER, time INTEGER,
                      reason TEXT, body BLOB) STRICT;
"""


class LetterKind(StrEnum):
    """What a dead letter is."""

    FRAME = "frame"
    """Bytes of the spool where a frame should be."""
    RECORD = "record"
    """A record that is not understood, or that a step failed on."""
    DOCUMENT = "document"
    """A document that the sink will never take."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter. Its id derives from the stream, so that the same trouble met again is the same letter."""

    id: str
    kind: LetterKind
    stream: str
    """The stream's id in hexadecimal."""
    frame: int
    index: int
    """Of the record in its frame; 0 for a frame."""
    time: int
    """When the host met it, as far as is known: nanoseconds since 1970."""
    reason: str
    body: bytes
    """The frame's or record's bytes, or the document as JSON."""


def rejected(document: Document, reason: str) -> Letter:
    """The letter of a document that a sink will never take."""
    stream, frame, index = [*document.id.split("-"), "0", "0"][:3]
    return Letter(
        document.id,
        LetterKind.DOCUMENT,
        stream,
        int(frame),
        int(index) if index.isdigit() else 0,
        document.time,
        reason,
        _body(document),
    )


def _body(document: Document) -> bytes:
    try:
        return orjson.dumps(document.source, default=repr, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # a text that is no UTF-8
        return repr(document.source).encode(errors="backslashreplace")


class DeadLetters:
    """The dead letters of one sink's worker, in a database of their own. `max_bytes` bounds what it keeps of bodies."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        """Open or make it. Raises sqlite3.Error and OSError."""
        self._db = open_database(path, _DDL, _FORMAT)
        self._max_bytes = max_bytes
        self.dropped = 0
        """Letters that found no room since this object was made."""

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def add(self, letters: list[Letter]) -> None:
        """Keep letters durably; one that is there already is not kept twice. Raises sqlite3.Error."""
        with self._db:
            (used,) = self._db.execute("SELECT coalesce(sum(length(body)), 0) FROM letters").fetchone()
            for letter in letters:
                if used + len(letter.body) > self._max_bytes:
                    self.dropped += 1
                    _log.error("no room for a dead letter: only counted", id=letter.id, reason=letter.reason)
                    continue
                used += len(letter.body)
                self._db.execute(
                    "INSERT OR IGNORE INTO letters VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (letter.id, letter.kind.value, letter.stream, letter.frame, letter.index, letter.time,
                     letter.reason, letter.body),
                )  # fmt: skip

    def all(self) -> Iterator[Letter]:
        """Every letter, in the order of the stream."""
        rows = self._db.execute("SELECT * FROM letters ORDER BY stream, frame, idx, id")
        for identity, kind, *rest in rows:
            yield Letter(identity, LetterKind(kind), *rest)

    def remove(self, identity: str) -> None:
        """Forget a letter, after it was delivered. Raises sqlite3.Error."""
        with self._db:
            self._db.execute("DELETE FROM letters WHERE id = ?", (identity,))

    def count(self) -> int:
        """How many there are."""
        return int(self._db.execute("SELECT count(*) FROM letters").fetchone()[0])
