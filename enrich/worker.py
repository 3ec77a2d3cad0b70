"""The worker: read frames → steps → sink → commit → now and then a snapshot.

The promise, whoever is killed when:

* Documents are a function of the stream: the same frames make the same documents with the same ids.
* `commit` says C: everything that frames below C released is durable in the sink, and what could not become a document
  is durable among the dead letters. Nothing is committed before.
* A snapshot says what was known at S. It is stored once S is committed, so S ≤ C, and it is a shortcut only: without
  one that fits, the stream is read again from its oldest frame.
* After a restart, frames from S to C are taken without output; what was sent and not committed is sent again with the
  same ids, and the sink drops it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from enrich.checkpoint import Checkpoints, Snapshot
from enrich.document import Document
from enrich.enricher import Enricher, Output
from enrich.letters import DeadLetters, Letter, rejected
from enrich.mark import Mark
from enrich.secrets.rules import Rules
from enrich.sinks import Sink, Status
from enrich.snapshot import SnapshotError
from enrich.source import SpoolSource
from enrich.statefile import UNWRITABLE
from shipper.wire.frame import Frame
from shipper.wire.position import Position
from shipper.wire.reader import Gap, Reader
from shipper.wire.segment import Stream

_log = structlog.get_logger()
_ROOM = "see that the data folder has room, and that nobody else locks its files; `cgtrail check` tells"

POLL_SECONDS = 0.025
RETRY_SECONDS = 1.0
IDLE_COMMIT_SECONDS = 1.0
"""A position that only passed frames without documents is committed at most so often."""
SNAPSHOT_SECONDS = 60.0
BATCH, BATCH_BYTES = 2000, 4 << 20
"""Documents in one write, and bytes of the frames that they come from, at the most about this many."""


@dataclass
class Worker:
    """Turns one spool into documents until `stop` is set."""

    source: SpoolSource
    sink: Sink
    checkpoints: Checkpoints
    letters: DeadLetters
    mark: Mark
    stop: threading.Event
    forks: bool = False
    snapshot_seconds: float = SNAPSHOT_SECONDS
    secrets: Rules | None = None
    """What is masked in documents; None: what the built-in rules find."""
    output: str = "none"
    """What is kept of what commands show (`enrich.commands.output.KEPT`)."""
    counts: Counter[str] = field(default_factory=Counter)
    """frames, records, documents by outcome, letters, troubles: what was done since the start."""
    enricher: Enricher | None = None
    """What is known of the stream being read."""
    committed: float = 0.0
    snapshotted: float = 0.0
    """Of time.monotonic."""
    snapshot_bytes: int = 0
    snapshot_took: float = 0.0
    """Seconds."""

    def run(self, *, follow: bool = True) -> None:
        """Work until stopped; with follow=False, until everything that can be read now is stored."""
        self._reader: Reader | None = None
        self._batch = Output()
        self._needs = self._bytes = 0
        self.snapshotted = time.monotonic()
        while True:
            self._round()
            if self.stop.is_set() or not follow:
                break
            self.stop.wait(POLL_SECONDS)
        if self._reader is not None and self._flush(always=True):
            self._snapshot()

    def _round(self) -> None:
        """Take what can be read now, stream by stream."""
        while not self.stop.is_set():
            if self._reader is None and not self._open():
                return
            assert self._reader is not None
            assert self.enricher is not None
            ended = self.source.ended(self._reader.stream)  # asked first: what it wrote last is read below
            for piece in self._reader.read():
                end = piece.end if isinstance(piece, Gap) else piece.number + 1
                self._keep(self.enricher.take(piece, quiet=end <= self._start), wanted=end > self._start)
                self._bytes += len(piece.payload) if isinstance(piece, Frame) else 0
                if len(self._batch.documents) >= BATCH or self._bytes >= BATCH_BYTES:
                    self._flush()
                if self.stop.is_set():
                    return
            self._flush()
            if not ended:
                return
            self._finish()

    def _open(self) -> bool:
        """Begin with the next stream where its newest snapshot ends; False when there is none."""
        stream = self.source.following(None)
        if stream is None:
            return False
        position = self.source.position(stream)
        self._start, self._needs = position.next, position.needs
        self.mark.begin(stream.id.hex())
        oldest = min((segment.first for segment in stream.segments()), default=0)
        self.enricher = self._restored(stream, position.next, oldest)
        begin = self.enricher.number or min(oldest, position.next)  # what was stored and removed is no gap
        self._reader = Reader(stream, begin)
        if position.next > begin:
            _log.info("taking frames again that were stored before", first=begin, up_to=position.next)
        return True

    def _restored(self, stream: Stream, position: int, oldest: int) -> Enricher:
        fresh = self._fresh(stream)
        for snapshot in self.checkpoints.load(stream.id.hex(), fresh.schema, position):
            if snapshot.position < min(oldest, position):
                _log.info("a snapshot is left alone: the frames behind it are gone", position=snapshot.position)
                continue
            try:
                fresh.restore(snapshot.body)
            except SnapshotError as error:
                _log.warning(
                    "a snapshot is left alone", position=snapshot.position, error=str(error), next="an older one serves"
                )
                fresh = self._fresh(stream)
            else:
                return fresh
        return fresh

    def _fresh(self, stream: Stream) -> Enricher:
        return Enricher(
            stream.id,
            opened=stream.opened,
            forks=self.forks,
            output=self.output,
            secrets=self.secrets,
            watch=self.mark,
            counts=self.counts,
        )

    def _keep(self, output: Output, *, wanted: bool) -> None:
        self.mark.rest()
        if wanted:
            self._batch.documents += output.documents
            self._batch.letters += output.letters

    def _finish(self) -> None:
        """The stream has ended: what still waited leaves, and the next one is begun."""
        reader = self._reader
        assert reader is not None
        assert self.enricher is not None
        self._keep(self.enricher.finish(), wanted=True)
        if self._flush(always=True):
            done = Position(reader.number + 1, reader.number + 1)
            if self._durably(lambda: self.source.commit(reader.stream, done)):
                self._reader = None

    def _flush(self, *, always: bool = False) -> bool:
        """Store what came, then commit; False when a stop came first, or there was nothing that could not wait."""
        assert self._reader is not None
        assert self.enricher is not None
        self._bytes = 0
        waits = time.monotonic() - self.committed < IDLE_COMMIT_SECONDS
        if waits and not always and not self._batch.documents and not self._batch.letters:
            return False
        self._write()
        if self._batch.documents:
            return False
        letters = self._batch.letters
        if letters and not self._durably(lambda: self.letters.add(letters)):
            return False
        self._batch.letters = []
        self.counts["letters"] += len(letters)
        if not self._durably(self._commit):
            return False
        if time.monotonic() - self.snapshotted >= self.snapshot_seconds:
            self._snapshot()
        return True

    def _write(self) -> None:
        """Write until the sink has answered for every document; what is left when a stop came stays in the batch."""
        while self._batch.documents:
            documents, self._batch.documents = self._batch.documents, []
            reason = ""
            for document, outcome in zip(documents, self.sink.write(documents), strict=True):
                self.counts[outcome.status.value] += 1
                if outcome.status is Status.RETRY:
                    self._batch.documents.append(document)
                    reason = outcome.reason
                elif outcome.status is Status.REJECTED:
                    self._batch.letters.append(self._rejected(document, outcome.reason))
            if reason:
                _log.warning("the store can't take documents now; trying again",
                             documents=len(self._batch.documents), reason=reason, next=_ROOM)  # fmt: skip
                if self.stop.wait(RETRY_SECONDS):
                    return

    def _rejected(self, document: Document, reason: str) -> Letter:
        _log.error("document rejected; it is among the dead letters", id=document.id, reason=reason,
                   next="`cgtrail deadletters show`, then replay")  # fmt: skip
        return rejected(document, reason)

    def _commit(self) -> None:
        assert self._reader is not None
        assert self.enricher is not None
        place = Position(max(self._start, self.enricher.number), self._needs)
        self.source.commit(self._reader.stream, place)
        self.committed = time.monotonic()

    def _snapshot(self) -> None:
        """Keep what is known now; everything before it is committed."""
        assert self.enricher is not None
        began = self.snapshotted = time.monotonic()
        body = self.enricher.save()
        try:
            self._needs = self.checkpoints.store(
                self.enricher.stream, self.enricher.schema, Snapshot(self.enricher.number, body)
            )
            self._commit()
        except UNWRITABLE as error:
            _log.warning("no snapshot could be kept; a restart will take longer", error=str(error), next=_ROOM)
        else:
            self.counts["snapshots"] += 1
        self.snapshot_bytes, self.snapshot_took = len(body), time.monotonic() - began

    def _durably(self, write: Callable[[], object]) -> bool:
        """Write to the worker's own files until it is done; False when a stop came first."""
        while True:
            try:
                write()
            except UNWRITABLE as error:
                _log.warning("the worker's own files can't be written; trying again", error=str(error), next=_ROOM)
                if self.stop.wait(RETRY_SECONDS):
                    return False
            else:
                return True

    def facts(self) -> dict[str, Any]:
        """How it goes, for people and metrics; may be asked from another thread."""
        enricher = self.enricher
        ledger = enricher.ledger if enricher else None
        return {
            "counts": dict(self.counts),
            "stream": enricher.stream if enricher else None,
            "frame": enricher.number if enricher else 0,
            "frame_time": enricher.time if enricher else 0,
            "backlog_frames": self.source.backlog(),
            "snapshot_bytes": self.snapshot_bytes,
            "snapshot_seconds": self.snapshot_took,
            "snapshot_age_seconds": time.monotonic() - self.snapshotted,
            "letters_dropped": self.letters.dropped,
            "accounts": ledger.balances() if ledger else {},
        }
