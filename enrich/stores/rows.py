"""What a day file holds of a document (`enrich.stores.dayfile`)."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from enrich.document import Document
from enrich.stores.dayfile import TEXT_COLUMNS
from enrich.stores.narrow import TENANTS
from enrich.stores.query import LINE_FIELDS

MAX_BODY = 64 << 20
"""Characters of the largest document that is stored."""

_INT64 = 1 << 63
_SEQUENCE, _TENANTS, *_TEXTS = (tuple(field.split(".")) for field in ("event.sequence", TENANTS, *TEXT_COLUMNS))
_LINES = tuple(tuple(field.split(".")) for field in LINE_FIELDS)


class UnstorableError(ValueError):
    """A document that no day file will ever take, and why."""


class Row(NamedTuple):
    """What one document becomes."""

    values: tuple[Any, ...]
    """For `dayfile.ROW`, but for seq."""
    line: str | None
    """What the trigram index gets, None for nothing."""
    tenants: tuple[str, ...]
    """Each once."""


def row(document: Document) -> Row:
    """What is stored of a document. Raises UnstorableError."""
    if not 0 <= document.time < _INT64:
        message = f"@timestamp {document.time} is not between 1970 and 2262"
        raise UnstorableError(message)
    sequence = _value(document.source, _SEQUENCE)
    if sequence is not None and not (isinstance(sequence, int) and -_INT64 <= sequence < _INT64):
        message = f"event.sequence {sequence!r} is no integer of 64 bits"
        raise UnstorableError(message)
    texts = [_value(document.source, path) for path in _TEXTS]
    for field, value in zip(TEXT_COLUMNS, texts, strict=True):
        if not isinstance(value, str | None):
            message = f"{field} is a {type(value).__name__}, not one text"
            raise UnstorableError(message)
    try:
        (document.id + document.kind).encode()
        body = document.encode().decode()
    except (TypeError, UnicodeEncodeError) as error:
        message = f"it can't be written as JSON: {error}"
        raise UnstorableError(message) from error
    if len(body) > MAX_BODY:
        message = f"it has {len(body)} characters, {MAX_BODY} are allowed"
        raise UnstorableError(message)
    values = document.id, document.time, sequence, document.kind, *texts, _searched(body), body
    return Row(values, _line(document.source), _tenants(document.source))


def _tenants(source: dict[str, Any]) -> tuple[str, ...]:
    found = _value(source, _TENANTS)
    if found is None:
        return ()
    each = [found] if isinstance(found, str) else found
    if not isinstance(each, list | tuple) or set(map(type, each)) - {str}:
        message = f"{TENANTS} {found!r:.200} is neither a text nor a list of texts"
        raise UnstorableError(message)
    return tuple(dict.fromkeys(each))


def _line(source: dict[str, Any]) -> str | None:
    found: list[str] = []
    for path in _LINES:
        value = _value(source, path)
        found += [part for part in (value if isinstance(value, list) else [value]) if isinstance(part, str)]
    # The tokenizer ends a text at a NUL, which would hide what follows.
    return "\n".join(found).replace("\0", "\n") or None


def _searched(body: str) -> str | None:
    if "\\u0000" not in body:
        return None
    return re.sub(r"\\\\|\\u0000", lambda escape: escape[0].replace("u0000", "u0001"), body)


def _value(source: dict[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = source
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value
