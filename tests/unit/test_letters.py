"""Dead letters: kept once, with their bytes, as long as there is room, and read while their worker adds more."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from enrich.document import Document
from enrich.letters import DeadLetters, Letter, LetterKind, LettersError, rejected

STREAM = "ab" * 16


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "enrich.sqlite.deadletters.db"


@pytest.fixture
def letters(path: Path) -> Iterator[DeadLetters]:
    """A database without letters."""
    with closing(DeadLetters(path)) as opened:
        yield opened


def letter(number: int, *, body: bytes = b"\0\xffbytes", time: int = 0) -> Letter:
    """A record's letter; its time is its number unless it is given."""
    reason = "not_understood: \x1b[31mred"
    kind = LetterKind.RECORD
    return Letter(f"{STREAM}-{number}-3", kind, STREAM, number, 3, number + 1, time or number, reason, body)


def test_kept_as_it_was(letters: DeadLetters) -> None:
    """A letter comes back with every byte, whatever it holds."""
    kept = [letter(1), letter(2, body=b""), letter(3, body=bytes(range(256)) * 100)]
    letters.add(kept)
    assert list(letters.all()) == kept
    assert letters.get(kept[1].id) == kept[1]
    assert letters.count() == 3


def test_the_oldest_comes_first(letters: DeadLetters) -> None:
    """The order is that of their times, whatever the order in which they were met."""
    letters.add([letter(1, time=30), letter(2, time=10), letter(3, time=20)])
    assert [found.frame for found in letters.all()] == [2, 3, 1]
    assert letters.ids() == [found.id for found in letters.all()]


def test_met_again(letters: DeadLetters) -> None:
    """The same trouble met again after a restart is the same letter, and the first reason stays."""
    letters.add([letter(1)])
    letters.add([replace(letter(1), reason="another"), letter(2)])
    assert list(letters.all()) == [letter(1), letter(2)]


def test_removed_and_blamed(letters: DeadLetters) -> None:
    """What was delivered is forgotten; what was not has a new reason."""
    letters.add([letter(1), letter(2)])
    letters.remove(letter(1).id)
    letters.blame(letter(2).id, "the store is full")
    assert [(found.frame, found.reason) for found in letters.all()] == [(2, "the store is full")]
    assert letters.get(letter(1).id) is None


def test_no_room(path: Path) -> None:
    """Beyond the bound letters are only counted, small ones still fit, and one that is there already is no new one."""
    with closing(DeadLetters(path, max_bytes=100)) as letters:
        letters.add([letter(1, body=b"x" * 90), letter(2, body=b"y" * 20), letter(3, body=b"z" * 10)])
        assert (letters.dropped, [found.frame for found in letters.all()]) == (1, [1, 3])
        letters.add([letter(1, body=b"x" * 90)])
        assert letters.dropped == 1
        letters.add([letter(4)])
        assert letters.dropped == 2


def test_a_write_that_fails_is_all_or_nothing(letters: DeadLetters, path: Path) -> None:
    """Letters that can't be written now are written whole the next time, and counted once."""
    letters._db.execute("PRAGMA busy_timeout = 1")
    letters._max_bytes = 10
    batch = [letter(1, body=b"x"), letter(2, body=b"y" * 20)]
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            letters.add(batch)
        assert letters.dropped == 0
    letters.add(batch)
    assert (letters.count(), letters.dropped) == (1, 1)


def test_read_beside_a_worker(letters: DeadLetters, path: Path) -> None:
    """Readers see what is there while a worker has the database open, and hold up no writer."""
    letters.add([letter(1)])
    reading = DeadLetters.reading(path)
    assert reading is not None
    with closing(reading):
        found = reading.all()
        assert next(found) == letter(1)
        letters.add([letter(2)])
        assert reading.ids() == [letter(1).id, letter(2).id]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reading.remove(letter(1).id)


def test_reading_makes_nothing(tmp_path: Path, path: Path) -> None:
    """Where there are no letters, none are read, and no file is made."""
    assert DeadLetters.reading(path) is None
    path.touch()  # a worker makes it just now
    assert DeadLetters.reading(path) is None
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.fixture
def older(path: Path) -> Path:
    """A database as the version before wrote it, which did not tell origins, with one letter."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "CREATE TABLE letters (id TEXT PRIMARY KEY, kind TEXT, stream TEXT, frame INTEGER, idx INTEGER,"
            " behind INTEGER, time INTEGER, reason TEXT, body BLOB) STRICT"
        )
        was = letter(1)
        row = (was.id, was.kind, was.stream, was.frame, was.index, was.behind, was.time, was.reason, was.body)
        db.execute("INSERT INTO letters VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        db.execute("PRAGMA user_version = 2")
    return path


def test_letters_of_the_version_before_are_kept(older: Path) -> None:
    """What an older version left is read as it is, and a worker goes on with it: nothing is moved aside."""
    reading = DeadLetters.reading(older)
    assert reading is not None
    with closing(reading):
        assert list(reading.all()) == [letter(1)]
    new = replace(letter(2), origin="00000000000000000000.seg at byte 17")
    for _ in range(2):
        with closing(DeadLetters(older)) as letters:
            letters.add([letter(1), new])
            assert list(letters.all()) == [letter(1), new]
    assert not list(older.parent.glob("*damaged*"))


def test_none_of_the_version_before(path: Path) -> None:
    """What only says that it is of the version before is moved aside, as whatever is damaged."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE other (id TEXT)")
        db.execute("PRAGMA user_version = 2")
    with closing(DeadLetters(path)) as letters:
        letters.add([letter(1)])
        assert letters.count() == 1
    assert len(list(path.parent.glob("*damaged*"))) == 1


def test_two_open_the_version_before(older: Path) -> None:
    """A worker and somebody who tries letters again may both be the first of the new version."""
    with closing(DeadLetters(older)) as first, closing(DeadLetters(older)) as second:
        first.add([letter(2)])
        assert second.count() == 2


@pytest.mark.parametrize("name", ["a b.db", "100%25.db", "a?mode=rwc.db", "#x.db"])
def test_any_folder_can_be_read(tmp_path: Path, name: str) -> None:
    """A path is a path, whatever it would mean in a URI."""
    with closing(DeadLetters(tmp_path / name)) as letters:
        letters.add([letter(1)])
        reading = DeadLetters.reading(tmp_path / name)
        assert reading is not None
        with closing(reading):
            assert reading.count() == 1


@pytest.mark.parametrize("what", ["damaged", "newer"])
def test_what_can_not_be_read(path: Path, what: str) -> None:
    """A reader moves nothing aside: it names the file and why."""
    with closing(DeadLetters(path)):
        pass
    if what == "damaged":
        path.write_bytes(b"no database " * 1000)
    else:
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA user_version = 99")
    with pytest.raises(LettersError, match=f"{path}.*{'not a database' if what == 'damaged' else 'format 99'}"):
        DeadLetters.reading(path)
    assert not list(path.parent.glob("*damaged*"))


@pytest.mark.parametrize(
    ("name", "place"),
    [
        (f"{STREAM}-7-3", (7, 3)),
        (f"{STREAM}-7-3-lost", (7, 3)),
        (f"{STREAM}-7-3-4711", (7, 3)),
        (f"{STREAM}-7-gap", (7, 0)),
    ],
)
def test_of_a_rejected_document(name: str, place: tuple[int, int]) -> None:
    """A rejected document's letter has its id, its place in the stream, and itself as JSON."""
    made = rejected(Document(name, 5, "process", {"event": {"id": name}}), "too old")
    assert (made.id, made.stream, (made.frame, made.index), made.behind) == (name, STREAM, place, place[0] + 1)
    assert (made.kind, made.time, made.reason) == (LetterKind.DOCUMENT, 5, "too old")
    assert orjson.loads(made.body) == {"event": {"id": name}}


@pytest.mark.parametrize("value", [1 << 70, b"bytes", {1: 2}, "\ud800", {"\ud800": 1}, object])
def test_of_a_document_that_is_no_json(value: Any) -> None:
    """Whatever made a document unfit for JSON, there is a letter of it that can be looked at."""
    made = rejected(Document(f"{STREAM}-1-2", 5, "process", {"process": {"args": [value]}}), "no JSON")
    assert b"process" in made.body


def test_only_the_owner_may_read(letters: DeadLetters, path: Path) -> None:
    """Letters hold what people typed: only their owner may read them."""
    letters.add([letter(1)])
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
