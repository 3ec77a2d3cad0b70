"""The spool on disk, and its reader.

    spool/<opened, unix ns, 20 digits>-<stream, 32 hex>/      one stream: one boot of this host
        <number of its first frame, 20 digits>.seg            frames end to end, up to 64 MiB
        committed                                             u64: frames below this number are on disk (fdatasync)

Frames are numbered densely from 0. A reader sees a frame once it is committed; bytes behind the last whole frame of
a segment were torn by a kill and mean nothing.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shipper.wire.frame import Frame, FrameError, TornFrameError, decode

SEGMENT_BYTES = 64 * 1024 * 1024
COMMITTED = "committed"
_NAME = re.compile(r"\d{20}-[0-9a-f]{32}")


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
        """Number of frames that are on disk, counted from the stream's first."""
        try:
            return int.from_bytes((self.path / COMMITTED).read_bytes()[:8], "little")
        except FileNotFoundError:
            return 0

    def segments(self) -> list[tuple[int, Path]]:
        """(first frame number, file) in order."""
        return sorted((int(file.stem), file) for file in self.path.glob("*.seg"))

    @property
    def size(self) -> int:
        """Bytes in segment files."""
        return sum(file.stat().st_size for _, file in self.segments())


def streams(folder: Path) -> list[Stream]:
    """The spool's streams, oldest first; none when there is no spool yet."""
    return [Stream(path) for path in sorted(folder.glob("*-*")) if _NAME.fullmatch(path.name) and path.is_dir()]


def frames(file: Path, offset: int = 0) -> Iterator[tuple[Frame, int]]:
    """(frame, offset behind it) of one segment from `offset`, to its end or a torn tail. FrameError when damaged."""
    with file.open("rb") as opened:
        size = opened.seek(0, 2)
        if size <= offset:
            return
        with mmap.mmap(opened.fileno(), size, access=mmap.ACCESS_READ) as data:
            while offset < size:
                try:
                    frame, offset = decode(data, offset)
                except TornFrameError:
                    return
                yield frame, offset


class Reader:
    """Reads one stream's committed frames in order, from any number, again and again as more are written."""

    def __init__(self, stream: Stream, number: int = 0) -> None:
        self.stream, self.number = stream, number
        self._file: Path | None = None
        self._offset = 0

    def read(self) -> Iterator[Frame]:
        """The committed frames that were not read yet. Raises FrameError for damage and for a hole."""
        committed = self.stream.committed
        while self.number < committed:
            before, found = self.number, self._file is None
            if self._file is None:
                self._file, self._offset = self._find(), 0
            for frame, offset in frames(self._file, self._offset):
                self._offset = offset
                if frame.number < self.number:
                    continue
                if frame.number > self.number:
                    message = f"{self._file}: frame {frame.number} follows {self.number - 1}"
                    raise FrameError(message)
                self.number += 1
                yield frame
                if self.number >= committed:  # what stands behind may be torn, and be cut off while we look at it
                    return
            if found and self.number == before:
                message = f"{self._file}: frame {before} is missing; {committed} frames are committed"
                raise FrameError(message)
            self._file = None

    def _find(self) -> Path:
        behind = [file for first, file in self.stream.segments() if first <= self.number]
        if not behind:
            message = f"{self.stream.path}: no segment holds frame {self.number}"
            raise FrameError(message)
        return behind[-1]
