"""From a query's tree to SQL over a day file. Values are bound, never written into the text: hence `noqa: S608`.

Every condition is 0 or 1 and never NULL, so that NOT of a missing field is true. A field with a column is asked there;
any other in the body, where json_each makes a value and a list of values alike. A tenant is looked up by its sets. The
trigram index narrows down what the body is then asked, since it folds case and forgets where in the line a trigram
stood.
"""

from __future__ import annotations

import functools
import re
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from enrich.fields import FIELDS
from enrich.stores import values
from enrich.stores.dayfile import COLUMNS, searchable
from enrich.stores.narrow import TENANTS
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
    all_of,
)

Condition: TypeAlias = tuple[str, tuple[Any, ...]]
"""SQL with ? marks, and what to bind to them."""

_Leaf: TypeAlias = "Term | Wildcard | Range | Exists"

_TRIGRAMS = 16
"""How many of a text's trigrams are looked up: more would cost more than they exclude."""

_SELECTIVE = ("event.id", "process.name", "container.name", "container.id")

_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def condition(query: Query, *, indexed: bool = True) -> Condition:
    """A condition on a row of docs. Not `indexed`: without the trigram index, for when few rows are looked at."""
    match query:
        case All():
            return "1", ()
        case And(parts):
            return _joined(" AND ", (condition(part, indexed=indexed) for part in parts))
        case Or(parts):
            return _joined(" OR ", (condition(part, indexed=indexed) for part in parts))
        case Not(part):
            sql, bound = condition(part, indexed=indexed)
            return f"NOT {sql}", bound
        case Text(fragment):
            wanted = ("instr(lower(atom), ?)", (searchable(fragment).translate(_ASCII_LOWER),))
            exact = _joined(" OR ", (_in_body(field, _typed("text", wanted)) for field in LINE_FIELDS))
            return _narrowed(exact, [fragment] if indexed else [])
        case Term(field, value) if field == TENANTS:
            whose = "coalesce((SELECT whose FROM placed WHERE doc = seq), 0)"
            return f"{whose} IN (SELECT whose FROM tenants WHERE tenant = ?)", (value,)
        case _ if query.field in COLUMNS:
            return _on_column(COLUMNS[query.field], query)
        case _:
            exact = _in_body(query.field, _on_atom(query))
            return _narrowed(exact, _literals(query) if indexed and query.field in LINE_FIELDS else [])


def of_tenant(query: Query) -> tuple[str, Condition, Query] | None:
    """The tenant that all matches have, what `placed` says of their times, and what else they must be; or None."""
    parts = query.parts if isinstance(query, And) else (query,)
    wanted = next((part for part in parts if isinstance(part, Term) and part.field == TENANTS), None)
    if wanted is None:
        return None
    times = [part for part in parts if isinstance(part, Range) and part.field == "@timestamp"]
    within = _joined(" AND ", [("1", ()), *(_between("at", part, lambda time: time) for part in times)])
    return str(wanted.value), within, all_of(part for part in parts if part is not wanted and part not in times)


def is_selective(query: Query) -> bool:
    """Whether an index finds the matches, or little more: of words, or of a column with many values."""
    match query:
        case And(parts):
            return any(map(is_selective, parts))
        case Or(parts):
            return all(map(is_selective, parts))
        case Term(field) | Wildcard(field) if field in _SELECTIVE:
            return True
        case Text(fragment):
            return bool(_narrowed(("", ()), [fragment])[0])
        case Term(field) | Wildcard(field) if field in LINE_FIELDS:
            return bool(_narrowed(("", ()), _literals(query))[0])
        case _:
            return False


def prepare(db: sqlite3.Connection) -> None:
    """Give a connection the function that conditions call."""
    db.create_function("wildcard", 2, _matches, deterministic=True)


def _joined(operator: str, parts: Iterable[Condition]) -> Condition:
    conditions = list(parts)
    text = operator.join(sql for sql, _ in conditions)
    return f"({text})", tuple(value for _, bound in conditions for value in bound)


def _on_column(column: str, leaf: _Leaf) -> Condition:
    match leaf:
        case Term(_, value):
            return f"{column} IS ?", (value,)
        case Exists():
            return f"{column} IS NOT NULL", ()
        case Wildcard(_, parts):
            # GLOB ends at a NUL, so it is asked for a prefix only, with which it finds too much at most; and the index
            # can answer that.
            prefix = parts[0].split("\0")[0] if isinstance(parts[0], str) else ""
            glob = re.sub(r"[*?[]", r"[\g<0>]", prefix) + "*"
            return f"({column} IS NOT NULL AND {column} GLOB ? AND wildcard(?, {column}))", (glob, _pattern(parts))
        case Range():
            sql, bound = _between(column, leaf, lambda value: value)
            return f"({column} IS NOT NULL AND {sql})", bound


def _in_body(field: str, wanted: Condition) -> Condition:
    within = values.flattened(field) if field not in FIELDS else None
    name, key = within or (field, None)
    path = "$" + "".join(f'."{part}"' for part in name.split("."))
    if key is not None:
        # As a value, not in the path: a JSON path has no way to write every key.
        wanted = f"key = ? AND {wanted[0]}", (searchable(key), *wanted[1])
    each = "SELECT 1 FROM json_each(coalesce(searched, body), ?)"
    return f"EXISTS ({each} WHERE {wanted[0]})", (path, *wanted[1])


def _on_atom(leaf: _Leaf) -> Condition:
    match leaf:
        case Term(_, value):
            return _equal(value)
        case Exists():
            return "type <> 'null'", ()
        case Wildcard(_, parts):
            return _typed("text", ("wildcard(?, atom)", (searchable(_pattern(parts)),)))
        case Range(field):
            kind = values.field_type(field)
            if kind == "long":
                return _typed("integer", _between("atom", leaf, lambda number: number))
            dated = kind in ("date", "date_nanos")
            return _typed("text", _between("atom", leaf, values.timestamp if dated else searchable))


def _equal(value: Value) -> Condition:
    if isinstance(value, bool):
        return "type = ?", ("true" if value else "false",)
    if isinstance(value, int):
        return _typed("integer", ("atom = ?", (value,)))
    return _typed("text", ("atom = ?", (searchable(value),)))


def _typed(kind: str, wanted: Condition) -> Condition:
    # SQLite compares a number with a text too, and says which is the greater.
    return f"type = '{kind}' AND {wanted[0]}", wanted[1]


def _between(subject: str, wanted: Range, shown: Callable[[Any], Any]) -> Condition:
    parts: list[Condition] = []
    if wanted.low is not None:
        parts.append((f"{subject} {'>=' if wanted.include_low else '>'} ?", (shown(wanted.low),)))
    if wanted.high is not None:
        parts.append((f"{subject} {'<=' if wanted.include_high else '<'} ?", (shown(wanted.high),)))
    return _joined(" AND ", parts)


def _narrowed(exact: Condition, literals: list[str]) -> Condition:
    """A condition, asked only of rows whose lines have all trigrams of the literals."""
    trigrams: dict[str, None] = {}
    for piece in (piece for literal in literals for piece in literal.split("\0") if len(piece) >= 3):
        for start in (*range(0, len(piece) - 2, 3), len(piece) - 3):
            trigrams[piece[start : start + 3]] = None
    if not trigrams:
        return exact
    wanted = " AND ".join('"' + trigram.replace('"', '""') + '"' for trigram in list(trigrams)[:_TRIGRAMS])
    return f"(seq IN (SELECT rowid FROM lines WHERE lines MATCH ?) AND {exact[0]})", (wanted, *exact[1])


def _literals(leaf: _Leaf) -> list[str]:
    """Texts that every value that matches contains."""
    match leaf:
        case Term(_, str(value)):
            return [value]
        case Wildcard(_, parts):
            return [part for part in parts if isinstance(part, str)]
        case _:
            return []


def _pattern(parts: tuple[str | Gap, ...]) -> str:
    """A regular expression that never goes back over what it has passed, so hostile values take linear time."""
    runs = [""]
    for part in parts:
        if part is Gap.MANY:
            runs.append("")
        else:
            runs[-1] += "." if part is Gap.ONE else re.escape(part)
    if len(runs) == 1:
        return runs[0]
    first, *between, last = runs
    return first + "".join(f"(?>.*?{run})" for run in between if run) + ".*" + last


@functools.lru_cache(64)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.DOTALL)


def _matches(pattern: str, value: str) -> bool:
    return _compiled(pattern).fullmatch(value) is not None
