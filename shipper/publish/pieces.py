"""What of a spool was not published yet, in order: stream by stream, the oldest first, and the end of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from shipper.wire.frame import Frame
from shipper.wire.message import End, Piece
from shipper.wire.position import Position
from shipper.wire.reader import Gap, Reader
from shipper.wire.segment import Stream, newest, streams

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A piece, and how far its stream is published once it is acknowledged."""

    stream: bytes
    opened: int
    """When the stream was opened, in ns since 1970."""
    host: bytes
    """Whose it is. Ids have 16 bytes."""
    piece: Piece
    behind: int
    """`Position.next` then; past the count of a stream that has ended."""


class Pieces:
    """Reads a spool from positions on, again and again as more is written."""

    def __init__(self, folder: Path, positions: Mapping[str, Position]) -> None:
        self._folder = folder
        self._positions = positions
        self._reader: Reader | None = None
        self._host = b""
        self._done = ""
        """The folder's name of the last stream that was read to its end."""

    @property
    def stream(self) -> Stream | None:
        """The stream that is read now."""
        return self._reader.stream if self._reader else None

    @property
    def number(self) -> int:
        """The next frame's number in it."""
        return self._reader.number if self._reader else 0

    def read(self) -> Iterator[Outgoing]:
        """What there is and was not given yet."""
        while self._reader or self._begin():
            reader = self._reader
            assert reader is not None
            name, opened = reader.stream.id, reader.stream.opened
            ended = self._ended(reader.stream)  # asked first: nothing is added to it afterwards
            for piece in reader.read():
                if isinstance(piece, Frame):
                    self._host = piece.host
                behind = piece.end if isinstance(piece, Gap) else piece.number + isinstance(piece, Frame)
                yield Outgoing(name, opened, self._whose(reader.stream), piece, behind)
            if not ended:
                return
            self._done, self._reader = reader.stream.path.name, None
            if reader.number:  # of a stream without a frame nobody has heard
                yield Outgoing(name, opened, self._whose(reader.stream), End(reader.number), reader.number + 1)

    def _begin(self) -> bool:
        """Turn to the first stream that is not done; False when there is none."""
        known = streams(self._folder)
        last = newest(known) if known else None
        for stream in known:
            at = self._positions.get(stream.id.hex(), Position(0)).next
            if stream.path.name > self._done and (stream == last or at <= stream.committed):
                if at > stream.committed:  # of the newest: what is written next would be passed over
                    _log.warning("the position is ahead of the spool, which has lost its end; it goes on there",
                                 stream=stream.id.hex(), position=at, frames=stream.committed,
                                 next="was its disk replaced or restored? Workers tell what differs")  # fmt: skip
                self._reader, self._host = Reader(stream, min(at, stream.committed)), b""
                return True
        return False

    def _ended(self, stream: Stream) -> bool:
        later = [each for each in streams(self._folder) if each.path.name > stream.path.name]
        return any(each.segments() for each in later)  # a folder without a segment may be anybody's

    def _whose(self, stream: Stream) -> bytes:
        """The host of a stream; where no frame of it can be read, that of the others, for they are one host's."""
        if not self._host:
            segments = [*stream.segments(), *(part for each in streams(self._folder) for part in each.segments())]
            heads = (segment.head() for segment in segments)
            self._host = next((head.host for head in heads if head), bytes(16))
        return self._host
