"""The worker: read pieces → steps → sink → letters → commit → now and then a snapshot.

The promise, whoever is killed when, for each partition of a source (`enrich.sources`):

* Documents are a function of what stands in the partition: the same pieces make the same documents with the same ids.
* `commit` says C: everything that pieces before C released is durable in the sink, and what could not become a document
  is durable among the dead letters. Nothing is committed before.
* A snapshot says what was known at S, of all streams of the partition. It is stored once S is durably committed, so
  S ≤ C, and it is a shortcut only: without one that fits, the partition is read again from its oldest piece.
* After a restart, or when another worker goes on, pieces from S to C are taken without output; what was sent and not
  committed is sent again with the same ids, and the sink drops it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import structlog

from enrich.checkpoint import Checkpoints, Snapshot
from enrich.delivery import Delivery
from enrich.enricher import Enricher
from enrich.letters import Letters
from enrich.mark import Mark
from enrich.partition import Partition
from enrich.secrets.rules import Rules
from enrich.sinks import Sink
from enrich.snapshot import SnapshotError
from enrich.sources import Refused, Source, SourceError, Taken
from enrich.statefile import UNWRITABLE

_log = structlog.get_logger()
_ROOM = "see that the data folder has room, and that nobody else locks its files; `cgtrail check` tells"

_AGAIN = "none, if it passes; else `cgtrail check` tells what is wrong with Kafka"

POLL_SECONDS = 0.025
RETRY_SECONDS = 1.0
IDLE_COMMIT_SECONDS = 1.0
"""A place that only passed pieces without documents is committed at most so often."""
SNAPSHOT_SECONDS = 60.0
BATCH = 2000
"""Documents in one write."""
PATIENCE_SECONDS = 0.2
"""A write that takes longer is waited for by the source, which stays a member meanwhile."""
LEAVE_SECONDS = 5.0
"""A write that takes longer is given up when a partition leaves: the next owner makes its documents again."""


@dataclass
class Worker:
    """Turns what a source holds into documents until `stop` is set. It is the source's Taker."""

    source: Source
    sink: Sink
    checkpoints: Checkpoints
    letters: Letters
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
    partitions: dict[str, Partition] = field(default_factory=dict)
    """Those that are ours, by name."""
    committed: float = 0.0
    """Of time.monotonic."""
    snapshot_bytes: int = 0
    snapshot_took: float = 0.0
    """Seconds."""

    def __post_init__(self) -> None:
        """Nothing is read yet."""
        self._delivery = Delivery(self.sink, self.counts)
        self._unwritable = ""
        """Why nothing can be noted down; empty when it can."""
        self.turned = time.monotonic()
        """When the main loop turned last."""
        self._over: set[str] = set()
        """Partitions that have ended: committed once, and forgotten."""
        self._schema = self._fresh(bytes(16), 0).schema

    def run(self, *, follow: bool = True) -> None:
        """Work until stopped; with follow=False, until everything that can be read now is stored."""
        while self._round(POLL_SECONDS if follow else 0) or follow:
            if self.stop.is_set():
                break
        self._settle(self.partitions)
        self._delivery.close()

    def _round(self, seconds: float = 0) -> bool:
        """Read what there is, and store what came of it; False when there was nothing."""
        self.turned = time.monotonic()
        took = self.source.read(self, seconds)
        self._store()
        return took

    def begin(self, partition: str, committed: int, oldest: int) -> int:
        """A partition is ours: go on where its newest snapshot ends. One that is ours already was cut by its log."""
        self.turned = time.monotonic()  # of a hundred partitions each may take its time
        if known := self.partitions.get(partition):
            known.rewind(committed, oldest)
            return known.place
        begun = self.partitions[partition] = self._restored(partition, committed, oldest)
        if begun.place < committed:
            _log.info("taking pieces again that were stored before", partition=partition, first=begun.place,
                      up_to=committed)  # fmt: skip
        begun.expire(oldest)
        return begun.place

    def take(self, partition: str, taken: Taken | Refused) -> None:
        """The next piece of a partition."""
        self.partitions[partition].take(taken)
        self.mark.rest()

    def end(self, partition: str) -> None:
        """A partition has ended for ever: what still waits leaves, and it is forgotten once all is stored."""
        self.partitions[partition].end()
        self.mark.rest()
        self._over.add(partition)

    def expire(self, partition: str, oldest: int) -> None:
        """What stood before this place is gone."""
        self.partitions[partition].expire(oldest)

    def leave(self, partitions: Collection[str], *, lost: bool = False) -> None:
        """Partitions go to another worker. What one try does not store, their next owner makes again."""
        if not lost:
            self._settle(partitions)
        for name in partitions:
            self.partitions.pop(name, None)
            self._over.discard(name)

    def _restored(self, name: str, committed: int, oldest: int) -> Partition:
        for snapshot in self.checkpoints.load(name, self._schema, committed):
            if snapshot.position < min(oldest, committed):
                _log.info("a snapshot is left alone: what lies behind it is gone", position=snapshot.position)
                continue
            partition = Partition(name, committed, oldest, self._fresh, self.counts)
            try:
                partition.restore(snapshot.position, snapshot.body)
            except SnapshotError as error:
                _log.warning("a snapshot is left alone", position=snapshot.position, error=str(error),
                             next="an older one serves")  # fmt: skip
            else:
                return partition
        return Partition(name, committed, oldest, self._fresh, self.counts)

    def _fresh(self, stream: bytes, opened: int) -> Enricher:
        return Enricher(
            stream,
            opened=opened,
            forks=self.forks,
            output=self.output,
            secrets=self.secrets,
            watch=self.mark.watch(stream.hex()),
            counts=self.counts,
        )

    # Sink → letters → commit → snapshot

    def _store(self, *, always: bool = False, once: bool = False) -> None:
        """Store what came, then commit. `once`: what can't be stored at the first try stays, as it does at a stop."""
        waits = time.monotonic() - self.committed < IDLE_COMMIT_SECONDS
        if waits and not always and not self._over and not any(each.made for each in self.partitions.values()):
            return
        if not self._write(once=once) or not self._durably(self._add_letters, once=once):
            return
        going = [each for name, each in self.partitions.items() if name not in self._over]
        due = [each for each in going if each.changed and each.age >= self.snapshot_seconds]
        if not self._durably(lambda: self._commit(surely=always or bool(due)), once=once):
            return
        if due and not always:
            self._snapshot(max(due, key=lambda each: each.age))  # the others' turn comes with the next pieces

    def _settle(self, partitions: Collection[str]) -> None:
        """Store all there is by one try, and keep what is known of those whose documents are all stored."""
        self._store(always=True, once=True)
        for partition in [self.partitions[name] for name in partitions if name in self.partitions]:
            stored = not partition.made and not self._delivery.holds(partition)
            if partition.changed and stored and partition.place <= partition.committed:
                self._snapshot(partition)

    def _write(self, *, once: bool) -> bool:
        """Write until the sink has answered for every document; False when some are left, as a stop came first."""
        while self._delivery.flies or self._delivery.start(self.partitions.values(), BATCH):
            if not self._answered(once=once):
                return False
            if reason := self._delivery.refused:
                _log.warning("the store can't take documents now; trying again",
                             documents=sum(len(each.made.documents) for each in self.partitions.values()),
                             reason=reason, next=_ROOM)  # fmt: skip
                if once or self._stopped_in(RETRY_SECONDS):
                    return False
        return True

    def _answered(self, *, once: bool) -> bool:
        """Wait for the sink's answers; False when a stop came and they don't."""
        until = time.monotonic() + LEAVE_SECONDS
        while not self._delivery.arrives(PATIENCE_SECONDS):
            if not once and not self.stop.is_set():
                self.turned = time.monotonic()
                self.source.wait(self, POLL_SECONDS)
                until = time.monotonic() + LEAVE_SECONDS
            elif time.monotonic() > until:
                return False
        return True

    def _add_letters(self) -> None:
        letters = [letter for each in self.partitions.values() for letter in each.made.letters]
        if letters:
            self.letters.add(letters)
            self.counts["letters"] += len(letters)
            for partition in self.partitions.values():
                partition.made.letters.clear()

    def _commit(self, *, surely: bool) -> None:
        """All that came is stored. What has ended is forgotten."""
        places = {name: max(each.start, each.place) for name, each in self.partitions.items()}
        moved = {name: place for name, place in places.items() if place != self.partitions[name].committed}
        needs = {name: each.needs for name, each in self.partitions.items() if each.needs is not None}
        needs |= {name: places[name] for name in self._over}
        if moved:
            self.source.commit(moved, needs, surely=surely or bool(self._over))
        for name, place in moved.items():
            self.partitions[name].committed = place
        for name in self._over:
            del self.partitions[name]
        self._over.clear()
        self.committed = time.monotonic()

    def _snapshot(self, partition: Partition) -> None:
        """Keep what is known now; everything before it is committed."""
        began = partition.kept = time.monotonic()
        partition.kept_place = partition.place
        body = partition.save()
        try:
            partition.needs = self.checkpoints.store(partition.name, self._schema, Snapshot(partition.place, body))
            self.source.commit({partition.name: partition.committed}, {partition.name: partition.needs}, surely=False)
        except UNWRITABLE as error:
            _log.warning("no snapshot could be kept; a restart will take longer", error=str(error), next=_advice(error))
        else:
            self.counts["snapshots"] += 1
        self.snapshot_bytes, self.snapshot_took = len(body), time.monotonic() - began

    def _durably(self, write: Callable[[], object], *, once: bool) -> bool:
        """Try until it is done; False when a stop came first."""
        while True:
            try:
                write()
            except UNWRITABLE as error:
                self._unwritable = str(error)
                _log.warning("what is stored can't be noted down; trying again", error=str(error), next=_advice(error))
                if once or self._stopped_in(RETRY_SECONDS):
                    return False
            else:
                self._unwritable = ""
                return True

    def _stopped_in(self, seconds: float) -> bool:
        """Let time pass; whether a stop came."""
        self.turned = time.monotonic()
        self.source.wait(self, seconds)
        return self.stop.is_set()

    def facts(self) -> dict[str, Any]:
        """How it goes, for people and metrics; may be asked from another thread."""
        partitions = dict(self.partitions)
        told = {name: each.facts() for name, each in partitions.items()}
        streams = [(stream["frame_time"], name, stream["frame"]) for each in told.values()
                   for name, stream in each["streams"].items()]  # fmt: skip
        time_, stream, frame = max(streams, default=(0, None, 0))
        return {
            "counts": dict(self.counts),
            "turned": self.turned,
            "store_error": self._delivery.trouble or self._unwritable or None,
            "stream": stream,
            "frame": frame,
            "frame_time": time_,
            "partitions": told,
            "snapshot_bytes": self.snapshot_bytes,
            "snapshot_seconds": self.snapshot_took,
            "snapshot_age_seconds": max((each.age for each in partitions.values()), default=0.0),
            "letters_dropped": self.letters.dropped,
            "accounts": {name: own for each in partitions.values() for name, own in each.accounts().items()},
            "backlog_frames": self.source.backlog(),
        } | self.source.facts()


def _advice(error: Exception) -> str:
    return _AGAIN if isinstance(error, SourceError) else _ROOM
