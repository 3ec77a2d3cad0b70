"""The sink on a real Elasticsearch: what every sink promises, hostile documents, mappings, templates, rights."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from enrich.document import Document
from enrich.elasticsearch.streams import stream
from enrich.sinks import DUPLICATE, LEFT_OUT, OK, Outcome, Status
from tests.contract.test_sinks import (  # noqa: F401  they run here with the case below
    HOSTILE,
    Case,
    test_hostile_text_comes_back,
    test_nothing_is_held_after_close,
    test_nothing_to_write,
    test_one_answer_per_document_in_order,
    test_repeats_are_harmless,
)
from tests.servers.elastic import Elastic
from tests.servers.prepared import prepare
from tests.servers.written import CREATE_ONLY, NOON, document, documents, found, roll_over, sink, sources, times_stored


@pytest.fixture
def namespace(es: Elastic) -> str:
    """One with templates, of this test's own."""
    own = es.namespace()
    prepare(es, own)
    return own


@pytest.fixture
def case(es: Elastic, namespace: str) -> Iterator[Case]:
    """The sink in the tests that are for all sinks."""
    own = sink(es, namespace)

    def read() -> list[Any]:
        made = es.ask("GET", f"_resolve/index/{stream('*', namespace)}")["data_streams"]
        return sources(es, namespace) if made else []

    yield Case(own, read, tells_repeats=True)
    own.close()


def test_a_key_that_may_only_create(es: Elastic, namespace: str) -> None:
    """Creating is all that is needed to write, and a repeat is still told."""
    own = sink(es, namespace, api_key=es.key(CREATE_ONLY))
    assert own.write(documents(3)) == [OK] * 3
    assert own.write(documents(4)) == [DUPLICATE] * 3 + [OK]
    assert set(times_stored(es, namespace).values()) == {1}
    own.close()


def test_each_kind_has_its_stream(es: Elastic, namespace: str) -> None:
    """One batch goes to as many streams as it has kinds."""
    own = sink(es, namespace)
    assert own.write([document("a"), document("b", kind="session"), document("c", kind="loss")]) == [OK] * 3
    assert [hit["_id"] for hit in found(es, namespace, "session")] == ["b"]
    assert sources(es, namespace, "loss")[0]["event"]["id"] == "c"
    own.close()


def test_without_recordings(es: Elastic, namespace: str) -> None:
    """What terminals showed stays out where that is configured, and is counted."""
    own = sink(es, namespace, recordings=False)
    assert own.write([document("a", kind="terminal"), document("b")]) == [LEFT_OUT, OK]
    assert own.facts()["left_out"] == 1
    assert list(times_stored(es, namespace)) == ["b"]
    own.close()


def test_one_bad_document_among_five_thousand(es: Elastic, namespace: str) -> None:
    """It is rejected with the server's reason; all others are stored, once."""
    own = sink(es, namespace)
    batch = documents(5000)
    batch[2345].source["cgtrail"] = {"surprise": 1}
    outcomes = own.write(batch)
    assert [index for index, outcome in enumerate(outcomes) if outcome != OK] == [2345]
    assert outcomes[2345].status is Status.REJECTED
    assert "doc-2345: strict_dynamic_mapping_exception" in outcomes[2345].reason
    assert "[surprise] within [cgtrail]" in outcomes[2345].reason
    stored = times_stored(es, namespace)
    assert (len(stored), set(stored.values())) == (4999, {1})
    own.close()


LABELS: list[dict[str, Any]] = [
    {"a\0b": "1", "kept": "1"},
    {"": "1", "kept": "1"},
    {"a.b": "1", "a": {"b": "2"}, ".": "3", "..": "4", "c..d": "5", "kept": "1"},
    {"k" * 40_000: "1", "kept": "1"},
    {"k": "v" * 40_000, "kept": "1"},
    {"emoji": "\U0001f600" * 8191, "kept": "1"},
    {"k" * 27_000: "v" * 6_999, "kept": "1"},
    {"k": HOSTILE, HOSTILE.replace("\0", ""): "v", "kept": "1"},
    {f"label{number}": "v" for number in range(20_000)} | {"kept": "1"},
]


@pytest.mark.parametrize("labels", LABELS, ids=lambda labels: repr(labels)[:20])
def test_labels_hide_nothing(es: Elastic, namespace: str, labels: dict[str, Any]) -> None:
    """Whoever names labels can't keep a container's documents out, nor add a field to the mapping."""
    own = sink(es, namespace)
    assert own.write([document("a", container={"id": "c1", "labels": labels}), document("b")]) == [OK] * 2
    name = stream("process", namespace)
    es.ask("POST", f"{name}/_refresh")
    asked = {"bool": {"filter": [{"term": {"container.labels.kept": "1"}}, {"term": {"container.id": "c1"}}]}}
    assert es.ask("POST", f"{name}/_search", {"query": asked})["hits"]["total"]["value"] == 1
    [mapped] = es.ask("GET", f"{name}/_mapping").values()
    assert "properties" not in mapped["mappings"]["properties"]["container"]["properties"]["labels"]
    own.close()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"process": {"pid": 1 << 63, "name": "ls"}}, "process.pid"),
        ({"process": {"end": "1969-12-31T23:59:59.9Z", "name": "ls"}}, "process.end"),
        ({"process": {"args": ["x", {"deep": 1}], "name": "ls"}}, "process.args"),
    ],
)
def test_a_value_that_does_not_fit(es: Elastic, namespace: str, fields: dict[str, Any], named: str) -> None:
    """It is left out and named, and the rest of the document is stored."""
    writer = sink(es, namespace)
    assert writer.write([document("a", **fields), document("b")]) == [OK] * 2
    [stored, _] = sources(es, namespace)
    assert stored["cgtrail"] == {"cut": [named]}
    assert stored["process"]["name"] == "ls"
    writer.close()


@pytest.mark.parametrize(
    "own",
    [
        {"process": {"name": "n" * 40_000, "args": ["\0", "a" * 40_000]}},
        {"process": {"command_line": "漢" * 40_000}},
        {"cgtrail": {"command": {"line": "l" * 40_000}}},
        {"cgtrail": {"raw": {"process.name": "QUJD" * 20_000}}},
        {"nested": {"a": {"b": [{"c": [[[[1]]]]}]}}},
    ],
    ids=lambda own: repr(own)[:30],
)
def test_long_values_are_whole(es: Elastic, namespace: str, own: dict[str, Any]) -> None:
    """A value that is too long for a term is kept as it was."""
    writer = sink(es, namespace)
    sent = document("a", **own)
    assert writer.write([sent]) == [OK]
    assert sources(es, namespace) == [sent.source]
    writer.close()


def test_what_is_no_json_is_rejected(es: Elastic, namespace: str) -> None:
    """What is nested a thousand deep, has a lone surrogate or a number beyond 64 bits gets a reason of ours."""
    deep: dict[str, Any] = {}
    for _ in range(1000):
        deep = {"a": deep}
    bad: list[dict[str, Any]] = [
        {"container": {"labels": deep}},
        {"process": {"name": "\ud800"}},
        {"process": {"pid": 1 << 64}},
    ]
    own = sink(es, namespace)
    outcomes = own.write([*(document(f"bad{number}", **each) for number, each in enumerate(bad)), document("good")])
    assert [outcome.status for outcome in outcomes] == [Status.REJECTED] * 3 + [Status.OK]
    assert all(f"bad{number}: it can't be written as JSON" in outcomes[number].reason for number in range(3))
    own.close()


def test_a_document_that_is_too_long(es: Elastic, namespace: str) -> None:
    """Of more than eight megabytes the longest text is cut, and named."""
    own = sink(es, namespace)
    assert own.write([document("a", process={"io": {"text": "é" * 6_000_000}, "name": "ls"})]) == [OK]
    [stored] = sources(es, namespace)
    assert stored["cgtrail"] == {"cut": ["process.io.text"]}
    assert stored["process"]["name"] == "ls"
    assert 3_900_000 < len(stored["process"]["io"]["text"]) < 4_300_000
    assert stored["process"]["io"]["text"].endswith("é…")
    own.close()


def test_times_at_the_ends(es: Elastic, namespace: str) -> None:
    """From 1970 to 2262, to the nanosecond, and clocks that go back; what lies outside is rejected."""
    own = sink(es, namespace)
    times = [0, 1, NOON, NOON - 10**18, NOON - 1, (1 << 63) - 1]
    assert own.write([document(f"t{number}", at) for number, at in enumerate(times)]) == [OK] * len(times)
    outcomes = own.write([Document("x", -1, "process", {}), Document("y", 1 << 63, "process", {})])
    assert [outcome.status for outcome in outcomes] == [Status.REJECTED] * 2
    name = stream("process", namespace)
    es.ask("POST", f"{name}/_refresh")
    hits = es.ask("POST", f"{name}/_search", {"sort": [{"@timestamp": {"order": "asc", "numeric_type": "date_nanos"}}]})
    assert [hit["sort"][0] for hit in hits["hits"]["hits"]] == sorted(times)
    own.close()


def conflicting(es: Elastic, namespace: str, mappings: dict[str, Any]) -> str:
    """A user's template for processes that wins over ours."""
    name = f"own-{namespace}"
    es.ask("PUT", f"_index_template/{name}", {
        "index_patterns": [stream("process", namespace)], "data_stream": {}, "priority": 9999,
        "template": {"mappings": mappings},
    })  # fmt: skip
    return name


@pytest.mark.parametrize(
    ("mappings", "words"),
    [
        ({"properties": {"process": {"properties": {"pid": {"type": "date", "format": "yyyy"}}}}},
         "process.pid as date, cgtrail needs long"),
        ({"properties": {"cgtrail": {"dynamic": "strict", "properties": {"oom": {"type": "boolean"}}}}},
         "older than this cgtrail"),
    ],
)  # fmt: skip
def test_a_mapping_that_is_not_ours(es: Elastic, namespace: str, mappings: dict[str, Any], words: str) -> None:
    """Documents wait for whoever made it, with words on what to do; after that each is stored once."""
    name = conflicting(es, namespace, mappings)
    own = sink(es, namespace)
    batch = [document("a", process={"pid": 123_456}, cgtrail={"entry": "init"}), document("b")]
    kept, stored = own.write(batch)
    assert (kept.status, stored) == (Status.RETRY, OK)
    assert words in kept.reason
    es.ask("DELETE", f"_index_template/{name}")
    roll_over(es, namespace)
    assert own.write(batch[:1]) == [OK]
    assert times_stored(es, namespace) == {"a": 1, "b": 1}
    own.close()


def test_an_index_of_the_same_name(es: Elastic, namespace: str) -> None:
    """A plain index stands where the stream should: nothing is put into it, and documents wait."""
    name = stream("process", namespace)
    templates = [each["name"] for each in es.ask("GET", "_index_template")["index_templates"]]
    es.ask("PUT", f"_index_template/plain-{namespace}", {"index_patterns": [name], "priority": 99_999})
    es.ask("PUT", name)
    own = sink(es, namespace)
    [outcome] = own.write([document("a")])
    assert templates
    assert outcome.status is Status.RETRY
    assert "data stream" in outcome.reason
    assert es.ask("GET", f"{name}/_count")["count"] == 0
    es.ask("DELETE", name)
    es.ask("DELETE", f"_index_template/plain-{namespace}")
    assert own.write([document("a")]) == [OK]
    own.close()


@pytest.mark.parametrize("block", ["write", "read_only_allow_delete"])
def test_a_block(es: Elastic, namespace: str, block: str) -> None:
    """While an index takes nothing, as beyond the disk's flood stage, documents wait at once; then they are stored."""
    own = sink(es, namespace)
    name = stream("process", namespace)
    assert own.write([document("a")]) == [OK]
    es.ask("PUT", f"{name}/_settings", {f"index.blocks.{block}": True})
    began = time.monotonic()
    outcomes = own.write([document("a"), document("b")])
    assert time.monotonic() - began < 30
    assert {outcome.status for outcome in outcomes} == {Status.RETRY}
    assert "cluster_block_exception" in outcomes[0].reason
    es.ask("PUT", f"{name}/_settings", {f"index.blocks.{block}": None})
    assert own.write([document("a"), document("b")]) == [DUPLICATE, OK]
    own.close()


def test_a_key_that_is_good_no_more(es: Elastic, namespace: str) -> None:
    """Documents wait while it is not, and another key stores each once."""
    key = es.key(CREATE_ONLY)
    own = sink(es, namespace, api_key=key)
    assert own.write([document("a")]) == [OK]
    es.invalidate(key)
    outcomes = own.write([document("a"), document("b", again=True)])
    assert {outcome.status for outcome in outcomes} == {Status.RETRY}
    assert outcomes[0].reason
    own.close()
    own = sink(es, namespace, api_key=es.key(CREATE_ONLY))
    assert own.write([document("a"), document("b", again=True)]) == [DUPLICATE, OK]
    own.close()


def test_rights_for_another_stream(es: Elastic, namespace: str) -> None:
    """A key that may not write here is no fault of the documents."""
    key = es.key([{"names": ["logs-other-*"], "privileges": ["create_doc", "auto_configure"]}])
    own = sink(es, namespace, api_key=key)
    [outcome] = own.write([document("a")])
    assert outcome == Outcome(Status.RETRY, outcome.reason)
    assert "unauthorized" in outcome.reason
    own.close()
