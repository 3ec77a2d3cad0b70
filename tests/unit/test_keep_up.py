"""A table on a terminal lets go of what it can't show in time, and says so; a file gets everything."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import pytest

from cgtrail.search import MANY, keep_up
from enrich.document import Document
from enrich.sinks.sqlite import SqliteSink
from enrich.stores.sqlite import SqliteStore
from enrich.stores.values import timestamp

NOON = 1_795_348_800 * 1_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    """A store that holds one document more than a table may be behind."""
    with closing(SqliteSink(tmp_path, 7, clock=lambda: NOON / 1e9)) as sink:
        sink.write([document(str(number)) for number in range(MANY + 1)])
    return SqliteStore(tmp_path)


def document(name: str) -> Document:
    """A small document."""
    return Document(name, NOON, "process", {"@timestamp": timestamp(NOON), "event": {"id": name}})


def on_terminal(monkeypatch: pytest.MonkeyPatch, *, yes: bool) -> None:
    """Standard output is a terminal, or is none."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: yes)


def test_too_far_behind(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It goes on at the end, and how many are passed over is said."""
    on_terminal(monkeypatch, yes=True)
    assert keep_up(store, {}) == store.end()
    assert f"{MANY + 1:,} documents are not shown" in capsys.readouterr().err


def test_near_enough(store: SqliteStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What can still be shown is."""
    on_terminal(monkeypatch, yes=True)
    ((day, length),) = store.end().items()
    near = {day: length - MANY}
    assert keep_up(store, near) == near
    assert capsys.readouterr().err == ""


def test_a_file_gets_all(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody watches a file: nothing is passed over."""
    on_terminal(monkeypatch, yes=False)
    assert keep_up(store, {}) == {}
