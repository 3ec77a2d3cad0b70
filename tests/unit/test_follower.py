"""A follower of Elasticsearch gets every document once, however late a shard shows it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrich.stores import StoreError, follower
from enrich.stores.dsl import EVERY, Clause
from enrich.stores.query import All, Query, Term

INDICES = ("partial-.ds-logs-a-000001", ".ds-logs-b-000001")
LETTERS = "xyz"


class Shards:
    """Of two indices with one shard each: what is shown, and answers to what followers ask."""

    def __init__(self) -> None:
        self.shown: dict[str, dict[int, str]] = {}
        self.primaries = 1
        self.renamed: dict[str, str] = {}

    def show(self, index: str, number: int) -> None:
        """A document can be searched from now on."""
        self.shown.setdefault(self.renamed.get(index, index), {})[number] = LETTERS[number % 3]

    def ask(self, body: dict[str, Any], preference: str = "") -> Any:
        """What a search answers."""
        query = body.get("query", EVERY)
        found = sorted(
            (number, index, name)
            for index, shown in self.shown.items()
            for number, name in shown.items()
            if _finds(query, index, number, name)
        )
        shards = len(self.shown) * (1 if preference else self.primaries)
        return {
            "_shards": {"total": shards},
            "aggregations": {name: _told(wanted, found) for name, wanted in body.get("aggs", {}).items()},
            "hits": {"hits": [_hit(*each) for each in found[: body["size"]]]},
        }


def _hit(number: int, index: str, name: str) -> Any:
    source = {"@timestamp": f"{number:09}", "event": {"id": f"{index[-8:]} {number}"}, "process": {"name": name}}
    return {"sort": [number], "_id": source["event"]["id"], "_index": index, "_source": source}  # type: ignore[index]


def _finds(clause: Clause, index: str, number: int, name: str) -> bool:
    ((kind, told),) = clause.items()
    match kind:
        case "match_all":
            return True
        case "match_none":
            return False
        case "bool":
            wanted = [_finds(part, index, number, name) for part in told.get("filter", ())]
            wanted += [not _finds(part, index, number, name) for part in told.get("must_not", ())]
            if "should" in told:
                wanted.append(any(_finds(part, index, number, name) for part in told["should"]))
            return all(wanted)
    ((field, value),) = told.items()
    own: Any = {"_index": index, "_seq_no": number, "process.name": name}.get(field)
    match kind:
        case "term":
            return bool(own == value["value"])
        case "terms":
            return own in value
        case "range":
            return bool(value["gt"] < own <= value["lte"])
    raise AssertionError(clause)


def _told(wanted: dict[str, Any], found: list[tuple[int, str, str]]) -> Any:
    buckets: dict[Any, list[int]] = {}
    for number, index, _ in found:
        if "terms" in wanted:
            buckets.setdefault(index, []).append(number)
        else:
            step, offset = wanted["histogram"]["interval"], wanted["histogram"]["offset"]
            buckets.setdefault((number - offset) // step * step + offset, []).append(number)
    return {
        "buckets": [
            {"key": key, "doc_count": len(own), "of": {"value": float(max(own))}} for key, own in buckets.items()
        ]
    }


ORDERS = st.lists(st.tuples(st.sampled_from(INDICES), st.integers(0, 1200)), unique=True, max_size=60)


@given(ORDERS, st.lists(st.integers(1, 12), min_size=1), st.integers(1, 7), st.booleans(), st.integers(0, 30))
@settings(max_examples=300, deadline=None)
def test_each_once(order: list[tuple[str, int]], batches: list[int], limit: int, narrow: bool, before: int) -> None:
    """What was shown before the cursor was made is found by a search up to it, all else by following; once."""
    shards = Shards()
    query: Query = Term("process.name", "x") if narrow else All()
    for index, number in order[:before]:
        shards.show(index, number)
    cursor = follower.end(shards.ask)
    got: list[tuple[str, int]] = []
    left = order[before:]
    for size in [*batches, len(order), 0]:
        for index, number in left[:size]:
            shards.show(index, number)
        left = left[size:]
        while True:
            bodies, cursor = follower.after(shards.ask, cursor, query, EVERY, limit)
            if not bodies:
                break
            got += map(_named, bodies)
    wanted = [(index[-8:], number) for index, number in order[before:] if not narrow or number % 3 == 0]
    assert sorted(got) == sorted(wanted)


@given(ORDERS, st.integers(0, 30))
@settings(max_examples=200, deadline=None)
def test_up_to_and_after(order: list[tuple[str, int]], before: int) -> None:
    """A search up to a cursor has what was shown when it was made, whatever is shown later; the rest lies behind."""
    shards = Shards()
    for index, number in order[:before]:
        shards.show(index, number)
    cursor = follower.end(shards.ask)
    for index, number in order[before:]:
        shards.show(index, number)
    for clause, wanted in ((follower.before(cursor), order[:before]), (follower.behind(cursor), order[before:])):
        hits = shards.ask({"size": 10_000, "query": clause})["hits"]["hits"]
        assert sorted((hit["_index"], hit["sort"][0]) for hit in hits) == sorted(wanted)


def _named(body: bytes) -> tuple[str, int]:
    index, _, number = body.decode().partition('"id":"')[2].partition('"')[0].partition(" ")
    return index, int(number)


def test_late_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number that nothing ever has is not asked for for ever."""
    now = [0.0]
    monkeypatch.setattr("enrich.stores.follower.time.monotonic", lambda: now[0])
    shards = Shards()
    shards.show(INDICES[0], 0)
    shards.show(INDICES[0], 3)
    cursor = follower.end(shards.ask)
    ((_, reached),) = cursor.items()
    assert (reached.last, sorted(reached.late)) == (3, [1, 2])
    now[0] = follower.LATE_SECONDS - 1
    shards.show(INDICES[0], 1)
    bodies, cursor = follower.after(shards.ask, cursor, All(), EVERY, 10)
    assert (len(bodies), [sorted(reached.late) for reached in cursor.values()]) == (1, [[2]])
    now[0] = follower.LATE_SECONDS
    _, cursor = follower.after(shards.ask, cursor, All(), EVERY, 10)
    assert [sorted(reached.late) for reached in cursor.values()] == [[]]


def test_an_index_gets_another_name() -> None:
    """What became a searchable snapshot is not told again."""
    shards = Shards()
    for number in range(5):
        shards.show(INDICES[1], number)
    cursor = follower.end(shards.ask)
    name = f"restored-{INDICES[1]}"
    shards.shown[name] = shards.shown.pop(INDICES[1])
    shards.renamed[INDICES[1]] = name
    assert follower.after(shards.ask, cursor, All(), EVERY, 10)[0] == []
    shards.show(INDICES[1], 5)
    bodies, cursor = follower.after(shards.ask, cursor, All(), EVERY, 10)
    assert [_named(body)[1] for body in bodies] == [5]
    assert follower.after(shards.ask, cursor, All(), EVERY, 10)[0] == []


def test_several_primary_shards_are_refused() -> None:
    """Their numbers say nothing together."""
    shards = Shards()
    shards.show(INDICES[0], 0)
    shards.primaries = 2
    with pytest.raises(StoreError, match=r"\(2 in 1 indices\).* take number_of_shards out"):
        follower.end(shards.ask)
