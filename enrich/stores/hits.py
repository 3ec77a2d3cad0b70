"""What Elasticsearch found, as documents that a query means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import orjson

from enrich.stores.meaning import matches
from enrich.stores.query import Query

# What one record became has one time and one sequence: in this order workers tell it.
_TOLD = {"created": 0, "renamed": 0, "started": 0, "entered": 0, "exec": 1, "fork": 1, "attach": 1, "end": 1}
_TOLD |= {"command_ended": 3, "session_closed": 4, "session_opened": 5, "died": 5}


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


def in_order(hits: Iterable[Hit], *, ascending: bool) -> Iterator[Hit]:
    """Hits by time and sequence, and among what one record became in the order in which workers tell it."""
    for _, alike in groupby(hits, key=lambda hit: hit.place[:2]):
        first, *others = alike
        yield from sorted((first, *others), key=when, reverse=not ascending) if others else (first,)


def when(hit: Hit) -> tuple[str, int, int, str]:
    """What to sort by: its time, sequence, place among what its record became, and id."""
    event = hit.source.get("event")
    told = event if isinstance(event, dict) else {}  # somebody else may write there
    sequence, action = told.get("sequence"), told.get("action")
    number = sequence if isinstance(sequence, int) else -1
    return str(hit.source.get("@timestamp")), number, _TOLD.get(action, 2) if isinstance(action, str) else 2, hit.id
