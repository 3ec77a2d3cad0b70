"""How far a reader of the spool has come: one small file each, which tells the agent what it may remove."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from shipper.wire.regular import open_regular

_MAX = 1 << 62  # no stream has so many frames
READERS = "readers"
"""The folder of these files in the spool."""

_log = structlog.get_logger()


class Position(msgspec.Struct, frozen=True):
    """A reader's place in one stream."""

    next: int
    """All that comes of frames below this number is stored."""
    needs: int = 0
    """Frames from this number on are wanted again when the reader starts anew."""
    partition: int = -1
    """Of a publisher: the partition of the topic that the stream goes to, for as long as it lives; -1: none yet."""


class _File(msgspec.Struct):
    streams: msgspec.Raw
    crc: int
    """crc32 of the bytes of `streams`: one digit that flips would make its reader pass over frames."""


@dataclass(frozen=True, slots=True)
class PositionFile:
    """The positions of one reader: stream, in hexadecimal, → Position."""

    path: Path

    def load(self) -> dict[str, Position]:
        """The positions; none for a reader that has not read yet.

        A file that can't be understood counts as none: what is sent again has the same ids, and stores drop it.
        """
        try:
            with open_regular(self.path) as opened:
                return _decoded(opened.read())
        except FileNotFoundError:
            return {}
        except PermissionError:
            raise
        except (msgspec.DecodeError, ValueError, RecursionError, OSError) as error:
            _log.warning("position not understood; reading the spool from its beginning",
                         file=str(self.path), error=str(error), next="none; what is stored is passed over")  # fmt: skip
            return {}

    def store(self, positions: dict[str, Position]) -> None:
        """Replace the file, durably. Raises OSError."""
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        temporary = self.path.with_suffix(".new")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "wb") as opened:
            opened.write(_encoded(positions))
            opened.flush()
            os.fsync(opened.fileno())
        temporary.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)  # what the agent removes on the word of this file can't be read again
        finally:
            os.close(folder)


def _encoded(positions: dict[str, Position]) -> bytes:
    streams = msgspec.json.encode(positions)
    return msgspec.json.encode(_File(msgspec.Raw(streams), zlib.crc32(streams)))


def _decoded(data: bytes) -> dict[str, Position]:
    """Raises DecodeError or ValueError for what `_encoded` did not make."""
    file = msgspec.json.decode(data, type=_File)
    if zlib.crc32(file.streams) != file.crc:
        message = "crc32 differs"
        raise ValueError(message)
    positions = msgspec.json.decode(file.streams, type=dict[str, Position])
    for position in positions.values():
        if not 0 <= position.needs <= position.next <= _MAX:
            message = f"no reader comes to {position}"
            raise ValueError(message)
    return positions


def position_file(spool: Path, reader: str) -> PositionFile:
    """The file of a reader by its name."""
    return PositionFile(spool / READERS / f"{reader}.json")
