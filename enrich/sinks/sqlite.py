"""The local store's writer: a file a UTC day, a transaction a batch and day."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path

from enrich.document import Document
from enrich.sinks import DUPLICATE, OK, Outcome, Status
from enrich.stores import StoreError, dayfile
from enrich.stores.expiry import Expiry, boot_seconds
from enrich.stores.rows import Row, UnstorableError, row

_OPEN_FILES = 4
"""Days whose files stay open: today, and what arrives late or is replayed."""


class SqliteSink:
    """Documents on this host's disk: OK and DUPLICATE mean that they are synced to it.

    An id is unique within its day's file, which is decided by the document's time: the same document always meets
    itself. What can't be written now (disk full, file locked, a file that is damaged or of another format) is RETRY,
    and the reason names the file. A file that was moved away or replaced is let go of, with what it has. Old days go
    by the rule of Expiry, and documents of days that would go at once are rejected. `clock` tells the time in seconds
    since 1970, `boot` those since the host booted.
    """

    def __init__(
        self,
        folder: Path,
        retention_days: int,
        clock: Callable[[], float] = time.time,
        boot: Callable[[], float] = boot_seconds,
        *,
        expires: bool = True,
    ) -> None:
        """Make no file yet, but remove old ones. Raises ValueError, and StoreError where that is not allowed.

        `expires`: of several that write to one folder, one removes old days.
        """
        if retention_days < 1:
            message = f"retention_days {retention_days}: the store keeps one day at least"
            raise ValueError(message)
        self._folder = folder
        self._retention_days = retention_days
        self._expiry = Expiry(folder, retention_days, clock, boot, removes=expires)
        self._files: dict[date, sqlite3.Connection] = {}
        self._inodes: dict[date, tuple[int, int] | None] = {}
        self._expiry.run(self._close)

    def write(self, batch: Sequence[Document]) -> list[Outcome]:
        """Store a batch and answer for each document, in order. An empty batch still lets old days go."""
        try:
            self._expiry.run(self._close)
        except StoreError as error:
            return [Outcome(Status.RETRY, str(error))] * len(batch)
        outcomes: dict[int, Outcome] = {}
        by_day: dict[date, list[tuple[int, Row]]] = {}
        for index, document in enumerate(batch):
            try:
                made = row(document)
                by_day.setdefault(self._day(document), []).append((index, made))
            except UnstorableError as error:
                outcomes[index] = Outcome(Status.REJECTED, f"{document.id}: {error}")
        for day, items in by_day.items():
            answers = self._store(day, [made for _, made in items])
            outcomes.update(zip((index for index, _ in items), answers, strict=True))
        return [outcomes[index] for index in range(len(batch))]

    def close(self) -> None:
        """Close every file."""
        for day in list(self._files):
            self._close(day)

    def _day(self, document: Document) -> date:
        day = dayfile.day_of(document.time)
        if self._expiry.refuses(day):
            message = f"{day} is older than the {self._retention_days} days that are kept"
            raise UnstorableError(message)
        return day

    def _store(self, day: date, rows: list[Row]) -> Iterable[Outcome]:
        try:
            db = self._file(day)
            db.execute("BEGIN IMMEDIATE")
            try:
                outcomes = _insert(db, rows)
                db.execute("COMMIT")
            except BaseException:
                # SQLite has ended the transaction itself after some errors, such as a full disk.
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
        except (*dayfile.BROKEN, OSError, StoreError) as error:
            self._close(day)
            return [Outcome(Status.RETRY, _reason(dayfile.path_of(self._folder, day), error))] * len(rows)
        return outcomes

    def _file(self, day: date) -> sqlite3.Connection:
        path = dayfile.path_of(self._folder, day)
        if day in self._files and (self._inodes[day] is None or self._inodes[day] != _inode(path)):
            # Closing alone would leave the log where the next file of this name finds it: first into its own file.
            with suppress(*dayfile.BROKEN):
                self._files[day].execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._close(day)
        if day in self._files:
            db = self._files.pop(day)
        else:
            db = dayfile.open_writer(self._folder, day)
            self._inodes[day] = _inode(path)
        self._files[day] = db  # the last one used stands last
        if len(self._files) > _OPEN_FILES:
            self._close(next(iter(self._files)))
        return db

    def _close(self, day: date) -> None:
        if day in self._files:
            del self._inodes[day]
            self._files.pop(day).close()


def _inode(path: Path) -> tuple[int, int] | None:
    """Which file is there now; None for none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _insert(db: sqlite3.Connection, rows: list[Row]) -> list[Outcome]:
    ids = json.dumps([made.values[0] for made in rows])
    known = {
        found for (found,) in db.execute("SELECT id FROM docs WHERE id IN (SELECT value FROM json_each(?))", (ids,))
    }
    (seq,) = db.execute("SELECT coalesce(max(seq), 0) FROM docs").fetchone()
    outcomes, docs, lines, placed = [], [], [], []
    sets: dict[tuple[str, ...], int] = {}
    for values, line, tenants in rows:
        identity, at, nth, *_ = values
        if identity in known:
            outcomes.append(DUPLICATE)
            continue
        known.add(identity)
        outcomes.append(OK)
        seq += 1
        docs.append((seq, *values))
        if line is not None:
            lines.append((seq, line))
        if tenants:
            if tenants not in sets:
                sets[tenants] = _set_of(db, tenants)
            placed.append((seq, sets[tenants], at, dayfile.NO_SEQUENCE if nth is None else nth))
    marks = ", ".join("?" * (dayfile.ROW.count(",") + 1))
    db.executemany(f"INSERT INTO docs {dayfile.ROW} VALUES ({marks})", docs)
    db.executemany("INSERT INTO lines (rowid, text) VALUES (?, ?)", lines)
    db.executemany("INSERT INTO placed (doc, whose, at, nth) VALUES (?, ?, ?, ?)", placed)
    return outcomes


def _set_of(db: sqlite3.Connection, tenants: tuple[str, ...]) -> int:
    """The number of a set of tenants in this file, where it may have to be made."""
    named = json.dumps(tenants)
    known = db.execute("SELECT whose FROM sets WHERE tenants = ?", (named,)).fetchone()
    if known is not None:
        return int(known[0])
    (whose,) = db.execute("INSERT INTO sets (tenants) VALUES (?) RETURNING whose", (named,)).fetchone()
    db.executemany("INSERT INTO tenants (tenant, whose) VALUES (?, ?)", [(tenant, whose) for tenant in tenants])
    return int(whose)


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, StoreError):
        return str(error)
    if isinstance(error, sqlite3.DatabaseError) and getattr(error, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    ):
        return f"{path}: damaged ({error}): move it away, and a new one is made"
    return f"{path}: can't be written now ({error})"
