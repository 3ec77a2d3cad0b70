"""Reads a stream's committed frames in order, and says where some are missing: damage never ends a reader."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from shipper.wire.frame import Frame, FrameError
from shipper.wire.segment import Segment, Stream, content, scan

MAX_DAMAGE = 1 << 20
"""Bytes that are kept of a damaged stretch."""


class GapCause(StrEnum):
    """Why frames can't be read."""

    FRAME_DAMAGED = "frame_damaged"
    """Bytes stand in their place that are no frames: a flipped bit, a torn write, somebody's hand."""
    FRAME_MISSING = "frame_missing"
    """Nothing stands in their place."""
    FRAME_EXPIRED = "frame_expired"
    """They were removed, being old, before this reader came: it was not declared (`spool.readers`)."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a segment where a committed frame should be, the first MAX_DAMAGE of them."""

    number: int
    """The frame that was expected there."""
    segment: str
    """The file's name in its stream's folder."""
    offset: int
    length: int
    data: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Frames from `number` up to, and without, `end` can't be read."""

    number: int
    end: int
    cause: GapCause


class Reader:
    """Reads one stream's committed frames from any number, again and again as more are written."""

    def __init__(self, stream: Stream, number: int = 0) -> None:
        self.stream, self.number = stream, number
        """`number` is the next frame's."""
        self._segment: Segment | None = None
        self._offset = 0

    def read(self) -> Iterator[Frame | Damage | Gap]:
        """What was committed and not read yet. Damage comes before the gap that it made."""
        limit = self.stream.committed
        while self.number < limit:
            if self._segment is None:
                segments = self.stream.segments()
                begun = [segment for segment in segments if segment.first <= self.number]
                if not begun:
                    cause = GapCause.FRAME_EXPIRED if segments else GapCause.FRAME_MISSING
                    yield self._gap(segments[0].first if segments else limit, limit, cause)
                    continue
                self._segment, self._offset = begun[-1], 0
            yield from self._read(self._segment, limit)

    def _read(self, segment: Segment, limit: int) -> Iterator[Frame | Damage | Gap]:
        """One segment's frames below `limit`; those of them that are missing are a gap."""
        damage: list[Damage] = []
        for piece in scan(segment.path, self.stream.id, self._offset):
            found = piece.found
            if isinstance(found, FrameError):
                damage.append(self._damage(segment, piece.offset, piece.end, found))
                continue
            if found.number > self.number:
                behind = self._behind(segment)
                if behind is not None and found.number >= behind:  # no writer's: it would hide all that follows
                    misplaced = FrameError(f"frame {found.number}, and the next segment begins with {behind}")
                    damage.append(self._damage(segment, piece.offset, piece.end, misplaced))
                    continue
                yield from damage
                yield self._gap(found.number, limit, _cause(damage))
                if self.number >= limit:
                    return
            damage = []  # what is left of it are frames that were read before
            self._offset = piece.end
            if found.number == self.number:
                self.number += 1
                yield found
                if self.number >= limit:  # what stands behind may be torn, and be cut off while we look at it
                    return
        self._segment = None
        following = self._behind(segment)
        following = limit if following is None else following
        if self.number < min(following, limit) and os.path.lexists(segment.path):
            yield from damage
            yield self._gap(following, limit, _cause(damage))

    def _behind(self, segment: Segment) -> int | None:
        """Number of the next segment's first frame; None when there is no next one."""
        return min((s.first for s in self.stream.segments() if s.first > segment.first), default=None)

    def _gap(self, number: int, limit: int, cause: GapCause) -> Gap:
        gap = Gap(self.number, min(number, limit), cause)
        self.number = gap.end
        return gap

    def _damage(self, segment: Segment, offset: int, end: int, error: FrameError) -> Damage:
        data = content(segment.path, offset, min(end - offset, MAX_DAMAGE))
        return Damage(self.number, segment.path.name, offset, end - offset, data, str(error))


def _cause(damage: list[Damage]) -> GapCause:
    return GapCause.FRAME_DAMAGED if damage else GapCause.FRAME_MISSING
