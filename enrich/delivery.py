"""Documents on their way to a sink: one write at a time, in a thread of its own, and whose each of them is."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Collection
from dataclasses import dataclass, field

import structlog

from enrich import losses
from enrich.document import Document
from enrich.letters import Letter, rejected
from enrich.partition import Partition
from enrich.sinks import Sink, Status
from enrich.writer import Answer, Writer, answered

_log = structlog.get_logger()

BATCH = 2000
"""Documents in one write."""
SLOW_SECONDS = 30.0
"""A sink that has not answered for so long does not take the write."""


@dataclass(slots=True)
class _Way:
    """How far the documents of a partition are. They are numbered as they are made, from 0."""

    sent: int = 0
    """So many were taken out of the partition."""
    stored: int = 0
    """So many, the first ones, have an end."""
    new: int = 0
    """So many in a row the sink did not have."""
    place: int = 0
    """All that stands before it has an end."""
    marks: deque[tuple[int, int]] = field(default_factory=deque)
    """(documents, place): once so many have an end, all that stands before the place has."""


class Delivery:
    """Takes documents out of partitions and writes them until the sink has taken all; then come the next ones.

    Which are sent as `Document.again`: those that an earlier owner of the partition may have stored. Everybody makes
    the same documents in the same order, and sends no other one before all of a write, BATCH at the most, are stored.
    So, of what was ever sent, BATCH at the most are not stored, wherever they are; and once more than BATCH were new to
    the sink, one of them lies behind everything that was sent, and so does all that follows. One that is no news begins
    the count again: somebody else writes too. So does a partition that comes, as its owners between may have died, and
    a log that lost its end. Two may be taken for new that are not: one that was rejected then and is taken now counts
    among the BATCH, and somebody whose partition was taken away may have one write on its way still.
    """

    def __init__(self, sink: Sink, counts: Counter[str]) -> None:
        self._writer, self._counts = Writer(sink), counts
        self._answer: Answer | None = None
        self._flight: list[tuple[Partition, list[Document]]] = []
        """What is being written, or is to be written again before anything else."""
        self._ways: dict[Partition, _Way] = {}
        self.refused = ""
        """Why the sink takes some documents of the last write later; empty where it answered for all."""
        self._began = 0.0
        """When the write that goes on was begun."""
        self._seconds = 0.0

    def close(self) -> None:
        """Nothing is written after."""
        self._writer.close()

    # Partitions

    def begin(self, partition: Partition) -> None:
        """A partition is ours; one that was ours already counts its places anew."""
        way = self._ways.setdefault(partition, _Way())
        way.new, way.place = 0, partition.committed
        way.marks.clear()

    def forget(self, partition: Partition) -> None:
        """A partition is not ours any more."""
        self._ways.pop(partition, None)

    def mark(self, partition: Partition) -> None:
        """A piece is about to be taken: what was made so far is of what stands before it."""
        way, place = self._ways[partition], partition.place
        made = way.sent + len(partition.made.documents)
        if way.marks and way.marks[-1][0] == made:
            way.marks.pop()
        way.marks.append((made, place))

    def stored(self, partition: Partition) -> int:
        """The place before which all documents have an end."""
        way = self._ways[partition]
        if self.clear(partition):
            way.marks.clear()
            way.place = partition.place
        while way.marks and way.marks[0][0] <= way.stored:
            _, way.place = way.marks.popleft()
        return way.place

    def clear(self, partition: Partition) -> bool:
        """Whether no document of a partition waits or is being written."""
        return not partition.made.documents and not any(own is partition for own, _ in self._flight)

    # Writes

    @property
    def flies(self) -> bool:
        """Whether something is being written."""
        return self._answer is not None

    @property
    def full(self) -> bool:
        """Whether a whole write waits beside the one that goes on."""
        return self.waiting >= BATCH

    @property
    def waiting(self) -> int:
        """Documents that were made and are not being written."""
        left = 0 if self.flies else sum(len(documents) for _, documents in self._flight)
        return left + sum(len(each.made.documents) for each in self._ways)

    @property
    def seconds(self) -> float:
        """How long writes have taken, all together."""
        return self._seconds + (time.monotonic() - self._began if self.flies else 0.0)

    @property
    def trouble(self) -> str:
        """Why documents are not stored; empty when they are."""
        waited = time.monotonic() - self._began if self.flies else 0.0
        return self.refused or (f"a write goes on for {waited:.0f} s" if waited > SLOW_SECONDS else "")

    def start(self, partitions: Collection[Partition]) -> bool:
        """Have something written, unless a write goes on: what came first. False when there is nothing to write."""
        if self.flies:
            return True
        self._flight = [(own, documents) for own, documents in self._flight if own in self._ways]
        if not self._flight:
            self._choose(partitions)
        if self._flight:
            self._began = time.monotonic()
            self._answer = self._writer.write([document for _, chosen in self._flight for document in chosen])
        else:
            self.refused = ""  # what it did not take went with its partition
        return self.flies

    def _choose(self, partitions: Collection[Partition]) -> None:
        room = BATCH
        for partition in partitions:
            documents, way = partition.made.documents, self._ways[partition]
            if chosen := documents[:room]:
                del documents[:room]
                self._flight.append((partition, chosen))
                room -= len(chosen)
                way.sent += len(chosen)
                for document in chosen if way.new <= BATCH else ():
                    document.again = True

    def answers(self, seconds: float) -> bool:
        """Whether nothing is being written, or the answer to it is there, after so long at the most."""
        return self._answer is None or answered(self._answer, seconds)

    def arrives(self, seconds: float) -> bool:
        """Take the sink's answer: each document has the end that it got. False when none comes within so long.

        Raises what the sink raised.
        """
        if self._answer is None or not answered(self._answer, seconds):
            return self._answer is None
        answer, flight, self._answer, self._flight = self._answer, self._flight, None, []
        self._seconds += time.monotonic() - self._began
        self.refused = ""
        outcomes = iter(answer.result())
        for partition, documents in flight:
            way, again = self._ways.get(partition, _Way()), []
            for document, outcome in zip(documents, outcomes, strict=False):  # the next partition's answers follow
                self._counts[outcome.status.value] += 1
                if document.kind == "loss" and outcome.status is Status.OK:
                    self._counts[losses.counter(document.source)] += 1
                match outcome.status:
                    case Status.OK:
                        way.new += not outcome.reason  # what is left out is no news
                    case Status.DUPLICATE:
                        way.new = 0
                    case Status.RETRY:
                        again.append(document)
                        self.refused = outcome.reason
                    case Status.REJECTED:
                        partition.made.letters.append(_rejected(document, outcome.reason))
            if again:
                self._flight.append((partition, again))
            else:
                way.stored = way.sent
        return True


def _rejected(document: Document, reason: str) -> Letter:
    _log.error("document rejected; it is among the dead letters", id=document.id, reason=reason,
               next="`cgtrail deadletters show`, then replay")  # fmt: skip
    return rejected(document, reason)
