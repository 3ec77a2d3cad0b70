"""Where frames come from, and how far they were read: the spool of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import orjson
import structlog

from shipper.wire.frame import Frame
from shipper.wire.segment import Reader, Stream, streams

_log = structlog.get_logger()


class SpoolSource:
    """Reads every stream of a spool, oldest first, and keeps the position that was committed.

    A position is the number of the first frame whose documents may not be stored yet. State is not stored: a worker
    that starts again reads its streams from their beginning, and sends nothing again that was committed.
    """

    def __init__(self, folder: Path, position_file: Path) -> None:
        self._folder, self._file = folder, position_file
        self._positions = _positions(position_file)
        self._reader: Reader | None = None

    def committed(self, stream: bytes) -> int:
        """The committed position in a stream; 0 for one that was never read."""
        return self._positions.get(stream.hex(), 0)

    def read(self) -> Iterator[Frame]:
        """Every frame that can be read now; then returns. Raises FrameError for damage."""
        while True:
            if self._reader is not None:
                yield from self._reader.read()
            following = self._following()
            if following is None:
                return
            self._reader = Reader(following)

    def commit(self, stream: bytes, number: int) -> None:
        """Everything below frame `number` of a stream is stored."""
        self._positions[stream.hex()] = number
        temporary = self._file.with_suffix(".new")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "wb") as opened:
            opened.write(orjson.dumps(self._positions))
        temporary.replace(self._file)

    def _following(self) -> Stream | None:
        known = streams(self._folder)
        if self._reader is None:
            return known[0] if known else None
        later = [stream for stream in known if stream.path.name > self._reader.stream.path.name]
        return later[0] if later else None

    def backlog(self) -> int:
        """Frames that are written and not committed, over all streams."""
        return sum(max(stream.committed - self.committed(stream.id), 0) for stream in streams(self._folder))


def _positions(file: Path) -> dict[str, int]:
    """Stream → position. A file that can't be understood counts as none: repeats are dropped by the store."""
    try:
        known = orjson.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except orjson.JSONDecodeError:
        known = None
    if isinstance(known, dict) and all(isinstance(number, int) for number in known.values()):
        return known
    _log.warning("position not understood; reading the spool from its beginning", file=str(file))
    return {}
