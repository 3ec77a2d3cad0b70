"""What a search finds is what the query means: the store against an evaluator written as plainly as can be."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrich.sinks import OK
from enrich.sinks.sqlite import SqliteSink
from enrich.stores import sqlite
from enrich.stores.meaning import matches
from enrich.stores.query import All, Exists, Gap, Query, Range, Term, Text, Wildcard, all_of, any_of, negation
from enrich.stores.sqlite import SqliteStore
from tests.unit.meaning import DATES, DAY, DOCUMENTS, NOON, NUMBERS, PIECES, SECOND, TENANTS, TEXT_FIELDS

TEXTS = st.lists(st.sampled_from(PIECES), max_size=4).map("".join)
PATTERNS = st.lists(TEXTS | st.sampled_from(Gap), min_size=1, max_size=5).map(tuple)
INTEGERS = st.integers(-3, 5)
TIMES = st.builds(lambda day, ns: NOON + day * DAY + ns, st.integers(0, 3), st.integers(-1, 5))


def ranges(fields: list[str], bounds: st.SearchStrategy[Any]) -> st.SearchStrategy[Range]:
    """Ranges that are open on one side at most."""
    made = st.builds(
        Range, st.sampled_from(fields), st.none() | bounds, st.none() | bounds, st.booleans(), st.booleans()
    )
    return made.filter(lambda r: (r.low, r.high) != (None, None))


LEAVES: st.SearchStrategy[Query] = st.one_of(
    st.just(All()),
    st.builds(Text, TEXTS.filter(bool)),
    st.builds(Term, st.sampled_from(TEXT_FIELDS), TEXTS | st.sampled_from(["exec", "0", "web"])),
    st.builds(Term, st.just("cgtrail.tenant.id"), st.sampled_from(TENANTS)),
    st.builds(Term, st.sampled_from(NUMBERS), INTEGERS),
    st.builds(Term, st.just("process.interactive"), st.booleans()),
    st.builds(Wildcard, st.sampled_from(TEXT_FIELDS), PATTERNS),
    st.builds(Exists, st.sampled_from([*TEXT_FIELDS, *NUMBERS, *DATES, "process.interactive", "error.code"])),
    ranges(NUMBERS, INTEGERS),
    ranges(DATES, TIMES),
    ranges(["process.name", "process.command_line", "process.args"], TEXTS),
)
QUERIES = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(all_of, st.lists(inner, min_size=2, max_size=3))
        | st.builds(any_of, st.lists(inner, min_size=2, max_size=3))
        | st.builds(negation, inner)
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SqliteStore:
    """A store with DOCUMENTS in it."""
    folder = tmp_path_factory.mktemp("store")
    with closing(SqliteSink(folder, 7, clock=lambda: NOON / SECOND)) as sink:
        assert set(sink.write(DOCUMENTS)) == {OK}
    return SqliteStore(folder)


@pytest.mark.parametrize("few", [0, sqlite._FEW], ids=["large tenants", "small tenants"])
def test_search_finds_what_the_query_means(store: SqliteStore, monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    """For any query, the store's answer is that of a plain evaluator, in order, in search as in following."""
    assert store.count() == len(DOCUMENTS)
    monkeypatch.setattr(sqlite, "_FEW", few)

    @given(QUERIES, st.none() | st.sampled_from(TENANTS), st.booleans())
    @settings(max_examples=400, deadline=None)
    def check(query: Query, tenant: str | None, ascending: bool) -> None:
        both = query if tenant is None else all_of([query, Term("cgtrail.tenant.id", tenant)])
        wanted = [d for d in DOCUMENTS if matches(both, d.source)]
        wanted.sort(key=lambda d: (d.time, d.source["event"].get("sequence", -1), DOCUMENTS.index(d)))
        found = list(store.search(query, tenant=tenant, limit=1000, ascending=ascending))
        assert found == [d.encode() for d in (wanted if ascending else reversed(wanted))]
        assert sorted(store.after({}, query, tenant=tenant)[0]) == sorted(found)

    check()
