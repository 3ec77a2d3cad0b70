"""A stream on disk made by hand: frames, the segments that hold them, and what its readers must make of it."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import pytest

from shipper.wire.frame import KEYFRAME, Frame, wrap
from shipper.wire.reader import Damage, Gap, Reader
from shipper.wire.segment import COMMITTED, Stream, count

ID, OTHER_ID = bytes(range(16)), bytes(range(100, 116))
HOST, BOOT = b"h" * 16, b"b" * 16
SECOND = 1_000_000_000
NO_FILES: list[Callable[[Path], None]] = [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path)]
"""Each puts something in the place of a file that can't be read as one."""
MANY = 10_000
"""More than any stream of these tests has to tell."""


def frame(number: int, *contents: bytes, time: int = 0, flags: int = 0, previous: bytes = bytes(16)) -> Frame:
    """A frame of this number."""
    records = contents or (b"record of %d" % number,)
    return Frame(ID, HOST, BOOT, number, len(records), b"".join(map(wrap, records)), previous, time, flags)


def chained(*contents: bytes, keyframes: Iterable[int] = (), first: int = 0) -> list[Frame]:
    """A frame of each content, a second apart, each with the digest of the one before."""
    made: list[Frame] = []
    for number, content in enumerate(contents, first):
        previous = made[-1].digest if made else bytes(16)
        flags = KEYFRAME if number in keyframes else 0
        made.append(frame(number, content, time=number * SECOND, flags=flags, previous=previous))
    return made


def stream_in(folder: Path, opened: int = 17, stream_id: bytes = ID) -> Stream:
    """An empty stream."""
    path = folder / f"{opened:020d}-{stream_id.hex()}"
    path.mkdir(parents=True)
    return Stream(path)


def write(stream: Stream, frames: Sequence[Frame], *, tail: bytes = b"") -> Path:
    """A segment file of these frames, and bytes behind them."""
    file = stream.path / f"{frames[0].number:020d}.seg"
    file.write_bytes(b"".join(each.encode() for each in frames) + tail)
    return file


def segment(stream: Stream, numbers: range, *, tail: bytes = b"") -> Path:
    """A segment file of frames with these numbers, and bytes behind them; it is named by the first, though empty."""
    file = stream.path / f"{numbers.start:020d}.seg"
    file.write_bytes(b"".join(frame(number).encode() for number in numbers) + tail)
    return file


def commit(stream: Stream, number: int) -> None:
    """Declare frames below this number readable."""
    (stream.path / COMMITTED).write_bytes(count(number))


def bad_sector(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Segments can't be read where this byte would be among what is asked for."""

    class Bad(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            begin = self.tell()
            data = super().read(size)
            if begin <= at < begin + len(data):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return data

    def opened(file: Path) -> BinaryIO:
        return Bad(file.read_bytes())

    monkeypatch.setattr("shipper.wire.segment.open_regular", opened)


def told(reader: Reader) -> list[Frame | Damage | Gap]:
    """All that a reader tells now; it comes to an end."""
    found = list(islice(reader.read(), MANY))
    assert len(found) < MANY
    return found


def frames_of(found: Iterable[Frame | Damage | Gap]) -> list[Frame]:
    """The frames of what a reader told."""
    return [each for each in found if isinstance(each, Frame)]


def gaps_of(found: Iterable[Frame | Damage | Gap]) -> list[Gap]:
    """The gaps of what a reader told."""
    return [each for each in found if isinstance(each, Gap)]


def assert_accounted(found: Sequence[Frame | Damage | Gap], first: int, end: int, written: Sequence[Frame]) -> None:
    """Frames as they were written, in order, and gaps, together cover every number from `first` to `end` once."""
    by_number = {each.number: each for each in written}
    at = first
    for each in found:
        assert each.number == at
        if isinstance(each, Frame):
            assert each == by_number[at]
            at += 1
        elif isinstance(each, Gap):
            assert each.end > each.number
            at = each.end
    assert at == end
