"""Which record a worker is at work on, in a file that outlives it: a record that kills it is left alone in the end."""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import structlog

from enrich.checkpoint import Checkpoints

_log = structlog.get_logger()

DEADLY = 3
"""So often a worker dies of a record before it is passed over."""
_MARK = struct.Struct("<16sQIi")
_PLACE = struct.Struct("<QIi")
_WORKING, _RESTING = 1, 0
_FRAMES = 1 << 63
"""No stream has so many: a mark that says so was damaged."""


class Mark:
    """The mark in a mapped file: no system call a record; it needs to outlive the process, not the machine."""

    def __init__(self, path: Path, checkpoints: Checkpoints) -> None:
        """Count what the last worker left behind. Raises OSError."""
        self._checkpoints = checkpoints
        self._stream = b""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(fd).st_size != _MARK.size:
                os.ftruncate(fd, 0)
                os.pwrite(fd, bytes(_MARK.size), 0)  # a hole has no room on a full disk: SIGBUS instead of an error
            self._map = mmap.mmap(fd, _MARK.size)
        finally:
            os.close(fd)
        stream, frame, index, state = _MARK.unpack(self._map[:])
        if state == _WORKING and frame < _FRAMES:
            _log.warning("the worker before this one died at work", stream=stream.hex(), frame=frame, index=index,
                         next="none; a record that it died of three times is passed over")  # fmt: skip
            checkpoints.died(stream.hex(), frame, index)
        self.rest()

    def close(self) -> None:
        """A worker that ends by itself leaves no mark."""
        self.rest()
        self._map.close()

    def watch(self, stream: str) -> StreamMark:
        """Marks the records of one stream; knows the deaths that are known now."""
        known = self._checkpoints.deaths(stream)
        return StreamMark(self, bytes.fromhex(stream), {place for place, count in known.items() if count >= DEADLY})

    def begins(self, stream: bytes, frame: int, index: int) -> None:
        """Work begins on a record."""
        if stream is not self._stream:
            self._stream, self._map[:16] = stream, stream
        _PLACE.pack_into(self._map, 16, frame, index, _WORKING)

    def rest(self) -> None:
        """No record is being worked on."""
        _PLACE.pack_into(self._map, 16, 0, 0, _RESTING)


@dataclass(frozen=True, slots=True)
class StreamMark:
    """The mark for one stream's records (`enrich.enricher.Watch`)."""

    mark: Mark
    stream: bytes
    deadly: set[tuple[int, int]]
    """(frame, index) of which workers died DEADLY times."""

    def begins(self, frame: int, index: int) -> bool:
        """Work begins on a record; True where it is deadly."""
        self.mark.begins(self.stream, frame, index)
        return bool(self.deadly) and (frame, index) in self.deadly
