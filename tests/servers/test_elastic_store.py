"""The reader of Elasticsearch: the same queries give the same documents as the local store, however they are asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings

from enrich.document import Document
from enrich.stores import Store
from enrich.stores.elasticsearch import ElasticsearchStore
from enrich.stores.lucene import parse
from enrich.stores.meaning import matches
from enrich.stores.query import And, Exists, Gap, Not, Or, Query, Range, Term, Text, Wildcard
from enrich.stores.sqlite import SqliteStore
from enrich.stores.values import timestamp
from tests.servers.elastic import Elastic
from tests.servers.prepared import prepare
from tests.servers.stores import keep, put
from tests.unit.meaning import DOCUMENTS, NOON, TENANTS
from tests.unit.test_search_meaning import QUERIES

pytestmark = pytest.mark.elasticsearch
LONG = "long " * 2_000
"""Beyond every ignore_above."""
MARKS = ["\0", "*", "?", "\\", "😀", "\ufffd", "\ue000", "É", "\u212a", '"', "\n", "\x1b[31m"]


def fitting(document: Document) -> Document | None:
    """A document that the mapping takes: a long is a number, an object is one, and its kind is one of ours."""
    source = orjson.loads(document.encode())
    if not isinstance(source["process"]["parent"], dict):
        return None
    if not isinstance(source["process"].get("exit_code", 0), int) or source["process"].get("exit_code") is True:
        del source["process"]["exit_code"]
    kind = "process" if document.kind == "process" else "session"
    return Document(document.id, document.time, kind, source)


def more() -> Iterator[Document]:
    """What random documents lack: values that no index holds, and texts that sort by code point or not at all."""
    texts = [LONG, LONG + "end", *MARKS, *(f"a{mark}b" for mark in MARKS)]
    for number, text in enumerate(texts):
        time = NOON + number * 7
        source: dict[str, Any] = {
            "@timestamp": timestamp(time),
            "event": {"id": f"more-{number}", "action": "exec", "sequence": number},
            "process": {"name": text, "args": ["ls", text], "command_line": f"ls {text}", "exit_code": -number},
            "container": {"labels": {"com.docker.project": text[:8191], "s*r": "x", "": "empty", "a.b.": "dots"}},
            # Of what is flattened no server says that it is too long to be indexed.
            "cgtrail": {"raw": {"process.args": text, "process.name": "AA=="} if number % 3 else {"cwd": text}},
        }
        yield Document(source["event"]["id"], time, "process", source)


CORPUS = [*filter(None, map(fitting, DOCUMENTS)), *more()]


@pytest.fixture(scope="module")
def both(es: Elastic, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SqliteStore, ElasticsearchStore]]:
    """Both stores with CORPUS."""
    folder, namespace = tmp_path_factory.mktemp("store"), es.namespace()
    keep(folder, CORPUS)
    prepare(es, namespace)
    put(es, namespace, CORPUS)
    with closing(ElasticsearchStore(es.cluster(namespace))) as there:
        yield SqliteStore(folder), there


def ordered(bodies: Sequence[bytes]) -> list[tuple[str, int, bytes]]:
    """Documents in the order that is promised: of two at one time with one sequence either may come first."""
    told = []
    for body in bodies:
        source = orjson.loads(body)
        told.append((source["@timestamp"], source["event"].get("sequence", -1), body))
    keys = [key[:2] for key in told]
    assert keys == sorted(keys) or keys == sorted(keys, reverse=True)
    return sorted(told)


def same(both: tuple[Store, Store], query: Query, **chosen: Any) -> list[bytes]:
    """What both stores give."""
    here, there = (list(store.search(query, **{"limit": 10_000} | chosen)) for store in both)
    assert ordered(here) == ordered(there), query
    return there


def test_any_query_means_the_same(both: tuple[SqliteStore, ElasticsearchStore]) -> None:
    """For any query, both stores and the plain evaluator give the same documents, also to who follows."""

    @given(QUERIES)
    @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
    def check(query: Query) -> None:
        found = same(both, query)
        assert sorted(found) == sorted(each.encode() for each in CORPUS if matches(query, each.source))
        followed, cursor = [], both[1].after({}, query, limit=100)[1]
        followed += both[1].after({}, query, limit=100)[0]
        while True:
            bodies, cursor = both[1].after(cursor, query, limit=100)
            if not bodies:
                break
            followed += bodies
        assert sorted(followed) == sorted(found)

    check()


HAND_MADE = [
    "",
    "*",
    f'process.name:"{LONG}"',
    f'NOT process.name:"{LONG}"',
    r"process.args:*\"",
    "process.args:long*end",
    "NOT process.args:long*end",
    "process.args:long*end AND process.name:long*",
    "process.name:[\ufffd TO *]",
    "process.name:{* TO \ue000}",
    "process.name:[😀 TO 😀]",
    r"process.name:a\*b",
    r"process.name:a\?b OR process.name:a\\\\b",
    "process.name:a?b",
    'process.command_line:"ls *"',
    '"LS A" AND NOT process.name:*b',
    "container.labels.com.docker.project:*a*",
    "NOT container.labels.com.docker.project:*a*",
    r"container.labels.s\*r:x",
    r"container.labels.s\*r:*",
    "container.labels.a.b.:dots",
    "container.labels:*mpt*",
    "_exists_:container.labels",
    "container.labels.com.docker.project:*long*",
    f'NOT container.labels.com.docker.project:"{LONG[:8191]}"',
    "cgtrail.raw.process.args:long*",
    "NOT _exists_:cgtrail.raw.cwd",
    "NOT cgtrail.raw.process.args:[a TO m]",
    f'cgtrail.raw:("{LONG}" OR b) AND NOT cgtrail.raw.process.args:{{* TO b]',
    "NOT _exists_:process.name",
    "process.exit_code:[-3 TO -1]",
    "@timestamp:2026-11-22",
    f'@timestamp:"{timestamp(NOON)}"',
    f'@timestamp:>"{timestamp(NOON + 6)}"',
    f'@timestamp:["{timestamp(NOON + 7)}" TO "{timestamp(NOON + 14)}"}}',
    "process.interactive:true OR NOT process.interactive:*",
    "process.entry_leader.entry_meta.source.ip:192.0.2.0/24",
    "process.entry_leader.entry_meta.source.ip:[10.0.0.1 TO 9.9.9.9]",
    "process.entry_leader.entry_meta.source.ip:nothing",
    "process.io.bytes_skipped.offset:>=0",
    "process.name:*a" + "?" * 25 + "b*",
    "process.name:*a????a????a????a*",
    f"container.labels.{'k' * 1_000}:*",
    " OR ".join(f"process.name:a{n}*" for n in range(511)) + " OR process.name:ls",
    " AND ".join(f"NOT process.pid:{n}" for n in range(500)),
    "(".join(["NOT process.name:ls AND NOT "] * 9) + "user.id:0" + ")" * 8,
]


@pytest.mark.parametrize("text", HAND_MADE, ids=lambda text: text[:30].encode("unicode_escape").decode())
def test_hand_made(both: tuple[SqliteStore, ElasticsearchStore], text: str) -> None:
    """What random queries hardly meet."""
    for ascending in (False, True):
        found = same(both, parse(text), ascending=ascending)
    assert sorted(found) == sorted(each.encode() for each in CORPUS if matches(parse(text), each.source))


BEYOND: list[Query] = [
    Text("x" * 30_000),
    Text("long " * 80),
    Not(Text("long " * 800)),
    Wildcard("process.name", (Gap.MANY, "ab" * 12_000, Gap.MANY)),
    Wildcard("process.name", (Gap.MANY, *("a", Gap.MANY) * 3_000, "b")),
    Not(Wildcard("process.name", (Gap.ONE,) * 30_000)),
    Or((Wildcard("process.name", (Gap.ONE,) * 100), Wildcard("process.name", (Gap.ONE,) * 12))),
    Or(tuple(Wildcard("process.args", (Gap.MANY, str(n), *[Gap.ONE] * 12)) for n in range(20))),
    Or((*(Text("é" * 20 + str(n)) for n in range(200)), Term("process.name", "ls"))),
    Term("process.args", "x" * 40_000),
    Not(Term("process.args", "x" * 40_000)),
    Or((Term("process.args", "ls"), Term("process.args", "é" * 16_300))),
    Range("process.name", "a" * 40_000, None),
    Not(Range("process.name", None, "a" * 40_000)),
    Term("container.labels.a", "x" * 40_000),
    Not(Exists("container.labels." + "k" * 40_000)),
    Wildcard("container.labels." + "k" * 40_000, ("x", Gap.MANY)),
    Term("container.labels." + "k" * 10_000, "x" * 23_000),
]


@pytest.mark.parametrize("query", BEYOND, ids=range(len(BEYOND)))
def test_more_than_a_server_does(both: tuple[SqliteStore, ElasticsearchStore], query: Query) -> None:
    """Terms that no index has and patterns that a server refuses as too complex mean what they mean."""
    assert sorted(same(both, query)) == sorted(each.encode() for each in CORPUS if matches(query, each.source))


def test_deeper_than_a_server_takes(both: tuple[SqliteStore, ElasticsearchStore]) -> None:
    """What is nested further than a server takes (and SQLite) is decided by the documents."""
    query: Query = Term("user.id", "0")
    for number in range(40):
        query = Not(And((query, Not(Term("process.pid", number % 4)))))
    found = list(both[1].search(query, limit=10_000))
    assert 0 < len(found) < len(CORPUS)
    assert sorted(found) == sorted(each.encode() for each in CORPUS if matches(query, each.source))


@pytest.mark.parametrize("chosen", [
    {"container": "web"}, {"container": "cafe"}, {"container": "CAFE12"}, {"kind": "session"}, {"kind": "command"},
    {"since": NOON + 1}, {"until": NOON + 2, "ascending": True}, {"since": -5, "until": 1 << 70}, {"limit": 7},
    {"limit": 10_000_000}, {"limit": 0}, *({"tenant": tenant, "kind": "process"} for tenant in TENANTS),
], ids=str)  # fmt: skip
def test_chosen(both: tuple[SqliteStore, ElasticsearchStore], chosen: dict[str, Any]) -> None:
    """Options beside the query mean the same; of a few the first are given."""
    here, there = (list(store.search(parse("NOT process.name:ls"), **{"limit": 999} | chosen)) for store in both)
    if chosen.get("limit", 999) == 7:
        assert [body[:60] for body in here] == [body[:60] for body in there]
    else:
        assert ordered(here) == ordered(there)
