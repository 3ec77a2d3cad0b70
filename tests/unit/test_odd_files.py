"""Files that are damaged, odd, or changed while they are used: what commands and the store's writer make of them."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from enrich import statefile
from enrich.document import Document
from enrich.letters import DeadLetters, Letter, LetterKind
from enrich.sinks import DUPLICATE, OK, Status
from enrich.sinks.sqlite import SqliteSink
from enrich.statefile import own_file
from enrich.stores import dayfile
from enrich.stores.query import All
from enrich.stores.sqlite import SqliteStore
from shipper.status import STATUS
from tests.unit import spooled
from tests.unit.ran import Run, work
from tests.unit.spooled import Spooled, letters

NOON = 1_795_305_600_000_000_000 + 43_200_000_000_000
DAY = date(2026, 11, 22)
ID = spooled.ID.hex()


def document(name: str) -> Document:
    """A process document."""
    event = {"id": name, "dataset": "cgtrail.process", "action": "exec"}
    return Document(name, NOON, "process", {"@timestamp": "2026-11-22T12:00:00.000000000Z", "event": event})


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[SqliteSink]:
    """The writer of the folder's store."""
    with closing(SqliteSink(tmp_path / "store", 36500, clock=lambda: NOON / 1e9)) as made:
        yield made


def ids(folder: Path) -> list[str]:
    """What a store has, in order of arrival."""
    return [json.loads(body)["event"]["id"] for body in SqliteStore(folder).after({}, All())[0]]


# The store


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_something_else_in_a_day_files_place(run: Run, sink: SqliteSink, tmp_path: Path, kind: str) -> None:
    """It is told what it is and what to do, nothing hangs, and status shows the rest all the same."""
    path = dayfile.path_of(tmp_path / "store", DAY)
    path.parent.mkdir()
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    told = f"{path}: not a regular file, so its day can't be stored or searched: move it out of the store"
    result = run("search")
    assert (result.code, result.err) == (1, f"cgtrail: {told}\n")
    result = run("status")
    assert (result.code, result.err) == (1, "")
    assert f"store     {told}\n" in result.out
    assert result.out.count("not running") == 2
    assert json.loads(run("status", "--json").out)["store"] == {
        "name": str(tmp_path / "store"),
        "days": 1,
        "documents": None,
        "error": told,
    }
    (answer,) = sink.write([document("a")])
    assert (answer.status, answer.reason) == (Status.RETRY, told)
    assert not dayfile.remove(path)
    path.rmdir() if kind == "folder" else path.unlink()
    assert list(sink.write([document("a")])) == [OK]


@pytest.mark.parametrize("replaced", [False, True])
def test_a_day_file_that_is_moved_away(sink: SqliteSink, tmp_path: Path, replaced: bool) -> None:
    """It keeps all that it had, also what was only in its log; what comes later is in the file that is there."""
    path = dayfile.path_of(tmp_path / "store", DAY)
    moved = dayfile.path_of(tmp_path / "moved", DAY)
    moved.parent.mkdir()
    assert sink.write([document("a"), document("b")]) == [OK, OK]
    path.rename(moved)
    if replaced:
        with closing(SqliteSink(tmp_path / "other", 36500, clock=lambda: NOON / 1e9)) as other:
            other.write([document("x")])
        dayfile.path_of(tmp_path / "other", DAY).rename(path)
    assert sink.write([document("a"), document("c")]) == [OK, OK]
    assert sink.write([document("a")]) == [DUPLICATE]
    assert ids(tmp_path / "store") == ["x"] * replaced + ["a", "c"]
    assert ids(moved.parent) == ["a", "b"]


# Search


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (b'"event":{"id"', b'"event":{"id"\x01'),
        (b"exec", b"\xffxec"),
        (b'"action"', b'"act\x1bon"'),
        (b"2026-", b"2O26-"),
    ],
)
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_damaged_document(
    run: Run, sink: SqliteSink, tmp_path: Path, good: bytes, bad: bytes, options: list[str]
) -> None:
    """It is named on standard error, the others are shown, and the exit code is 1."""
    sink.write([document("first"), document("second"), document("third")])
    sink.close()
    with closing(sqlite3.connect(dayfile.path_of(tmp_path / "store", DAY))) as db, db:
        (body,) = db.execute("SELECT CAST(body AS BLOB) FROM docs WHERE id = 'second'").fetchone()
        db.execute("UPDATE docs SET body = CAST(? AS TEXT) WHERE id = 'second'", (body.replace(good, bad),))
    result = run("search", *options)
    if bad == b"2O26-" and options:  # that is JSON still
        assert (result.code, result.err) == (0, "")
        return
    assert result.code == 1
    assert len(result.out.splitlines()) == (2 if options else 3)
    assert "is damaged: " in result.err
    assert "1 damaged documents, named above" in result.err
    assert "second" in result.err or bad.endswith(b"\x01")
    assert "2026-11-22.db" in result.err or bad == b"2O26-"
    assert not {"\x1b", "\x01"} & set(result.err)


# Status


@pytest.mark.parametrize(
    "told",
    [
        {"accounts": {"1": {"received": 3, "lost": {}}}},
        {"accounts": [1, 2]},
        {"accounts": {"web": {"seen": 1, "received": 1, "lost": {}}}},
        {"counts": []},
        {"counts": {"letters": "many"}},
        {"records": "ten", "containers": 1, "lost": {}, "runtimes": [], "not_recorded": []},
        {"records": 1, "containers": 1, "lost": [], "runtimes": [], "not_recorded": None},
        {"admission": "full"},
        {"narrowed": ["output"]},
        {"seen": 7},
        [1],
        None,
    ],
)
def test_a_status_file_that_is_not_understood(run: Run, tmp_path: Path, told: Any) -> None:
    """It is left out and named, for people and in JSON."""
    text = b"\xff{" if told is None else json.dumps(told).encode()
    files = [tmp_path / STATUS, own_file(tmp_path, "status.json")]
    for file in files:
        file.write_bytes(text)
    result = run("status")
    assert result.code == 1
    named = [str(file) for file in files if f"status of another version, or damaged: {file}" in result.out]
    assert named
    shown = json.loads(run("status", "--json").out)
    assert shown["not_understood"] == named


def test_a_status_file_of_ours(run: Run, tmp_path: Path) -> None:
    """What is understood is shown, whatever else the file has."""
    facts: dict[str, Any] = {
        "records": 1234,
        "containers": 2,
        "lost": {},
        "runtimes": [],
        "not_recorded": [],
        "admission": 0.85,
        "narrowed": {"output": True, "arguments": True, "forks": False},
        "z": [],
    }
    (tmp_path / STATUS).write_text(json.dumps(facts))
    account = {"seen": 3, "received": 2, "lost": {}, "container": "web\x1b", "open": 0}
    own_file(tmp_path, "status.json").write_text(
        json.dumps({"stream": None, "accounts": {"-1": account, "7": account}})
    )
    result = run("status")
    assert "damaged" not in result.out
    assert "1,234 records" in result.out
    assert "narrowed  not recorded until it has room: what terminals show, arguments beyond 4,096 bytes\n" in result.out
    assert "web\\x1b" in result.out


# Errors on a terminal


@pytest.mark.parametrize("arguments", [["search", "--kind", "\x1b[2J\x9b"], ["\x1b[2Jx"], ["tail", "--limit\x1b[2J"]])
def test_arguments_are_not_told_raw(run: Run, arguments: list[str]) -> None:
    """Whoever copies a command from somewhere sees what is in it."""
    result = run(*arguments)
    assert result.code == 2
    assert "\\x1b" in result.err
    assert not {"\x1b", "\x9b"} & set(result.err)


# Dead letters


@pytest.mark.parametrize("body", [b"{}", b"[1]", b'{"event":{"dataset":7}}', b"\xff"])
def test_a_document_letter_without_a_document(run: Run, spool: Spooled, body: bytes) -> None:
    """It stays, and says why: neither its body nor its record makes a document."""
    work(spool)
    name = f"{ID}-0-0"  # the keyframe
    with closing(DeadLetters(own_file(spool.data, "deadletters.db"))) as kept:
        kept.add([Letter(name, LetterKind.DOCUMENT, ID, 0, 0, 1, NOON, "full", body)])
    result = run("deadletters", "replay", "--all")
    assert result.code == 1
    assert "0 dead letters done, 1 stay" in result.err
    assert [letter.reason for letter in letters(spool.data)] == ["its body is no document, and its record makes none"]


@pytest.mark.parametrize("writable", [False, True])
def test_databases_on_a_read_only_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writable: bool) -> None:
    """Where SQLite can make no log, what is in the database is read without one; elsewhere the error is told."""
    path = tmp_path / "letters.db"
    statefile.open_database(path, "CREATE TABLE t (x);", 1).close()
    dayfile.open_writer(tmp_path, DAY).close()
    day = dayfile.path_of(tmp_path, DAY)
    opened = sqlite3.connect

    def connect(name: str, **settings: Any) -> sqlite3.Connection:
        if "immutable=1" not in name:
            error = sqlite3.OperationalError("unable to open database file")
            error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
            raise error
        return opened(name, **settings)  # type: ignore[no-any-return]

    monkeypatch.setattr(sqlite3, "connect", connect)
    monkeypatch.setattr(os, "access", lambda *_: writable)
    if writable:
        with pytest.raises(sqlite3.OperationalError):
            statefile.open_for_reading(path, 1)
        with pytest.raises(sqlite3.OperationalError):
            dayfile.open_reader(day)
        return
    read_day = dayfile.open_reader(day)
    assert read_day is not None
    read_day.close()
    db = statefile.open_for_reading(path, 1)
    assert db is not None
    with closing(db):
        assert db.execute("SELECT count(*) FROM t").fetchone() == (0,)


# The spool's readers


def test_odd_entries_among_readers(run: Run, spool: Spooled) -> None:
    """What is no file is named and passed over; a broken file is a reader that has read nothing."""
    folder = spool.data / "spool" / "readers"
    (folder / "d.json").mkdir(parents=True)
    os.mkfifo(folder / "pipe.json")
    (folder / "broken.json").write_bytes(b"\xff[")
    (folder / "loop.json").symlink_to("loop.json")
    (folder / os.fsdecode(b"\xff.json")).touch()
    for options in ([], ["--json"]):
        result = run("spool", "ls", *options)
        assert result.code == 0
        assert "broken" in result.out
        for name in ("d", "pipe", "loop", "\\udcff"):
            assert f"{name}.json is no reader's file" in result.err
