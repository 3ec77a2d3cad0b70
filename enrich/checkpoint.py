"""What a worker keeps to go on where it was: two snapshots a partition, and which records workers died of."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from enrich.statefile import open_database

_log = structlog.get_logger()

SLOTS = 2
_FORMAT = 1
_DDL = """
CREATE TABLE snapshots (stream TEXT, position INTEGER, schema TEXT, crc INTEGER, body BLOB,
                        PRIMARY KEY (stream, position)) STRICT;
CREATE TABLE deaths (stream TEXT, frame INTEGER, idx INTEGER, count INTEGER, PRIMARY KEY (stream, frame, idx)) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a worker knew of a partition when it had taken all that stands before the place `position`."""

    position: int
    body: bytes


class Checkpoints(Protocol):
    """Where it is kept."""

    def store(self, partition: str, schema: str, snapshot: Snapshot) -> int:
        """Keep a snapshot durably, and the one before it; returns the older one's position, 0 when there is none.

        `schema` says what its bytes depend on. Raises OSError, sqlite3.Error, SourceError.
        """
        ...

    def load(self, partition: str, schema: str, position: int) -> list[Snapshot]:
        """The snapshots of this schema at or before a position, the newest first; damaged ones are left out."""
        ...

    def died(self, stream: str, frame: int, index: int) -> None:
        """A worker died while it worked on a record."""
        ...

    def deaths(self, stream: str) -> dict[tuple[int, int], int]:
        """(frame, index) → how often workers died of it."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class SqliteCheckpoints:
    """A worker's own database, of one partition at a time: the streams of a spool follow each other.

    One that is damaged is moved aside: it only makes a restart slower.
    """

    def __init__(self, path: Path) -> None:
        self._db = open_database(path, _DDL, _FORMAT)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def store(self, partition: str, schema: str, snapshot: Snapshot) -> int:
        """Keep a snapshot durably, and the one before it; returns the older one's position, 0 when there is none.

        Those beyond it are forgotten: they are of a position that was lost. Raises sqlite3.Error.
        """
        body = zlib.compress(snapshot.body, level=1)
        own, place = (partition, schema), snapshot.position
        with self._db:
            self._db.execute("DELETE FROM snapshots WHERE stream != ? OR position > ?", (partition, place))
            self._db.execute("DELETE FROM deaths WHERE stream != ?", (partition,))
            self._db.execute(
                "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?)",
                (partition, place, schema, zlib.crc32(body), body),
            )
            rows = self._db.execute(
                "SELECT position FROM snapshots WHERE stream = ? AND schema = ? ORDER BY position DESC", own
            )
            kept = [int(position) for (position,) in rows][:SLOTS]
            self._db.execute("DELETE FROM snapshots WHERE stream = ? AND schema = ? AND position < ?", (*own, kept[-1]))
        return kept[-1] if len(kept) == SLOTS else 0

    def load(self, partition: str, schema: str, position: int) -> list[Snapshot]:
        """The snapshots of this schema at or before a position, the newest first; damaged ones are left out."""
        found = []
        rows = self._db.execute(
            "SELECT position, schema, crc, body FROM snapshots WHERE stream = ? AND position <= ?"
            " ORDER BY position DESC",
            (partition, position),
        )
        for at, written_by, crc, body in rows.fetchall():
            if written_by != schema:
                _log.info("a snapshot of another version or configuration is left alone", position=at,
                          next="none; the state is made again from the spool")  # fmt: skip
            elif (whole := _whole(body, crc)) is None:
                _log.warning("a damaged snapshot is left alone", position=at, next="none; an older one serves")
            else:
                found.append(Snapshot(at, whole))
        return found

    def died(self, stream: str, frame: int, index: int) -> None:
        """The worker died while it worked on a record."""
        with self._db:
            self._db.execute(
                "INSERT INTO deaths VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1",
                (stream, frame, index),
            )

    def deaths(self, stream: str) -> dict[tuple[int, int], int]:
        """(frame, index) → how often the worker died of it."""
        rows = self._db.execute("SELECT frame, idx, count FROM deaths WHERE stream = ?", (stream,))
        return {(frame, index): count for frame, index, count in rows}


def _whole(body: bytes, crc: int) -> bytes | None:
    try:
        return zlib.decompress(body) if zlib.crc32(body) == crc else None
    except zlib.error:
        return None
