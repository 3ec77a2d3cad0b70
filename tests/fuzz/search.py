"""Targets: queries, from their text to what the store finds."""

from __future__ import annotations

import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path

from enrich.sinks import OK
from enrich.sinks.sqlite import SqliteSink
from enrich.stores.lucene import parse
from enrich.stores.meaning import matches
from enrich.stores.query import QueryError
from enrich.stores.sqlite import SqliteStore
from tests.unit.meaning import DOCUMENTS, NOON, SECOND

_FEW = DOCUMENTS[:40]


@cache
def _store() -> tuple[SqliteStore, tempfile.TemporaryDirectory[str]]:
    folder = tempfile.TemporaryDirectory()
    with closing(SqliteSink(Path(folder.name), 7, clock=lambda: NOON / SECOND)) as sink:
        assert set(sink.write(_FEW)) == {OK}
    return SqliteStore(Path(folder.name)), folder


def query(data: bytes) -> None:
    """Any text is a query or a QueryError that can be shown; a query finds what its tree means."""
    text = data.decode(errors="surrogateescape")
    try:
        tree = parse(text)
    except QueryError as error:
        str(error).encode()
        return
    if "\1" in text:  # stands for NUL too (enrich.stores.dayfile)
        return
    found = set(_store()[0].search(tree, limit=len(_FEW)))
    assert found == {each.encode() for each in _FEW if matches(tree, each.source)}
