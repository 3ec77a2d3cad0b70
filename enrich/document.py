"""A document: what is stored, searched and shown."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import orjson


class Part(dict[str, Any]):
    """A piece that many documents have in common: its JSON is made once. It is never changed."""

    __slots__ = ("_json",)
    _json: orjson.Fragment

    def json(self) -> orjson.Fragment:
        """The piece as JSON. Raises TypeError where it can't be JSON."""
        try:
            return self._json
        except AttributeError:
            self._json = orjson.Fragment(bytes(memoryview(orjson.dumps(self))))  # its own bytes keep 4 KiB of room
            return self._json

    def __reduce__(self) -> tuple[type[Part], tuple[dict[str, Any]]]:
        """Pickled without its JSON."""
        return Part, (dict(self),)


@dataclass(slots=True)
class Document:
    """One ECS document. `time` is its @timestamp in nanoseconds since 1970; `kind` the last part of event.dataset."""

    id: str
    time: int
    kind: str
    source: dict[str, Any]
    again: bool = False
    """It may have been stored by an earlier life of its worker, or long ago: where ids are not unique for ever
    (Elasticsearch: within a backing index), the sink looks for it first."""

    def encode(self) -> bytes:
        """The document as JSON, UTF-8, nested as ECS nests. Raises TypeError where it can't be JSON."""
        try:
            return orjson.dumps(self.source, _MADE, orjson.OPT_PASSTHROUGH_SUBCLASS)
        except TypeError:  # a piece of it is new
            return orjson.dumps(self.source, _part, orjson.OPT_PASSTHROUGH_SUBCLASS)


_MADE = attrgetter("_json")
"""The JSON of a piece where that has been made: a document has seven pieces, and a function of Python's costs more."""


def _part(value: object) -> orjson.Fragment:
    if isinstance(value, Part):
        return value.json()
    message = f"a {type(value).__name__} is no JSON"
    raise TypeError(message)
