"""Targets: what stands in a spool's files."""

from __future__ import annotations

import tempfile
import zlib
from contextlib import suppress
from itertools import islice
from pathlib import Path

from shipper.wire.frame import HEADER_SIZE, MAGIC, MAX_PAYLOAD, Frame, FrameError, decode, head, size
from shipper.wire.reader import MAX_DAMAGE, Damage, Gap, Reader
from tests.unit.frames import ID, commit, stream_in

COMMITTED = 64
"""Frames that are declared readable, far more than these files hold."""


def frame(data: bytes) -> None:
    """A frame or a FrameError; what is a frame is written again as it was read, and its records lie inside it."""
    for read in (size, head):
        with suppress(FrameError):
            read(data)
    try:
        found = decode(data)
    except FrameError as error:
        str(error)
        return
    assert len(found.payload) <= MAX_PAYLOAD
    assert data.startswith(found.encode())
    behind = 0
    with suppress(FrameError):
        for _, offset, length in found.records():
            assert behind <= offset <= offset + length <= len(found.payload)
            behind = offset + length


def segment(data: bytes) -> None:
    """Whatever is in a segment's file, its reader ends, accounts for every number once, and makes no frame up."""
    with tempfile.TemporaryDirectory() as folder:
        stream = stream_in(Path(folder))
        (stream.path / f"{0:020d}.seg").write_bytes(data)
        commit(stream, COMMITTED)
        reader = Reader(stream)
        found = list(islice(reader.read(), len(data) + 2 * COMMITTED))
        assert reader.number == COMMITTED
        assert list(reader.read()) == []
        (stream.path / "committed").unlink()
        assert stream.committed >= 0
        stream.intervals()
    _accounted(found, data)
    assert _nested(data) or [each.number for each in found if isinstance(each, Frame)] == _rising(data)


def _accounted(found: list[Frame | Damage | Gap], data: bytes) -> None:
    at = 0
    for each in found:
        assert each.number == at
        match each:
            case Frame():
                assert each.stream == ID
                assert each.encode() in data
                at += 1
            case Damage():
                assert each.data == data[each.offset : each.offset + min(each.length, MAX_DAMAGE)]
            case Gap():
                assert each.end > at
                at = each.end
    assert at == COMMITTED


def _rising(data: bytes) -> list[int]:
    """Numbers of this stream's whole frames wherever they begin, each higher than those before it, below the limit."""
    numbers: list[int] = []
    at = data.find(MAGIC)
    while at >= 0:
        with suppress(FrameError):
            found = decode(data[at : at + HEADER_SIZE + MAX_PAYLOAD])
            if found.stream == ID and found.number > max(numbers, default=-1):
                numbers.append(found.number)
        at = data.find(MAGIC, at + 1)
    return [number for number in numbers if number < COMMITTED]


def _nested(data: bytes) -> bool:
    """Whether a frame lies within bytes that another, perhaps damaged, one claims: then the outer one decides."""
    claimed, at = 0, data.find(MAGIC)
    while at >= 0:
        with suppress(FrameError):
            behind = at + size(data[at : at + HEADER_SIZE])
            if at < claimed:
                return True
            claimed = max(claimed, behind)
        at = data.find(MAGIC, at + 1)
    return False


def sealed(data: bytes) -> None:
    """As `segment`, with every crc made to fit: what only a writer gone wrong would leave."""
    fitting, at = bytearray(data), data.find(MAGIC)
    while at >= 0:
        with suppress(FrameError):
            behind = at + size(data[at : at + HEADER_SIZE])
            fitting[at + 12 : at + 16] = zlib.crc32(fitting[at + 16 : behind]).to_bytes(4, "little")
        at = data.find(MAGIC, at + 1)
    segment(bytes(fitting))
