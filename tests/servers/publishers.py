"""A data folder whose spool is published by processes, and what a topic must then hold of it."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from shipper.publish import STATUS
from shipper.status import read_status
from shipper.wire.frame import Frame
from shipper.wire.message import End, Piece, read
from shipper.wire.position import Position, position_file
from shipper.wire.reader import Reader
from shipper.wire.segment import streams
from tests.faults.processes import PATIENCE, Processes, processes
from tests.faults.storm import storm
from tests.faults.writer import write
from tests.servers.kafka import Kafka

Streams = dict[bytes, list[Piece]]
"""Stream → its pieces in order."""


@dataclass
class Publishing:
    """A spool, and publishers for it."""

    data: Path
    settings: dict[str, str]
    own: Processes = field(repr=False)

    @property
    def topic(self) -> str:
        """Where it goes."""
        return self.settings["CGTRAIL_KAFKA_TOPIC"]

    @property
    def status(self) -> dict[str, Any]:
        """What the publisher tells of itself."""
        return read_status(self.data / STATUS)

    @property
    def positions(self) -> dict[str, Position]:
        """How far the streams are."""
        return position_file(self.data / "spool", "kafka").load()

    @property
    def log(self) -> str:
        """What all of them said."""
        return self.own.log.read_text(errors="replace") if self.own.log.exists() else ""

    def storm(self, seed: int, ticks: int) -> None:
        """Fill the spool."""
        write(self.data / "spool", storm(seed, ticks))

    def start(self, *options: str, **settings: str) -> subprocess.Popen[bytes]:
        """Start a publisher."""
        return self.own._start("cgtrail", "--data", str(self.data), "publish", *options, **self.settings | settings)

    def finish(self, **settings: str) -> None:
        """Publish all that there is."""
        assert self.start("--once", **settings).wait(PATIENCE) == 0, self.own.tail()

    def says(self, text: str) -> None:
        """Wait until something stands in the log."""
        self.own.wait(lambda: text in self.log, repr(text))

    def progress(self, frames: int) -> None:
        """Wait until so many frames count as published, over all streams."""
        self.own.wait(lambda: sum(each.next for each in self.positions.values()) >= frames, f"{frames} frames")


@contextmanager
def publishing(data: Path, settings: dict[str, str]) -> Iterator[Publishing]:
    """A data folder; no publisher outlives the test."""
    data.mkdir(parents=True, exist_ok=True)
    with processes(data) as own:
        yield Publishing(data, settings, own)


def recorded(data: Path) -> Streams:
    """What a topic must hold of a spool: frames, and the end of every stream but the newest."""
    known = streams(data / "spool")
    found: Streams = {stream.id: list(Reader(stream).read()) for stream in known}
    for stream in known[:-1]:
        found[stream.id].append(End(stream.committed))
    return found


def published(broker: Kafka, topic: str) -> tuple[Streams, int]:
    """What a worker makes of a topic that misses nothing: each stream's pieces, and how many came again.

    A stream stands in one partition; nothing of it comes before what stands in front of it.
    """
    found: Streams = defaultdict(list)
    places: dict[bytes, int] = {}
    again = 0
    for message in broker.messages(topic):
        told = read(_bytes(message.key()), _bytes(message.value()), cast("list[tuple[str, bytes]]", message.headers()))
        partition = message.partition()
        assert partition is not None
        assert places.setdefault(told.stream, partition) == partition, "a stream in two partitions"
        known = found[told.stream]
        number = told.piece.number
        if number < len(known):
            assert known[number] == told.piece, f"{number} came twice, and differs"
            again += 1
            continue
        assert number == len(known), f"{number} came before {len(known)}"
        known.append(told.piece)
    return dict(found), again


def assert_whole(broker: Kafka, publishing: Publishing) -> int:
    """The topic holds the spool, all of it, in order; returns how many pieces came more than once."""
    found, again = published(broker, publishing.topic)
    wanted = recorded(publishing.data)
    assert {stream: _numbers(pieces) for stream, pieces in found.items()} == {
        stream: _numbers(pieces) for stream, pieces in wanted.items()
    }
    assert found == wanted
    return again


def _numbers(pieces: list[Piece]) -> list[tuple[str, int]]:
    return [("frame" if isinstance(piece, Frame) else type(piece).__name__, piece.number) for piece in pieces]


def _bytes(value: str | bytes | None) -> bytes:
    return value if isinstance(value, bytes) else (value or "").encode()
