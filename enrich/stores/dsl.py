"""From a query's tree to Elasticsearch's Query DSL, which finds at least what the query means.

A value that is longer than its field's `ignore_above` is in no index: its document names the field in `_ignored`.
Every leaf on that field finds such a document, below NOT none does, so that what is found holds all that is meant; who
reads has `enrich.stores.meaning` decide about hits that say `_ignored`. The same goes for what an index can't answer as
we mean it: then `exact` is False, and every hit is decided about.

https://www.elastic.co/docs/reference/query-languages/querydsl
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

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
    Range,
    Term,
    Text,
    Value,
    Wildcard,
)

Clause: TypeAlias = dict[str, Any]
"""A query of the DSL."""
EVERY: Clause = {"match_all": {}}
NONE: Clause = {"match_none": {}}
_DEEPEST = 24
"""Levels of bool: servers take 30 (indices.query.bool.max_nested_depth), and who asks adds some."""
_SINGLE_GAPS = 4
_PATTERN = 64
"""Of a pattern with a * so many ? and characters at most make an automaton for which a server has effort enough
(Lucene's limit for determinizing), whatever they are: each ? doubles it, and what repeats itself makes it grow by
the square. A pattern is asked for as far as that."""
_PATTERNS = 2_048
_LEAST = 8
"""Characters of all patterns of a query, in whose memory a server keeps all automata; but of each at least so many."""
_TERM_BYTES = 32_000
"""No index has a longer term, and a server does not take one in a query (Lucene: 32,766 bytes, a flattened key too)."""
_INDEXED = ("keyword", "wildcard")
"""Types whose values may be too long to be indexed."""
_UNTOLD = "cgtrail.raw"
"""It may have values that are in no index, which `_ignored` does not tell of what is flattened. Labels are shorter
(enrich.containers.MAX_LABEL)."""
_IN_LISTS = ("process.io.bytes_skipped.",)
"""Fields of objects in lists: SQLite, and what a query means, know no such value."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A query as a clause."""

    clause: Clause
    """It finds at least what is meant."""
    exact: bool
    """It finds nothing else, but for documents that say `_ignored`."""


def compiled(query: Query) -> Compiled:
    """The clause for a query. Never raises."""
    compiler = _Compiler(_patterns(query))
    clause = compiler.clause(query, least=True, depth=0)
    return Compiled(clause, compiler.exact)


def one_of(field: str, choices: list[Value]) -> Clause:
    """The field has one of these values."""
    return {"terms": {field: choices}} if len(choices) > 1 else {"term": {field: {"value": choices[0]}}}


def every(clauses: list[Clause]) -> Clause:
    """All of them, without scores."""
    return clauses[0] if len(clauses) == 1 else {"bool": {"filter": clauses}}


def some(clauses: list[Clause]) -> Clause:
    """One of them at least."""
    return clauses[0] if len(clauses) == 1 else {"bool": {"should": clauses, "minimum_should_match": 1}}


def none_of(clause: Clause) -> Clause:
    """All that it does not find."""
    return {"bool": {"must_not": [clause]}}


class _Compiler:
    """It remembers whether anything could be said only roughly."""

    def __init__(self, patterns: int) -> None:
        self.exact = True
        self._longest = max(_LEAST, min(_PATTERN, _PATTERNS // max(patterns, 1)))

    def clause(self, query: Query, *, least: bool, depth: int) -> Clause:  # noqa: C901  one case a node
        """What finds at `least` what is meant, or else at most."""
        if depth > _DEEPEST:
            return self._rough(EVERY, least=least)
        match query:
            case All():
                return EVERY
            case And(parts):
                return every([self.clause(part, least=least, depth=depth + 1) for part in parts])
            case Or(parts):
                terms, others = _grouped(parts)
                found = [self._values(field, choices, least=least) for field, choices in terms.items()]
                return some(found + [self.clause(part, least=least, depth=depth + 1) for part in others])
            case Not(part):
                return none_of(self.clause(part, least=not least, depth=depth + 1))
            case Text(fragment):
                parts = (Gap.MANY, fragment, Gap.MANY)
                return some([self._wildcard(field, parts, least=least, any_case=True) for field in LINE_FIELDS])
            case Term(field, value):
                return self._values(field, [value], least=least)
            case Wildcard(field, parts):
                return self._wildcard(field, parts, least=least)
            case Exists(field):
                return self._leaf(field, _exists(field), least=least)
            case Range():
                return self._range(query, least=least)

    def _values(self, field: str, choices: list[Value], *, least: bool) -> Clause:
        known = [value for value in choices if not isinstance(value, str) or _utf8(value)]
        if FIELDS.get(field) and FIELDS[field].type == "ip":
            # An address has many forms, a network is none, and a text that is neither is no error of ours.
            known = [value for value in known if _is_address(str(value))]
            return self._rough(one_of(field, known) if known else NONE, least=least)
        fitting = [value for value in known if not _is_long(field, value)]
        clause = self._leaf(field, one_of(field, fitting) if fitting else NONE, least=least)
        if len(fitting) == len(known) or field not in FIELDS:  # of what is flattened nothing is as long
            return clause
        patterns = {(str(value)[:_LEAST], Gap.MANY) for value in known if _is_long(field, value)}
        rough = [self._rough(_matching(field, parts), least=least, field=field) for parts in sorted(patterns, key=str)]
        return some([clause, *rough])

    def _wildcard(self, field: str, parts: tuple[str | Gap, ...], *, least: bool, any_case: bool = False) -> Clause:
        if not all(_utf8(part) for part in parts if isinstance(part, str)):
            return NONE if not least else self._leaf(field, NONE, least=True)
        if not any_case and not any(isinstance(part, Gap) for part in parts):  # an empty pattern finds no empty text
            return self._values(field, ["".join(map(str, parts))], least=least)
        if field not in FIELDS:
            # Of keys in a flattened object an index knows only beginnings.
            head = parts[0] if isinstance(parts[0], str) else ""
            return self._rough({"prefix": {field: {"value": head}}}, least=least, field=field)
        asked = _simple(parts, self._longest)
        clause = _matching(field, asked, any_case=any_case)
        return (
            self._leaf(field, clause, least=least) if asked == parts else self._rough(clause, least=least, field=field)
        )

    def _range(self, wanted: Range, *, least: bool) -> Clause:
        kind = values.field_type(wanted.field)
        bounds: Clause = {}
        for bound, operator in (
            (wanted.low, "gte" if wanted.include_low else "gt"),
            (wanted.high, "lte" if wanted.include_high else "lt"),
        ):
            if bound is None:
                continue
            if kind == "ip" or (isinstance(bound, str) and (not _utf8(bound) or _is_long(wanted.field, bound))):
                return self._rough(_exists(wanted.field), least=least, field=wanted.field)
            bounds[operator] = values.timestamp(int(bound)) if kind in ("date", "date_nanos") else bound
        return self._leaf(wanted.field, {"range": {wanted.field: bounds}}, least=least)

    def _leaf(self, field: str, clause: Clause, *, least: bool) -> Clause:
        if field.startswith(_IN_LISTS):
            return self._rough(clause, least=least)
        if _is_untold(field):
            return self._rough(EVERY, least=least)
        return _or_ignored(field, clause) if least else clause

    def _rough(self, clause: Clause, *, least: bool, field: str | None = None) -> Clause:
        self.exact = False
        if not least:
            return NONE
        return clause if field is None else EVERY if _is_untold(field) else _or_ignored(field, clause)


def _grouped(parts: tuple[Query, ...]) -> tuple[dict[str, list[Value]], list[Query]]:
    """Values by field, which together are one clause, and what else there is."""
    terms: dict[str, list[Value]] = {}
    others: list[Query] = []
    for part in parts:
        if isinstance(part, Term):
            terms.setdefault(part.field, []).append(part.value)
        else:
            others.append(part)
    return terms, others


def _or_ignored(field: str, clause: Clause) -> Clause:
    """A clause, or some value of the field is in no index."""
    if values.field_type(field) not in _INDEXED:
        return clause
    return some([clause, {"term": {"_ignored": {"value": field}}}])


def _is_untold(field: str) -> bool:
    return f"{field}.".startswith(f"{_UNTOLD}.") or (field not in FIELDS and _is_long(field, ""))


def _exists(field: str) -> Clause:
    # A field's name with * in it is a pattern there, and a label may be called so.
    return {"exists": {"field": field}} if field in FIELDS else {"prefix": {field: {"value": ""}}}


def _matching(field: str, parts: Sequence[str | Gap], *, any_case: bool = False) -> Clause:
    shown = (_escaped(part) if isinstance(part, str) else part.value for part in parts)
    wanted: Clause = {"value": "".join(shown)}
    return {"wildcard": {field: wanted | ({"case_insensitive": True} if any_case else {})}}


def _simple(parts: tuple[str | Gap, ...], longest: int) -> tuple[str | Gap, ...]:
    """The pattern itself where a server can do it, else one that fits whatever the pattern does."""
    length = sum(len(part) if isinstance(part, str) else part is Gap.ONE for part in parts)
    if length > longest:
        kept: list[str | Gap] = []
        for part in parts:
            if longest <= 0:
                break
            kept.append(part[:longest] if isinstance(part, str) else part)
            longest -= len(part) if isinstance(part, str) else part is Gap.ONE
        parts = (*kept, Gap.MANY)
    if Gap.MANY in parts and parts.count(Gap.ONE) > _SINGLE_GAPS:
        parts = tuple(Gap.MANY if part is Gap.ONE else part for part in parts)
    return parts


def _patterns(query: Query) -> int:
    """How many automata a query takes."""
    match query:
        case And(parts) | Or(parts):
            return sum(map(_patterns, parts))
        case Not(part):
            return _patterns(part)
        case Text():
            return len(LINE_FIELDS)
        case _:
            return isinstance(query, Wildcard)


def _is_long(field: str, value: Value) -> bool:
    key = "" if field in FIELDS else field
    return isinstance(value, str) and len(key.encode()) + len(value.encode()) > _TERM_BYTES


def _escaped(text: str) -> str:
    return re.sub(r"[\\*?]", r"\\\g<0>", text)


def _utf8(text: str) -> bool:
    """Whether a document may hold it: half a surrogate pair is in none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_address(text: str) -> bool:
    try:
        return ipaddress.ip_address(text) is not None and "%" not in text
    except ValueError:
        return False
