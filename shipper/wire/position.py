"""How far a reader of the spool has come: one small file each, which tells the agent what it may remove."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

READERS = "readers"
"""The folder of these files in the spool."""

_log = structlog.get_logger()


class Position(msgspec.Struct, frozen=True):
    """A reader's place in one stream."""

    next: int
    """All that comes of frames below this number is stored."""
    needs: int = 0
    """Frames from this number on are wanted again when the reader starts anew."""


@dataclass(frozen=True, slots=True)
class PositionFile:
    """The positions of one reader: stream, in hexadecimal, → Position."""

    path: Path

    def load(self) -> dict[str, Position]:
        """The positions; none for a reader that has not read yet.

        A file that can't be understood counts as none: what is sent again has the same ids, and stores drop it.
        """
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=dict[str, Position])
        except FileNotFoundError:
            return {}
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            _log.warning("position not understood; reading the spool from its beginning",
                         file=str(self.path), error=str(error))  # fmt: skip
            return {}

    def store(self, positions: dict[str, Position]) -> None:
        """Replace the file, durably. Raises OSError."""
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        temporary = self.path.with_suffix(".new")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "wb") as opened:
            opened.write(msgspec.json.encode(positions))
            opened.flush()
            os.fsync(opened.fileno())
        temporary.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)  # what the agent removes on the word of this file can't be read again
        finally:
            os.close(folder)


def position_file(spool: Path, reader: str) -> PositionFile:
    """The file of a reader by its name."""
    return PositionFile(spool / READERS / f"{reader}.json")
