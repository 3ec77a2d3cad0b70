"""A sink that prints documents, one JSON object a line."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from enrich.document import Document
from enrich.printable import json_line
from enrich.sinks import OK, Outcome, Status


class StdoutSink:
    """NDJSON that is safe on a terminal, flushed at the end of each batch.

    A stream can't tell what it has had, so a repeat is a second line with the same id. OK: the stream took it.
    """

    def __init__(self, stream: BinaryIO, turn: Path | None = None) -> None:
        """`turn`: a file that is locked meanwhile (flock(2)), where several processes print to one stream."""
        self._stream, self._turn = stream, turn
        self._torn = False

    def write(self, batch: Sequence[Document]) -> list[Outcome]:
        """Print each document; one that can't be JSON is rejected. Raises BrokenPipeError once nobody reads."""
        outcomes, lines = [], []
        for document in batch:
            try:
                lines.append(json_line(document.encode()) + b"\n")
                outcomes.append(OK)
            except TypeError as error:
                outcomes.append(Outcome(Status.REJECTED, f"{document.id} can't be written as JSON: {error}"))
        try:
            with self._my_turn():
                self._print(b"".join(lines))
        except BrokenPipeError:
            raise
        except OSError as error:
            again = Outcome(Status.RETRY, f"the output can't be written: {error}")
            return [again if outcome is OK else outcome for outcome in outcomes]
        return outcomes

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        if self._turn is None:
            yield
            return
        fd = os.open(self._turn, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _print(self, data: bytes) -> None:
        rest = memoryview(b"\n" + data if self._torn and data else data)
        while rest:
            # An unbuffered stream may take a part only, and one that does not block nothing at all.
            taken = self._stream.write(rest)
            if not taken:
                message = "the stream takes nothing now"
                raise BlockingIOError(message)
            self._torn = taken < len(rest)
            rest = rest[taken:]
        self._stream.flush()

    def close(self) -> None:
        """Flush; the stream itself is its owner's to close. Raises BrokenPipeError once nobody reads."""
        if not self._stream.closed:
            self._stream.flush()
