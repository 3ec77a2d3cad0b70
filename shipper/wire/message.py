"""What the log between agents and workers carries: a Kafka message for each piece that a reader of the spool gave.

The key is the host's id, the value a frame's bytes as `shipper.wire.frame` lays them out. Headers name the stream and
the number, so that nobody has to look into a value to know whose it is. Where frames can't be read in the spool, that
is told too: workers know of a host what a worker beside its spool would know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from shipper.wire.frame import HEADER_SIZE, KEYFRAME, Frame, FrameError, decode
from shipper.wire.reader import Damage, Gap, GapCause

MAX_BYTES = 1 << 19
"""No value is larger: a frame has 256 KiB and its header, and of damage no more than this is told."""
STREAM, OPENED, KIND, NUMBER = "cgtrail.stream", "cgtrail.opened", "cgtrail.kind", "cgtrail.number"
"""Headers: stream in hexadecimal; when it was opened, ns since 1970; frame, damage, gap or end; decimal."""
BEGIN = "cgtrail.keyframe"
"""Header of a frame at which a reader can begin."""
MAX_NUMBER = 1 << 42
"""No stream has so many frames: documents' sequences, 2^20 for each frame, are integers of 64 bits."""
MAX_REASON = 1000
"""Characters of a MessageError: headers may be as large as a message."""


class MessageError(ValueError):
    """A message that is none of ours, or damaged; says what its headers told, as far as they did.

    `stream` is None and `number` -1 where they told nothing.
    """

    def __init__(self, reason: str, stream: bytes | None = None, number: int = -1) -> None:
        super().__init__(reason if len(reason) <= MAX_REASON else f"{reason[:MAX_REASON]}…")
        self.stream, self.number = stream, number


@dataclass(frozen=True, slots=True)
class End:
    """The stream has ended for ever, with `number` frames."""

    number: int


Piece = Frame | Damage | Gap | End


@dataclass(frozen=True, slots=True)
class Message:
    """Key, value and headers of a message."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


class Told(NamedTuple):
    """What a message tells."""

    stream: bytes
    opened: int
    """When the stream was opened, in ns since 1970."""
    piece: Piece


class _Damage(msgspec.Struct):
    segment: str
    offset: int
    length: int
    reason: str
    data: bytes


class _Gap(msgspec.Struct):
    end: int
    cause: GapCause


def encode(host: bytes, stream: bytes, opened: int, piece: Piece) -> Message:
    """The message of a piece. `host` and `stream` are 16-byte ids; `opened`: the stream, in ns since 1970."""
    match piece:
        case Frame():
            kind, value = "frame", piece.encode()
        case Damage():
            data = piece.data[: MAX_BYTES // 2]
            told = _Damage(piece.segment, piece.offset, piece.length, piece.reason, data)
            kind, value = "damage", msgspec.msgpack.encode(told)
        case Gap():
            kind, value = "gap", msgspec.msgpack.encode(_Gap(piece.end, piece.cause))
        case End():
            kind, value = "end", b""
    headers = [(STREAM, stream.hex().encode()), (OPENED, b"%d" % opened), (KIND, kind.encode())]
    headers.append((NUMBER, b"%d" % piece.number))
    if isinstance(piece, Frame) and piece.flags & KEYFRAME:
        headers.append((BEGIN, b"1"))
    return Message(host.hex().encode(), value, headers)


def read(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> Told:
    """What a message tells. Raises MessageError for whatever `encode` did not make."""
    stream, opened, number, kind = _heads(headers)
    try:
        piece = _piece(kind, number, value or b"")
    except (ValueError, RecursionError) as error:  # a FrameError, a text that is no UTF-8, lists in lists in lists
        raise MessageError(str(error), stream, number) from error
    if isinstance(piece, Frame):
        if (piece.stream, piece.number) != (stream, number):
            message = f"headers say frame {number} of {stream.hex()}, it is {piece.number} of {piece.stream.hex()}"
            raise MessageError(message, stream, number)
        if key != piece.host.hex().encode():
            message = f"key {key!r}, and the frame is of host {piece.host.hex()}"
            raise MessageError(message, stream, number)
    return Told(stream, opened, piece)


def _piece(kind: str, number: int, value: bytes) -> Piece:
    match kind:
        case "frame":
            frame = decode(value)
            if len(value) != HEADER_SIZE + len(frame.payload):
                message = f"{len(value) - HEADER_SIZE - len(frame.payload)} bytes behind the frame"
                raise FrameError(message)
            return frame
        case "damage":
            told = msgspec.msgpack.decode(value, type=_Damage)
            segment, reason = told.segment[:MAX_REASON], told.reason[:MAX_REASON]
            return Damage(number, segment, told.offset, told.length, told.data[:MAX_BYTES], reason)
        case "gap":
            gap = msgspec.msgpack.decode(value, type=_Gap)
            if not number < gap.end <= MAX_NUMBER:
                message = f"a gap from {number} to {gap.end}"
                raise FrameError(message)
            return Gap(number, gap.end, gap.cause)
        case "end":
            return End(number)
    message = f"messages of kind {kind!r} are not known: they are a newer version's, or not ours"
    raise FrameError(message)


def _heads(headers: Sequence[tuple[str, bytes | None]]) -> tuple[bytes, int, int, str]:
    """What the headers say. Raises MessageError."""
    told = dict(headers)
    try:
        stream = bytes.fromhex((told[STREAM] or b"").decode("ascii"))
        opened, number = (int((told[name] or b"").decode("ascii")) for name in (OPENED, NUMBER))
        kind = (told[KIND] or b"").decode()
    except KeyError as error:
        message = f"no header {error}: not a message of cgtrail's"
        raise MessageError(message) from error
    except ValueError as error:
        message = f"headers that make no sense: {error}"
        raise MessageError(message) from error
    if len(stream) != 16 or not 0 <= number < MAX_NUMBER or not 0 <= opened < 1 << 63:
        message = f"headers that make no sense: stream {stream.hex()}, number {number}, opened {opened}"
        raise MessageError(message)
    return stream, opened, number, kind
