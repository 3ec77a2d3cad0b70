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
_SINGLE_GAPS = 8
"""So many ? behind a * a server can turn into an automaton of a bearable size; each doubles it."""
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
    compiler = _Compiler()
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

    def __init__(self) -> None:
        self.exact = True

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
        return self._leaf(field, one_of(field, known) if known else NONE, least=least)

    def _wildcard(self, field: str, parts: tuple[str | Gap, ...], *, least: bool, any_case: bool = False) -> Clause:
        if not all(_utf8(part) for part in parts if isinstance(part, str)):
            return NONE if not least else self._leaf(field, NONE, least=True)
        if not any_case and not any(isinstance(part, Gap) for part in parts):  # an empty pattern finds no empty text
            return self._values(field, ["".join(map(str, parts))], least=least)
        if field not in FIELDS:
            # Of keys in a flattened object an index knows only beginnings.
            head = parts[0] if isinstance(parts[0], str) else ""
            return self._rough({"prefix": {field: {"value": head}}}, least=least, field=field)
        if Gap.MANY in parts and parts.count(Gap.ONE) > _SINGLE_GAPS:
            return self._rough(_matching(field, parts, Gap.MANY, any_case=any_case), least=least, field=field)
        return self._leaf(field, _matching(field, parts, Gap.ONE, any_case=any_case), least=least)

    def _range(self, wanted: Range, *, least: bool) -> Clause:
        kind = values.field_type(wanted.field)
        bounds: Clause = {}
        for bound, operator in (
            (wanted.low, "gte" if wanted.include_low else "gt"),
            (wanted.high, "lte" if wanted.include_high else "lt"),
        ):
            if bound is None:
                continue
            if kind == "ip" or (isinstance(bound, str) and not _utf8(bound)):
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
    return f"{field}.".startswith(f"{_UNTOLD}.")


def _exists(field: str) -> Clause:
    # A field's name with * in it is a pattern there, and a label may be called so.
    return {"exists": {"field": field}} if field in FIELDS else {"prefix": {field: {"value": ""}}}


def _matching(field: str, parts: tuple[str | Gap, ...], one: Gap, *, any_case: bool) -> Clause:
    """A wildcard; `one` is what stands for a gap of one character."""
    shown = (_escaped(part) if isinstance(part, str) else one.value if part is Gap.ONE else "*" for part in parts)
    wanted: Clause = {"value": "".join(shown)}
    return {"wildcard": {field: wanted | ({"case_insensitive": True} if any_case else {})}}


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
