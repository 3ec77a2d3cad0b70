"""Documents for Elasticsearch, and what of them is there."""

from __future__ import annotations

from collections import Counter
from typing import Any

from enrich.document import Document
from enrich.elasticsearch.streams import stream
from enrich.sinks.elasticsearch import ElasticsearchSink
from enrich.stores.values import timestamp
from tests.servers.elastic import Elastic

NOON = (1_795_305_600 + 43_200) * 1_000_000_000
"""2026-11-22T12:00:00Z."""
CREATE_ONLY = [{"names": ["logs-cgtrail.*"], "privileges": ["create_doc", "auto_configure"]}]
CREATE_AND_READ = [{"names": ["logs-cgtrail.*"], "privileges": ["create_doc", "auto_configure", "read"]}]


def sink(
    es: Elastic, namespace: str, *, bulk_bytes: int = 5 << 20, in_flight: int = 2, recordings: bool = True, **own: str
) -> ElasticsearchSink:
    """A sink that writes there, as elastic unless told otherwise."""
    cluster = es.cluster(namespace, **own)
    return ElasticsearchSink(cluster, bulk_bytes=bulk_bytes, in_flight=in_flight, recordings=recordings)


def document(name: str, time: int = NOON, kind: str = "process", *, again: bool = False, **source: Any) -> Document:
    """A small document."""
    event = {"id": name, "kind": "event", "dataset": f"cgtrail.{kind}"}
    return Document(name, time, kind, {"@timestamp": timestamp(time), "event": event, **source}, again)


def documents(count: int, first: int = 0, *, again: bool = False, **source: Any) -> list[Document]:
    """So many, with ids that count on from `first`."""
    return [document(f"doc-{number}", again=again, **source) for number in range(first, first + count)]


def found(es: Elastic, namespace: str, kind: str = "process") -> list[dict[str, Any]]:
    """Hits for all documents of a kind, by id, 10,000 at most."""
    name = stream(kind, namespace)
    es.ask("POST", f"{name}/_refresh")
    answer = es.ask("POST", f"{name}/_search", {"size": 10_000, "sort": ["_doc"]})
    assert not answer["_shards"]["failed"]
    hits: list[dict[str, Any]] = answer["hits"]["hits"]
    return sorted(hits, key=lambda hit: str(hit["_id"]))


def sources(es: Elastic, namespace: str, kind: str = "process") -> list[dict[str, Any]]:
    """The documents without what the sink put in front."""
    told = {"type": "logs", "dataset": f"cgtrail.{kind}", "namespace": namespace}
    each = [hit["_source"] for hit in found(es, namespace, kind)]
    assert all(source.pop("data_stream") == told for source in each)
    return each


def times_stored(es: Elastic, namespace: str, kind: str = "process") -> Counter[str]:
    """Id → how often it is there."""
    return Counter(hit["_id"] for hit in found(es, namespace, kind))


def roll_over(es: Elastic, namespace: str, kind: str = "process") -> None:
    """From now on another backing index is written."""
    assert es.ask("POST", f"{stream(kind, namespace)}/_rollover")["rolled_over"]


def unrefreshed(es: Elastic, namespace: str, kind: str = "process") -> None:
    """What is written is not seen by searches until somebody refreshes."""
    es.ask("PUT", f"{stream(kind, namespace)}/_settings", {"index.refresh_interval": "-1"})
