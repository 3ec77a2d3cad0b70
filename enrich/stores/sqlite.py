"""The local store's reader. It may read while the sink writes, and holds nothing that the sink would wait for."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import date
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from enrich.stores import StoreError, dayfile, sql, values
from enrich.stores.narrow import narrowed, within
from enrich.stores.query import Query

Cursor: TypeAlias = Mapping[date, int]
"""How far a follower has come: day → how many of its documents it has passed."""

_INT64_MAX = (1 << 63) - 1
_NTH = f"coalesce(sequence, {dayfile.NO_SEQUENCE})"
_FEW = 20_000
"""Rows that are all looked at in a fraction of a second."""


class SqliteStore:
    """Documents in a folder of day files. Every method may raise StoreError, which names the file and the next step."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def exists(self) -> bool:
        """Whether anything was ever stored here: without a folder every answer is empty."""
        return self._folder.is_dir()

    def days(self) -> list[date]:
        """The UTC days that have documents, oldest first."""
        return dayfile.days(self._folder)

    @property
    def name(self) -> str:
        """Its folder."""
        return str(self._folder)

    def count(self) -> int:
        """How many documents there are."""
        return sum(self.end().values())

    def oldest(self, kind: str) -> int | None:  # noqa: ARG002  a day has all kinds
        """The beginning of the oldest day."""
        days = self.days()
        return values.date("@timestamp", str(days[0])).start if days else None

    def behind(self, cursor: Cursor) -> int:
        """How many documents lie behind a cursor."""
        return sum(length - cursor.get(day, 0) for day, length in self.end().items())

    def close(self) -> None:
        """Nothing is held open between two questions."""

    def search(
        self,
        query: Query,
        *,
        since: int | None = None,
        until: int | None = None,
        container: str | None = None,
        tenant: str | None = None,
        kind: str | None = None,
        limit: int,
        ascending: bool = False,
        upto: Cursor | None = None,
    ) -> Iterator[bytes]:
        """As Store."""
        since, until = within(since), within(until)
        found = narrowed(query, container, tenant, since, until)
        days = [
            day
            for day in self.days()
            if (since is None or day >= dayfile.day_of(since)) and (until is None or day <= dayfile.day_of(until))
        ]
        for day in days if ascending else reversed(days):
            if limit <= 0:
                return
            last = None if upto is None else upto.get(day, 0)
            for body in self._search_day(day, found, kind, limit, ascending, last):
                limit -= 1
                yield body

    def end(self) -> Cursor:
        """Where a follower starts who wants only what is stored from now on."""
        ends = {}
        for day in self.days():
            with self._reading(day) as db:
                if db is not None:
                    ends[day] = _length(db)
        return ends

    def after(
        self,
        cursor: Cursor,
        query: Query,
        *,
        container: str | None = None,
        tenant: str | None = None,
        kind: str | None = None,
        limit: int = 1000,
    ) -> tuple[list[bytes], Cursor]:
        """Documents stored since the cursor, about `limit` at most, and the cursor to ask with next.

        They come in the order of arrival within each day, each once, also those whose time lies before what was seen.
        An empty cursor is the beginning of the store. When the answer is empty, the follower has come to the end.
        """
        found: list[bytes] = []
        reached: dict[date, int] = {}
        restricted = narrowed(query, container, tenant)
        for day in self.days():
            passed = cursor.get(day, 0)
            with self._reading(day) as db:
                if db is not None:
                    bodies, reached[day] = _after(
                        db, passed, _where(restricted, kind, indexed=False), limit - len(found)
                    )
                    found += bodies
        return found, reached

    def _search_day(
        self, day: date, query: Query, kind: str | None, limit: int, ascending: bool, last: int | None
    ) -> Iterator[bytes]:
        with self._reading(day) as db:
            if db is None:
                return
            # Numbers first and bodies later, one by one: no statement stays open while the caller takes its time, so
            # the writer's log can always be emptied.
            for number in _numbers(db, query, kind, min(limit, _INT64_MAX), ascending, last):
                yield db.execute("SELECT body FROM docs WHERE seq = ?", (number,)).fetchone()[0]

    @contextmanager
    def _reading(self, day: date) -> Iterator[sqlite3.Connection | None]:
        """A connection to a day's file, None where retention has taken it meanwhile."""
        path = dayfile.path_of(self._folder, day)
        try:
            db = dayfile.open_reader(path)
            if db is None:
                yield None
                return
            with closing(db):
                sql.prepare(db)
                yield db
        except dayfile.BROKEN as error:
            message = (
                f"{path}: can't be read ({error}): if it is damaged, move it out of the store;"
                f" `sqlite3 {path.name} .recover` saves what is left"
            )
            raise StoreError(message) from error


def _after(db: sqlite3.Connection, passed: int, where: sql.Condition, limit: int) -> tuple[list[bytes], int]:
    last = _length(db)
    if last <= passed or limit <= 0:
        return [], passed
    condition, bound = where
    rows = db.execute(
        f"SELECT seq, body FROM docs NOT INDEXED WHERE seq > ? AND seq <= ? AND {condition} ORDER BY seq LIMIT ?",
        (passed, last, *bound, limit),
    ).fetchall()
    return [body for _, body in rows], rows[-1][0] if len(rows) == limit else last


def _length(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT coalesce(max(seq), 0) FROM docs").fetchone()[0])


def _numbers(
    db: sqlite3.Connection, query: Query, kind: str | None, limit: int, ascending: bool, last: int | None
) -> Iterable[int]:
    """The seqs of what matches, in order: at most `limit`, and none behind `last`."""
    statement, bindings = _statement(db, query, kind, ascending)
    up_to = _INT64_MAX if last is None else last
    found = [_columns(db.execute(statement, (*bound, up_to, limit))) for bound in bindings]
    if len(found) == 1:
        return found[0][0]
    ordered = merge(*(zip(at, nth, seq, strict=True) for seq, at, nth in found), reverse=not ascending)
    return islice((seq for _, _, seq in ordered), limit)


def _columns(rows: Iterable[tuple[int, int, int]]) -> tuple[array[int], array[int], array[int]]:
    """Numbers in 8 bytes each: a day can have millions."""
    columns = array("q"), array("q"), array("q")
    for row in rows:
        for column, number in zip(columns, row, strict=True):
            column.append(number)
    return columns


def _statement(
    db: sqlite3.Connection, query: Query, kind: str | None, ascending: bool
) -> tuple[str, list[tuple[Any, ...]]]:
    """What finds (seq, time, sequence) in order, and what to bind to it; several times, where each gives a part.

    It wants two values more: the last seq, and how many at most. The former chooses no index: hence the +.
    """
    tenant = sql.of_tenant(query)
    if tenant is not None and _leads(db, *tenant, kind):
        # What a set of tenants has stands in the order that is wanted. Other indexes are of no use to what follows.
        name, (within, times), rest = tenant
        where, bound = _where(rest, kind, indexed=False)
        sets = db.execute("SELECT whose FROM tenants WHERE tenant = ?", (name,)).fetchall()
        order = f"placed CROSS JOIN docs ON seq = doc WHERE whose = ? AND {within} AND"
        columns, found = ("at", "nth", "doc"), "doc, at, nth"
        bindings = [(*whose, *times, *bound) for whose in sets]
    else:
        where, bound = _where(query, kind)
        order, columns, found = "docs WHERE", ("time", "sequence", "seq"), f"seq, time, {_NTH}"
        bindings = [bound]
    ordered = ", ".join(f"{column} {'ASC' if ascending else 'DESC'}" for column in columns)
    return f"SELECT {found} FROM {order} {where} AND +seq <= ? ORDER BY {ordered} LIMIT ?", bindings


def _leads(db: sqlite3.Connection, name: str, times: sql.Condition, rest: Query, kind: str | None) -> bool:
    """Whether to begin with what a tenant has: that is little, or nothing else finds less."""
    if kind in (None, "process") and not sql.is_selective(rest):
        return True
    found = f"tenants CROSS JOIN placed USING (whose) WHERE tenant = ? AND {times[0]}"
    some = f"SELECT count(*) FROM (SELECT 1 FROM {found} LIMIT {_FEW})"
    return int(db.execute(some, (name, *times[1])).fetchone()[0]) < _FEW


def _where(query: Query, kind: str | None, *, indexed: bool = True) -> sql.Condition:
    condition, bound = sql.condition(query, indexed=indexed)
    return (condition, bound) if kind is None else (f"kind = ? AND {condition}", (kind, *bound))
