"""Documents of history again, beside a worker that lives: nothing of its position, state or lock is touched.

A replay begins at a keyframe, and what a keyframe tells is what ran when it was written. So documents have the ids that
they had before, and say the same, but for what the stream had told of a process before that keyframe: those are marked
`cgtrail.partial`.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import structlog

from enrich.again import Again, Making
from enrich.document import Document
from enrich.enricher import Output
from enrich.history import SLACK_NS, History, ReplayError, Stretch
from enrich.sinks import Outcome, Sink, Status
from enrich.sources import Taken
from shipper.wire.frame import HEADER_SIZE, Frame

_log = structlog.get_logger()

RETRY_SECONDS = 1.0
TRIES = 10
"""So often in a row a store may take nothing at all."""
BATCH = 2000
_SHOWN = 5
"""Rejected documents that are logged; the others are counted."""


@dataclass
class Replay:
    """Sends the documents of a time to a sink; `counts` tells what became of it."""

    history: History
    sink: Sink
    stop: threading.Event
    making: Making = field(default_factory=Making)
    counts: Counter[str] = field(default_factory=Counter)
    """documents, those that were new, rejected; letters: what makes no document, among the dead letters already."""

    def run(self, stretches: list[Stretch], since: int, until: int, progress: Callable[[int], object]) -> None:
        """Send what happened from `since` up to, and without, `until`, in ns since 1970; ends early when stopped.

        `progress` is told how many bytes were read since it was told last. Raises ReplayError and SourceError.
        """
        batch: list[Document] = []
        for output in self._outputs(stretches, until, progress):
            self.counts["letters"] += sum(since <= letter.time < until for letter in output.letters)
            batch += [document for document in output.documents if since <= document.time < until]
            if len(batch) >= BATCH:
                self._send(batch)
                batch = []
            if self.stop.is_set():
                return
        self._send(batch)

    def _outputs(self, stretches: list[Stretch], until: int, progress: Callable[[int], object]) -> Iterator[Output]:
        again = Again(stretches, self.making)
        of = {stretch.stream: stretch for stretch in stretches}
        for name, taken in self.history.read(stretches):
            yield again.take(name, taken)
            if isinstance(taken, Taken) and isinstance(taken.piece, Frame):
                frame, stretch = taken.piece, of[taken.stream]
                progress(HEADER_SIZE + len(frame.payload))
                enricher = again.enricher(stretch)
                waiting = enricher.waiting() if enricher else None
                late = frame.number >= stretch.last and frame.time > until + SLACK_NS
                stretch.over = late and (waiting is None or waiting >= until)

    def _send(self, documents: list[Document]) -> None:
        for document, outcome in zip(documents, send(self.sink, documents, self.stop), strict=True):
            if outcome.status is Status.RETRY:
                continue  # stopped
            self.counts["documents"] += 1
            self.counts["new"] += outcome.status is Status.OK
            if outcome.status is Status.REJECTED:
                self.counts["rejected"] += 1
                if self.counts["rejected"] <= _SHOWN:
                    _log.error("document rejected", id=document.id, reason=outcome.reason)


def send(sink: Sink, documents: list[Document], stop: threading.Event) -> list[Outcome]:
    """Write documents, again and again where the sink asks for it; RETRY is the answer only once stopped.

    Any of them may be stored already, however long ago, and is sent as such (`Document.again`).
    Raises ReplayError when the sink takes none of them TRIES times in a row.
    """
    for document in documents:
        document.again = True
    outcomes = list(sink.write(documents)) if documents else []
    refused, waiting = 0, len(outcomes)
    while not stop.is_set():
        again = [index for index, outcome in enumerate(outcomes) if outcome.status is Status.RETRY]
        if not again:
            break
        refused, waiting = refused + 1 if len(again) == waiting else 0, len(again)
        if refused == TRIES:
            message = (
                f"the store took nothing {TRIES} times in a row: {outcomes[again[0]].reason}: see to that, then run"
                " this again; what is stored already is only passed over"
            )
            raise ReplayError(message)
        _log.warning("the store can't take documents now; trying again",
                     documents=len(again), reason=outcomes[again[0]].reason)  # fmt: skip
        if not stop.wait(RETRY_SECONDS):
            for index, outcome in zip(again, sink.write([documents[index] for index in again]), strict=True):
                outcomes[index] = outcome
    return outcomes
