"""A document: what is stored, searched and shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Document:
    """One ECS document. `time` is its @timestamp in nanoseconds since 1970; `kind` the last part of event.dataset."""

    id: str
    time: int
    kind: str
    source: dict[str, Any]

    def encode(self) -> bytes:
        """The document as JSON, UTF-8, nested as ECS nests."""
        return orjson.dumps(self.source)
