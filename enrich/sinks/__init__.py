"""Where documents go. A new sink is one file here and one case in `cgtrail/halves.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from enrich.document import Document


class Status(Enum):
    """What became of one document."""

    OK = "ok"
    DUPLICATE = "duplicate"
    """The store has a document with this id already: a repeat, harmless."""
    RETRY = "retry"
    """The store could not take it now; send it again."""
    REJECTED = "rejected"
    """The store will never take it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer for one document; `reason` says why it was rejected or is to be sent again."""

    status: Status
    reason: str = ""


OK = Outcome(Status.OK)
DUPLICATE = Outcome(Status.DUPLICATE)
LEFT_OUT = Outcome(Status.OK, "left out by configuration")
"""It has its end without being stored: that says nothing of what the store has."""


class Sink(Protocol):
    """A place for documents. Ids are deterministic: writing one twice must leave one, where a store can tell."""

    def write(self, batch: Sequence[Document]) -> Sequence[Outcome]:
        """Store a batch and answer for each document, in order. OK and DUPLICATE mean durable."""
        ...

    def close(self) -> None:
        """Release files and connections. Nothing is written after."""
        ...
