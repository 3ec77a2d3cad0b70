"""What may stand on either side of a query's colon: the names of fields, and values of their types."""

from __future__ import annotations

import difflib
import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from enrich.fields import FIELDS, FieldType
from enrich.stores.query import QueryError

_LONG = re.compile(r"-?[0-9]{1,19}\Z")
_DATE = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](?P<hour>\d\d)(?::(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<part>\d{1,9}))?)?)?"
    r"(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?)?\Z",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000_000
_INT64 = 1 << 63


class Span(NamedTuple):
    """The time that a date names, in nanoseconds since 1970; `end` lies beyond it."""

    start: int
    end: int


def field_type(name: str) -> FieldType:
    """The type of a field, or of a key within a flattened one. Raises QueryError with the nearest known name."""
    declared = FIELDS.get(name)
    if declared is not None:
        return declared.type
    if flattened(name) is not None:
        return "flattened"
    nearest = difflib.get_close_matches(name[:100], FIELDS, n=1, cutoff=0)[0]
    message = f"no field {name[:100]!r}: did you mean {nearest}? A text with a colon in it wants quotes"
    raise QueryError(message)


def flattened(name: str) -> tuple[str, str] | None:
    """(field, key) of a name that lies within a flattened field, such as container.labels.com.example.role, or None."""
    for field, declared in FIELDS.items():
        if declared.type == "flattened" and name.startswith(field + ".") and len(name) > len(field) + 1:
            return field, name[len(field) + 1 :]
    return None


def long(field: str, text: str) -> int:
    """The integer that the text says. Raises QueryError where it is none of 64 bits."""
    if _LONG.match(text) and -_INT64 <= int(text) < _INT64:
        return int(text)
    message = f"{field} is a number and {text[:60]!r} is none: write an integer of 64 bits, such as 42"
    raise QueryError(message)


def boolean(field: str, text: str) -> bool:
    """True or False. Raises QueryError where the text is neither."""
    if text not in ("true", "false"):
        message = f"{field} is a boolean and {text[:60]!r} is none: write true or false"
        raise QueryError(message)
    return text == "true"


def date(field: str, text: str) -> Span:
    """The time that an ISO 8601 date names, as long as its last digit is worth; no zone is UTC. Raises QueryError."""
    wrong = (
        f'{field} is a date and {text[:60]!r} is none: write 2026-11-22 or "2026-11-22T06:36:55.123456789Z",'
        " between 1970 and 2262"
    )
    found = _DATE.match(text)
    if not found:
        raise QueryError(wrong)
    part = found["part"] or ""
    try:
        midnight = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
        clock = timedelta(hours=_below(24, found["hour"]), minutes=_below(60, found["minute"]))
        moment = midnight - _EPOCH + clock - _offset(found["zone"])
        seconds = moment // timedelta(seconds=1) + _below(60, found["second"])
    except ValueError:
        raise QueryError(wrong) from None
    start = seconds * _SECOND + int(part.ljust(9, "0"))
    if found["second"]:
        length = _SECOND // 10 ** len(part)
    else:
        length = _SECOND * (60 if found["minute"] else 3600 if found["hour"] else 86400)
    if not 0 <= start < start + length < _INT64:
        raise QueryError(wrong)
    return Span(start, start + length)


def timestamp(time: int) -> str:
    """Nanoseconds since 1970 as documents write them: 2026-11-22T06:36:55.123456789Z."""
    moment = _EPOCH + timedelta(seconds=time // _SECOND)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time % _SECOND:09}Z"


def _below(bound: int, digits: str | None) -> int:
    number = int(digits or 0)
    if number >= bound:
        raise ValueError(digits)
    return number


def _offset(zone: str | None) -> timedelta:
    if zone is None or zone == "Z":
        return timedelta()
    digits = zone[1:].replace(":", "").ljust(4, "0")
    away = timedelta(hours=_below(24, digits[:2]), minutes=_below(60, digits[2:]))
    return -away if zone[0] == "-" else away
