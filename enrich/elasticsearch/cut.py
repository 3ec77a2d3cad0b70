"""Documents that Elasticsearch does not take as they are: too long, or with values that do not fit their fields.

What is cut or left out is named in the field cgtrail.cut.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from enrich.elasticsearch.mappings import MAX_KEYWORD
from enrich.fields import FIELDS, FieldType

_WORTH = 1024
"""Bytes: what is smaller is not cut."""
_FLAT_TERM = 32_766
"""Bytes of a flattened field's key and value with a NUL between them: Lucene's longest term."""
_FLAT_DEPTH = 20
"""Levels within a flattened field: Elasticsearch's depth_limit."""
_INT64 = 1 << 63
_FLATTENED = {name for name, declared in FIELDS.items() if declared.type == "flattened"}
_RAW = "cgtrail.raw"


class CutError(ValueError):
    """A document that stays too long, whatever is cut."""


@dataclass(slots=True)
class _Leaf:
    """Something that can be cut: a text, or the members of a list or a flattened field that are no such text."""

    size: int
    owner: Any
    key: Any
    path: str


def shortened(body: bytes, limit: int) -> bytes:
    """A document's JSON in `limit` bytes at most: the longest texts and lists end early, a text with an ellipsis.

    Raises CutError where that is not enough.
    """
    source = orjson.loads(body)
    while (excess := len(body) - limit) > 0:
        leaf = max(_leaves(source, ""), key=lambda leaf: leaf.size, default=None)
        if leaf is None or leaf.size < _WORTH:
            raise CutError(f"it has {len(body)} bytes, {limit} are allowed, and nothing in it is long")
        _shorten(leaf, max(leaf.size - excess - _WORTH, _WORTH // 4))
        _name(source, leaf.path)
        body = orjson.dumps(source)
    return body


def mended(body: bytes) -> bytes:
    """A document's JSON without what its field can't hold; the same where all fits.

    That is a number beyond 64 bits, a date outside of date_nanos, an object where a value should be; of flattened
    fields a key with a NUL, what is too long for a term or too deep.
    """
    source = orjson.loads(body)
    left_out: list[str] = []
    _fit(source, "", left_out)
    for path in left_out:
        _name(source, path)
    return orjson.dumps(source) if left_out else body


def _name(source: dict[str, Any], path: str) -> None:
    own = source.setdefault("cgtrail", {})
    own["cut"] = sorted({*own.get("cut", ()), path})


def _leaves(value: Any, path: str) -> Iterator[_Leaf]:
    members = value.items() if isinstance(value, dict) else enumerate(value)
    whole = isinstance(value, list) or path in _FLATTENED
    rest = 0
    for key, member in members:
        name = f"{path}.{key}" if path and isinstance(value, dict) and not whole else path or str(key)
        if isinstance(member, str):
            size = len(orjson.dumps(member))
            if size >= _WORTH:
                yield _Leaf(size, value, key, name)
            else:
                rest += size + len(str(key)) + 4
        elif isinstance(member, dict | list) and not whole:
            yield from _leaves(member, name)
        elif whole:
            rest += len(orjson.dumps(member)) + len(str(key)) + 4
    if whole:
        yield _Leaf(rest, value, None, path)


def _shorten(leaf: _Leaf, keep: int) -> None:
    if leaf.key is None:
        while leaf.size > keep and leaf.owner:
            gone = leaf.owner.popitem() if isinstance(leaf.owner, dict) else leaf.owner.pop()
            leaf.size -= len(orjson.dumps(gone)) + 1
    elif leaf.path == _RAW:  # a part of base64 would be read as other bytes
        del leaf.owner[leaf.key]
    else:
        text: str = leaf.owner[leaf.key]
        leaf.owner[leaf.key] = text[: len(text) * keep // leaf.size] + "…"


def _fit(value: dict[str, Any], path: str, left_out: list[str]) -> None:
    for key in list(value):
        name = f"{path}.{key}" if path else key
        declared = FIELDS.get(name)
        member = value[key]
        if declared is None:
            for inner in member if isinstance(member, list) else [member]:
                if isinstance(inner, dict):
                    _fit(inner, name, left_out)
        elif declared.type == "flattened":
            if isinstance(member, dict) and _clean(member, ""):
                left_out.append(name)
        elif isinstance(member, list):
            kept = [each for each in member if _fits(each, declared.type)]
            if len(kept) < len(member):
                value[key] = kept
                left_out.append(name)
        elif not _fits(member, declared.type):
            del value[key]
            left_out.append(name)


def _clean(value: dict[str, Any], prefix: str, depth: int = 1) -> bool:
    """Leave out what a flattened field can't hold; whether anything was."""
    cut = False
    for key in list(value):
        name, member = f"{prefix}{key}", value[key]
        if isinstance(member, dict) and depth < _FLAT_DEPTH and "\0" not in key:
            cut |= _clean(member, f"{name}.", depth + 1)
        elif isinstance(member, dict) or "\0" in key or _too_long(name, member):
            del value[key]
            cut = True
    return cut


def _too_long(name: str, value: Any) -> bool:
    """Whether it would make a term that is too long; a value that is not indexed makes none."""
    texts = [each if isinstance(each, str) else str(each) for each in (value if isinstance(value, list) else [value])]
    return any(len(f"{name}\0{each}".encode()) > _FLAT_TERM for each in texts if len(each) <= MAX_KEYWORD)


def _fits(value: Any, kind: FieldType) -> bool:
    if value is None:
        return True
    if kind == "long":
        return type(value) is int and -_INT64 <= value < _INT64
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "date_nanos":
        return isinstance(value, str) and "1970" <= value[:4] <= "2261"
    if kind == "ip":
        return isinstance(value, str) and _is_address(value)
    return not isinstance(value, dict | list)


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True
