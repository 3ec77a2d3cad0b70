"""The same documents in both stores."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from itertools import islice
from pathlib import Path

from enrich.document import Document
from enrich.elasticsearch.streams import pattern
from enrich.sinks import OK
from enrich.sinks.elasticsearch import ElasticsearchSink
from enrich.sinks.sqlite import SqliteSink
from tests.servers.elastic import Elastic
from tests.unit.meaning import NOON, SECOND

_BATCH = 2_000


def put(es: Elastic, namespace: str, documents: Iterable[Document], *, refresh: bool = True) -> None:
    """Store documents by the sink, in a namespace that is prepared; they can be searched at once if it is refreshed."""
    rest = iter(documents)
    with closing(ElasticsearchSink(es.cluster(namespace), bulk_bytes=5 << 20, in_flight=1, recordings=True)) as sink:
        while batch := list(islice(rest, _BATCH)):
            outcomes = sink.write(batch)
            assert set(outcomes) <= {OK}, [outcome for outcome in outcomes if outcome != OK][:3]
    if refresh:
        es.ask("POST", f"{pattern(namespace)}/_refresh")


def keep(folder: Path, documents: list[Document]) -> None:
    """Store documents in a folder of day files."""
    with closing(SqliteSink(folder, 3650, clock=lambda: NOON / SECOND)) as sink:
        assert set(sink.write(documents)) <= {OK}
