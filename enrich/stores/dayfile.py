"""A file of the local store: the documents of one UTC day, `<folder>/YYYY-MM-DD.db`, in SQLite.

`docs` has a document a row, in order of arrival: `seq` is dense and only grows, since nothing is ever deleted but whole
files. COLUMNS are copies of what is often asked for; `body` is the document. `lines` is a trigram index over the
documents' LINE_FIELDS, with the same rowids and without the text: it finds candidates, the body decides. SQLite's JSON
functions end a text at a NUL, and what follows would be hidden from every search: a body with a NUL in it stands a
second time in `searched`, with U+0001 in place of each. `placed` has a row for each document that has tenants: which
set of tenants, and where a search gives it (`nth` is the sequence, NO_SEQUENCE where there is none). `tenants` says in
which sets a tenant is: sets are few, and a document with fifty tenants costs as much as one with one.

Format 2 is format 3 without sets, made before documents could have tenants: a writer adds the tables, a reader takes
them for empty.
"""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

from enrich.stores import StoreError

# From the commonest values to the rarest: of two indexes that serve, SQLite takes the one that was made last.
TEXT_COLUMNS = {
    "event.action": "event_action",
    "user.id": "user_id",
    "process.name": "process_name",
    "container.name": "container_name",
    "container.id": "container_id",
}
COLUMNS = {"@timestamp": "time", "event.id": "id", "event.sequence": "sequence"} | TEXT_COLUMNS
"""Field → column. A field that is here has one value: times are nanoseconds since 1970, TEXT_COLUMNS hold text."""

APPLICATION_ID = 0x63677472
FORMAT = 3
READABLE = (2, FORMAT)
BUSY_MS = 5_000
"""How long to wait for another writer."""

_PAGE = 8192
"""Bytes: of SQLite's own 4,096 a fifth would stay empty beside two documents of the usual size."""

NO_SEQUENCE = -(1 << 63)
"""Before every sequence, as NULL is in `docs`."""
_NAME = re.compile(r"(\d{4}-\d\d-\d\d)\.db", re.ASCII)
_TENANTS_DDL = """
CREATE {0} TABLE sets (whose INTEGER PRIMARY KEY, tenants TEXT NOT NULL UNIQUE) STRICT;
CREATE {0} TABLE tenants (tenant TEXT NOT NULL, whose INTEGER NOT NULL, PRIMARY KEY (tenant, whose))
  STRICT, WITHOUT ROWID;
CREATE {0} TABLE placed (doc INTEGER PRIMARY KEY, whose INTEGER NOT NULL, at INTEGER NOT NULL, nth INTEGER NOT NULL)
  STRICT;
CREATE INDEX {1}by_whose ON placed (whose, at, nth);
"""
_DDL = "\n".join(
    (
        "CREATE TABLE docs (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, time INTEGER NOT NULL, sequence INTEGER,",
        "  kind TEXT NOT NULL,",
        *(f"  {column} TEXT," for column in TEXT_COLUMNS.values()),
        "  searched TEXT, body TEXT NOT NULL) STRICT;",
        "CREATE INDEX by_time ON docs (time, sequence);",
        *(f"CREATE INDEX by_{name} ON docs ({name}, time, sequence);" for name in ("kind", *TEXT_COLUMNS.values())),
        "CREATE VIRTUAL TABLE lines USING fts5(text, content='', detail=none, tokenize='trigram case_sensitive 0');",
        _TENANTS_DDL.format("", ""),
        f"PRAGMA application_id = {APPLICATION_ID};",
        f"PRAGMA user_version = {FORMAT};",
    )
)
ROW = f"(seq, id, time, sequence, kind, {', '.join(TEXT_COLUMNS.values())}, searched, body)"
"""The columns of docs in the order of `row`."""

BROKEN = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite raises: where damage makes its message quote a name that is no UTF-8, Python can't read that."""


def day_of(time: int) -> date:
    """The UTC day of a time in nanoseconds since 1970."""
    return datetime.fromtimestamp(time // 1_000_000_000, UTC).date()


def path_of(folder: Path, day: date) -> Path:
    """Where a day's documents are."""
    return folder / f"{day:%Y-%m-%d}.db"


def days(folder: Path) -> list[date]:
    """The days that have a file, oldest first; none where there is no folder. Raises StoreError."""
    found = []
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        message = f"{folder}: the store can't be listed ({error.strerror}): run this as the store's owner"
        raise StoreError(message) from error
    for name in names:
        with suppress(ValueError):  # 2026-02-30.db is somebody else's
            if match := _NAME.fullmatch(name):
                found.append(date.fromisoformat(match[1]))
    return sorted(found)


def open_writer(folder: Path, day: date) -> sqlite3.Connection:
    """A connection in autocommit mode to a day's file, made if need be.

    Raises StoreError, sqlite3.Error and OSError.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = path_of(folder, day)
    _require_file(path)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False)
    try:
        version = format_of(db, path)
        if version is None:
            # Before the log is on: a file must be known as ours by its own header, without its log.
            _make(db, path, f"PRAGMA page_size = {_PAGE}; BEGIN IMMEDIATE; {_DDL} COMMIT;")
            _sync(folder)
        elif version != FORMAT:
            more = _TENANTS_DDL.format("", "")
            _make(db, path, f"BEGIN IMMEDIATE; {more} PRAGMA user_version = {FORMAT}; COMMIT;")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
    except BaseException:
        db.close()
        raise
    return db


def _make(db: sqlite3.Connection, path: Path, script: str) -> None:
    """Make a file's tables, unless another worker was faster. Raises StoreError and sqlite3.Error."""
    try:
        db.executescript(script)
    except sqlite3.OperationalError:
        if db.in_transaction:
            db.execute("ROLLBACK")
        if format_of(db, path) != FORMAT:
            raise


def open_reader(path: Path) -> sqlite3.Connection | None:
    """A connection that can only read, giving text as bytes; None where the file is gone or still empty.

    Raises StoreError and sqlite3.Error.
    """
    _require_file(path)
    try:
        return _open_reader(path, _uri(path))
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN or os.access(path.parent, os.W_OK):
            raise
        # A disk that is read-only: SQLite can't make the log's index there. Without it, as of the last checkpoint.
        return _open_reader(path, _uri(path) + "&immutable=1")


def _open_reader(path: Path, uri: str) -> sqlite3.Connection | None:
    try:
        db = sqlite3.connect(uri, uri=True, timeout=BUSY_MS / 1000, check_same_thread=False)
    except sqlite3.OperationalError:
        if path.exists():
            raise
        return None
    try:
        version = format_of(db, path)
        if version is not None:
            if version != FORMAT:
                db.executescript(_TENANTS_DDL.format("TEMP", "temp."))
            db.text_factory = bytes
            return db
    except BaseException:
        db.close()
        raise
    db.close()
    return None


def format_of(db: sqlite3.Connection, path: Path) -> int | None:
    """The format of a day file, None of an empty file. Raises StoreError for one not READABLE, and sqlite3.Error."""
    db.execute("BEGIN")  # all at one moment: the file may be in the making
    try:
        application, version = (
            db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
        )
        empty = db.execute("SELECT 1 FROM sqlite_schema").fetchone() is None
    finally:
        db.execute("COMMIT")
    if application == APPLICATION_ID and version in READABLE:
        return int(version)
    if application == APPLICATION_ID:
        message = (
            f"{path}: format {version}, and this cgtrail knows {FORMAT}: use the cgtrail that made it, or move it away"
        )
        raise StoreError(message)
    if application or version or not empty:
        message = f"{path}: a database that cgtrail did not make: move it out of the store"
        raise StoreError(message)
    return None


def remove(path: Path) -> bool:
    """Remove a day file and its log, if cgtrail made it; True if it did. Raises OSError."""
    try:
        _require_file(path)
        # immutable: neither locks nor a log, so that a look leaves nothing behind.
        db = sqlite3.connect(_uri(path) + "&immutable=1", uri=True)
        try:
            ours = db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
        finally:
            db.close()
    except (sqlite3.DatabaseError, StoreError):
        return False
    if ours:
        # The log first: one that outlives its database would be taken for the log of the next file of that name.
        for end in ("-wal", "-shm", ""):
            path.with_name(path.name + end).unlink(missing_ok=True)
    return bool(ours)


def searchable(text: str) -> str:
    """A text as `searched` has it, and therefore as it is looked for in a body."""
    return text.replace("\0", "\1")


def _require_file(path: Path) -> None:
    """Raises StoreError for a folder, FIFO or the like: SQLite would hang on it, or call it damaged."""
    with suppress(OSError):  # none there, or none that can be looked at: SQLite says which
        if not stat.S_ISREG(path.stat().st_mode):
            message = f"{path}: not a regular file, so its day can't be stored or searched: move it out of the store"
            raise StoreError(message)


def _uri(path: Path) -> str:
    return path.absolute().as_uri() + "?mode=ro"


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
