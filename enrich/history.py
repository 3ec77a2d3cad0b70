"""What is kept of the past, for who reads it again: which parts of which streams have to be read for a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from enrich.sources import Refused, Taken
from shipper.wire.frame import FrameError
from shipper.wire.message import End
from shipper.wire.reader import Reader
from shipper.wire.segment import Interval, Stream, newest, scan, streams

SLACK_NS = 10_000_000_000
"""Documents leave within a second of stream time, and clocks that run apart are set; what is read beyond is cheap."""


class ReplayError(Exception):
    """There is nothing to replay from, or no store to replay into; the message says which and what to do."""


@dataclass(slots=True)
class Stretch:
    """The part of one stream that has to be read for a time."""

    partition: str
    stream: bytes
    opened: int
    """When its stream was opened, in ns since 1970."""
    place: int
    """Of its first frame, which is a keyframe or the oldest that there is, in its partition."""
    last: int
    """Number of a frame behind which one that is later than asked for ends it."""
    size: int
    """Bytes of its frames, about."""
    over: bool = False
    """Nothing more of it is wanted: who reads says so."""


class History(Protocol):
    """The spool, or a topic."""

    name: str
    """For people: the spool."""

    def stretches(self, since: int, until: int) -> list[Stretch]:
        """What has to be read for the documents of a time, in ns since 1970. Raises ReplayError and SourceError."""
        ...

    def whole(self, origins: Mapping[str, str]) -> list[Stretch]:
        """All that there is of streams, by their ids in hexadecimal; those that are not held are left out.

        `origins` says of each where it was read, as far as a dead letter told. Raises SourceError.
        """
        ...

    def oldest(self) -> int:
        """How far it reaches back, as far as is known: ns since 1970, else 0. Raises SourceError."""
        ...

    def read(self, stretches: list[Stretch]) -> Iterator[tuple[str, Taken | Refused]]:
        """What stands in these stretches, each with its partition; in it in order, to where it ends now.

        Raises SourceError.
        """
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class SpoolHistory:
    """The spool of a data folder. Each stream is a partition, its places are numbers of frames."""

    name = "the spool"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def close(self) -> None:
        """Nothing is held."""

    def stretches(self, since: int, until: int) -> list[Stretch]:
        """As History says. Raises ReplayError where there is no spool."""
        known = streams(self._folder)
        if not known:
            message = f"{self._folder}: there is no spool, so nothing can be replayed: name the data folder with --data"
            raise ReplayError(message)
        found = (_stretch(stream, since, until) for stream in known)
        return [stretch for stretch in found if stretch]

    def whole(self, origins: Mapping[str, str]) -> list[Stretch]:
        """As History says; a stream's id says where it is."""
        known = (stream for stream in streams(self._folder) if stream.id.hex() in origins)
        return [_of(stream, stream.segments()[0].first if stream.segments() else 0) for stream in known]

    def oldest(self) -> int:
        """When the oldest interval began whose time is known."""
        times = (interval.time for stream in streams(self._folder) for interval in stream.intervals())
        return next((time for time in times if time), 0)

    def read(self, stretches: list[Stretch]) -> Iterator[tuple[str, Taken]]:
        """As History says: one stream after the other, and the end of each that has ended."""
        known = streams(self._folder)
        last = newest(known) if known else None
        for stretch in stretches:
            for stream in known:
                if stream.id == stretch.stream:
                    yield from _read(stream, stretch, ended=stream != last)


def _read(stream: Stream, stretch: Stretch, *, ended: bool) -> Iterator[tuple[str, Taken]]:
    reader, begin = Reader(stream, stretch.place), stretch.place
    for piece in reader.read():
        if stretch.over:
            return
        yield stretch.partition, Taken(begin, reader.number, stream.id, piece, opened=stream.opened)
        begin = reader.number
    if ended and not stretch.over:  # of one that is written, what still waits leaves when its container is told
        yield stretch.partition, Taken(begin, begin + 1, stream.id, End(reader.number), opened=stream.opened)


def _stretch(stream: Stream, since: int, until: int) -> Stretch | None:
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
    return _of(stream, chosen[0].first, chosen[-1].first, sum(interval.size for interval in chosen))


def _of(stream: Stream, first: int, last: int = 0, size: int = 0) -> Stretch:
    return Stretch(stream.id.hex(), stream.id, stream.opened, first, last, size)


def _readable(interval: Interval) -> bool:
    """Whether the keyframe is whole as far as its first frame."""
    piece = next(scan(interval.segments[0].path, interval.stream.id), None)
    return piece is not None and not isinstance(piece.found, FrameError)
