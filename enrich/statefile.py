"""Small databases of a worker's own: made when they are missing, moved aside when they are damaged."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import structlog

from enrich.sources import SourceError

_log = structlog.get_logger()
BUSY_SECONDS = 5.0
UNWRITABLE = (OSError, sqlite3.OperationalError, SourceError)
"""What a disk that is full, a lock that is held, or a log out of reach makes of a write: it can be tried again."""

DAMAGED = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What damage makes of a statement: SQLite's message may quote a name that is no UTF-8, and Python can't read it."""
_NONE: Mapping[int, str] = {}


class StateError(RuntimeError):
    """A worker's own database turned out to be damaged while it was used; the message says what to do."""


@contextmanager
def damage_named(data: Path, sink: str) -> Iterator[None]:
    """While a worker runs: what SQLite says of damage becomes a StateError that names the files."""
    try:
        yield
    except DAMAGED as error:
        message = (
            f"{own_file(data, 'state.db', sink)} or deadletters.db beside it can't be used ({error}): start the worker"
            " again; one that is damaged is moved aside and made anew"
        )
        raise StateError(message) from error


def own_file(data: Path, what: str, sink: str = "sqlite") -> Path:
    """A file of a worker's own in a data folder: its lock, status.json, state.db, deadletters.db or mark.

    Each sink has its own, so that several workers can read one spool.
    """
    return data / f"enrich.{sink}.{what}"


def open_database(path: Path, ddl: str, version: int, older: Mapping[int, str] = _NONE) -> sqlite3.Connection:
    """A connection to a database of this format, whose commits are durable.

    `older` tells of formats what makes this one of them. One that is damaged or of another format is renamed to
    `<name>.damaged-<time>`, where what can be saved of it can be looked for, and made anew. Raises sqlite3.Error and
    OSError when that can't be done.
    """
    try:
        return _open(path, ddl, version, older)
    except DAMAGED as error:
        if isinstance(error, sqlite3.OperationalError):
            raise  # locked, or the disk: not damaged
        aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
        for end in ("-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)
        path.rename(aside)
        _log.warning(
            "damaged; moved aside and made anew",
            file=str(path),
            error=str(error),
            now=aside.name,
            next="none; storing goes on",
        )
        return _open(path, ddl, version, older)


def open_for_reading(path: Path, *versions: int) -> sqlite3.Connection | None:
    """A connection that changes nothing, also while another writes; None where there is no database yet.

    Raises sqlite3.Error, also for one that is damaged or of none of these formats, the newest of which comes last.
    """
    if not path.exists():
        return None
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        return _open_reader(uri, versions)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN or os.access(path.parent, os.W_OK):
            raise
        # SQLite can't make the log's index there. Without it the database is as of its last checkpoint.
        return _open_reader(f"{uri}&immutable=1", versions)


def _open_reader(uri: str, versions: tuple[int, ...]) -> sqlite3.Connection | None:
    db = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)
    try:
        (found,) = db.execute("PRAGMA user_version").fetchone()
        if found == 0 and db.execute("SELECT 1 FROM sqlite_schema").fetchone() is None:  # in the making
            db.close()
            return None
        if found not in versions:
            raise sqlite3.DatabaseError(_other(found, versions[-1]))
    except BaseException:
        db.close()
        raise
    return db


def _other(found: int, version: int) -> str:
    return f"format {found}, and this cgtrail knows {version}"


def _open(path: Path, ddl: str, version: int, older: Mapping[int, str]) -> sqlite3.Connection:
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        (found,) = db.execute("PRAGMA user_version").fetchone()
        if found == 0 and db.execute("SELECT 1 FROM sqlite_schema").fetchone() is None:
            db.executescript(f"BEGIN; {ddl} PRAGMA user_version = {version}; COMMIT;")
        elif found in older:
            _upgrade(db, version, older)
        elif found != version:
            raise sqlite3.DatabaseError(_other(found, version))
        (check,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if check != "ok":
            raise sqlite3.DatabaseError(check)
    except BaseException:
        db.close()
        raise
    return db


def _upgrade(db: sqlite3.Connection, version: int, older: Mapping[int, str]) -> None:
    """Another process may do it at the same time: the format is looked at once more behind the lock."""
    with db:
        db.execute("BEGIN IMMEDIATE")
        (found,) = db.execute("PRAGMA user_version").fetchone()
        if found in older:
            try:
                db.execute(older[found])
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_ERROR:
                    raise  # locked, or the disk
                raise sqlite3.DatabaseError(str(error)) from error  # it is not what it says
            db.execute(f"PRAGMA user_version = {version}")
