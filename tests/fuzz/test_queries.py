"""Queries that are meant to hurt: long, deep, and full of wildcards."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from enrich.stores import sql
from enrich.stores.lucene import parse
from enrich.stores.query import QueryError
from enrich.stores.syntax import MAX_LENGTH
from tests.fuzz.search import query

LONG: dict[str, Callable[[int], str]] = {
    "parentheses": lambda n: "(" * n + "a" + ")" * n,
    "open parentheses": lambda n: "(" * n,
    "closing parentheses": lambda n: "a" + ")" * n,
    "field groups": lambda n: "process.name:(" * (n // 8) + "a" + ")" * (n // 8),
    "NOT": lambda n: "NOT " * n + "a",
    "!": lambda n: "!" * n + "a",
    "+": lambda n: "+" * n + "a",
    "words": lambda n: "a " * n,
    "OR": lambda n: "a OR " * n + "a",
    "AND": lambda n: " AND ".join(["process.pid:1"] * (n // 8)),
    "AND OR": lambda n: "a AND b OR " * (n // 4) + "a",
    "ranges": lambda n: " OR ".join(["process.pid:[1 TO 2]"] * (n // 16)),
    "one word": lambda n: "a" * n,
    "one number": lambda n: "process.pid:" + "1" * n,
    "one date": lambda n: "@timestamp:2026-11-22T" + "0" * n,
    "one field": lambda n: "a." * n + ":x",
    "wildcards": lambda n: "process.name:" + "a*" * n + "b",
    "stars": lambda n: "process.name:" + "*" * n + "b",
    "question marks": lambda n: "process.name:" + "?" * n,
    "backslashes": lambda n: "\\" * n,
    "quotes": lambda n: '"' * n,
    "open quote": lambda n: '"' + "\\a" * n,
    "slashes": lambda n: "/" * n,
    "tildes": lambda n: "a~" * n,
    "big number": lambda n: "a~" + "9" * n,
    "spaces": lambda n: " " * n + "a" + " " * n,
    "NUL": lambda n: "\0" * n,
}
"""About so many characters of each."""


@pytest.mark.parametrize("size", [5_000, 1_000_000])
@pytest.mark.parametrize("name", LONG)
def test_long_queries_are_answered(name: str, size: int) -> None:
    """With what they mean or with a QueryError: nothing overflows, and nothing takes for ever."""
    query(LONG[name](size).encode())


def _work(text: str) -> int:
    """How many calls parsing takes."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        parse(text)
    except QueryError:
        pass
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("name", LONG)
def test_work_goes_with_length(name: str) -> None:
    """Four times the query is about four times the work, up to the longest that is parsed."""
    small, large = (_work(LONG[name](size)) for size in (MAX_LENGTH // 24, MAX_LENGTH // 6))
    assert large <= 6 * small + 1000


def test_a_run_of_exclamation_marks_is_not_read_again_for_each() -> None:
    """It is refused at the first that is too many, however many follow."""
    assert _work("!" * 8_000) <= _work("!" * 2_000)
    with pytest.raises(QueryError, match="nested"):
        parse("!" * 8_000)


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "process.name:\udc80*"])
def test_half_a_pair_is_no_text(text: str) -> None:
    """A lone surrogate is refused by name."""
    with pytest.raises(QueryError, match="surrogate"):
        parse(text)


@pytest.mark.parametrize("pattern", ["*a" * 60 + "*b", "a*" * 60 + "b", "*a?" * 60 + "b", "*?a*?" * 30 + "b"])
def test_wildcard_bombs(pattern: str) -> None:
    """Patterns with very many ways to match a text that does not: each place of the text is left behind once."""
    condition, bound = sql.condition(parse(f"process.executable:{pattern}"))
    assert "wildcard" in condition
    assert not sql._matches(bound[-1], "a" * 20_000)
    assert sql._matches(bound[-1], "a" * 2_000 + "xb")
