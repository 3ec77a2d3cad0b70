"""What a query means on one document, written as plainly as can be.

A store that can't tell for certain from its indexes asks here; tests hold all stores to it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from enrich.fields import FIELDS
from enrich.stores import values
from enrich.stores.query import (
    LINE_FIELDS,
    All,
    And,
    Exists,
    Gap,
    Not,
    Or,
    Query,
    QueryError,
    Range,
    Term,
    Text,
    Wildcard,
)


def matches(query: Query, source: dict[str, Any]) -> bool:
    """Whether a document is one of those that the query means. Never raises, whatever the document holds."""
    match query:
        case All():
            return True
        case And(parts):
            return all(matches(part, source) for part in parts)
        case Or(parts):
            return any(matches(part, source) for part in parts)
        case Not(part):
            return not matches(part, source)
        case Text(fragment):
            wanted = ascii_lower(fragment)
            found = (value for field in LINE_FIELDS for value in found_values(source, field))
            return any(isinstance(value, str) and wanted in ascii_lower(value) for value in found)
        case Exists(field):
            return bool(found_values(source, field))
        case Term(field, value):
            return any(type(found) is type(value) and found == value for found in found_values(source, field))
        case Wildcard(field, parts):
            return any(isinstance(found, str) and wildcard(parts, found) for found in found_values(source, field))
        case Range(field):
            return any(in_range(query, found) for found in found_values(source, field))


def found_values(source: dict[str, Any], field: str) -> list[Any]:
    """The values that a document has of a field."""
    name, key = _within(field)
    value: Any = source
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, dict):
        value = [item for own, item in value.items() if key is None or own == key]
    elif key is not None:
        return []
    return [item for item in (value if isinstance(value, list) else [value]) if item is not None]


def wildcard(parts: tuple[str | Gap, ...], value: str) -> bool:
    """Whether a text fits from end to end. Between two gaps of any length the first place that fits does."""
    first, *rest = _runs(parts)
    if not rest:
        return len(first) == len(value) and _fits(first, value, 0)
    *between, last = rest
    place, end = len(first), len(value) - len(last)
    if place > end or not _fits(first, value, 0) or not _fits(last, value, end):
        return False
    for run in between:
        start = _place(run, value, place, end)
        if start is None:
            return False
        place = start + len(run)
    return True


def in_range(query: Range, value: Any) -> bool:
    """Whether one value lies within a range."""
    if values.field_type(query.field) in ("date", "date_nanos"):
        try:
            value = values.date(query.field, value).start
        except (QueryError, TypeError):
            return False
    bounds: tuple[tuple[Any, int, bool], ...] = (
        (query.low, 1, query.include_low),
        (query.high, -1, query.include_high),
    )
    for bound, sign, included in bounds:
        if bound is None:
            continue
        if type(value) is not type(bound) or (value == bound and not included):
            return False
        least, most = (bound, value) if sign > 0 else (value, bound)
        if least > most:
            return False
    return True


def ascii_lower(text: str) -> str:
    """Lower case for ASCII letters only."""
    return text.lower() if text.isascii() else re.sub("[A-Z]+", lambda found: found[0].lower(), text)


@lru_cache(256)
def _within(field: str) -> tuple[str, str | None]:
    """A field's name, and the key where it lies in a flattened one."""
    return (field, None) if field in FIELDS else values.flattened(field) or (field, None)


def _runs(parts: tuple[str | Gap, ...]) -> list[list[str | Gap]]:
    """What stands between gaps of any length, character by character."""
    runs: list[list[str | Gap]] = [[]]
    for part in parts:
        if part is Gap.MANY:
            runs.append([])
        else:
            runs[-1] += [part] if isinstance(part, Gap) else part
    return runs


def _fits(run: list[str | Gap], value: str, place: int) -> bool:
    return all(char is Gap.ONE or char == value[place + n] for n, char in enumerate(run))


def _place(run: list[str | Gap], value: str, start: int, end: int) -> int | None:
    """The first place where a run fits."""
    if Gap.ONE not in run:
        found = value.find("".join(map(str, run)), start, end)
        return None if found < 0 else found
    return next((place for place in range(start, end - len(run) + 1) if _fits(run, value, place)), None)
