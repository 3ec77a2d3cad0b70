"""Who speaks for a host: of two agents with one host id, such as those of cloned machines, one is refused and reported.

It is decided from what stands in the log alone, so that every worker decides the same.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from bpf.events import Header
from bpf.schema import RecordError
from shipper.wire.frame import Frame, FrameError, walk

SILENT_NS = 60 * 1_000_000_000
"""A holder that has said nothing for longer has lost its host to whoever speaks."""
TELL_NS = 60 * 1_000_000_000
"""Frames that are refused are told at most so often, in time of their own."""
MAX_REFUSED = 1024
"""Streams that are known to be refused: an older one's letter may be written again."""


class Holder(msgspec.Struct, array_like=True):
    """The stream that speaks for a host."""

    stream: bytes
    boot: bytes
    last: int
    """Its newest frame's time, in ns since 1970."""
    heard: int
    """When the log took that frame, in ns since 1970; 0 where it does not tell."""


class Refusal(msgspec.Struct, array_like=True):
    """What a stream said that does not speak for its host."""

    host: bytes
    next: int
    """All its frames below it were refused, or taken before."""
    place: int
    """Behind its last message."""
    number: int
    """Of the last frame."""
    since: int
    """Time of the first frame that is not told yet; 0 where all are."""
    last: int
    """Time of the last frame."""
    untold: int = 0
    """How many frames are refused and not told yet."""
    told: int = 0
    """Time of the frame with which it was told the last time; 0: never."""

    @property
    def due(self) -> bool:
        """Whether it is time to tell: at once, and then each TELL_NS."""
        return not self.told or not self.told <= self.last < self.told + TELL_NS


class Claim(Enum):
    """What becomes of a frame."""

    HOLDS = 0
    """Its stream speaks for the host."""
    TAKES = 1
    """Its stream speaks for the host from this frame on."""
    REFUSED = 2
    """Another stream does."""


class Claims(msgspec.Struct, array_like=True):
    """The hosts of one partition."""

    holders: dict[bytes, Holder] = msgspec.field(default_factory=dict)
    """Host id → who speaks for it."""
    refused: dict[bytes, Refusal] = msgspec.field(default_factory=dict)
    """Stream → what was refused of it."""

    def holder(self, host: bytes) -> bytes | None:
        """The stream that speaks for a host."""
        found = self.holders.get(host)
        return found.stream if found else None

    def claim(self, frame: Frame, heard: int, *, fresh: bool) -> Claim:
        """Whether a frame's stream may speak. `fresh`: it was never heard before."""
        holder = self.holders.get(frame.host)
        if holder is None:
            self.holders[frame.host] = Holder(frame.stream, frame.boot, frame.time, heard)
            return Claim.TAKES
        if holder.stream == frame.stream:
            holder.last, holder.heard = frame.time, heard
            return Claim.HOLDS
        if not _yields(holder, frame, heard, fresh=fresh):
            return Claim.REFUSED
        self.holders[frame.host] = Holder(frame.stream, frame.boot, frame.time, heard)
        return Claim.TAKES

    def refuse(self, frame: Frame, behind: int) -> Refusal:
        """Count a frame that is refused; `behind`: the place behind it."""
        refusal = self.refused.get(frame.stream)
        if refusal is None:
            refusal = self.refused[frame.stream] = Refusal(
                frame.host, frame.number, behind, frame.number, frame.time, frame.time
            )
        refusal.since = refusal.since or frame.time
        refusal.next, refusal.place = frame.number + 1, behind
        refusal.number, refusal.last = frame.number, frame.time
        refusal.untold += 1
        return refusal

    @property
    def crowded(self) -> bytes | None:
        """The stream to forget before another one can be refused; None where there is room."""
        return next(iter(self.refused)) if len(self.refused) >= MAX_REFUSED else None

    def silent(self, host: bytes, time: int, heard: int) -> bool:
        """Whether who speaks for a host has said nothing for long, at a time of hosts' clocks and of the log's."""
        holder = self.holders.get(host)
        return holder is None or (heard - holder.heard if heard else time - holder.last) > SILENT_NS

    def release(self, host: bytes, stream: bytes) -> None:
        """A stream is over: whoever speaks next for its host does so."""
        if self.holder(host) == stream:
            del self.holders[host]


def _yields(holder: Holder, frame: Frame, heard: int, *, fresh: bool) -> bool:
    """Whether a holder that has not ended gives way to another stream's frame.

    It does when the spool was replaced under the same boot, when the host was booted after the holder's last frame, or
    when the holder has been silent, by the host's clock or by the log's.
    """
    return (
        (fresh and frame.boot == holder.boot)
        or booted(frame) > holder.last
        or frame.time - holder.last > SILENT_NS
        or heard - holder.heard > SILENT_NS
    )


def booted(frame: Frame) -> int:
    """When the host of a frame was booted, by its clock: ns since 1970, 0 where its first record does not tell.

    A frame's records are as old as the frame, up to the time that the agent waits for a commit.
    """
    try:
        offset, length = next(walk(frame.payload))
        first = Header.decode(frame.payload[offset : offset + length], 0, length)
    except (FrameError, RecordError, StopIteration, IndexError):
        return 0
    return frame.time - int(first.time)
