"""The spool as a worker sees it: which stream is next, and how far each has come."""

from __future__ import annotations

from pathlib import Path

from shipper.wire.position import Position, PositionFile
from shipper.wire.segment import Stream, newest, streams


class SpoolSource:
    """The streams of a spool, oldest first, and one reader's positions in them.

    `Position.next` of a stream that is done, because a later one exists and all of it was taken, is past its count.
    """

    def __init__(self, folder: Path, positions: PositionFile) -> None:
        self._folder, self._file = folder, positions
        self._positions = positions.load()

    def position(self, stream: Stream) -> Position:
        """The committed position in a stream; 0 for one that was never read."""
        return self._positions.get(stream.id.hex(), Position(0))

    def following(self, stream: Stream | None) -> Stream | None:
        """The first stream behind this one that is not done; None when there is none yet."""
        known = streams(self._folder)
        last = newest(known) if known else None
        for candidate in known:
            behind = stream is None or candidate.path.name > stream.path.name
            if behind and (candidate == last or self.position(candidate).next <= candidate.committed):
                return candidate
        return None

    def ended(self, stream: Stream) -> bool:
        """Whether nothing more will be written to a stream: a later one was begun."""
        later = [each for each in streams(self._folder) if each.path.name > stream.path.name]
        return any(each.segments() for each in later)  # a folder without a segment may be anybody's

    def commit(self, stream: Stream, position: Position) -> None:
        """All that comes of the frames before a position is stored. Durable. Raises OSError."""
        here = {known.id.hex() for known in streams(self._folder)}
        kept = {name: place for name, place in self._positions.items() if name in here}
        kept[stream.id.hex()] = position
        self._file.store(kept)
        self._positions = kept

    def backlog(self) -> int:
        """Frames that are written and not committed, over all streams."""
        return sum(max(stream.committed - self.position(stream).next, 0) for stream in streams(self._folder))
