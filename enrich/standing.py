"""A stream that stands in a partition: how far it has spoken, and its Enricher."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from enrich.enricher import Enricher, Output
from shipper.wire.frame import Frame
from shipper.wire.message import End, Piece
from shipper.wire.reader import Damage, Gap, GapCause

DIGESTS = 512
"""So many frames of each stream are known by their digest: a frame sent again is told from another of its number."""

Fresh = Callable[[bytes, int], Enricher]
"""Makes an Enricher of a stream's id and when it was opened, in ns since 1970."""


class Kept(msgspec.Struct, array_like=True):
    """A stream as it is saved."""

    stream: bytes
    opened: int
    next: int
    place: int
    host: bytes
    digests: list[tuple[int, bytes]]
    state: bytes


@dataclass(slots=True)
class Standing:
    """A stream that goes on."""

    enricher: Enricher
    opened: int
    next: int
    """All its frames below it were taken or told as missing."""
    place: int
    """Behind its last piece."""
    host: bytes = b""
    """Not known before its first frame."""
    expired: bool = False
    """What the log holds begins behind what was taken: the next frames to be missing were removed."""
    digests: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=DIGESTS))

    def take(self, piece: Piece, behind: int, *, quiet: bool) -> Output:
        """What comes of the next piece, and of the gap before it; `behind`: the place behind it."""
        output, take = Output(), self.enricher.take
        if piece.number > self.next:
            cause = GapCause.FRAME_EXPIRED if self.expired else GapCause.FRAME_MISSING
            output.add(take(Gap(self.next, piece.number, cause), quiet=quiet))
            self.next = piece.number
        match piece:
            case Frame():
                output.add(take(piece, quiet=quiet))
                self.digests.append((piece.number, piece.digest))
                self.next, self.host = piece.number + 1, piece.host
            case Gap():
                output.add(take(Gap(self.next, piece.end, piece.cause), quiet=quiet))
                self.next = piece.end
            case Damage():
                output.add(take(piece, quiet=quiet))
            case End():
                pass
        self.place, self.expired = behind, False
        return output

    def has_other(self, frame: Frame) -> bool:
        """Whether another frame of this number was taken, as far as that is still known."""
        return any(number == frame.number and digest != frame.digest for number, digest in self.digests)

    def facts(self, refused: int) -> dict[str, Any]:
        """For people and metrics. `refused`: streams that do not speak for its host."""
        return {
            "host": self.host.hex(),
            "name": self.enricher.host.fields.get("name"),
            "frame": self.enricher.number,
            "frame_time": self.enricher.time,
            "holes": self.enricher.missing,
            "refused": refused,
        }

    def save(self, stream: bytes) -> Kept:
        """All that is known of it."""
        return Kept(stream, self.opened, self.next, self.place, self.host, list(self.digests), self.enricher.save())


def restored(kept: Kept, fresh: Fresh, *, expired: bool) -> Standing:
    """A stream where it was saved. Raises SnapshotError."""
    enricher = fresh(kept.stream, kept.opened)
    enricher.restore(kept.state)
    digests = deque(kept.digests, DIGESTS)
    return Standing(enricher, kept.opened, kept.next, kept.place, kept.host, expired, digests)
