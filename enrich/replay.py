"""Documents of history again, beside a worker that lives: nothing of its position, state or lock is touched.

A replay begins at a keyframe, and what a keyframe tells is what ran when it was written. So documents have the ids that
they had before, and say the same, but for what the stream had told of a process before that keyframe: those are marked
`cgtrail.partial`.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from enrich.document import Document
from enrich.enricher import Enricher, Output
from enrich.letters import Letter
from enrich.secrets.rules import Rules
from enrich.sinks import Outcome, Sink, Status
from shipper.wire.frame import HEADER_SIZE, Frame, FrameError
from shipper.wire.reader import Damage, Gap, Reader
from shipper.wire.segment import Interval, Stream, newest, scan, streams

_log = structlog.get_logger()

SLACK_NS = 10_000_000_000
"""Documents leave within a second of stream time, and clocks that run apart are set; what is read beyond is cheap."""
RETRY_SECONDS = 1.0
TRIES = 10
"""So often in a row a store may take nothing at all."""
BATCH = 2000
_SHOWN = 5
"""Rejected documents that are logged; the others are counted."""

Piece = Frame | Damage | Gap
Place = tuple[str, int, int]
"""Stream in hexadecimal, frame and index of a record."""


class ReplayError(Exception):
    """There is nothing to replay from, or no store to replay into; the message says which and what to do."""


class PassOver:
    """A worker's watch that leaves records alone of which workers died."""

    def __init__(self, stream: bytes, deadly: Collection[Place]) -> None:
        self._places = {place[1:] for place in deadly if place[0] == stream.hex()}

    def begins(self, frame: int, index: int) -> bool:
        """Nothing outlives a replay; True where the record is to be left alone."""
        return (frame, index) in self._places


@dataclass(frozen=True, slots=True)
class Stretch:
    """The part of one stream that has to be read for a time."""

    stream: Stream
    first: int
    """Number of its first frame: a keyframe, or the oldest there is."""
    last: int
    """First frame of its last interval: behind it, a frame that is later than asked for ends it."""
    ended: bool
    """A later stream exists: nothing more will be written to this one."""
    size: int
    """Bytes from its first frame to the end of its last interval."""


@dataclass
class Replay:
    """Sends the documents of a time to a sink; `counts` tells what became of it."""

    sink: Sink
    stop: threading.Event
    forks: bool = False
    deadly: Collection[Place] = ()
    """Records to leave alone: workers died of them."""
    secrets: Rules | None = None
    """What is masked; None: what the built-in rules find."""
    output: str = "none"
    """What is kept of what commands show (`enrich.commands.output.KEPT`)."""
    counts: Counter[str] = field(default_factory=Counter)
    """documents, those that were new, rejected; letters: what makes no document, among the dead letters already."""

    def run(self, stretches: list[Stretch], since: int, until: int, progress: Callable[[int], object]) -> None:
        """Send what happened from `since` up to, and without, `until`, in ns since 1970; ends early when stopped.

        `progress` is told how many bytes were read since it was told last.
        """
        for stretch in stretches:
            batch: list[Document] = []
            for output in self._outputs(stretch, until, progress):
                self.counts["letters"] += sum(since <= letter.time < until for letter in output.letters)
                batch += [document for document in output.documents if since <= document.time < until]
                if len(batch) >= BATCH:
                    self._send(batch)
                    batch = []
                if self.stop.is_set():
                    return
            self._send(batch)

    def _outputs(self, stretch: Stretch, until: int, progress: Callable[[int], object]) -> Iterator[Output]:
        watch = PassOver(stretch.stream.id, self.deadly)
        enricher = Enricher(
            stretch.stream.id,
            opened=stretch.stream.opened,
            forks=self.forks,
            output=self.output,
            secrets=self.secrets,
            watch=watch,
        )
        for piece in Reader(stretch.stream, stretch.first).read():
            yield enricher.take(piece)
            if isinstance(piece, Frame):
                progress(HEADER_SIZE + len(piece.payload))
                waiting = enricher.waiting()
                done = piece.number >= stretch.last and piece.time > until + SLACK_NS
                if done and (waiting is None or waiting >= until):
                    return
        if stretch.ended:  # of one that is written, what still waits leaves when its container is told
            yield enricher.finish()

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

    Raises ReplayError when the sink takes none of them TRIES times in a row.
    """
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


def stretches(folder: Path, since: int, until: int) -> list[Stretch]:
    """What has to be read of a spool for the documents of a time, in ns since 1970. Raises ReplayError."""
    known = streams(folder)
    if not known:
        message = f"{folder}: there is no spool, so nothing can be replayed: name the data folder with --data"
        raise ReplayError(message)
    last = newest(known)
    found = (_stretch(stream, since, until, ended=stream != last) for stream in known)
    return [stretch for stretch in found if stretch]


def oldest(folder: Path) -> int:
    """When the oldest interval began whose time is known, in ns since 1970; 0 when none's is."""
    times = (interval.time for stream in streams(folder) for interval in stream.intervals())
    return next((time for time in times if time), 0)


def deadly(letters: Iterator[Letter]) -> set[Place]:
    """The records among dead letters that workers died of."""
    return {(letter.stream, letter.frame, letter.index) for letter in letters if letter.deadly}


def _stretch(stream: Stream, since: int, until: int, *, ended: bool) -> Stretch | None:
    """By intervals' times, of which a clock that was set back makes none be passed over."""
    intervals = stream.intervals()
    later = (i for i, interval in enumerate(intervals) if interval.time > since - SLACK_NS)
    begin = max(next(later, len(intervals)) - 1, 0)
    while begin and (not intervals[begin].time or not _readable(intervals[begin])):
        begin -= 1
    wanted = [i for i, interval in enumerate(intervals) if interval.time < until + SLACK_NS and i >= begin]
    if not wanted:
        return None
    chosen = intervals[begin : wanted[-1] + 1]
    return Stretch(stream, chosen[0].first, chosen[-1].first, ended, sum(interval.size for interval in chosen))


def _readable(interval: Interval) -> bool:
    """Whether the keyframe is whole as far as its first frame."""
    piece = next(scan(interval.segments[0].path, interval.stream.id), None)
    return piece is not None and not isinstance(piece.found, FrameError)
