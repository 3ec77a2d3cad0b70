"""Documents of every shape, and what a query means on one of them, written as plainly as can be."""

from __future__ import annotations

import random
import re
from typing import Any

from enrich.document import Document
from enrich.fields import FIELDS
from enrich.stores.query import LINE_FIELDS, All, And, Exists, Gap, Not, Or, Query, Range, Term, Text, Wildcard
from enrich.stores.values import date as date_span
from enrich.stores.values import flattened, timestamp

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
NOON = 1_795_305_600 * SECOND + DAY // 2
"""2026-11-22T12:00:00Z."""
PIECES = ["rm ", "-rf", "RM", "a", "A", "b", "*", "?", "[x]", "\0", "é", "É", "\u212a", "ß", '"', "'", "\n", "passwd"]
PIECES += ["😀", "Ⱥ", "\u0130", "%", "_", "\\", " "]
KEYS = ["com.docker.project", 'q"k', "a b"]
TENANTS = ["a", "t1", "t\0", "é"]
TEXT_FIELDS = ["process.name", "container.name", "event.action", "user.id", "process.args", "process.command_line"]
TEXT_FIELDS += [
    "process.parent.name",
    "cgtrail.tenant.id",
    "cgtrail.command.line",
    "event.id",
    *(f"container.labels.{key}" for key in KEYS),
    "container.labels",
]
NUMBERS = ["process.pid", "process.exit_code", "event.sequence"]
DATES = ["@timestamp", "process.start"]


def random_documents(count: int) -> list[Document]:
    """Documents over three days whose fields are missing, null, single or lists, with awkward text."""
    rng = random.Random(7)  # noqa: S311  the same documents each time

    def text() -> str:
        return "".join(rng.choices(PIECES, k=rng.randrange(6)))

    def body() -> Any:
        return rng.choice([None, [], text(), text(), [text(), text()], [text(), None]])

    made = []
    for n in range(count):
        time = NOON + rng.choice([0, rng.randrange(3 * DAY), rng.randrange(4)])
        source: dict[str, Any] = {
            "@timestamp": timestamp(time),
            "event": {"id": f"{n:x}{text()}", "action": rng.choice(["exec", "end", text()])},
            "process": {
                "args": body(),
                "command_line": rng.choice([text(), text() + text()]),
                "parent": {"name": body()},
            },
            "container": {"labels": {key: text() for key in KEYS if rng.random() < 0.6}},
            "user": {"id": rng.choice(["0", "1000"])},
        }
        optional: dict[str, dict[str, Any]] = {
            "event": {"sequence": rng.randrange(3)},
            "process": {
                "name": rng.choice(["ls", text()]),
                "pid": rng.choice([rng.randrange(4), None, [1, 2]]),
                "exit_code": rng.choice([rng.randrange(-2, 2), True, "1"]),
                "interactive": rng.choice([True, False]),
                "start": timestamp(NOON + rng.randrange(4)),
            },
            "container": {
                "name": rng.choice(["web", "cafe", text()]),
                "id": rng.choice(["cafe12" + "0" * 58, "ab" * 32]),
            },
        }
        for group, fields in optional.items():
            source[group] |= {name: value for name, value in fields.items() if rng.random() < 0.7}
        tenants = [name for name in TENANTS if rng.random() < 0.4]
        if tenants:
            source["cgtrail"] = {"tenant": {"id": tenants if rng.random() < 0.9 else tenants[0]}}
        if rng.random() < 0.3:
            source["cgtrail"] = source.get("cgtrail", {}) | {"command": {"line": body()}}
        if rng.random() < 0.1:
            source["process"]["parent"] = rng.choice(["text", None, 7])
        made.append(Document(source["event"]["id"], time, rng.choice(["process", "alert"]), source))
    return made


def found_values(source: dict[str, Any], field: str) -> list[Any]:
    """The values that a document has of a field."""
    within = None if field in FIELDS else flattened(field)
    value: Any = source
    for name in (within[0] if within else field).split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, dict):
        value = [item for key, item in value.items() if within is None or key == within[1]]
    return [item for item in (value if isinstance(value, list) else [value]) if item is not None]


def matches(query: Query, source: dict[str, Any]) -> bool:
    """What the tree means."""
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
            return any(ascii_lower(fragment) in ascii_lower(v) for f in LINE_FIELDS for v in found_values(source, f))
        case Exists(field):
            return bool(found_values(source, field))
        case Term(field, value):
            return any(type(v) is type(value) and v == value for v in found_values(source, field))
        case Wildcard(field, parts):
            return any(wildcard(parts, v) for v in found_values(source, field) if isinstance(v, str))
        case Range(field):
            return any(in_range(query, v) for v in found_values(source, field))


def wildcard(parts: tuple[str | Gap, ...], value: str) -> bool:
    """Whether a text fits from end to end: every place that can be reached, part by part."""
    places = {0}
    for part in parts:
        if part is Gap.MANY:
            places = set(range(min(places, default=len(value) + 1), len(value) + 1))
        elif part is Gap.ONE:
            places = {place + 1 for place in places if place < len(value)}
        else:
            places = {place + len(part) for place in places if value.startswith(part, place)}
    return len(value) in places


def in_range(query: Range, value: Any) -> bool:
    """Whether one value lies within a range."""
    if FIELDS[query.field].type == "date_nanos":
        value = date_span(query.field, value).start
    for bound, above, included in ((query.low, 1, query.include_low), (query.high, 0, query.include_high)):
        if bound is None:
            continue
        if type(value) is not type(bound) or (value == bound and not included):
            return False
        if value != bound and sorted([value, bound]).index(value) != above:
            return False
    return True


def ascii_lower(text: str) -> str:
    """Lower case for ASCII letters only."""
    return re.sub("[A-Z]", lambda found: found[0].lower(), text)


DOCUMENTS = random_documents(300)
