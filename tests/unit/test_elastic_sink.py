"""The sink behind what stands between it and Elasticsearch: nobody, proxies, answers that break off."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from enrich.document import Document
from enrich.elasticsearch.cluster import Cluster
from enrich.sinks import OK, Status
from enrich.sinks.elasticsearch import ElasticsearchSink

Answer = Callable[[list[str]], tuple[int, bytes]]
"""Ids of a bulk request → status and body of its answer."""


def created(ids: list[str]) -> tuple[int, bytes]:
    """All went well."""
    return 200, json.dumps({"errors": False, "items": [{"create": {"status": 201}}] * len(ids)}).encode()


class Between:
    """Something on the way: what it answers to bulk requests, and which it got."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[list[str]] = []
        self.looked_up = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                patterns = [{"index_template": {"index_patterns": ["logs-cgtrail.*"]}}]
                own = {"data_streams": [{"backing_indices": ["one"]}]}
                self._tell(200, json.dumps({"index_templates": patterns} | own).encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if "_mget" in self.path:
                    ids = json.loads(body)["ids"]
                    outer.looked_up += len(ids)
                    self._tell(200, json.dumps({"docs": [{"_id": name, "found": False} for name in ids]}).encode())
                    return
                ids = [json.loads(line)["create"]["_id"] for line in body.splitlines()[::2]]
                outer.asked.append(ids)
                self._tell(*(outer.answers.pop(0) if outer.answers else created)(ids))

            def _tell(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("x-elastic-product", "Elasticsearch")
                self.send_header("content-type", "application/vnd.elasticsearch+json;compatible-with=9")
                self.send_header("content-length", str(len(body) + (1000 if status == 299 else 0)))
                self.end_headers()
                self.wfile.write(body)
                if status == 299:  # it breaks off
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def between() -> Iterator[Between]:
    """One that listens."""
    own = Between()
    thread = threading.Thread(target=own.server.serve_forever, daemon=True)
    thread.start()
    yield own
    own.server.shutdown()
    own.server.server_close()


@contextmanager
def sink(url: str, **own: int) -> Iterator[ElasticsearchSink]:
    """A sink that sends there, one request at a time unless told otherwise."""
    limits = {"bulk_bytes": 1 << 20, "in_flight": 1} | own
    made = ElasticsearchSink(Cluster((url,), timeout_seconds=5), recordings=True, **limits)
    yield made
    made.close()


def documents(count: int) -> list[Document]:
    """So many."""
    return [Document(f"d{number}", 0, "process", {"message": "x" * 100}) for number in range(count)]


def test_nobody_listens() -> None:
    """It is named; nothing was sent, so nothing is in doubt."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    batch = documents(3)
    with sink(url) as own:
        outcomes = own.write(batch)
        assert own.facts()["error"] == outcomes[0].reason
    assert {outcome.status for outcome in outcomes} == {Status.RETRY}
    assert url in outcomes[0].reason
    assert not any(each.again for each in batch)


@pytest.mark.parametrize(
    "answer",
    [
        lambda ids: (299, created(ids)[1]),
        lambda ids: (200, created(ids)[1][:-10]),
        lambda ids: created(ids[1:]),
        lambda _: (200, b""),
        lambda _: (200, b"<html>Welcome</html>"),
        lambda _: (502, b"<html>Bad Gateway</html>"),
        lambda _: (503, b'{"error":{"type":"cluster_manager","reason":"none"},"status":503}'),
        lambda ids: (200, json.dumps({"errors": True, "items": [{"create": {"status": 200}}] * len(ids)}).encode()),
    ],
    ids=["breaks off", "is cut", "lacks one", "is empty", "is a page", "is 502", "is 503", "is odd"],
)
def test_an_answer_that_does_not_tell(between: Between, answer: Answer) -> None:
    """Nothing is taken for stored: the documents are looked up, and then sent again."""
    between.answers = [answer]
    batch = documents(10)
    with sink(between.url) as own:
        outcomes = own.write(batch)
        assert {outcome.status for outcome in outcomes} == {Status.RETRY}
        assert all(outcome.reason for outcome in outcomes)
        assert all(each.again for each in batch)
        assert own.write(batch) == [OK] * 10
    assert between.looked_up == 10


def test_the_rest_is_not_sent_after_a_request_that_failed(between: Between) -> None:
    """A write does not wait once more for each of its requests; what was not sent is not in doubt."""
    between.answers = [lambda _: (502, b"Bad Gateway")]
    batch = documents(2000)
    with sink(between.url) as own:
        outcomes = own.write(batch)
    assert {outcome.status for outcome in outcomes} == {Status.RETRY}
    assert len(between.asked) == 1
    assert [each.id for each in batch if each.again] == between.asked[0]


def test_a_proxy_that_takes_little(between: Between) -> None:
    """Requests are divided until they pass, and later ones are no larger."""

    def little(ids: list[str]) -> tuple[int, bytes]:
        return created(ids) if len(ids) <= 20 else (413, b"<html>Request Entity Too Large</html>")

    between.answers = [little] * 1000
    with sink(between.url) as own:
        assert set(own.write(documents(200))) == {OK}
        refused = sum(len(ids) > 20 for ids in between.asked)
        assert set(own.write(documents(200))) == {OK}
    assert sum(len(ids) > 20 for ids in between.asked) == refused


def test_a_document_that_is_always_too_large(between: Between) -> None:
    """What is refused however far it is cut is rejected with the reason; its neighbours are stored."""

    def never(ids: list[str]) -> tuple[int, bytes]:
        return (413, b"too large") if "big" in ids else created(ids)

    between.answers = [never] * 1000
    batch = [*documents(3), Document("big", 0, "process", {"message": "x" * 900_000})]
    with sink(between.url) as own:
        outcomes = own.write(batch)
    assert [outcome.status for outcome in outcomes] == [Status.OK] * 3 + [Status.REJECTED]
    assert "413" in outcomes[3].reason


def test_a_proxy_that_takes_nothing(between: Between) -> None:
    """A small document is not to blame: all wait for who runs the proxy, and then go as they would have gone."""
    refused = [True]

    def nothing(ids: list[str]) -> tuple[int, bytes]:
        return (413, b"<html>") if refused else created(ids)

    between.answers = [nothing] * 1000
    batch = documents(200)
    with sink(between.url) as own:
        outcomes = own.write(batch)
        assert {outcome.status for outcome in outcomes} == {Status.RETRY}
        assert "lets nothing through" in outcomes[0].reason
        refused.clear()
        asked = len(between.asked)
        assert set(own.write(batch)) == {OK}
    assert len(between.asked) == asked + 1


def test_too_many_requests(between: Between) -> None:
    """A refusal for want of room is tried again, smaller, within the same write."""
    between.answers = [lambda _: (429, b"slow down")] * 2
    batch = documents(400)
    with sink(between.url) as own:
        assert set(own.write(batch)) == {OK}
        told = own.facts()
    assert (told["refused"], told["retried"]) == (2, 400 + 250)
    assert len(between.asked[-1]) < 400
    assert not any(each.again for each in batch)


def test_several_at_a_time(between: Between) -> None:
    """As many requests as are allowed fly together, and each document has its own answer."""
    together = threading.Barrier(3, timeout=20)

    def waits(ids: list[str]) -> tuple[int, bytes]:
        together.wait()
        return created(ids)

    between.answers = [waits] * 3
    with sink(between.url, in_flight=3) as own:
        assert own.write(documents(1500)) == [OK] * 1500
    assert sorted(name for ids in between.asked for name in ids) == sorted(each.id for each in documents(1500))
