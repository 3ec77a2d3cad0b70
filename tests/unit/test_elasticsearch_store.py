"""The reader of Elasticsearch, where the server has no answer yet; all else is asked of a real one."""

from __future__ import annotations

from typing import Any

import pytest

from enrich.elasticsearch.client import Client, ElasticsearchError
from enrich.elasticsearch.cluster import Cluster
from enrich.elasticsearch.refused import words
from enrich.stores import StoreError
from enrich.stores.elasticsearch import ElasticsearchStore


def asked(monkeypatch: pytest.MonkeyPatch, status: int, refusals: int) -> tuple[int | str, int]:
    """What comes of a question that is refused so often, and how often it was asked."""
    times, clock = 0, 0.0

    def ask(client: Client, method: str, path: str, body: Any = None, **query: Any) -> Any:
        nonlocal times
        times += 1
        if times <= refusals:
            raise ElasticsearchError(words("", "why", status), place="there", status=status)
        return {"count": 7}

    def sleep(seconds: float) -> None:
        nonlocal clock
        clock += seconds

    monkeypatch.setattr(Client, "ask", ask)
    monkeypatch.setattr("enrich.stores.elasticsearch.time.sleep", sleep)
    monkeypatch.setattr("enrich.stores.elasticsearch.time.monotonic", lambda: clock)
    store = ElasticsearchStore(Cluster(hosts=("http://127.0.0.1:9",)))
    try:
        return store.count(), times
    except StoreError as error:
        return str(error), times


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_asked_again(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """A shard that is not there yet, as behind a rollover, or a busy server is waited for, but not without end."""
    assert asked(monkeypatch, status, 3) == (7, 4)
    said, times = asked(monkeypatch, status, 1_000)
    assert "why" in str(said)
    assert 4 < times < 20


def test_refused_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """What will be answered no better is asked once."""
    assert asked(monkeypatch, 400, 1)[1] == 1
