"""Documents of tenants in the local store: which are found, and by which index."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cgtrail.check.store import look
from cgtrail.config import Config
from enrich.document import Document
from enrich.sinks import OK, Status
from enrich.sinks.sqlite import SqliteSink
from enrich.stores import dayfile, sql, sqlite
from enrich.stores.lucene import parse
from enrich.stores.query import All, Exists, Not, Query
from enrich.stores.sqlite import SqliteStore
from enrich.stores.values import timestamp

SECOND = 1_000_000_000
NOON = 1_795_305_600 * SECOND + 43_200 * SECOND
"""2026-11-22T12:00:00Z."""
DAY_FILE = "2026-11-22.db"
FIFTY = [f"tenant-{n:02}" for n in range(50)]


def document(name: str, tenants: Any = None, time: int = NOON, **groups: dict[str, Any]) -> Document:
    """A small document of some tenants."""
    source: dict[str, Any] = {"@timestamp": timestamp(time), "event": {"id": name}} | groups
    if tenants is not None:
        source["cgtrail"] = {"tenant": {"id": tenants}}
    return Document(name, time, "process", source)


def names(found: Iterable[bytes]) -> list[str]:
    """The ids of what was found."""
    return [json.loads(body)["event"]["id"] for body in found]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a store is to be."""
    return tmp_path / "store"


@pytest.fixture
def sink(folder: Path) -> Iterator[SqliteSink]:
    """The writer of that store."""
    with closing(SqliteSink(folder, 7, clock=lambda: NOON / SECOND)) as made:
        yield made


def find(folder: Path, tenant: str | None, query: Query | None = None, **chosen: Any) -> list[str]:
    """The ids of what a search finds, the oldest first."""
    settings: dict[str, Any] = {"limit": 999, "ascending": True} | chosen
    return names(SqliteStore(folder).search(query or All(), tenant=tenant, **settings))


def test_a_shared_container_is_every_tenants(sink: SqliteSink, folder: Path) -> None:
    """Two tenants, three containers, one of them shared: each tenant finds its own and the shared, each once."""
    sink.write([document("a", ["t1"]), document("b", ["t2"]), document("s", ["t1", "t2"]), document("none")])
    assert [find(folder, tenant) for tenant in ("t1", "t2", "t", "", "t1,t2")] == [["a", "s"], ["b", "s"], [], [], []]
    assert find(folder, None, parse("cgtrail.tenant.id:(t1 OR t2)")) == ["a", "b", "s"]
    assert find(folder, None, parse("cgtrail.tenant.id:t1 AND cgtrail.tenant.id:t2")) == ["s"]
    assert find(folder, None, parse("NOT cgtrail.tenant.id:t1")) == ["b", "none"]
    assert find(folder, None, Not(Exists("cgtrail.tenant.id"))) == ["none"]


def test_fifty_tenants(sink: SqliteSink, folder: Path) -> None:
    """A document of fifty tenants is found by each, also when it is sent twice, and names one twice."""
    shared = document("shared", [*FIFTY, FIFTY[0]])
    for _ in range(2):
        sink.write([shared, document("other", ["x"])])
    for tenant in FIFTY:
        assert find(folder, tenant) == ["shared"]
    assert find(folder, None) == ["shared", "other"]
    with closing(sqlite3.connect(folder / DAY_FILE)) as db:
        rows = [db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("placed", "sets", "tenants")]  # noqa: S608
    assert rows == [2, 2, 51]  # a document has one row, however many its tenants are


def test_with_times_containers_and_limits(sink: SqliteSink, folder: Path) -> None:
    """A tenant narrows what every other option leaves, over several days."""
    sink.write(
        [
            document(
                f"{n}",
                ["t1", "even"] if n % 2 == 0 else ["t1"],
                NOON + n * 6 * 3600 * SECOND,
                container={"name": f"box-{n % 3}"},
            )
            for n in range(12)
        ]
    )
    assert find(folder, "even", limit=3, ascending=False) == ["10", "8", "6"]
    assert find(folder, "even", limit=3) == ["0", "2", "4"]
    hours: dict[str, Any] = {"since": NOON + 2 * 6 * 3600 * SECOND, "until": NOON + 6 * 6 * 3600 * SECOND}
    assert find(folder, "even", **hours) == ["2", "4"]
    assert find(folder, "even", container="box-0") == ["0", "6"]
    assert find(folder, "even", parse("@timestamp:>=2026-11-24"), kind="process") == ["6", "8", "10"]
    assert find(folder, "even", parse("@timestamp:>=2026-11-24"), kind="loss") == []
    assert sorted(names(SqliteStore(folder).after({}, All(), tenant="even", container="box-0")[0])) == ["0", "6"]


def test_documents_without_a_sequence_come_first(sink: SqliteSink, folder: Path) -> None:
    """At one time documents of a tenant stand in the order that they have without one."""
    sequences = [None, 5, -(1 << 62), 0, (1 << 63) - 1]
    sink.write(
        [document(f"{n}", ["t"], event={"id": f"{n}"} | ({} if n is None else {"sequence": n})) for n in sequences]
    )
    assert find(folder, "t") == find(folder, None) == ["None", str(-(1 << 62)), "0", "5", str((1 << 63) - 1)]


@pytest.mark.parametrize("tenant", ["", "a\0b", "' OR 1 --", "t*", "é😀", "x" * 10_000, "\x1b[31m"])
def test_a_tenant_of_any_name(sink: SqliteSink, folder: Path, tenant: str) -> None:
    """A tenant is found by exactly its id, whatever is in it."""
    sink.write([document("a", [tenant]), document("b", [tenant + "x"]), document("c", ["a"])])
    assert find(folder, tenant) == ["a"]


@pytest.mark.parametrize("tenants", [7, {"a": 1}, [1], ["a", None], [["a"]]])
def test_what_names_no_tenant_is_refused(sink: SqliteSink, folder: Path, tenants: Any) -> None:
    """Tenants that are no texts are the document's fault, said with the field; others of its batch are stored."""
    refused, stored = sink.write([document("bad", tenants), document("good", "t")])
    assert refused.status is Status.REJECTED
    assert "cgtrail.tenant.id" in refused.reason
    assert stored == OK
    assert find(folder, "t") == ["good"]


def test_a_search_up_to_a_cursor(sink: SqliteSink, folder: Path) -> None:
    """What a search up to a cursor leaves out is what following from it gives: nothing twice, nothing missing."""
    sink.write([document("a", ["t"]), document("b", ["u"])])
    store = SqliteStore(folder)
    cursor = store.end()
    sink.write([document("c", ["t"], NOON - SECOND), document("d", ["t"], NOON + 86_400 * SECOND)])
    assert find(folder, "t", upto=cursor) == ["a"]
    assert find(folder, None, upto=cursor) == ["a", "b"]
    assert names(store.after(cursor, All(), tenant="t")[0]) == ["c", "d"]


def plan(folder: Path, query: Query, kind: str | None = None) -> list[str]:
    """How SQLite goes about a search."""
    with closing(sqlite3.connect(folder / DAY_FILE)) as db:
        sql.prepare(db)
        statement, (bound, *_) = sqlite._statement(db, query, kind, ascending=False)
        return [step[3] for step in db.execute(f"EXPLAIN QUERY PLAN {statement}", (*bound, 100, 100)).fetchall()]


LED = "SEARCH placed USING COVERING INDEX by_whose (whose=?"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("cgtrail.tenant.id:t1", LED + ")"),
        ("cgtrail.tenant.id:t1 AND passwd", LED + ")"),
        ("cgtrail.tenant.id:t1 AND container.name:web AND NOT event.action:end", LED + ")"),
        ("cgtrail.tenant.id:t1 AND @timestamp:[2026-11-22T10 TO 2026-11-22T11]", LED + " AND at>? AND at<?)"),
    ],
)
@pytest.mark.parametrize("chosen", [{}, {"kind": "process"}, {"kind": "loss"}])
def test_a_tenant_is_looked_up(sink: SqliteSink, folder: Path, text: str, wanted: str, chosen: dict[str, Any]) -> None:
    """A tenant's rows are found by their index, within times too, and stand in order: nothing is sorted or scanned."""
    sink.write([document("a", ["t1"])])
    steps = plan(folder, parse(text), **chosen)
    assert steps[0] == wanted
    assert steps[1] == "SEARCH docs USING INTEGER PRIMARY KEY (rowid=?)"
    assert not [step for step in steps if "ORDER BY" in step or (step.startswith("SCAN") and "json" not in step)]


BY_NAME = "SEARCH docs USING COVERING INDEX by_container_name (container_name=?)"
BY_DOCUMENT = "SEARCH placed USING INTEGER PRIMARY KEY (rowid=?)"


@pytest.mark.parametrize(
    ("text", "kind", "wanted"),
    [
        ("cgtrail.tenant.id:t1", None, LED + ")"),
        ("cgtrail.tenant.id:t1 AND user.id:0", "process", LED + ")"),
        ("cgtrail.tenant.id:t1 AND container.name:x", None, BY_NAME),
        ("cgtrail.tenant.id:t1 AND passwd", None, "SEARCH docs USING INTEGER PRIMARY KEY (rowid=?)"),
        ("cgtrail.tenant.id:t1", "loss", "SEARCH docs USING COVERING INDEX by_kind (kind=?)"),
    ],
)
def test_of_a_large_tenant_what_is_rarer_is_looked_up(
    sink: SqliteSink, folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, kind: str | None, wanted: str
) -> None:
    """Where a tenant has many documents, a container, a word or a rare kind finds fewer; then each is asked for it."""
    monkeypatch.setattr(sqlite, "_FEW", 2)
    sink.write([document("a", ["t1"], container={"name": "x"}), document("b", ["t1"])])
    steps = plan(folder, parse(text), kind)
    assert steps[0] == wanted
    assert (BY_DOCUMENT in steps) == (wanted != LED + ")")


@pytest.mark.parametrize("text", ["NOT cgtrail.tenant.id:t1", "cgtrail.tenant.id:(t1 OR t2)"])
def test_elsewhere_a_tenant_is_looked_up_by_document(sink: SqliteSink, folder: Path, text: str) -> None:
    """In any other place of a query no body is read for a tenant."""
    sink.write([document("a", ["t1"])])
    steps = plan(folder, parse(text))
    assert BY_DOCUMENT in steps
    assert not [step for step in steps if "json" in step]


@pytest.mark.parametrize(
    ("text", "kind", "wanted"),
    [
        ("", None, "SCAN docs USING COVERING INDEX by_time"),
        ("", "process", "SEARCH docs USING COVERING INDEX by_kind (kind=?)"),
        ("container.name:x", None, BY_NAME),
        ("NOT event.action:end", None, "SCAN docs USING INDEX by_time"),
    ],
)
def test_a_cursor_costs_no_order(sink: SqliteSink, folder: Path, text: str, kind: str | None, wanted: str) -> None:
    """That a search can end at a cursor takes no index from searches without a tenant."""
    sink.write([document("a")])
    assert plan(folder, parse(text), kind) == [wanted]


# Files of the format before


@pytest.fixture
def old(sink: SqliteSink, folder: Path) -> Path:
    """A store with a day of format 2, which knew no tenants."""
    sink.write([document("old", process={"command_line": "cat /etc/passwd"})])
    sink.close()
    with closing(sqlite3.connect(folder / DAY_FILE)) as db:
        db.executescript("DROP TABLE tenants; DROP TABLE sets; DROP TABLE placed;")
        db.executescript("PRAGMA user_version = 2; PRAGMA journal_mode = DELETE;")
    return folder


def test_an_older_file_is_read(old: Path) -> None:
    """Everything finds in it what it found; no tenant does, and reading changes nothing."""
    before = (old / DAY_FILE).read_bytes()
    store = SqliteStore(old)
    assert (find(old, None), find(old, "t"), store.count()) == (["old"], [], 1)
    assert find(old, None, parse("passwd AND NOT cgtrail.tenant.id:t")) == ["old"]
    assert names(store.after({}, All())[0]) == ["old"]
    assert store.after({}, All(), tenant="t")[0] == []
    assert (old / DAY_FILE).read_bytes() == before
    assert [finding.level.value for finding in look(Config(data=str(old.parent)))] == ["ok"]


def test_an_older_file_is_written_on(old: Path) -> None:
    """A writer goes on with it: what was there stays, duplicates are known, and tenants are found from then on."""
    with closing(SqliteSink(old, 7, clock=lambda: NOON / SECOND)) as sink:
        answers = sink.write([document("old"), document("new", ["t"])])
    assert [answer.status for answer in answers] == [Status.DUPLICATE, Status.OK]
    assert (find(old, None), find(old, "t")) == (["old", "new"], ["new"])
    with closing(sqlite3.connect(old / DAY_FILE)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (dayfile.FORMAT,)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
