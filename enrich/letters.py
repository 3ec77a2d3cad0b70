"""Dead letters: what could not become a document, or a document no store would take, kept with its bytes and reason."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol, Self

import msgspec
import orjson
import structlog

from enrich.document import Document
from enrich.losses import Trouble
from enrich.statefile import DAMAGED, open_database, open_for_reading

_log = structlog.get_logger()

MAX_BYTES = 256 << 20
_FORMAT = 3
_DDL = """
CREATE TABLE letters (id TEXT PRIMARY KEY, kind TEXT, stream TEXT, frame INTEGER, idx INTEGER, behind INTEGER,
                      time INTEGER, reason TEXT, body BLOB, origin TEXT NOT NULL DEFAULT '') STRICT;
"""
_OLDER = {2: "ALTER TABLE letters ADD COLUMN origin TEXT NOT NULL DEFAULT ''"}


class LettersError(Exception):
    """Dead letters that can't be read; the message names the place and what to do."""


class LetterKind(StrEnum):
    """What a dead letter is."""

    FRAME = "frame"
    """Bytes of the spool, or of a topic, where a frame should be."""
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
    """The stream's id in hexadecimal; empty where bytes name none."""
    frame: int
    index: int
    """Of the record in its frame; 0 for a frame."""
    behind: int
    """The first frame behind it: damage may hide more than one."""
    time: int
    """When the host met it, as far as is known: nanoseconds since 1970."""
    reason: str
    body: bytes
    """The frame's or record's bytes, or the document as JSON."""
    origin: str = ""
    """Where it was read: the spool's file and byte, or topic, partition, offset and host; empty where nobody told."""

    @property
    def deadly(self) -> bool:
        """Whether it is a record that a worker died of."""
        return self.kind is LetterKind.RECORD and self.reason.startswith(f"{Trouble.DEADLY}:")


class Letters(Protocol):
    """Where a worker puts dead letters."""

    dropped: int
    """Letters that found no room since this object was made."""

    def add(self, letters: Sequence[Letter]) -> None:
        """Keep letters durably; the same id again is the same letter. Raises OSError, sqlite3.Error, SourceError."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class KeptLetters(Letters, Protocol):
    """Dead letters for who looks at them and tries them again."""

    def ids(self) -> list[str]:
        """All their ids, the oldest letter's first."""
        ...

    def get(self, identity: str) -> Letter | None:
        """One letter; None when it is not there any more."""
        ...

    def heads(self) -> Iterator[Letter]:
        """Every letter, the oldest first; their bodies may be left out."""
        ...

    def all(self) -> Iterator[Letter]:
        """Every letter, the oldest first, one by one: their bodies may be large."""
        ...

    def remove(self, identity: str) -> None:
        """Forget a letter, after it was delivered."""
        ...

    def blame(self, identity: str, reason: str) -> None:
        """A letter stays, for this reason."""
        ...


def placed(letters: Sequence[Letter], partition: str, origin: str) -> list[Letter]:
    """Letters with where they were read, those that do not say it of this partition."""
    return [
        letter
        if letter.origin.startswith(partition)
        else replace(letter, origin=f"{origin}; {letter.origin}" if letter.origin else origin)
        for letter in letters
    ]


def rejected(document: Document, reason: str) -> Letter:
    """The letter of a document that a sink will never take."""
    stream, frame, index = [*document.id.split("-"), "0", "0"][:3]
    return Letter(
        document.id,
        LetterKind.DOCUMENT,
        stream,
        int(frame),
        int(index) if index.isdigit() else 0,
        int(frame) + 1,
        document.time,
        reason,
        _body(document),
    )


def _body(document: Document) -> bytes:
    try:
        return orjson.dumps(document.source, default=repr, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # a text that is no UTF-8
        return repr(document.source).encode(errors="backslashreplace")


def _stored(number: int) -> int:
    """A number as near as SQLite can hold it: times of hostile records reach beyond."""
    return min(max(number, -(1 << 63)), (1 << 63) - 1)


class DeadLetters:
    """The dead letters of one sink's worker, in a database of their own. `max_bytes` bounds what it keeps of bodies."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES, *, _db: sqlite3.Connection | None = None) -> None:
        """Open or make it. Raises sqlite3.Error and OSError."""
        self._db = _db or open_database(path, _DDL, _FORMAT, _OLDER)
        self._max_bytes = max_bytes
        self.dropped = 0
        """Letters that found no room since this object was made."""

    @classmethod
    def reading(cls, path: Path) -> Self | None:
        """Those there are, only to be read, also while a worker adds to them; None when there is no database.

        Raises LettersError.
        """
        try:
            db = open_for_reading(path, *_OLDER, _FORMAT)
        except (*DAMAGED, OSError) as error:
            message = f"{path}: the dead letters can't be read ({error}): as their owner, and of this version?"
            raise LettersError(message) from error
        return cls(path, _db=db) if db else None

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def add(self, letters: Sequence[Letter]) -> None:
        """Keep letters durably; one that is there already is not kept twice. Raises sqlite3.Error."""
        dropped = []
        with self._db:
            (used,) = self._db.execute("SELECT coalesce(sum(length(body)), 0) FROM letters").fetchone()
            for letter in letters:
                if self._db.execute("SELECT 1 FROM letters WHERE id = ?", (letter.id,)).fetchone():
                    continue
                if used + len(letter.body) > self._max_bytes:
                    dropped.append(letter)
                    continue
                used += len(letter.body)
                self._db.execute(
                    "INSERT INTO letters VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (letter.id, letter.kind.value, letter.stream, _stored(letter.frame), letter.index,
                     _stored(letter.behind), _stored(letter.time), letter.reason, letter.body, letter.origin),
                )  # fmt: skip
        self.dropped += len(dropped)
        for letter in dropped:
            _log.error("no room for a dead letter: only counted", id=letter.id, reason=letter.reason,
                       next="see to the others: `cgtrail deadletters list`")  # fmt: skip

    def ids(self) -> list[str]:
        """All their ids, the oldest letter's first."""
        return [name for (name,) in self._db.execute("SELECT id FROM letters ORDER BY time, stream, frame, idx, id")]

    def get(self, identity: str) -> Letter | None:
        """One letter; None when it is not there any more. Raises sqlite3.Error."""
        row = self._db.execute("SELECT * FROM letters WHERE id = ?", (identity,)).fetchone()
        if row is None:
            return None
        names = [column.name for column in fields(Letter)]
        try:
            return msgspec.convert(dict(zip(names, row, strict=False)), Letter)  # an older format tells no origin
        except ValueError as error:  # SQLite believes a damaged file what type a value has
            raise sqlite3.DatabaseError(str(error)) from error

    def all(self) -> Iterator[Letter]:
        """Every letter, the oldest first, one by one: their bodies may be large."""
        return (letter for letter in map(self.get, self.ids()) if letter)

    def heads(self) -> Iterator[Letter]:
        """Every letter, the oldest first."""
        return self.all()

    def remove(self, identity: str) -> None:
        """Forget a letter, after it was delivered. Raises sqlite3.Error."""
        with self._db:
            self._db.execute("DELETE FROM letters WHERE id = ?", (identity,))

    def blame(self, identity: str, reason: str) -> None:
        """A letter stays, for this reason. Raises sqlite3.Error."""
        with self._db:
            self._db.execute("UPDATE letters SET reason = ? WHERE id = ?", (reason, identity))

    def count(self) -> int:
        """How many there are."""
        return int(self._db.execute("SELECT count(*) FROM letters").fetchone()[0])
