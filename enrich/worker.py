"""The worker: read frames → steps → sink → commit.

The promise: documents are a function of the stream. Every document of a committed frame is durable in the sink; after
a kill the stream is read again from its beginning, what was committed is not sent again, what was sent and not
committed is sent again with the same ids, and the sink drops it.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from bpf.schema import RecordError, decode
from enrich.document import Document
from enrich.item import Item, Step
from enrich.pipeline import steps
from enrich.sinks import Sink, Status
from enrich.source import SpoolSource
from shipper.wire.frame import Frame

_log = structlog.get_logger()

POLL_SECONDS = 0.025
RETRY_SECONDS = 1.0
BATCH = 2000
"""Documents in one write, at the most about this many."""


@dataclass
class Worker:
    """Turns one spool into documents until `stop` is set."""

    source: SpoolSource
    sink: Sink
    stop: threading.Event
    forks: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    """documents, duplicates, rejected, records, frames, errors: what was done since the start."""

    def run(self, *, follow: bool = True) -> None:
        """Work until stopped; with follow=False, until everything that can be read now is stored."""
        self._stream, self._steps = b"", list[Step]()
        while True:
            self._round()
            if self.stop.is_set() or not follow:
                return
            self.stop.wait(POLL_SECONDS)

    def _round(self) -> None:
        documents: list[Document] = []
        number, fresh = 0, False
        for frame in self.source.read():
            if frame.stream != self._stream:
                if fresh:
                    self._store(documents, number)
                    documents = []
                self._stream, self._steps = frame.stream, steps(forks=self.forks)
            released = self._frame(frame)
            if frame.number >= self.source.committed(frame.stream):
                documents += released
                number, fresh = frame.number + 1, True
            if len(documents) >= BATCH:
                self._store(documents, number)
                documents, fresh = [], False
            if self.stop.is_set():
                break
        if fresh:
            self._store(documents, number)

    def _frame(self, frame: Frame) -> list[Document]:
        released: list[Document] = []
        stream = frame.stream.hex()
        self.counts["frames"] += 1
        for index, offset, length in frame.records():
            self.counts["records"] += 1
            try:
                record = decode(frame.payload, offset, length)
            except RecordError as error:
                self.counts["errors"] += 1
                _log.error("record not understood", frame=frame.number, index=index, error=str(error))
                continue
            item = Item(record, stream, frame.number, index)
            for step in self._steps:
                step(item)
            released += item.documents
        return released

    def _store(self, documents: list[Document], number: int) -> None:
        """Write until the sink has answered for every document, then commit. A stop meanwhile commits nothing."""
        while documents:
            outcomes = self.sink.write(documents)
            again = []
            for document, outcome in zip(documents, outcomes, strict=True):
                self.counts[outcome.status.value] += 1
                if outcome.status is Status.RETRY:
                    again.append(document)
                elif outcome.status is Status.REJECTED:
                    _log.error("document rejected", id=document.id, reason=outcome.reason)
            if again:
                _log.warning(
                    "the store can't take documents now; trying again", documents=len(again), reason=outcomes[-1].reason
                )
                if self.stop.wait(RETRY_SECONDS):
                    return
            documents = again
        self.source.commit(self._stream, number)


def own_file(data: Path, what: str, sink: str = "sqlite") -> Path:
    """A file of a worker's own in a data folder: its position.json, lock or status.json.

    Each sink has its own, so that several workers can read one spool.
    """
    return data / f"enrich.{sink}.{what}"
