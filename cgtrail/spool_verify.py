"""`cgtrail spool verify`: every frame of every stream, checked."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click

from cgtrail import spool
from cgtrail.config import Config
from enrich.printable import message
from shipper.wire.frame import Frame, FrameError, walk
from shipper.wire.segment import COMMITTED, Piece, Segment, Stream, scan


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where."""

    file: Path
    what: str
    offset: int | None = None

    def __str__(self) -> str:
        """One line."""
        return f"{self.file}: {'' if self.offset is None else f'byte {self.offset}: '}{self.what}"


def run(config: Config) -> int:
    """Print what is wrong; returns 0 when nothing is, 1 otherwise. Raises SpoolError when there is no spool."""
    known = spool.of(config)
    frames = problems = 0
    size = sum(stream.size for stream in known)
    with click.progressbar(length=size, label="checking", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        for stream in known:
            check = Check(stream, bar.update)
            for problem in check.run():
                problems += 1
                click.echo(message(str(problem)))
            frames += check.frames
    click.echo(
        f"{frames:,} frames in {len(known):,} streams: {f'{problems:,} problems' if problems else 'all is well'}"
    )
    return 1 if problems else 0


@dataclass
class Check:
    """Checks one stream, up to what was committed when it began; an agent may write meanwhile, and remove the old."""

    stream: Stream
    progress: Callable[[int], object] = lambda _: None
    """Called with the number of bytes of every segment that was checked."""
    frames: int = 0
    """Frames that could be read."""
    _limit: int = field(init=False, default=0)
    _next: int | None = None
    """The frame that must come; None: whichever does, because those before it were removed."""
    _digest: bytes | None = None
    """Of the frame before the next; None: not known."""

    def run(self) -> Iterator[Problem]:
        """What is wrong with it."""
        count = self.stream.path / COMMITTED
        self._limit = self.stream.committed
        segments = self.stream.segments()
        if segments and self.stream.told() is None and segments == self.stream.segments():
            yield Problem(count, f"missing or damaged; {self._limit} frames are whole")
        for segment in segments:
            if segment.first >= self._limit:
                break
            yield from self._segment(segment)
            self.progress(segment.size)
        if not segments and count.exists():
            self._next = 0
        yield from self._missing(self.stream.path, self._limit)

    def _segment(self, segment: Segment) -> Iterator[Problem]:
        yield from self._missing(segment.path, segment.first)
        if self._next is not None and self._next > segment.first:
            yield Problem(segment.path, f"begins with frame {segment.first} by its name, which was read before")
        self._go_on(segment.first)
        for piece in scan(segment.path, self.stream.id):
            yield from self._piece(segment, piece)
            if self._next is not None and self._next >= self._limit:
                return
        if not segment.path.exists():  # removed meanwhile, being old
            self._next = self._digest = None

    def _piece(self, segment: Segment, piece: Piece) -> Iterator[Problem]:
        if isinstance(piece.found, FrameError):
            length = piece.end - piece.offset
            yield Problem(segment.path, f"{length} bytes that are no frame: {piece.found}", piece.offset)
            return
        frame = piece.found
        self.frames += 1
        if self._next is not None and frame.number < self._next:
            yield Problem(segment.path, f"frame {frame.number} stands behind frame {self._next - 1}", piece.offset)
            return
        yield from self._missing(segment.path, frame.number, piece.offset)
        for what in self._wrong(frame):
            yield Problem(segment.path, f"frame {frame.number}: {what}", piece.offset)
        self._next, self._digest = frame.number + 1, frame.digest

    def _wrong(self, frame: Frame) -> Iterator[str]:
        before = bytes(16) if frame.number == 0 else self._digest
        if before is not None and frame.previous != before:
            yield f"it follows a payload of digest {frame.previous.hex()}, and that before it has {before.hex()}"
        digest = hashlib.blake2b(frame.payload, digest_size=16).digest()
        if digest != frame.digest:
            yield f"its payload has digest {digest.hex()}, and its header says {frame.digest.hex()}"
        try:
            count = sum(1 for _ in walk(frame.payload))
        except FrameError as error:
            yield str(error)
            return
        if count != frame.count:
            yield f"it has {count} records, and its header says {frame.count}"

    def _missing(self, file: Path, number: int, offset: int | None = None) -> Iterator[Problem]:
        """Frames up to `number` should have come."""
        if self._next is not None and self._next < number:
            yield Problem(file, f"frames {self._next} to {number - 1} are missing before it", offset)
            self._go_on(number)

    def _go_on(self, number: int) -> None:
        if self._next != number:
            self._next, self._digest = number, None
