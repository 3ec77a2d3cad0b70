"""The local store read back: what queries find, in which order, and what following and retention do to it."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from enrich.document import Document
from enrich.sinks.sqlite import SqliteSink
from enrich.stores import StoreError, dayfile, sql
from enrich.stores.lucene import parse
from enrich.stores.query import (
    All,
    Gap,
    Not,
    Or,
    QueryError,
    Term,
    Wildcard,
)
from enrich.stores.sqlite import Cursor, SqliteStore
from enrich.stores.values import timestamp

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
NOON = 1_795_305_600 * SECOND + DAY // 2
"""2026-11-22T12:00:00Z."""


def texts(found: Iterator[bytes] | list[bytes]) -> list[str]:
    """The ids of what was found."""
    return [json.loads(body)["event"]["id"] for body in found]


def document(name: str, time: int = NOON, kind: str = "process", **groups: dict[str, Any]) -> Document:
    """A small document."""
    source = {"@timestamp": timestamp(time), "event": {"id": name}} | groups
    return Document(name, time, kind, source)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a store is to be."""
    return tmp_path / "store"


@pytest.fixture
def sink(folder: Path) -> Iterator[SqliteSink]:
    """The writer of that store."""
    with closing(SqliteSink(folder, 7, clock=lambda: NOON / SECOND)) as made:
        yield made


def test_newest_first_across_days(sink: SqliteSink, folder: Path) -> None:
    """A limited search gives the newest documents of all days, or the oldest, and a sequence breaks ties."""
    tied = [document(f"{n}", NOON + 2 * DAY, event={"id": f"{n}", "sequence": n}) for n in (6, 5)]
    sink.write([*tied, *(document(f"{n}", NOON + n * DAY // 2) for n in range(-4, 4))])
    store = SqliteStore(folder)
    assert texts(store.search(All(), limit=3)) == ["6", "5", "3"]
    assert texts(store.search(All(), limit=3, ascending=True)) == ["-4", "-3", "-2"]
    assert texts(store.search(All(), limit=0)) == []
    assert texts(store.search(All(), limit=-1)) == []
    assert store.days() == [date(2026, 11, day) for day in (20, 21, 22, 23, 24)]


def test_since_and_until(sink: SqliteSink, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search begins at `since`, ends before `until`, and does not open the files of other days."""
    sink.write([document(f"{n}", NOON + n * DAY) for n in range(-2, 3)])
    opened: list[str] = []
    real: Callable[[Path], sqlite3.Connection | None] = dayfile.open_reader

    def noted(path: Path) -> sqlite3.Connection | None:
        opened.append(path.stem)
        return real(path)

    monkeypatch.setattr(dayfile, "open_reader", noted)
    store = SqliteStore(folder)
    assert texts(store.search(All(), since=NOON, until=NOON + DAY, limit=9)) == ["0"]
    assert opened == ["2026-11-23", "2026-11-22"]
    assert texts(store.search(All(), since=NOON + 1, limit=9)) == ["2", "1"]
    assert texts(store.search(All(), since=-1, until=1 << 80, limit=9)) == ["2", "1", "0", "-1", "-2"]


def test_container_and_kind(sink: SqliteSink, folder: Path) -> None:
    """A container is its exact name, or the first four or more digits of its id; a kind is the dataset's last part."""
    sink.write(
        [
            document("a", container={"id": "cafe" + "0" * 60, "name": "web"}),
            document("b", container={"id": "f00d" + "0" * 60, "name": "cafe"}),
            document("c", container={"id": "f00e" + "0" * 60, "name": "web-2"}),
            document("d", kind="alert"),
        ]
    )
    store = SqliteStore(folder)
    for container, wanted in {"web": "a", "cafe": "ab", "CAFE0": "a", "f00": "", "f00d": "b", "we*": ""}.items():
        assert sorted(texts(store.search(All(), container=container, limit=9))) == list(wanted), container
        assert sorted(texts(store.after({}, All(), container=container)[0])) == list(wanted), container
    assert texts(store.search(All(), kind="alert", limit=9)) == ["d"]
    assert texts(store.after({}, All(), kind="alert")[0]) == ["d"]


def test_a_follower_sees_each_document_once(sink: SqliteSink, folder: Path) -> None:
    """What is stored after the cursor is seen once, in order of arrival: late times and new days as well."""
    sink.write([document("old", NOON)])
    store = SqliteStore(folder)
    start: Cursor = store.end()
    assert store.after(start, All()) == ([], start)
    sink.write([document("new", NOON + 5), document("late", NOON - 5), document("day", NOON + DAY)])
    seen, cursor = store.after(start, All())
    assert texts(seen) == ["new", "late", "day"]
    sink.write([document("new", NOON + 5), document("yesterday", NOON - DAY)])
    seen, cursor = store.after(cursor, All())
    assert texts(seen) == ["yesterday"]
    assert store.after(cursor, All())[0] == []


def test_following_in_small_steps(sink: SqliteSink, folder: Path) -> None:
    """However small the steps, a follower that goes on until nothing comes has seen all that matches."""
    sink.write([document(f"{n}", NOON + n % 3 * DAY, process={"pid": n % 2}) for n in range(40)])
    store = SqliteStore(folder)
    cursor: Cursor = {}
    seen: list[str] = []
    while (step := store.after(cursor, Term("process.pid", 1), limit=3))[0]:
        seen += texts(step[0])
        cursor = step[1]
    assert sorted(seen, key=int) == [f"{n}" for n in range(1, 40, 2)]


def test_reading_while_the_sink_writes(sink: SqliteSink, folder: Path) -> None:
    """A search that is half read does not see what is written meanwhile, nor keep its log from emptying."""
    sink.write([document(f"{n}") for n in range(10)])
    found = SqliteStore(folder).search(All(), limit=99)
    first = next(found)
    sink.write([document(f"x{n}") for n in range(10)])
    with closing(sqlite3.connect(folder / "2026-11-22.db")) as db:
        busy, pages, done = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert (busy, pages - done) == (0, 0)
    assert len([first, *found]) == 10


def test_no_store_yet(folder: Path) -> None:
    """Without a folder everything is empty, `exists` says why, and nothing is made."""
    store = SqliteStore(folder)
    assert (store.exists, store.days(), store.count(), store.end()) == (False, [], 0, {})
    assert list(store.search(All(), limit=9)) == []
    assert store.after({}, All()) == ([], {})
    assert not folder.exists()


def test_a_file_that_has_gone_is_skipped(sink: SqliteSink, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day that retention takes between listing and opening, and a file that is still empty, are no errors."""
    sink.write([document("a"), document("b", NOON - DAY)])
    days = dayfile.days(folder)
    monkeypatch.setattr(dayfile, "days", lambda _: days)
    assert dayfile.remove(folder / "2026-11-21.db")
    store = SqliteStore(folder)
    assert texts(store.search(All(), limit=9)) == ["a"]
    (folder / "2026-11-21.db").touch()
    assert texts(store.search(All(), limit=9)) == ["a"]
    assert (store.count(), texts(store.after({}, All())[0])) == (1, ["a"])


def test_a_damaged_file_is_named(sink: SqliteSink, folder: Path) -> None:
    """A day file whose pages are damaged ends the search with its name and the next step."""
    sink.write([document(f"{n}", process={"args": ["x" * 500]}) for n in range(200)])
    sink.close()
    path = folder / "2026-11-22.db"
    content = path.read_bytes()
    path.write_bytes(content[:8192] + b"\xff" * (len(content) - 8192))
    with pytest.raises(StoreError, match=r"2026-11-22\.db: can't be read .*move it"):
        list(SqliteStore(folder).search(All(), limit=999))


def test_rows_and_trigrams_agree(sink: SqliteSink, folder: Path) -> None:
    """The trigram index has exactly the rows that have lines, also after repeats."""
    lines = [document(f"{n}", process={"command_line": f"line {n}"}) for n in range(5)]
    sink.write([lines[0], lines[0], document("none"), *lines[1:], document("one", process={"command_line": "line"})])
    sink.write([lines[2], document("last", process={"command_line": "line"})])
    with closing(sqlite3.connect(folder / "2026-11-22.db")) as db:
        indexed = [seq for (seq,) in db.execute("SELECT rowid FROM lines WHERE lines MATCH 'lin' ORDER BY rowid")]
        rows = [seq for (seq,) in db.execute("SELECT seq FROM docs WHERE body LIKE '%line%' ORDER BY seq")]
        assert indexed == rows
        assert len(rows) == 7
        db.execute("INSERT INTO lines (lines) VALUES ('integrity-check')")


@pytest.mark.parametrize("text", ["process.name:ls", "process.name:l*", "container.name:web", "user.id:0"])
def test_columns_are_looked_up(sink: SqliteSink, folder: Path, text: str) -> None:
    """Values and prefixes of a field with a column are found by its index."""
    sink.write([document("a")])
    condition, bound = sql.condition(parse(text))
    with closing(sqlite3.connect(folder / "2026-11-22.db")) as db:
        sql.prepare(db)
        steps = db.execute(f"EXPLAIN QUERY PLAN SELECT seq FROM docs WHERE {condition} ORDER BY time", bound).fetchall()  # noqa: S608
    assert [step[3] for step in steps if f"INDEX by_{text.split(':', maxsplit=1)[0].replace('.', '_')}" in step[3]]


def test_the_largest_queries_run(sink: SqliteSink, folder: Path) -> None:
    """Whatever the parser lets through, however nested or long, is within SQLite's limits."""
    sink.write([document("a", process={"command_line": "abc"})])
    store = SqliteStore(folder)
    leaves = [
        "abc",
        "process.parent.name:x",
        "container.labels.a:*b*",
        "process.pid:[1 TO 5]",
        "@timestamp:>2026-11-22",
    ]
    ran = 0
    for leaf in leaves:
        for shape in (
            "({}) AND NOT process.name:x",
            "xyz OR NOT ({})",
            "xyz OR process.name:x AND NOT ({})",
            "NOT ({})",
        ):
            text = leaf
            while True:
                try:
                    query = parse(text)
                except QueryError:
                    break
                list(store.search(query, limit=9, since=1, until=NOON * 2, container="cafe", kind="process"))
                text = shape.format(text)
                ran += 1
        most = 256 if " TO " in leaf else 512
        list(store.search(parse(" OR ".join([leaf] * most)), limit=9, since=1, container="cafe"))
        list(store.search(parse(" AND ".join([f"NOT {leaf}"] * most)), limit=9, since=1, container="cafe"))
    assert ran > 100


def test_a_hostile_value_does_not_stall_a_wildcard(sink: SqliteSink, folder: Path) -> None:
    """A pattern of many gaps against a value made to defeat it takes one pass: were it not so, this would not end."""
    sink.write([document("a", process={"command_line": "a" * 50_000})])
    pattern = Wildcard("process.command_line", (*("a", Gap.MANY) * 30, "b", Gap.MANY, "c"))
    assert list(SqliteStore(folder).search(Or((pattern, Not(All()))), limit=9)) == []


def test_reading_while_it_is_made(tmp_path: Path) -> None:
    """A reader that looks at every moment of a day file's birth finds it empty or ready, never foreign."""
    looking, failures = threading.Event(), list[Exception]()

    def look(folder: Path) -> None:
        while not looking.is_set():
            try:
                SqliteStore(folder).count()
            except StoreError as error:
                failures.append(error)
                return

    for turn in range(30):
        folder = tmp_path / str(turn)
        looking.clear()
        reader = threading.Thread(target=look, args=(folder,))
        reader.start()
        dayfile.open_writer(folder, date(2026, 11, 22)).close()
        looking.set()
        reader.join()
    assert failures == []
