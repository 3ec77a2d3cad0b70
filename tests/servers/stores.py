"""The same documents in both stores."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import orjson

from enrich.document import Document
from enrich.elasticsearch.streams import stream
from enrich.sinks import OK
from enrich.sinks.sqlite import SqliteSink
from tests.servers.elastic import Elastic
from tests.unit.meaning import NOON, SECOND


def put(es: Elastic, namespace: str, documents: Iterable[Document], *, refresh: bool = True) -> None:
    """Store documents as the sink does, in one request."""
    lines = bytearray()
    for each in documents:
        name = stream(each.kind, namespace)
        told = {"type": "logs", "dataset": f"cgtrail.{each.kind}", "namespace": namespace}
        lines += orjson.dumps({"create": {"_index": name, "_id": each.id}}) + b"\n"
        lines += orjson.dumps({"data_stream": told} | orjson.loads(each.encode())) + b"\n"
    if lines:
        answer = es.ask("POST", "_bulk", bytes(lines), refresh="true" if refresh else "false")
        assert not answer["errors"], [item for item in answer["items"] if item["create"]["status"] != 201][:3]


def keep(folder: Path, documents: list[Document]) -> None:
    """Store documents in a folder of day files."""
    with closing(SqliteSink(folder, 3650, clock=lambda: NOON / SECOND)) as sink:
        assert set(sink.write(documents)) <= {OK}
