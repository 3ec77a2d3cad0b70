"""What was stored in Elasticsearch since somebody looked, by the numbers that each index gives its documents.

A primary shard numbers what it stores (`_seq_no`), and shows it at its next refresh. Two documents that are stored at
the same time may be shown in either order, and on a replica whole bulks may. So a cursor has for each index the number
up to which it has come, and the numbers below that were not shown yet: they are asked for again for LATE_SECONDS. Some
are never shown, since what was refused or deleted had a number too.

An index is known by its name from .ds- on: one that became a searchable snapshot or was shrunk keeps its numbers.
https://www.elastic.co/docs/reference/elasticsearch/rest-apis/optimistic-concurrency-control
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from enrich.stores import StoreError
from enrich.stores.dsl import EVERY, NONE, Clause, compiled, every, none_of, some
from enrich.stores.hits import Hit, read, when
from enrich.stores.query import Query

LATE_SECONDS = 60.0
"""How much later than its neighbours a document may be shown."""
RECENT = 50_000
"""How many numbers below the last one may be shown late: what some seconds of storing take."""
_INDICES = 10_000
_STEP = 500
"""Numbers that are looked at together, where any is missing."""

Ask: TypeAlias = Callable[..., Any]
"""A search's answer, from its body and a `preference`. Raises StoreError."""


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a follower has come in one index."""

    name: str
    """Of the index, when it was seen last."""
    last: int = -1
    """The highest number that it has passed."""
    late: Mapping[int, float] = field(default_factory=dict)
    """Numbers below that were not shown yet, and until when they may be (time.monotonic)."""


Cursor: TypeAlias = Mapping[str, Reached]
"""How far a follower has come: index, by its name from .ds- on → what it has passed."""


def before(cursor: Cursor) -> Clause:
    """What a cursor has passed."""
    return some([_passed(reached) for reached in cursor.values()]) if cursor else NONE


def behind(cursor: Cursor) -> Clause:
    """What a cursor has not passed."""
    return none_of(before(cursor)) if cursor else EVERY


def end(ask: Ask) -> Cursor:
    """A cursor that has passed all that is shown."""
    return _moved(ask, {}, _tops(ask, EVERY))


def after(ask: Ask, cursor: Cursor, query: Query, among: Clause, limit: int) -> tuple[list[bytes], Cursor]:
    """What was shown since that is `among` what a clause finds, and the next cursor."""
    compiled_query = compiled(query)
    while True:
        tops = _tops(ask, behind(cursor))
        if not tops:
            return [], _still_late(cursor)
        renamed = {key: cursor[key] for key, top in tops.items() if key in cursor and cursor[key].name != top.name}
        if renamed:
            cursor = {**cursor, **{key: replace(known, name=tops[key].name) for key, known in renamed.items()}}
            continue
        # First what is late is told, then all is asked for: what is shown between the two is found, and late no more.
        there = _moved(ask, cursor, tops)
        within = some([every([_of(there[key].name), _numbers(-1, there[key].last)]) for key in tops])
        wanted = every([within, behind(cursor), among, compiled_query.clause])
        answer = ask({"size": limit, "query": wanted, "sort": [{"_seq_no": "asc"}]})
        hits = read(answer, query, exact=compiled_query.exact)
        whole = len(hits) < limit
        cursor = _still_late(_behind(hits, cursor, there, whole=whole))
        found = [hit.body for hit in sorted(hits, key=when) if hit.wanted]
        if found or whole:
            return found, cursor


def _behind(hits: list[Hit], cursor: Cursor, there: Cursor, *, whole: bool) -> Cursor:
    """The cursor behind these hits; where there are more, only as far as every index has been read."""
    given: dict[str, set[int]] = {}
    for hit in hits:
        given.setdefault(_key(hit.index), set()).add(hit.place[0])
    moved: dict[str, Reached] = {}
    for key, reached in there.items():
        own, last = given.get(key, set()), reached.last
        if not whole:
            edge = int(hits[-1].place[0])
            before_it = cursor[key].last if key in cursor else -1
            last = max(min(last, edge if edge in own else edge - 1), before_it)
        late = {number: until for number, until in reached.late.items() if number <= last and number not in own}
        moved[key] = Reached(reached.name, last, late)
    return moved


def _moved(ask: Ask, cursor: Cursor, tops: Cursor) -> Cursor:
    """The cursor moved on to these numbers; what is not shown below them is late."""
    if tops.keys() - cursor.keys():
        _refuse_many_shards(ask)
    moved = {key: cursor.get(key, Reached(top.name)) for key, top in tops.items()}
    spans = {key: (max(moved[key].last, top.last - RECENT), top.last) for key, top in tops.items()}
    missing = _missing(ask, tops, {key: span for key, span in spans.items() if span[0] < span[1]})
    until = time.monotonic() + LATE_SECONDS
    for key, top in tops.items():
        known = moved[key]
        late = {**known.late, **dict.fromkeys(missing.get(key, ()), until)}
        moved[key] = Reached(top.name, max(top.last, known.last), late)
    return {**cursor, **moved}


def _still_late(cursor: Cursor) -> Cursor:
    now = time.monotonic()
    return {
        key: replace(reached, late={number: until for number, until in reached.late.items() if until > now})
        for key, reached in cursor.items()
    }


def _tops(ask: Ask, clause: Clause) -> Cursor:
    """The highest number of each index that a clause finds something in."""
    found = _buckets(ask, clause, {"max": {"field": "_seq_no"}})
    return {_key(name): Reached(name, int(bucket["of"]["value"])) for name, bucket in found.items()}


def _missing(ask: Ask, tops: Cursor, spans: Mapping[str, tuple[int, int]]) -> dict[str, list[int]]:
    """Numbers within each index's span, its lower end excluded, that are not shown."""
    if not spans:
        return {}
    shown = _buckets(ask, some([every([_of(tops[key].name), _numbers(*span)]) for key, span in spans.items()]))
    missing: dict[str, list[int]] = {}
    for key, (low, high) in spans.items():
        if shown.get(tops[key].name, {}).get("doc_count", 0) < high - low:
            missing[key] = _missing_in(ask, tops[key].name, low, high)
    return missing


def _missing_in(ask: Ask, index: str, low: int, high: int) -> list[int]:
    steps = _counted(ask, every([_of(index), _numbers(low, high)]), low + 1, _STEP)
    short = [
        (start, min(start + _STEP - 1, high))
        for start in range(low + 1, high + 1, _STEP)
        if steps.get(start, 0) < min(_STEP, high - start + 1)
    ]
    if not short:
        return []
    ranges = some([_numbers(first - 1, last) for first, last in short])
    shown = _counted(ask, every([_of(index), ranges]), 0, 1)
    return [number for first, last in short for number in range(first, last + 1) if number not in shown]


def _counted(ask: Ask, clause: Clause, offset: int, interval: int) -> dict[int, int]:
    """Number → how many documents there are from it up to the next one."""
    told = {"field": "_seq_no", "interval": interval, "offset": offset % interval, "min_doc_count": 1}
    answer = ask({"size": 0, "query": clause, "aggs": {"of": {"histogram": told}}})
    return {int(bucket["key"]): bucket["doc_count"] for bucket in answer["aggregations"]["of"]["buckets"]}


def _buckets(ask: Ask, clause: Clause, of: dict[str, Any] | None = None) -> dict[str, Any]:
    by: dict[str, Any] = {"terms": {"field": "_index", "size": _INDICES}}
    if of is not None:
        by["aggs"] = {"of": of}
    answer = ask({"size": 0, "query": clause, "aggs": {"by": by}})
    found = answer.get("aggregations", {}).get("by", {}).get("buckets", [])
    return {bucket["key"]: bucket for bucket in found}


def _refuse_many_shards(ask: Ask) -> None:
    """Each shard has numbers of its own, and no document tells its shard."""
    every_shard, first = (ask({"size": 0}, **told)["_shards"]["total"] for told in ({}, {"preference": "_shards:0"}))
    if every_shard > first:
        message = (
            f"a data stream of cgtrail has several primary shards ({every_shard} in {first} indices), and can't be"
            " followed while these are there: take number_of_shards out of your own template, and roll over; what is"
            " older goes when its retention is over"
        )
        raise StoreError(message)


def _key(index: str) -> str:
    place = index.find(".ds-")
    return index[place:] if place > 0 else index


def _of(index: str) -> Clause:
    return {"term": {"_index": {"value": index}}}


def _numbers(low: int, high: int) -> Clause:
    return {"range": {"_seq_no": {"gt": low, "lte": high}}}


def _passed(reached: Reached) -> Clause:
    parts = [_of(reached.name), _numbers(-1, reached.last)]
    return every([*parts, none_of(_any_number(reached.late))]) if reached.late else every(parts)


def _any_number(numbers: Iterable[int]) -> Clause:
    return {"terms": {"_seq_no": sorted(numbers)}}
