"""The spool on disk.

    spool/<opened, unix ns, 20 digits>-<stream, 32 hex>/      one stream: one boot of this host
        <number of its first frame, 20 digits>.seg            frames end to end, up to 64 MiB
        committed                                             u64, and its complement: frames below it are on disk
    spool/readers/<reader>.json                               how far somebody has read (shipper.wire.position)

Frames are numbered densely from 0. A reader sees a frame once it is committed; bytes behind the last whole frame of
a segment were torn by a kill and mean nothing. Every keyframe begins a segment, so that whole intervals, from one
keyframe to the next, can be removed.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from shipper.wire.frame import HEADER_SIZE, KEYFRAME, MAGIC, Frame, FrameError, decode, head, size
from shipper.wire.regular import open_regular, reason

SEGMENT_BYTES = 64 * 1024 * 1024
COMMITTED = "committed"
_COUNT = struct.Struct("<QQ")
_ALL = 2**64 - 1
_PAGE = 4096
_NAME = re.compile(r"0[0-8]\d{18}-[0-9a-f]{32}", re.ASCII)  # a time before the year 2255; what is later, nobody opened
_SEGMENT = re.compile(r"\d{20}\.seg", re.ASCII)


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of frames."""

    first: int
    """Number of its first frame."""
    path: Path

    @property
    def size(self) -> int:
        """Bytes; 0 when it is gone or can't be told."""
        try:
            return self.path.stat().st_size
        except PermissionError:
            raise
        except OSError:
            return 0

    def head(self) -> Frame | None:
        """Its first frame without the payload; None when there is none that can be read."""
        with suppress(FrameError, FileNotFoundError), _opened(self.path) as opened:
            return head(_bytes(opened, 0, HEADER_SIZE))
        return None


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream's folder."""

    path: Path

    @property
    def id(self) -> bytes:
        """The stream's 16-byte id."""
        return bytes.fromhex(self.path.name.partition("-")[2])

    @property
    def opened(self) -> int:
        """When it was opened, in nanoseconds since 1970; always later than the stream before it."""
        return int(self.path.name.partition("-")[0])

    @property
    def committed(self) -> int:
        """Number of frames that are on disk, counted from the stream's first.

        When the file that tells it is missing or damaged, what is whole on disk counts.
        """
        told = self.told()
        return self._whole() if told is None else told

    def told(self) -> int | None:
        """What the file COMMITTED says; None when it is missing or damaged."""
        for _ in range(3):  # its writer may be at work on it
            with suppress(FileNotFoundError, FrameError, struct.error), _opened(self.path / COMMITTED) as opened:
                number, check = _COUNT.unpack(_bytes(opened, 0, _COUNT.size))
                if check == _ALL - number:
                    return int(number)
        return None

    def segments(self) -> list[Segment]:
        """Its files, in order."""
        files = [file for file in self.path.glob("*.seg") if _SEGMENT.fullmatch(file.name)]
        return sorted((Segment(int(file.stem), file) for file in files), key=lambda segment: segment.first)

    def intervals(self) -> list[Interval]:
        """Its segments, grouped by keyframe, oldest first."""
        found: list[Interval] = []
        for segment in self.segments():
            begin = segment.head()
            if found and (begin is None or not begin.flags & KEYFRAME):
                found[-1].segments.append(segment)
            else:
                found.append(Interval(self, [segment], begin.time if begin else 0))
        return found

    @property
    def size(self) -> int:
        """Bytes in segment files."""
        return sum(segment.size for segment in self.segments())

    def _whole(self) -> int:
        number = 0
        for segment in self.segments()[-1:]:
            number = segment.first
            for piece in scan(segment.path, self.id):
                if isinstance(piece.found, Frame):
                    number = piece.found.number + 1
        return number


@dataclass(frozen=True, slots=True)
class Interval:
    """What lies from one keyframe to the next: what is kept or removed as a whole."""

    stream: Stream
    segments: list[Segment]
    time: int
    """When it began, in nanoseconds since 1970; 0 when its first frame can't be read."""

    @property
    def first(self) -> int:
        """Number of its first frame."""
        return self.segments[0].first

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(segment.size for segment in self.segments)


def streams(folder: Path) -> list[Stream]:
    """The spool's streams, oldest first; none when there is no spool yet."""
    return [Stream(path) for path in sorted(folder.glob("*-*")) if _NAME.fullmatch(path.name) and path.is_dir()]


def newest(known: list[Stream]) -> Stream:
    """The stream of some, oldest first, that is written: the last, but for folders behind it that hold no segment."""
    return next((stream for stream in reversed(known) if stream.segments()), known[-1])


def count(number: int) -> bytes:
    """What the file COMMITTED holds when `number` frames are on disk."""
    return _COUNT.pack(number, _ALL - number)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a segment: a frame, or bytes that are none and why."""

    found: Frame | FrameError
    offset: int
    end: int


def scan(file: Path, stream: bytes, offset: int = 0) -> Iterator[Piece]:
    """What a segment holds from `offset` to its end. Damage is passed over up to the next frame of this stream.

    The bytes behind the last whole frame, if there are any, are the last piece. A file that is gone holds nothing; one
    that can't be opened is a piece without bytes.
    """
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(_opened(file))
        except FileNotFoundError:
            return
        except FrameError as error:
            yield Piece(error, offset, offset)
            return
        end = opened.seek(0, os.SEEK_END)
        while offset < end:
            try:
                frame, behind = _read(opened, offset, stream)
                yield Piece(frame, offset, behind)
            except FrameError as error:
                behind = _resume(opened, offset, end, stream)
                yield Piece(error, offset, behind)
            offset = behind


def content(file: Path, offset: int, length: int) -> bytes:
    """Bytes of a file, as far as they can be read."""
    data = bytearray()
    with suppress(FileNotFoundError, FrameError), _opened(file) as opened:
        while len(data) < length and (part := _bytes(opened, offset + len(data), min(length - len(data), _PAGE))):
            data += part
    return bytes(data)


def _opened(file: Path) -> BinaryIO:
    """A file to read. Raises FrameError where it can't be read, and FileNotFoundError."""
    try:
        return open_regular(file)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise FrameError(reason(error)) from error


def _bytes(opened: BinaryIO, offset: int, length: int) -> bytes:
    """Bytes of a file, fewer at its end. Raises FrameError where the disk does not give them."""
    try:
        opened.seek(offset)
        return opened.read(length)
    except OSError as error:
        raise FrameError(reason(error)) from error


def _read(opened: BinaryIO, offset: int, stream: bytes) -> tuple[Frame, int]:
    begin = _bytes(opened, offset, HEADER_SIZE)
    whole = size(begin)
    owner = head(begin).stream
    if owner != stream:  # before the payload is read: forged headers may stand every few bytes
        message = f"a frame of stream {owner.hex()}"
        raise FrameError(message)
    return decode(begin + _bytes(opened, offset + HEADER_SIZE, whole - HEADER_SIZE)), offset + whole


def _resume(opened: BinaryIO, offset: int, end: int, stream: bytes) -> int:
    """Where the next whole frame begins behind a damaged one; `end` when there is none.

    Where the damaged frame's own length leads to the frame of the next number it is believed, so that nothing is looked
    for in payloads: they hold what containers wrote, and only a frame with this stream's random id counts as one.
    """
    with suppress(FrameError):
        begin = _bytes(opened, offset, HEADER_SIZE)
        behind = offset + size(begin)
        following, _ = _read(opened, behind, stream)
        if following.number == head(begin).number + 1:  # else the length itself may be what is damaged
            return behind
    at, step = offset + 1, 1 << 20
    while at < end:
        try:
            chunk = _bytes(opened, at, step + len(MAGIC) - 1)
        except FrameError:  # passed over whole: a dying disk takes seconds for every sector it can't read
            chunk = b""
        found = chunk.find(MAGIC)
        while found >= 0:
            with suppress(FrameError):
                _read(opened, at + found, stream)
                return at + found
            found = chunk.find(MAGIC, found + 1)
        at += step
    return end
