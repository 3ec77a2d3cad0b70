"""What a partition does not take: the dead letters that keep it, and the documents that tell of it."""

from __future__ import annotations

from typing import Any

from enrich import losses, render
from enrich.claims import Refusal
from enrich.document import Document, Part
from enrich.letters import Letter, LetterKind
from enrich.sources import Refused, Taken
from enrich.steps.host import Host
from shipper.wire.frame import Frame
from shipper.wire.message import MessageError

FORKED = "another frame with its number was taken: two agents write one stream"
CLONED = "a cloned machine needs a machine id of its own: empty /etc/machine-id, run systemd-machine-id-setup, restart"
EARLIEST = 1_577_836_800 * 1_000_000_000
"""2020, in ns since 1970: before it there was no cgtrail."""
AHEAD_NS = 24 * 3600 * 1_000_000_000
"""No clock of a host is this far before the log's."""


def untimely(frame: Frame, taken: Taken) -> Refused | None:
    """A frame of a time that can't be; None where it can, or the log tells no time."""
    if not taken.time or EARLIEST <= frame.time <= taken.time + AHEAD_NS:
        return None
    return _refused(
        frame,
        taken,
        f"a frame of {render.timestamp(frame.time)}, and the log took it at {render.timestamp(taken.time)}",
    )


def elsewhere(frame: Frame, taken: Taken, host: bytes) -> Refused | None:
    """A frame of another host than its stream is of; None where it is of that one, or nobody knows (empty)."""
    if not host or frame.host == host:
        return None
    return _refused(frame, taken, f"a frame of host {frame.host.hex()}, and its stream is of host {host.hex()}")


def crowded(taken: Taken, streams: int) -> Refused:
    """A piece of a stream for which there is no room: a host that writes may write of as many as it likes."""
    piece = taken.piece
    body = piece.encode() if isinstance(piece, Frame) else getattr(piece, "data", b"")
    error = MessageError(
        f"{streams:,} streams speak in this partition, and none of them is silent: one more is not taken; does"
        " somebody write there who is no agent?",
        taken.stream,
        piece.number,
    )
    return Refused(taken.place, taken.behind, error, body, taken.time, taken.origin)


def _refused(frame: Frame, taken: Taken, reason: str) -> Refused:
    error = MessageError(reason, frame.stream, frame.number)
    return Refused(taken.place, taken.behind, error, frame.encode(), taken.time, taken.origin)


def unread(partition: str, refused: Refused) -> Letter:
    """The letter of a message that can't be taken."""
    error, number = refused.error, max(refused.error.number, 0)
    return Letter(
        f"{partition}-{refused.place}", LetterKind.FRAME, (error.stream or b"").hex(), number, 0, number + 1,
        refused.time, str(error), refused.body, refused.origin or f"{partition}, {refused.place}",
    )  # fmt: skip


def forked(frame: Frame, origin: str) -> Letter:
    """The letter of a frame whose number another one has."""
    return _of_frame(frame, "forked", FORKED, origin)


def claimed(frame: Frame, holder: bytes, origin: str) -> Letter:
    """The letter of the first frame of a stream that does not speak for its host."""
    return _of_frame(frame, "claimed", f"stream {holder.hex()} speaks for its host", origin)


def _of_frame(frame: Frame, what: str, reason: str, origin: str) -> Letter:
    stream = frame.stream.hex()
    return Letter(
        f"{stream}-{frame.number}-{what}-{frame.digest.hex()[:8]}", LetterKind.FRAME, stream, frame.number, 0,
        frame.number + 1, frame.time, reason, frame.encode(), origin,
    )  # fmt: skip


def fork(host: Host, frame: Frame) -> Document:
    """The document of a frame whose number another one has."""
    return _document(losses.forked(host, frame), frame.time)


def tell(stream: bytes, refusal: Refusal) -> list[Document]:
    """The document of the frames that were refused since the last one; none where all are told."""
    if not refusal.untold:
        return []
    host = Host(fields=Part(id=refusal.host.hex()))
    gap = losses.claimed(host, stream.hex(), refusal.number, refusal.since, refusal.last, refusal.untold)
    refusal.since, refusal.untold, refusal.told = 0, 0, refusal.last
    return [_document(gap, refusal.last)]


def _document(source: dict[str, Any], time: int) -> Document:
    return Document(source["event"]["id"], time, "loss", source)
