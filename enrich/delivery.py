"""Documents on their way to a sink: one write at a time, in a thread of its own, and whose each of them is."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable

import structlog

from enrich import losses
from enrich.document import Document
from enrich.letters import Letter, rejected
from enrich.partition import Partition
from enrich.sinks import Sink, Status
from enrich.writer import Answer, Writer, answered

_log = structlog.get_logger()

SLOW_SECONDS = 30.0
"""A sink that has not answered for so long does not take the write."""


class Delivery:
    """Takes documents out of partitions, and gives back those that the sink takes later."""

    def __init__(self, sink: Sink, counts: Counter[str]) -> None:
        self._writer, self._counts = Writer(sink), counts
        self._answer: Answer | None = None
        self._flight: list[tuple[Partition, list[Document]]] = []
        """What is being written."""
        self.refused = ""
        """Why the sink takes some documents of the last write later; empty where it answered for all."""
        self._began = 0.0
        """When the write that goes on was begun."""

    def close(self) -> None:
        """Nothing is written after."""
        self._writer.close()

    @property
    def flies(self) -> bool:
        """Whether something is being written."""
        return self._answer is not None

    def holds(self, partition: Partition) -> bool:
        """Whether documents of a partition are being written."""
        return any(own is partition for own, _ in self._flight)

    @property
    def trouble(self) -> str:
        """Why documents are not stored; empty when they are."""
        waited = time.monotonic() - self._began if self.flies else 0.0
        return self.refused or (f"a write goes on for {waited:.0f} s" if waited > SLOW_SECONDS else "")

    def start(self, partitions: Iterable[Partition], room: int) -> bool:
        """Begin to write what came first, so many documents at the most; False when there is nothing to write."""
        for partition in partitions:
            documents = partition.made.documents
            if chosen := documents[:room]:
                del documents[:room]
                self._flight.append((partition, chosen))
                room -= len(chosen)
        if self._flight:
            self._began = time.monotonic()
            self._answer = self._writer.write([document for _, chosen in self._flight for document in chosen])
        else:
            self.refused = ""  # what it did not take went with its partition
        return self.flies

    def arrives(self, seconds: float) -> bool:
        """Whether the sink has answered, after so long at the most; each document then has the end that it got.

        Raises what the sink raised.
        """
        if self._answer is None or not answered(self._answer, seconds):
            return self._answer is None
        answer, flight, self._answer, self._flight = self._answer, self._flight, None, []
        self.refused = ""
        outcomes = iter(answer.result())
        for partition, documents in flight:
            again = []
            for document, outcome in zip(documents, outcomes, strict=False):  # the next partition's answers follow
                self._counts[outcome.status.value] += 1
                if document.kind == "loss" and outcome.status is Status.OK:
                    self._counts[losses.counter(document.source)] += 1
                if outcome.status is Status.RETRY:
                    again.append(document)
                    self.refused = outcome.reason
                elif outcome.status is Status.REJECTED:
                    partition.made.letters.append(_rejected(document, outcome.reason))
            partition.made.documents[:0] = again
        return True


def _rejected(document: Document, reason: str) -> Letter:
    _log.error("document rejected; it is among the dead letters", id=document.id, reason=reason,
               next="`cgtrail deadletters show`, then replay")  # fmt: skip
    return rejected(document, reason)
