"""The worker's own database: two snapshots a stream, and what a damaged one costs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from enrich.checkpoint import Snapshot, SqliteCheckpoints

STREAM, OTHER = "ab" * 16, "cd" * 16
SCHEMA, NEWER = "this version", "the next version"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "enrich.sqlite.state.db"


@pytest.fixture
def checkpoints(path: Path) -> Iterator[SqliteCheckpoints]:
    """An empty database."""
    with closing(SqliteCheckpoints(path)) as opened:
        yield opened


def snapshot(position: int) -> Snapshot:
    """A snapshot whose bytes tell its position."""
    return Snapshot(position, b"state at %d" % position * 100)


def store(checkpoints: SqliteCheckpoints, *positions: int, schema: str = SCHEMA, stream: str = STREAM) -> list[int]:
    """Keep snapshots; returns what each answered."""
    return [checkpoints.store(stream, schema, snapshot(position)) for position in positions]


def positions(
    checkpoints: SqliteCheckpoints, upto: int = 1000, schema: str = SCHEMA, stream: str = STREAM
) -> list[int]:
    """The positions of what is loaded, whose bytes are what was stored."""
    loaded = checkpoints.load(stream, schema, upto)
    assert loaded == [snapshot(found.position) for found in loaded]
    return [found.position for found in loaded]


def spoil(path: Path, sql: str) -> None:
    """Change the database behind its owner's back."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(sql)


def test_two_are_kept(checkpoints: SqliteCheckpoints) -> None:
    """The newest two are kept, the newest comes first, and the answer is how far back frames are needed."""
    assert store(checkpoints, 10, 20, 30) == [0, 10, 20]
    assert positions(checkpoints) == [30, 20]


def test_the_same_place_twice(checkpoints: SqliteCheckpoints) -> None:
    """A snapshot at the same position replaces the one there: the other slot is not lost to it."""
    assert store(checkpoints, 10, 20, 20) == [0, 10, 10]
    assert positions(checkpoints) == [20, 10]


def test_a_damaged_one_is_left_out(checkpoints: SqliteCheckpoints, path: Path) -> None:
    """When the newest is damaged, the one before it serves; when both are, none."""
    store(checkpoints, 10, 20)
    spoil(
        path,
        "UPDATE snapshots SET body = CAST(substr(body, 1, 5) || x'ff' || substr(body, 7) AS BLOB) WHERE position = 20",
    )
    assert positions(checkpoints) == [10]
    spoil(path, "UPDATE snapshots SET body = x'' WHERE position = 10")
    assert positions(checkpoints) == []


def test_of_another_version(checkpoints: SqliteCheckpoints) -> None:
    """What another version wrote is left alone, takes no slot, and is there when that version comes back."""
    store(checkpoints, 10, 20)
    assert positions(checkpoints, schema=NEWER) == []
    assert store(checkpoints, 25, 30, 35, schema=NEWER) == [0, 25, 30]
    assert positions(checkpoints) == [20, 10]
    assert positions(checkpoints, schema=NEWER) == [35, 30]


def test_beyond_the_position(checkpoints: SqliteCheckpoints) -> None:
    """A snapshot of frames that were not committed is not used: documents would be missing between."""
    store(checkpoints, 10, 20)
    assert positions(checkpoints, upto=19) == [10]
    assert positions(checkpoints, upto=20) == [20, 10]
    assert positions(checkpoints, upto=9) == []


def test_after_the_position_was_lost(checkpoints: SqliteCheckpoints) -> None:
    """Who begins anew keeps new snapshots, not the old ones that lie ahead: frames would be given up for them."""
    store(checkpoints, 100, 200)
    assert store(checkpoints, 5, 6) == [0, 5]
    assert positions(checkpoints) == [6, 5]


def test_one_stream_at_a_time(checkpoints: SqliteCheckpoints) -> None:
    """The first snapshot of a stream forgets the streams before it, and the records that were deadly there."""
    store(checkpoints, 10, 20)
    checkpoints.died(STREAM, 3, 4)
    store(checkpoints, 1, stream=OTHER)
    assert positions(checkpoints) == []
    assert checkpoints.deaths(STREAM) == {}
    assert positions(checkpoints, stream=OTHER) == [1]


def test_deaths_are_counted(checkpoints: SqliteCheckpoints) -> None:
    """Each death is counted by its record, and outlives snapshots: the stream may have to be read again."""
    for frame in (3, 3, 5):
        checkpoints.died(STREAM, frame, 1)
    checkpoints.died(OTHER, 3, 1)
    store(checkpoints, 10, 20, 30)
    assert checkpoints.deaths(STREAM) == {(3, 1): 2, (5, 1): 1}


def test_it_outlives_its_process(path: Path) -> None:
    """What was stored is there for the next worker, whatever became of this one."""
    first = SqliteCheckpoints(path)
    store(first, 10, 20)
    first.died(STREAM, 3, 1)
    with closing(SqliteCheckpoints(path)) as second:  # the first was never closed
        assert positions(second) == [20, 10]
        assert second.deaths(STREAM) == {(3, 1): 1}
    first.close()


@pytest.mark.parametrize("damage", ["bytes", "format", "foreign", "page"])
def test_a_damaged_database_is_moved_aside(path: Path, damage: str) -> None:
    """One that is damaged, of another format or somebody else's is kept under another name, and made anew."""
    with closing(SqliteCheckpoints(path)) as opened:
        store(opened, 10, 20)
    match damage:
        case "bytes":
            path.write_bytes(b"no database " * 1000)
        case "format":
            spoil(path, "PRAGMA user_version = 99")
        case "foreign":
            spoil(path, "PRAGMA user_version = 0")
        case _:
            data = path.read_bytes()
            path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    before = path.read_bytes()
    with closing(SqliteCheckpoints(path)) as anew:
        assert positions(anew) == []
        assert store(anew, 30) == [0]
    (aside,) = path.parent.glob(f"{path.name}.damaged-*")
    assert aside.read_bytes() == before


def test_a_locked_database_is_not_damaged(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody else holds the database it is an error, and nothing is moved."""
    monkeypatch.setattr("enrich.statefile.BUSY_SECONDS", 0.01)
    with closing(SqliteCheckpoints(path)) as opened:
        store(opened, 10)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with closing(SqliteCheckpoints(path)) as second, pytest.raises(sqlite3.OperationalError, match="locked"):
                store(second, 20)
        assert positions(opened) == [10]
    assert not list(path.parent.glob("*damaged*"))


def test_only_the_owner_may_read(checkpoints: SqliteCheckpoints, path: Path) -> None:
    """A snapshot holds what people typed: only its owner may read it, its log included."""
    store(checkpoints, 10)
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
