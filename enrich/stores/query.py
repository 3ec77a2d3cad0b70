r"""The one query language, the same over every store: a subset of Lucene's.

    process.name:ls   process.executable:"/bin/ls"   the field, or one of its values, is exactly this
    process.args:--*  container.name:web-?           * any characters, ? any one; \* and quotes are literal
    process.pid:[100 TO 200}   process.pid:>=100     a range: [ ] include the bound, { } do not, * is open
    process.exit_code:*   _exists_:process.exit_code the field has a value
    process.name:(ls OR cat)                         alternatives for one field
    passwd   "rm -rf"                                a line (LINE_FIELDS) contains this, ASCII letters in either case
    AND OR NOT   && || !   + -   ( )                 AND binds tighter than OR; NOT of a missing field is true

A date stands for all the time it names: @timestamp:2026-11-22 is that day, and >2026-11-22 begins after it. What else
Lucene has is refused by name. luqum parses; what comes out is a small tree of our own that each store compiles.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn, TypeAlias

LINE_FIELDS = ("process.command_line", "cgtrail.command.line")
"""The fields that a bare word or phrase searches."""


class QueryError(ValueError):
    """A query that can't be understood; the message names the place, the value and what to write instead."""


class Gap(Enum):
    """What a wildcard leaves open."""

    ONE = "?"
    MANY = "*"


Value: TypeAlias = "str | int | bool"
"""Of a long an int, of a boolean a bool, of a date nanoseconds since 1970, of every other field a str."""


@dataclass(frozen=True, slots=True)
class All:
    """Every document."""


@dataclass(frozen=True, slots=True)
class And:
    """All of the parts, of which there are two at least."""

    parts: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of the parts, of which there are two at least."""

    parts: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Not the part: true also of a document that lacks the field."""

    part: Query


@dataclass(frozen=True, slots=True)
class Term:
    """The field has this value, or is a list that holds it. Never a date: that is a Range."""

    field: str
    value: Value


@dataclass(frozen=True, slots=True)
class Wildcard:
    """A value of the field matches the parts from end to end, case-sensitively."""

    field: str
    parts: tuple[str | Gap, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """A value of the field lies between the bounds; None is open, never on both sides. Text goes by code point."""

    field: str
    low: Value | None
    high: Value | None
    include_low: bool = True
    include_high: bool = True


@dataclass(frozen=True, slots=True)
class Exists:
    """The field has a value; null and the empty list are none."""

    field: str


@dataclass(frozen=True, slots=True)
class Text:
    """A value of one of LINE_FIELDS contains the fragment; ASCII letters match in either case."""

    fragment: str


Query: TypeAlias = "All | And | Or | Not | Term | Wildcard | Range | Exists | Text"


def all_of(parts: Iterable[Query]) -> Query:
    """Every part must match; as flat as it can be."""
    flat: list[Query] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, And) else () if part == All() else (part,))
    if len(flat) < 2:
        return flat[0] if flat else All()
    return And(tuple(flat))


def any_of(parts: Iterable[Query]) -> Query:
    """One part must match; as flat as it can be. Raises ValueError where there is none."""
    flat: list[Query] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, Or) else (part,))
    if not flat:
        message = "any_of needs a part: an empty Or matches nothing, which no query can say"
        raise ValueError(message)
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


def negation(part: Query) -> Query:
    """The part must not match."""
    return part.part if isinstance(part, Not) else Not(part)


def fail(text: str, position: int, what: str) -> NoReturn:
    """Raise QueryError for what stands at a position of the text."""
    found = repr(text[position : position + 40]) if position < len(text) else "the end"
    message = f"query, character {position + 1}, at {found}: {what}"
    raise QueryError(message)
