"""The worker: read pieces → steps → sink → letters → commit → now and then a snapshot.

The promise, whoever is killed when, for each partition of a source (`enrich.sources`):

* Documents are a function of what stands in the partition: the same pieces make the same documents with the same ids.
* `commit` says C: everything that pieces before C released is durable in the sink, and what could not become a document
  is durable among the dead letters. Nothing is committed before.
  While the sink writes (`ahead`), more is taken: then C lies behind what was taken, where the last write was begun.
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

from enrich.checkpoint import Checkpoints
from enrich.delivery import Delivery
from enrich.enricher import Enricher
from enrich.letters import Letters
from enrich.mark import Mark
from enrich.partition import Partition
from enrich.progress import Progress
from enrich.secrets.rules import Rules
from enrich.sinks import Sink
from enrich.snapshot import SnapshotError
from enrich.sources import Refused, Source, Taken

_log = structlog.get_logger()
_ROOM = "do what the reason asks for; see that the store is reached and has room: `cgtrail check` tells"

POLL_SECONDS = 0.025
RETRY_SECONDS = 1.0
IDLE_COMMIT_SECONDS = 1.0
"""A place that only passed pieces without documents is committed at most so often."""
SNAPSHOT_SECONDS = 60.0
PATIENCE_SECONDS = 0.2
"""A write that takes longer is waited for by the source, which stays a member meanwhile."""
TELL_SECONDS = 60.0
"""What a sink refuses all the time is said so often."""
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
    ahead: bool = False
    """Take pieces while the sink writes: where it waits for others. One that computes only has less of the CPU then."""
    counts: Counter[str] = field(default_factory=Counter)
    """frames, records, documents by outcome, letters, troubles: what was done since the start."""
    partitions: dict[str, Partition] = field(default_factory=dict)
    """Those that are ours, by name."""

    def __post_init__(self) -> None:
        """Nothing is read yet."""
        self._delivery = Delivery(self.sink, self.counts)
        self.turned = time.monotonic()
        """When the main loop turned last."""
        self._over: set[str] = set()
        """Partitions that have ended: committed once, and forgotten."""
        self._schema = self._fresh(bytes(16), 0).schema
        self._progress = Progress(self.source, self.checkpoints, self.letters, self.counts, self._schema)
        self._told = -TELL_SECONDS
        """When it was said why the sink does not take documents."""
        self._waited = 0.0
        """Seconds in which nothing was taken, as the sink had not answered."""

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
        took = self.source.read(self, 0 if self._delivery.flies else seconds)
        if not took and self._delivery.flies:
            self._delivery.answers(seconds)
        self._store(every=not took and not seconds)
        return took

    def begin(self, partition: str, committed: int, oldest: int) -> int:
        """A partition is ours: go on where its newest snapshot ends. One that is ours already was cut by its log."""
        self.turned = time.monotonic()  # of a hundred partitions each may take its time
        if known := self.partitions.get(partition):
            known.rewind(committed, oldest)
            self._delivery.begin(known)
            return known.place
        begun = self.partitions[partition] = self._restored(partition, committed, oldest)
        self._delivery.begin(begun)
        if begun.place < committed:
            _log.info("taking pieces again that were stored before", partition=partition, first=begun.place,
                      up_to=committed)  # fmt: skip
        begun.expire(oldest)
        return begun.place

    def take(self, partition: str, taken: Taken | Refused) -> None:
        """The next piece of a partition."""
        known = self.partitions[partition]
        self._delivery.mark(known)
        known.take(taken)
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
            self._forget(name)

    def _forget(self, name: str) -> None:
        if (gone := self.partitions.pop(name, None)) is not None:
            self._delivery.forget(gone)
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

    def _store(self, *, every: bool = False, always: bool = False, once: bool = False) -> None:
        """Have written what came, and note down what is stored: of `every` document, or while more is taken.

        `always`, also where nothing came. `once`: what can't be stored at the first try stays, as it does at a stop.
        """
        due = self._due()
        every = every or always or bool(self._over or due) or not self.ahead
        works = always or self._over or self._delivery.flies or any(each.made for each in self.partitions.values())
        if not works and time.monotonic() - self._progress.committed < IDLE_COMMIT_SECONDS:
            return
        if not self._write(every=every, once=once) or not self._note(surely=always or bool(due), once=once):
            return
        if due and not always:
            self._snapshot([max(due, key=lambda each: each.age)])  # the others' turn comes with the next pieces

    def _due(self) -> list[Partition]:
        """Those that a snapshot is to be made of."""
        going = [each for name, each in self.partitions.items() if name not in self._over]
        return [each for each in going if each.changed and each.age >= self.snapshot_seconds]

    def _settle(self, partitions: Collection[str]) -> None:
        """Store all there is by one try, and keep what is known of those whose documents are all stored."""
        self._store(always=True, once=True)
        self._snapshot([self.partitions[name] for name in partitions if name in self.partitions])

    def _snapshot(self, partitions: Collection[Partition]) -> None:
        """Of those that are all stored and committed."""
        for each in partitions:
            stored = not each.made and self._delivery.clear(each) and each.place <= each.committed
            if each.changed and stored and self.partitions.get(each.name) is each:
                self._progress.snapshot(each)

    def _write(self, *, every: bool, once: bool) -> bool:
        """Write until all is stored, or only until more can be taken meanwhile; False when a stop came first."""
        while self._delivery.start(self.partitions.values()):
            if not every and not self._delivery.full and not self._delivery.answers(0):
                break
            if not self._answered(once=once):
                return False
            self._tell(self._delivery.refused)
            if self._delivery.refused and (once or self._waits()):
                return False
        return True

    def _tell(self, reason: str) -> None:
        """Say why the sink takes documents later, now and then; empty: it takes them."""
        self._told = self._told if reason else -TELL_SECONDS
        if reason and time.monotonic() - self._told >= TELL_SECONDS:
            self._told = time.monotonic()
            _log.warning("the store can't take documents now; trying again", documents=self._delivery.waiting,
                         reason=reason, next=_ROOM)  # fmt: skip

    def _waits(self) -> bool:
        """Leave the sink alone for a moment; whether a stop came."""
        began = time.monotonic()
        stopped = self._stopped_in(RETRY_SECONDS)
        self._waited += time.monotonic() - began
        return stopped

    def _answered(self, *, once: bool) -> bool:
        """Wait for the sink's answers; False when a stop came and they don't."""
        began = time.monotonic()
        until = began + LEAVE_SECONDS
        while not self._delivery.arrives(PATIENCE_SECONDS):
            if not once and not self.stop.is_set():
                self.turned = time.monotonic()
                self.source.wait(self, POLL_SECONDS)
                until = time.monotonic() + LEAVE_SECONDS
            elif time.monotonic() > until:
                return False
        self._waited += time.monotonic() - began
        return True

    def _note(self, *, surely: bool, once: bool) -> bool:
        """Note down what is stored, and forget what has ended; False when a stop came before it could be done."""
        while True:
            partitions = self.partitions
            places = {name: max(each.start, self._delivery.stored(each)) for name, each in partitions.items()}
            needs = {name: places[name] for name in self._over}
            if self._progress.note(partitions.values(), places, needs, surely=surely or bool(self._over)):
                for name in list(self._over):
                    self._forget(name)
                return True
            if once or self._stopped_in(RETRY_SECONDS):
                return False

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
            "store_error": self._delivery.trouble or self._progress.unwritable or None,
            "stream": stream,
            "frame": frame,
            "frame_time": time_,
            "partitions": told,
            "sink": self._sink_facts(),
            "write_seconds": self._delivery.seconds,
            "waited_seconds": self._waited,
            "snapshot_bytes": self._progress.snapshot_bytes,
            "snapshot_seconds": self._progress.snapshot_took,
            "snapshot_age_seconds": max((each.age for each in partitions.values()), default=0.0),
            "letters_dropped": self.letters.dropped,
            "accounts": {name: own for each in partitions.values() for name, own in each.accounts().items()},
            "backlog_frames": self.source.backlog(),
        } | self.source.facts()

    def _sink_facts(self) -> dict[str, Any]:
        tells: Callable[[], dict[str, Any]] | None = getattr(self.sink, "facts", None)
        return tells() if tells else {}
