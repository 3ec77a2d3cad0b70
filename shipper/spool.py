"""Writes the spool: records are gathered into frames, frames appended to segments, and committed in groups."""

from __future__ import annotations

import os
import time
import uuid
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bpf.schema import RecordError, decode
from shipper.wire.frame import KEYFRAME, MAX_PAYLOAD, Frame, FrameError
from shipper.wire.records import AgentStop, End
from shipper.wire.segment import COMMITTED, SEGMENT_BYTES, Segment, Stream, count, scan, streams

_DIRECTORY, _FILE = 0o700, 0o600


@dataclass(frozen=True, slots=True)
class Before:
    """How far this host had been recorded when a spool was opened."""

    time: int = 0
    """Nanoseconds since 1970: everything up to it is in the spool. 0 when nothing is."""
    end: End = End.NONE


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where a stream ends on disk; frames behind it are undone when the disk refuses one."""

    number: int = 0
    previous: bytes = bytes(16)
    segment: Path | None = None
    size: int = 0


class SpoolGoneError(RuntimeError):
    """Somebody removed the spool, or the file being written; the message says what to do."""

    def __init__(self, stream: Path) -> None:
        super().__init__(f"{stream} was removed while it was written: what it held is lost; start the agent again")


class Spool:
    """The one writer of a spool. A stream belongs to one boot: an agent that starts again in it goes on where it ended.

    What is added is in memory until `commit`, and durable after it. Raises OSError when it can't be opened.
    """

    def __init__(self, folder: Path, host: bytes, boot: bytes) -> None:
        self._host, self._boot = host, boot
        self._pending: list[bytes] = []
        self._size = self._count = 0
        self._sealed: list[tuple[bytes, int, int]] = []
        self._begins = False
        self.records = self.bytes = self.commits = 0
        self.commit_seconds = 0.0
        self.time = time.time_ns()
        """What the next frames say of when their records were asked for."""
        self.error: OSError | None = None
        """Why the last commit failed; None when it did not."""
        self._fd = -1
        folder.mkdir(mode=_DIRECTORY, parents=True, exist_ok=True)
        known = streams(folder)
        self.before = _before(known)
        self._mark = _Mark()
        self.stream: Stream = (self._resume(known[-1]) if known else None) or self._open(folder, known)
        self.used = sum(stream.size for stream in known)
        """Bytes of all segments in the folder."""
        self._commit_fd = os.open(self.stream.path / COMMITTED, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE)
        try:
            self._publish()
        except OSError:
            os.close(self._commit_fd)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.commit()
        self._close()
        os.close(self._commit_fd)

    @property
    def number(self) -> int:
        """How many frames are on disk, counted from the stream's first."""
        return self._mark.number

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

    @property
    def waiting(self) -> int:
        """Bytes of records that were added and not committed yet."""
        return self._size + sum(len(payload) for payload, _, _ in self._sealed)

    def keyframe(self) -> None:
        """What is added next begins a keyframe, and with it a frame and a segment."""
        self._seal()
        self._begins = True

    def commit(self, *, room: bool = True) -> list[bytes]:
        """Make what was added durable and readable. Does nothing when nothing was added.

        When the disk refuses, all of it is undone: the payloads that were not stored are returned, `error` says why,
        and the next commit tries anew. Without `room` nothing is tried. Raises SpoolGoneError, and OSError when the
        undoing fails.
        """
        self._seal()
        sealed, self._sealed = self._sealed, []
        if not sealed or not room:
            return [payload for payload, _, _ in sealed]
        began = time.perf_counter()
        try:
            mark = self._mark
            for payload, records, flags in sealed:
                mark = self._append(mark, payload, records, flags)
            os.fdatasync(self._fd)
            self._publish(mark.number)
            if not os.fstat(self._fd).st_nlink:
                raise SpoolGoneError(self.stream.path)
        except FileNotFoundError as error:
            raise SpoolGoneError(self.stream.path) from error
        except OSError as error:
            self.error = error
            self._undo()
            return [payload for payload, _, _ in sealed]
        self._mark, self.error = mark, None
        self.commits += 1
        self.commit_seconds += time.perf_counter() - began
        self.records += sum(records for _, records, _ in sealed)
        self.bytes += sum(len(payload) for payload, _, _ in sealed)
        return []

    def _seal(self) -> None:
        if self._count:
            self._sealed.append((b"".join(self._pending), self._count, KEYFRAME if self._begins else 0))
            self._pending, self._size, self._count, self._begins = [], 0, 0, False

    def _append(self, mark: _Mark, payload: bytes, records: int, flags: int) -> _Mark:
        frame = Frame(
            self.stream.id, self._host, self._boot, mark.number, records, payload, mark.previous, self.time, flags
        )
        data = frame.encode()
        segment, size = mark.segment, mark.size
        if segment is None or flags & KEYFRAME or size + len(data) > SEGMENT_BYTES:
            if self._fd >= 0:
                os.fdatasync(self._fd)
            self._close()
            segment, size = self.stream.path / f"{mark.number:020d}.seg", 0
        if self._fd < 0:
            self._fd = os.open(segment, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _FILE)
            _sync_folder(self.stream.path)
        view = memoryview(data)
        while view:
            written = os.write(self._fd, view)
            self.used += written
            view = view[written:]
        return _Mark(mark.number + 1, frame.digest, segment, size + len(data))

    def _undo(self) -> None:
        self._close()
        for segment in self.stream.segments():
            keep = self._mark.size if segment.path == self._mark.segment else 0
            if segment.first >= self._mark.number and not keep:
                self.used -= segment.size
                segment.path.unlink()
            elif segment.path == self._mark.segment:
                self.used -= segment.size - keep
                os.truncate(segment.path, keep)

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _publish(self, number: int | None = None) -> None:
        os.pwrite(self._commit_fd, count(self._mark.number if number is None else number), 0)

    def _open(self, folder: Path, known: list[Stream]) -> Stream:
        newest = max((stream.opened for stream in known), default=0)
        opened = max(time.time_ns(), newest + 1)  # readers go by names: a clock that was set back must not hide it
        path = folder / f"{opened:020d}-{uuid.uuid4().hex}"
        path.mkdir(mode=_DIRECTORY)
        _sync_folder(folder)
        return Stream(path)

    def _resume(self, stream: Stream) -> Stream | None:
        """Go on with the newest stream if it is this boot's and whole; its torn tail is cut off."""
        for segment in reversed(stream.segments()):
            last, end = _last(segment, stream)
            number = last.number + 1 if last else segment.first
            if number < stream.committed:
                return None  # damaged: its readers will say so
            _cut(segment.path, end)
            if last is None:
                segment.path.unlink()
                continue
            if last.boot != self._boot or last.host != self._host:
                # After a power cut the count may be older than the frames.
                _tell(stream, number)
                return None
            self._mark = _Mark(number, last.digest, segment.path, end)
            return stream
        return None


def _last(segment: Segment, stream: Stream) -> tuple[Frame | None, int]:
    """A segment's last whole frame and the offset behind it: what follows was torn by a kill or a power cut."""
    last, end = None, 0
    for piece in scan(segment.path, stream.id):
        if not isinstance(piece.found, Frame):
            break
        last, end = piece.found, piece.end
    return last, end


def _before(known: list[Stream]) -> Before:
    """What the newest frame of all says."""
    for stream in reversed(known):
        for segment in reversed(stream.segments()):
            found = [piece.found for piece in scan(segment.path, stream.id) if isinstance(piece.found, Frame)]
            if found:
                return Before(found[-1].time, End.STOPPED if _stopped(found[-1]) else End.KILLED)
    return Before()


def _stopped(frame: Frame) -> bool:
    """Whether its last record is AgentStop; records before it may be another version's."""
    with suppress(RecordError, FrameError):
        for _, offset, length in deque(frame.records(), maxlen=1):
            return isinstance(decode(frame.payload, offset, length), AgentStop)
    return False


def _tell(stream: Stream, number: int) -> None:
    fd = os.open(stream.path / COMMITTED, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _FILE)
    try:
        os.pwrite(fd, count(number), 0)
        os.fsync(fd)  # nobody counts again what is no longer the newest stream
    finally:
        os.close(fd)


def _cut(file: Path, size: int) -> None:
    fd = os.open(file, os.O_WRONLY | os.O_NONBLOCK)  # a FIFO in its place is an error, and does not hang
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
