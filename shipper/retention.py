"""What of the spool may go: whole intervals from keyframe to keyframe, oldest first, once their readers are done."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from shipper.wire.position import Position, position_file
from shipper.wire.segment import COMMITTED, Interval, Stream, streams

CROWDED = 0.7
"""Of the bound: beyond it, what has been read goes before its time."""
LONGEST_NS = 3600 * 1_000_000_000
"""No interval between two keyframes counts as longer: it would be the clock that was set, or the host that was off."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of the past a spool keeps."""

    max_bytes: int = 2 << 30
    max_age_ns: int = 24 * 3600 * 1_000_000_000
    readers: tuple[str, ...] = ()
    """Declared readers: what one of them has not read is kept whatever its age."""


@dataclass(frozen=True, slots=True)
class _Span:
    interval: Interval
    end: int
    """The first frame behind it."""
    age: int
    """Nanoseconds that were recorded since it ended, up to the newest keyframe."""


class Retention:
    """Removes what is old, or what crowds the spool, and has been read.

    Age is what was recorded since, by the intervals' own times: no clock that is set makes everything old at once.
    """

    def __init__(self, folder: Path, bounds: Bounds) -> None:
        self._folder, self.bounds = folder, bounds
        self.holding: list[str] = []
        """Readers that kept something from being removed, the last time."""

    def run(self, used: int) -> int:
        """Remove what may go; returns how many bytes. `used`: bytes in the spool. Raises OSError."""
        positions = {name: position_file(self._folder, name).load() for name in self.bounds.readers}
        freed, self.holding = 0, []
        for stream in streams(self._folder)[:-1]:
            if not stream.committed:  # an agent that ended before its first commit
                _remove_stream(stream)
        for span in _spans(self._folder):
            if span.age <= self.bounds.max_age_ns and used - freed <= CROWDED * self.bounds.max_bytes:
                break
            self.holding = [name for name, known in positions.items() if _wanted(known, span)]
            if self.holding:
                break
            freed += _remove(span.interval)
        return freed


def _wanted(known: dict[str, Position], span: _Span) -> bool:
    position = known.get(span.interval.stream.id.hex())
    return position is None or position.needs < span.end


def _spans(folder: Path) -> list[_Span]:
    """Every interval but the newest, which is being written; oldest first."""
    ends: list[tuple[Interval, int]] = []
    for stream in streams(folder):
        intervals = stream.intervals()
        ends += [(each, following.first) for each, following in pairwise(intervals)]
        ends += [(each, stream.committed) for each in intervals[-1:]]
    found, age = list[_Span](), 0
    for (newer, _), (each, end) in pairwise(reversed(ends)):
        found.append(_Span(each, end, age))
        age += min(max(newer.time - each.time, 0), LONGEST_NS)
    return found[::-1]


def _remove(interval: Interval) -> int:
    freed = interval.size
    for segment in interval.segments:
        with suppress(IsADirectoryError):  # somebody's folder in its place: passed over
            segment.path.unlink(missing_ok=True)
    _remove_stream(interval.stream)
    return freed


def _remove_stream(stream: Stream) -> None:
    """Nothing is left of it: its folder goes."""
    if not stream.segments():
        (stream.path / COMMITTED).unlink(missing_ok=True)
        try:
            stream.path.rmdir()
        except OSError:  # somebody keeps something in it
            return
