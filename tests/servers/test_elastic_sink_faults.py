"""The sink while its server hangs, dies, comes back, is pressed, or was never prepared."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from enrich.document import Document
from enrich.elasticsearch.streams import stream
from enrich.sinks import OK, Status
from enrich.sinks.elasticsearch import ElasticsearchSink
from tests.servers.elastic import Elastic, elastic
from tests.servers.prepared import prepare
from tests.servers.written import CREATE_ONLY, document, documents, sink, sources, times_stored

ENOUGH_SECONDS = 240
STORED = (Status.OK, Status.DUPLICATE)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elastic]:
    """A server of these tests' own, with little room; each test leaves it running."""
    limits: dict[str, Any] = {"indexing_pressure.memory.limit": "2500kb", "http.max_content_length": "500kb"}
    with elastic(tmp_path_factory.mktemp("elastic"), **limits) as own:
        yield own


@pytest.fixture
def namespace(node: Elastic) -> str:
    """One with templates, of this test's own."""
    own = node.namespace()
    prepare(node, own)
    return own


def until_stored(own: ElasticsearchSink, batch: list[Document], between: Callable[[], None] = lambda: None) -> set[str]:
    """Write as a worker does, until there is nothing left; the reasons why it took longer."""
    until = time.monotonic() + ENOUGH_SECONDS
    reasons: set[str] = set()
    while batch:
        assert time.monotonic() < until, reasons
        outcomes = own.write(batch)
        assert all(outcome.status in (*STORED, Status.RETRY) for outcome in outcomes)
        reasons |= {outcome.reason for outcome in outcomes if outcome.status is Status.RETRY}
        batch = [each for each, outcome in zip(batch, outcomes, strict=True) if outcome.status is Status.RETRY]
        between()
    return reasons


def test_nothing_is_made_without_templates(own_es: Elastic) -> None:
    """Where setup was not run, documents wait and no stream is made, also where a template for all logs stands.

    Elasticsearch brings such a one along, which would guess a mapping. After setup the documents are stored.
    """
    for key in ("", own_es.key(CREATE_ONLY)):
        own = sink(own_es, "default", api_key=key) if key else sink(own_es, "default")
        [outcome] = own.write([document("a")])
        assert outcome.status is Status.RETRY
        assert "cgtrail setup elasticsearch" in outcome.reason
        assert own.facts()["error"] == outcome.reason
        own.close()
    general = {"index_patterns": ["logs-*-*"], "data_stream": {}, "priority": 7}
    own_es.ask("PUT", "_index_template/general", general)
    own = sink(own_es, "default")
    [outcome] = own.write([document("a")])
    assert outcome.status is Status.RETRY
    assert "no index template" in outcome.reason
    assert own_es.ask("GET", f"_resolve/index/{stream('*', 'default')}")["data_streams"] == []
    prepare(own_es, "default")
    assert own.write([document("a")]) == [OK]
    assert own.facts()["error"] is None
    own.close()


def test_a_storm_of_429(node: Elastic, namespace: str) -> None:
    """A server with no room refuses much: all is stored in the end, each once, and less was sent at a time."""
    own = sink(node, namespace, in_flight=6, bulk_bytes=450_000)
    batch = documents(4000, message="x" * 1500)
    until_stored(own, batch)
    assert own.facts()["refused"] > 0
    stored = times_stored(node, namespace)
    assert (len(stored), set(stored.values())) == (4000, {1})
    own.close()


def test_a_request_that_is_too_large(node: Elastic, namespace: str) -> None:
    """Where the server, or a proxy, takes less than is configured, requests are divided, and remain so."""
    own = sink(node, namespace, in_flight=1, bulk_bytes=8 << 20)
    until_stored(own, documents(1000, message="x" * 8000))
    assert 50_000 < own.facts()["bulk_bytes_allowed"] < 500_000
    until_stored(own, documents(100, 1000, message="x" * 8000))
    stored = times_stored(node, namespace)
    assert (len(stored), set(stored.values())) == (1100, {1})
    own.close()


def test_a_document_larger_than_a_request(node: Elastic, namespace: str) -> None:
    """One that alone is more than the server takes is cut until it goes, and its neighbours are whole."""
    own = sink(node, namespace)
    batch = [document("a"), document("b", process={"io": {"text": "x" * 5_000_000}}), document("c")]
    assert own.write(batch) == [OK] * 3
    [a, b, c] = sources(node, namespace)
    assert (a, c) == (batch[0].source, batch[2].source)
    assert b["cgtrail"] == {"cut": ["process.io.text"]}
    assert len(b["process"]["io"]["text"]) > 100_000
    own.close()


def test_a_server_that_hangs(node: Elastic, namespace: str) -> None:
    """What is not answered is doubted, not guessed: after the server goes on, each document is there once."""
    own = sink(node, namespace, timeout_seconds="2")
    assert own.write([document("before")]) == [OK]
    batch = documents(1200)
    node.pause()
    try:
        outcomes = own.write(batch)
    finally:
        node.resume()
    assert {outcome.status for outcome in outcomes} == {Status.RETRY}
    assert any(each.again for each in batch)
    until_stored(own, batch)
    stored = times_stored(node, namespace)
    assert (len(stored), set(stored.values())) == (1201, {1})
    own.close()


def test_a_server_that_is_killed(node: Elastic, namespace: str) -> None:
    """Killed in the midst of writing, and started again: what was answered for is there, everything is there once."""
    own = sink(node, namespace, in_flight=2)
    answered: set[str] = set()
    stop = threading.Event()
    reasons: set[str] = set()

    def write() -> None:
        first = 0
        while not stop.is_set():
            batch = documents(400, first)
            reasons.update(until_stored(own, batch))
            answered.update(each.id for each in batch)
            first += 400

    writer = threading.Thread(target=write)
    writer.start()
    while len(answered) < 1200:
        time.sleep(0.01)
    node.kill()
    node.start()
    enough = len(answered) + 800
    while len(answered) < enough:
        time.sleep(0.01)
    stop.set()
    writer.join()
    assert reasons
    stored = times_stored(node, namespace)
    assert set(stored) == answered or len(answered) > 10_000
    assert set(stored.values()) == {1}
    own.close()


def peak_kb() -> int:
    """The most memory that this process had since `from_now`."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def from_now() -> None:
    """Forget the most memory that there was."""
    fd = os.open("/proc/self/clear_refs", os.O_WRONLY)
    try:
        os.write(fd, b"5")
    finally:
        os.close(fd)


def test_a_hundred_megabytes_of_one_session(node: Elastic, namespace: str) -> None:
    """However much one batch holds, no more than the requests in flight stands in memory."""
    own = sink(node, namespace, bulk_bytes=500_000)
    text = "what a terminal showed\r\n" * 2730
    batch = [document(f"s-{number}", kind="terminal", process={"io": {"text": text}}) for number in range(1600)]
    assert own.write(batch[:20]) == [OK] * 20
    from_now()
    before = peak_kb()
    until_stored(own, batch[20:])
    assert own.facts()["bytes"] > 100_000_000
    assert peak_kb() - before < 20_000
    stored = times_stored(node, namespace, "terminal")
    assert (len(stored), set(stored.values())) == (1600, {1})
    own.close()
