"""Targets: what stands in a spool's files."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator
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


def _places(data: bytes) -> Iterator[int]:
    """Wherever a frame may begin."""
    at = data.find(MAGIC)
    while at >= 0:
        yield at
        at = data.find(MAGIC, at + 1)


def _whole(data: bytes, at: int) -> Frame | None:
    """The whole frame of this stream that begins here."""
    with suppress(FrameError):
        found = decode(data[at : at + HEADER_SIZE + MAX_PAYLOAD])
        return found if found.stream == ID else None
    return None


def _rising(data: bytes) -> list[int]:
    """Numbers of the whole frames, each higher than those before it, below the limit."""
    numbers: list[int] = []
    for found in filter(None, (_whole(data, at) for at in _places(data))):
        if found.number > max(numbers, default=-1):
            numbers.append(found.number)
    return [number for number in numbers if number < COMMITTED]


def _nested(data: bytes) -> bool:
    """Whether a whole frame lies within a payload that is believed: its frame is whole, or leads to the next number."""
    begins = [at for at in _places(data) if _whole(data, at)]
    for at in _places(data):
        with suppress(FrameError):
            behind = at + size(data[at : at + HEADER_SIZE])
            following = _whole(data, behind)
            led = following is not None and following.number == head(data[at : at + HEADER_SIZE]).number + 1
            if (led or at in begins) and any(at < begin < behind for begin in begins):
                return True
    return False


def sealed(data: bytes) -> None:
    """As `segment`, with every crc made to fit: what only a writer gone wrong would leave."""
    fitting = bytearray(data)
    for at in _places(data):
        with suppress(FrameError):
            behind = at + size(data[at : at + HEADER_SIZE])
            fitting[at + 12 : at + 16] = zlib.crc32(fitting[at + 16 : behind]).to_bytes(4, "little")
    segment(bytes(fitting))
