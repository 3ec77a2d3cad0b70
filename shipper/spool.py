"""Writes the spool: records are gathered into frames, frames appended to segments, and committed in groups."""

from __future__ import annotations

import os
import time
import uuid
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from shipper.wire.frame import MAX_PAYLOAD, Frame, FrameError
from shipper.wire.segment import COMMITTED, SEGMENT_BYTES, Stream, frames, streams

_DIRECTORY, _FILE = 0o700, 0o600


class Spool:
    """The one writer of a spool. A stream belongs to one boot: an agent that starts again in it goes on where it ended.

    Durable after `commit`; until then records are in memory or in the page cache. Raises OSError when the disk refuses.
    """

    def __init__(self, folder: Path, host: bytes, boot: bytes) -> None:
        self._host, self._boot = host, boot
        self._pending: list[bytes] = []
        self._size = self._count = self.records = self.bytes = 0
        self._previous = bytes(16)
        self.number = 0
        self._segment = -1
        self._written = 0
        folder.mkdir(mode=_DIRECTORY, parents=True, exist_ok=True)
        self.stream = self._resume(folder) or self._open(folder)
        self._commit_fd = os.open(self.stream.path / COMMITTED, os.O_RDWR | os.O_CREAT, _FILE)
        self._publish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.commit()
        if self._segment >= 0:
            os.close(self._segment)
        os.close(self._commit_fd)

    def add(self, records: bytes, count: int) -> None:
        """Append `count` records, laid out as in a frame's payload. Raises ValueError for more than a frame takes."""
        if len(records) > MAX_PAYLOAD:
            message = f"{len(records)} bytes of records; a frame takes {MAX_PAYLOAD}"
            raise ValueError(message)
        if self._size + len(records) > MAX_PAYLOAD:
            self._seal()
        self._pending.append(records)
        self._size += len(records)
        self._count += count

    def commit(self) -> None:
        """Make what was added durable and readable. Does nothing when nothing was added."""
        self._seal()
        if self._segment >= 0 and self._written:
            os.fdatasync(self._segment)
            self._publish()
            self._written = 0

    def _seal(self) -> None:
        if not self._count:
            return
        payload = b"".join(self._pending)
        frame = Frame(self.stream.id, self._host, self._boot, self.number, self._count, payload, self._previous)
        self._append(frame.encode())
        self._previous = frame.digest
        self.number += 1
        self.records += self._count
        self.bytes += len(payload)
        self._pending, self._size, self._count = [], 0, 0

    def _append(self, data: bytes) -> None:
        if self._segment >= 0 and os.fstat(self._segment).st_size + len(data) > SEGMENT_BYTES:
            os.fdatasync(self._segment)
            os.close(self._segment)
            self._segment = -1
        if self._segment < 0:
            file = self.stream.path / f"{self.number:020d}.seg"
            self._segment = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _FILE)
            _sync_folder(self.stream.path)
        view = memoryview(data)
        while view:
            view = view[os.write(self._segment, view) :]
        self._written += len(data)

    def _publish(self) -> None:
        os.pwrite(self._commit_fd, self.number.to_bytes(8, "little"), 0)

    def _open(self, folder: Path) -> Stream:
        newest = max((stream.opened for stream in streams(folder)), default=0)
        opened = max(time.time_ns(), newest + 1)  # readers go by names: a clock that was set back must not hide it
        path = folder / f"{opened:020d}-{uuid.uuid4().hex}"
        path.mkdir(mode=_DIRECTORY)
        _sync_folder(folder)
        return Stream(path)

    def _resume(self, folder: Path) -> Stream | None:
        newest = streams(folder)[-1:]
        for first, file in reversed(newest[0].segments() if newest else []):
            last, end = _last(file)
            number = last.number + 1 if last else first
            if number < newest[0].committed:
                return None  # damaged: its readers will say so
            _cut(file, end)
            if last is None:
                continue
            if last.boot != self._boot or last.host != self._host:
                # After a power cut the count may be older than the frames.
                (newest[0].path / COMMITTED).write_bytes(number.to_bytes(8, "little"))
                return None
            self.number, self._previous = number, last.digest
            return newest[0]
        return None


def _last(file: Path) -> tuple[Frame | None, int]:
    """A segment's last whole frame and the offset behind it: what follows was torn by a kill or a power cut."""
    last, end = None, 0
    with suppress(FrameError):
        for frame, offset in frames(file):
            last, end = frame, offset
    return last, end


def _cut(file: Path, size: int) -> None:
    fd = os.open(file, os.O_WRONLY)
    try:
        os.ftruncate(fd, size)
        os.fsync(fd)  # a killed agent may have left whole frames that were not on disk yet
    finally:
        os.close(fd)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
