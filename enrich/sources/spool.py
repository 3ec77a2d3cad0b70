"""The spool as a source: each of its streams is a partition, one after the other; a place is a frame's number."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import structlog

from enrich.sources import READ_BYTES, Taken, Taker
from shipper.wire.frame import Frame
from shipper.wire.message import End
from shipper.wire.position import Position, PositionFile
from shipper.wire.reader import Damage, Gap, Reader
from shipper.wire.segment import Stream, newest, streams

_log = structlog.get_logger()


class SpoolSource:
    """The streams of a spool, oldest first, and one reader's positions in them.

    `Position.next` of a stream that is done, because a later one exists and all of it was taken, is past its count: its
    last piece is an End.
    """

    def __init__(self, folder: Path, positions: PositionFile, stop: threading.Event | None = None) -> None:
        self._folder, self._file, self._stop = folder, positions, stop or threading.Event()
        self._positions = positions.load()
        self._reader: Reader | None = None
        self._ended = False
        """All of the stream was given, its End too."""

    def read(self, taker: Taker, seconds: float) -> bool:
        """Give the taker what is written; waits for it so long at the most."""
        if self._give(taker):
            return True
        return seconds > 0 and not self._stop.wait(seconds) and self._give(taker)

    def wait(self, taker: Taker, seconds: float) -> None:  # noqa: ARG002  nobody takes a spool from its reader
        """Let time pass, until a stop."""
        self._stop.wait(seconds)

    def commit(self, places: dict[str, int], needs: dict[str, int], *, surely: bool) -> None:  # noqa: ARG002  always
        """All that comes of the frames before these places is stored. Durable. Raises OSError."""
        here = {known.id.hex() for known in streams(self._folder)}
        kept = {name: place for name, place in self._positions.items() if name in here}
        kept |= {name: Position(place, needs.get(name, 0)) for name, place in places.items()}
        self._file.store(kept)
        self._positions = kept

    def position(self, stream: Stream) -> Position:
        """The committed position in a stream; 0 for one that was never read."""
        return self._positions.get(stream.id.hex(), Position(0))

    def backlog(self) -> int:
        """Frames that are written and not committed, over all streams."""
        return sum(max(stream.committed - self.position(stream).next, 0) for stream in streams(self._folder))

    def facts(self) -> dict[str, Any]:
        """How much is not taken yet."""
        return {"backlog_frames": self.backlog()}

    def close(self) -> None:
        """Nothing is open."""

    def _give(self, taker: Taker) -> bool:
        """Give what is written of the stream that is read now, a few megabytes at the most."""
        reader = self._reader or self._begin(taker)
        if reader is None:
            return False
        stream, given, size = reader.stream, False, 0
        if self._ended:
            if self.position(stream).next <= reader.number:  # a stop came before all of it was stored
                return False
            self._reader, self._ended = None, False
            return True
        ended = self._followed(stream)  # asked first: what it wrote last is read below
        for piece in reader.read():
            taker.take(stream.id.hex(), self._taken(stream, piece))
            given = True
            size += len(piece.payload) if isinstance(piece, Frame) else 0
            if not isinstance(piece, Damage) and (size >= READ_BYTES or self._stop.is_set()):  # its gap comes next
                return True
        if ended:
            taker.take(stream.id.hex(), Taken(reader.number, reader.number + 1, stream.id, End(reader.number)))
            taker.end(stream.id.hex())
            self._ended = given = True
        return given

    def _begin(self, taker: Taker) -> Reader | None:
        """Begin with the first stream that is not done; None where there is none yet."""
        stream = self._following()
        if stream is None:
            return None
        position = self.position(stream)
        oldest = min((segment.first for segment in stream.segments()), default=0)
        self._reader = Reader(stream, taker.begin(stream.id.hex(), position.next, oldest))
        return self._reader

    def _following(self) -> Stream | None:
        known = streams(self._folder)
        last = newest(known) if known else None
        for stream in known:
            if stream == last or self.position(stream).next <= stream.committed:
                return stream
        return None

    def _followed(self, stream: Stream) -> bool:
        """Whether nothing more will be written to a stream: a later one was begun."""
        later = [each for each in streams(self._folder) if each.path.name > stream.path.name]
        return any(each.segments() for each in later)  # a folder without a segment may be anybody's

    @staticmethod
    def _taken(stream: Stream, piece: Frame | Damage | Gap) -> Taken:
        """What is damaged is not behind us before its gap is."""
        match piece:
            case Gap():
                behind = piece.end
            case Damage():
                behind = piece.number
            case _:
                behind = piece.number + 1
        return Taken(piece.number, behind, stream.id, piece, opened=stream.opened)
