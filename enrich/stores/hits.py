"""What Elasticsearch found, as documents that a query means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from enrich.stores.meaning import matches
from enrich.stores.query import Query


@dataclass(frozen=True, slots=True)
class Hit:
    """A document as it was found."""

    place: list[Any]
    """Where it stands in the order that was asked for."""
    id: str
    index: str
    source: dict[str, Any]
    body: bytes
    """As it was given to the sink."""
    wanted: bool
    """It is meant by the query: sometimes only the document itself tells."""


def read(answer: Any, query: Query, *, exact: bool) -> list[Hit]:
    """The hits of a search; `exact`: it found nothing but what is meant, where no value was too long to be indexed."""
    made = []
    for hit in answer["hits"]["hits"]:
        source = hit["_source"]
        source.pop("data_stream", None)  # the sink's
        wanted = (exact and not hit.get("_ignored")) or matches(query, source)
        made.append(Hit(hit["sort"], hit["_id"], hit["_index"], source, orjson.dumps(source), wanted))
    return made


def when(hit: Hit) -> tuple[str, int]:
    """Its time and sequence, to sort by; of a document that somebody else wrote perhaps neither."""
    event = hit.source.get("event")
    sequence = event.get("sequence") if isinstance(event, dict) else None
    return str(hit.source.get("@timestamp")), sequence if isinstance(sequence, int) else -1
