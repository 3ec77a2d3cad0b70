"""A sink that answers as it is told to, and a stop that mends what its worker waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from enrich.document import Document
from enrich.sinks import Outcome, Status
from enrich.sinks.memory import MemorySink


class Fickle(MemorySink):
    """A sink that answers as it is told to, and remembers what it was asked."""

    def __init__(self, answer: Callable[[Document, int], Status | None]) -> None:
        super().__init__()
        self._answer, self.calls = answer, 0
        self.asked: list[str] = []

    def write(self, batch: Sequence[Document]) -> list[Outcome]:
        """Asks for each document what to say, by it and by how often it was written to; None: store it."""
        self.calls += 1
        self.asked += [document.id for document in batch]
        told = [(document, self._answer(document, self.calls)) for document in batch]
        return [Outcome(said, "because") if said else super(Fickle, self).write([each])[0] for each, said in told]


class Mending(threading.Event):
    """A stop event whose waits are so many, and each does something: no test waits for a clock."""

    def __init__(self, mend: Callable[[int], object]) -> None:
        super().__init__()
        self._mend, self.waits = mend, 0

    def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002  its time is its caller's idea
        """Does it, and returns at once."""
        self.waits += 1
        self._mend(self.waits)
        return self.is_set()
