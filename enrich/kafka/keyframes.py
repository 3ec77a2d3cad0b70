"""Where in a topic the streams begin that have to be read for a time: at keyframes, by the hosts' own clocks."""

from __future__ import annotations

from dataclasses import dataclass, field

from enrich.history import SLACK_NS
from enrich.refusals import untimely
from enrich.sources import Taken
from shipper.wire.frame import HEADER_SIZE, KEYFRAME, Frame


@dataclass(slots=True)
class Seen:
    """What is known of a stream from some place in its partition on."""

    partition: int
    opened: int
    place: int
    """Of its first piece."""
    first: int
    """That piece's number."""
    final: int = 0
    """The place behind its last piece."""
    begin: int | None = None
    """Place of the last keyframe before the first that is too late to begin with."""
    late: bool = False
    """There is one that is too late."""
    newest: int = -1
    last: int = -1
    """Number of the last frame that is not later than asked for."""
    wanted: bool = False
    """Some of its frames are of the time that is asked for."""
    ahead: bool = False
    """Its first frame is not early enough to tell that nothing before it is wanted."""
    size: int = 0
    """Bytes of frames that are not later than asked for, from `begin` on, or from the first."""

    @property
    def headless(self) -> bool:
        """Whether what is needed to begin with it lies further back, or may do so."""
        return self.begin is None and self.first > 0 and (self.wanted or self.ahead)

    def before(self, earlier: Seen) -> None:
        """What stands of the same stream before that place."""
        if earlier.late or self.begin is None:  # late: its clock was set back
            self.begin, self.size = earlier.begin, self.size + earlier.size
        self.opened, self.place, self.first = earlier.opened, earlier.place, earlier.first
        self.ahead = earlier.ahead
        self.late, self.wanted = self.late or earlier.late, self.wanted or earlier.wanted
        self.last = max(self.last, earlier.last)


@dataclass(slots=True)
class Search:
    """Looks at the pieces of a topic between two places of each partition; times are in ns since 1970."""

    since: int
    until: int
    seen: dict[bytes, Seen] = field(default_factory=dict)

    def take(self, partition: int, taken: Taken) -> None:
        """The next piece of a partition."""
        piece = taken.piece
        seen = self.seen.get(taken.stream)
        if seen is None:
            seen = self.seen[taken.stream] = Seen(partition, taken.opened, taken.place, piece.number)
        seen.final = taken.behind
        if isinstance(piece, Frame) and piece.number > seen.newest and not untimely(piece, taken):
            seen.ahead |= seen.newest < 0 and piece.time > self.since - SLACK_NS
            seen.newest = piece.number
            self._frame(seen, piece, taken.place)

    def further_back(self, earlier: Search) -> None:
        """What a search found that ended where this one began."""
        for stream, found in earlier.seen.items():
            if stream in self.seen:
                self.seen[stream].before(found)
            else:
                self.seen[stream] = found

    def _frame(self, seen: Seen, frame: Frame, place: int) -> None:
        early = frame.time <= self.since - SLACK_NS
        if frame.flags & KEYFRAME and not seen.late:
            seen.late = not early
            if early:
                seen.begin, seen.size = place, 0
        if frame.time < self.until + SLACK_NS:
            seen.last, seen.size = frame.number, seen.size + HEADER_SIZE + len(frame.payload)
            seen.wanted |= not early
