"""What happens to data streams while somebody reads them, and to who may not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import orjson
import pytest

from cgtrail import config, store
from enrich.document import Document
from enrich.stores import StoreError
from enrich.stores.elasticsearch import ElasticsearchStore
from enrich.stores.query import All, Term
from enrich.stores.values import timestamp
from tests.servers.elastic import Elastic
from tests.servers.prepared import prepare
from tests.servers.stores import put
from tests.unit.meaning import NOON

pytestmark = pytest.mark.elasticsearch


def numbered(first: int, last: int) -> list[Document]:
    """Processes, one a nanosecond."""
    return [
        Document(
            f"n{number}",
            NOON + number,
            "process",
            {
                "@timestamp": timestamp(NOON + number),
                "event": {"id": f"n{number}", "sequence": number},
                "process": {"name": "odd" if number % 2 else "even"},
            },
        )
        for number in range(first, last)
    ]


def names(bodies: Iterator[bytes] | list[bytes]) -> list[int]:
    """The numbers of documents."""
    return [int(orjson.loads(body)["event"]["id"][1:]) for body in bodies]


@pytest.fixture
def namespace(es: Elastic) -> str:
    """A prepared one."""
    own = es.namespace()
    prepare(es, own)
    return own


@pytest.fixture
def reader(es: Elastic, namespace: str) -> Iterator[ElasticsearchStore]:
    """A reader of it that may read and nothing else."""
    key = es.key([{"names": [f"logs-cgtrail.*-{namespace}"], "privileges": ["read"]}])
    with closing(ElasticsearchStore(es.cluster(namespace, api_key=key))) as own:
        yield own


def rolled_over(es: Elastic, namespace: str) -> str:
    """Another backing index is written to from now on; gives the one before."""
    return str(es.ask("POST", f"logs-cgtrail.process-{namespace}/_rollover")["old_index"])


def test_pages(es: Elastic, namespace: str, reader: ElasticsearchStore) -> None:
    """More documents than a server gives at once come in order, while it is rolled over and loses an index."""
    put(es, namespace, numbered(0, 11_000))
    assert reader.count() == 11_000
    assert names(reader.search(All(), limit=10_000_000)) == list(range(10_999, -1, -1))
    found = reader.search(All(), limit=10_000_000, ascending=True)
    first = names(islice(found, 2_500))
    old = rolled_over(es, namespace)
    put(es, namespace, numbered(11_000, 11_500))
    first += names(islice(found, 2_500))
    es.ask("DELETE", old)
    rest = names(found)
    assert first == list(range(5_000))
    assert rest == sorted(rest)
    assert rest[-500:] == list(range(11_000, 11_500))


def test_stored_twice_by_a_rollover(es: Elastic, namespace: str, reader: ElasticsearchStore) -> None:
    """What stands in two backing indices is found once."""
    put(es, namespace, numbered(0, 450))
    rolled_over(es, namespace)
    put(es, namespace, numbered(300, 700))
    assert names(reader.search(All(), limit=999)) == list(range(699, -1, -1))


def test_followed_over_a_rollover(es: Elastic, namespace: str, reader: ElasticsearchStore) -> None:
    """What can be searched only after the cursor was made comes behind it, also what was indexed before; each once."""
    put(es, namespace, numbered(0, 100))
    put(es, namespace, numbered(100, 150), refresh=False)
    cursor = reader.end()
    past = names(reader.search(All(), limit=999, ascending=True, upto=cursor))
    got: list[int] = []
    for step in range(3):
        put(es, namespace, numbered(1_000 * step + 1_000, 1_000 * step + 1_700))
        if step < 2:
            rolled_over(es, namespace)
        while True:
            bodies, cursor = reader.after(cursor, All(), limit=256)
            if not bodies:
                break
            got += names(bodies)
        assert names(reader.search(All(), limit=999, ascending=True, upto=cursor))[:150] == list(range(150))
    assert past[:100] == list(range(100))
    assert past + sorted(got) == [*range(150), *range(1_000, 1_700), *range(2_000, 2_700), *range(3_000, 3_700)]
    assert reader.behind(cursor) == 0


def test_what_was_deleted_holds_nobody_up(es: Elastic, namespace: str, reader: ElasticsearchStore) -> None:
    """Numbers that nothing has any more are passed."""
    put(es, namespace, numbered(0, 50))
    index = es.ask("GET", f"logs-cgtrail.process-{namespace}/_search", size="1")["hits"]["hits"][0]["_index"]
    for number in (7, 8, 20):
        es.ask("DELETE", f"{index}/_doc/n{number}", refresh="true")
    bodies, cursor = reader.after({}, Term("process.name", "even"))
    assert sorted(names(bodies)) == [n for n in range(0, 50, 2) if n not in (8, 20)]
    put(es, namespace, numbered(50, 52))
    assert names(reader.after(cursor, Term("process.name", "even"))[0]) == [50]


def test_who_may_not_read(es: Elastic, namespace: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Nothing looks empty to who may not see it: all of it is an error, some of it is said."""
    put(es, namespace, numbered(0, 3))
    writer = es.key([{"names": [f"logs-cgtrail.*-{namespace}"], "privileges": ["create_doc"]}])
    some = es.key([{"names": [f"logs-cgtrail.process-{namespace}"], "privileges": ["read"]}])

    def settings(key: str) -> dict[str, str]:
        return es.settings(namespace=namespace, api_key=key) | {"CGTRAIL_STORE_READ": "elasticsearch"}

    with pytest.raises(StoreError, match=f"logs-cgtrail.*-{namespace} at http.*we may not read it"):
        store.open_store(config.load(None, settings(writer), {}))
    with closing(store.open_store(config.load(None, settings(some), {}))) as found:
        assert names(found.search(All(), limit=9)) == [2, 1, 0]
        assert names(found.after({}, All())[0]) == [0, 1, 2]
    assert "may not read documents of the kinds" in capsys.readouterr().err
    es.invalidate(some)
    with pytest.raises(StoreError, match=r"401|API key"):
        store.open_store(config.load(None, settings(some), {}))


def test_what_a_server_refuses_is_told(es: Elastic, namespace: str, reader: ElasticsearchStore) -> None:
    """An index of several that can't be read is an error, not an answer that lacks something."""
    put(es, namespace, numbered(0, 3))
    rolled_over(es, namespace)
    put(es, namespace, numbered(3, 6))
    index = es.ask("GET", f"logs-cgtrail.process-{namespace}/_search", size="1")["hits"]["hits"][0]["_index"]
    es.ask("PUT", f"{index}/_settings", {"index.blocks.read": True})
    for asked in (lambda: list(reader.search(All(), limit=9)), reader.end, reader.count):
        with pytest.raises(StoreError, match=r"127\.0\.0\.1.* blocked .*index read"):
            asked()


def test_a_closed_index(es: Elastic, namespace: str, reader: ElasticsearchStore) -> None:
    """What stands in an index that somebody closed is not left out without a word."""
    put(es, namespace, numbered(0, 3))
    old = rolled_over(es, namespace)
    put(es, namespace, numbered(3, 6))
    cursor = reader.end()
    es.ask("POST", f"{old}/_close")
    for asked in (
        lambda: list(reader.search(All(), limit=9)),
        lambda: list(reader.search(All(), limit=9, kind="process")),
        lambda: reader.after(cursor, All()),
        lambda: reader.oldest("process"),
        reader.count,
    ):
        with pytest.raises(StoreError, match=rf"the index {old} is closed: open it: POST /{old}/_open"):
            asked()
    assert list(reader.search(All(), limit=9, kind="session")) == []
    es.ask("POST", f"{old}/_open")
    assert names(reader.search(All(), limit=9)) == [5, 4, 3, 2, 1, 0]


def test_why_a_query_is_refused_is_told(reader: ElasticsearchStore, es: Elastic, namespace: str) -> None:
    """It is what the shards say, not that a node is away."""
    put(es, namespace, numbered(0, 3))
    body = {"query": {"wildcard": {"process.args": {"value": "*" + "x" * 2_000 + "*"}}}}
    with pytest.raises(StoreError, match=r"400 query_shard_exception: .*effort"):
        reader._ask(body)
