"""A spool on disk made by hand, record by record, and what workers make of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bpf.events import Header
from bpf.schema import Record
from cgtrail.halves import worker_on
from enrich.document import Document
from enrich.enricher import Enricher, Output
from enrich.letters import DeadLetters, Letter
from enrich.sinks import Sink
from enrich.sinks.memory import MemorySink
from enrich.statefile import own_file
from enrich.worker import Worker
from shipper.wire.frame import KEYFRAME, Frame, wrap
from shipper.wire.position import Position, position_file
from shipper.wire.reader import Reader
from shipper.wire.records import AgentStart, Clock, HostInfo, KeyframeBegin, KeyframeEnd, Tick
from shipper.wire.segment import COMMITTED, Segment, Stream, count
from tests.unit.stream import BOOT, SECOND, UNIX, container, exec_

ID = bytes(range(16))
MS = 1_000_000


@dataclass
class Spooled:
    """One stream of a data folder. Each record is one millisecond later than the one before; a call is a frame."""

    data: Path
    id: bytes = ID
    opened: int = UNIX
    now: int = 10 * SECOND
    """Boot time in ns of the next record."""
    number: int = 0
    """Of the next frame."""
    set_back: int = 0
    """So many ns the host's clock was set back since it began."""

    def __post_init__(self) -> None:
        """Makes the stream's folder; it has no frames yet."""
        self.stream = Stream(self.data / "spool" / f"{self.opened:020d}-{self.id.hex()}")
        self.stream.path.mkdir(parents=True, exist_ok=True)

    def keyframe(self, *records: Record, first: bool = False) -> int:
        """A keyframe of one frame that names what lives; the first one of an agent says so."""
        host = HostInfo(host_name=b"node", host_id=b"ab", boot_id=BOOT)
        agent = [AgentStart()] if first else []
        return self.add(KeyframeBegin(), host, Clock(), *records, *agent, KeyframeEnd(), flags=KEYFRAME)

    def tick(self, times: int = 1) -> int:
        """So many frames of a tick, a fifth of a second apart."""
        for _ in range(times):
            self.now += SECOND // 5
            self.add(Tick())
        return self.number - 1

    def add(self, *records: Record | bytes, flags: int = 0) -> int:
        """A frame of these records, committed; bytes go in as they are. Returns its number."""
        frame = self.frame(*records, flags=flags)
        segments = self.stream.segments()
        first = frame.number if flags & KEYFRAME or not segments else segments[-1].first
        with (self.stream.path / f"{first:020d}.seg").open("ab") as opened:
            opened.write(frame.encode())
        self.number += 1
        (self.stream.path / COMMITTED).write_bytes(count(self.number))
        return frame.number

    def frame(self, *records: Record | bytes, flags: int = 0) -> Frame:
        """The next frame, not written."""
        payload = b"".join(wrap(self._encoded(record)) for record in records)
        return Frame(self.id, b"h" * 16, b"b" * 16, self.number, len(records), payload, time=self.unix, flags=flags)

    @property
    def unix(self) -> int:
        """The time of the next record, in ns since 1970."""
        return UNIX + self.now - self.set_back

    def segment(self, number: int) -> Segment:
        """The file that a frame is in."""
        return [segment for segment in self.stream.segments() if segment.first <= number][-1]

    def damage(self, number: int) -> bytes:
        """Overwrite the payload of a frame; returns what its segment held before."""
        path = self.segment(number).path
        before = path.read_bytes()
        (payload,) = (
            f.payload for f in Reader(self.stream, number).read() if isinstance(f, Frame) and f.number == number
        )
        at = before.index(payload)
        path.write_bytes(before[:at] + b"\xff" * len(payload) + before[at + len(payload) :])
        return before

    def _encoded(self, record: Record | bytes) -> bytes:
        if isinstance(record, bytes):
            return record
        assert isinstance(record, Header)
        record.time = record.time or self.now
        if isinstance(record, Clock):
            record.realtime = UNIX + record.time - self.set_back
        self.now += MS
        return record.encode()


def garbage(kind: int = 99, body: bytes = b"not understood") -> bytes:
    """A record of a type that is not known."""
    return kind.to_bytes(2, "little") + (8).to_bytes(2, "little") + (8 + len(body)).to_bytes(4, "little") + body


def five(data: Path) -> Spooled:
    """A container and five programs, a frame each."""
    stream = Spooled(data)
    stream.keyframe(*container(), first=True)
    for pid in range(2, 7):
        stream.add(exec_(pid, 1, b"/bin/p%d" % pid))
    stream.tick(3)
    return stream


FIVE = ["p2", "p3", "p4", "p5", "p6"]


@contextmanager
def worker(data: Path, sink: Sink, stop: threading.Event | None = None, **settings: Any) -> Iterator[Worker]:
    """A worker on a data folder, as `cgtrail enrich` has it."""
    with ExitStack() as stack:
        yield stack.enter_context(worker_on(data, "sqlite", sink, stop or threading.Event(), **settings))


def work(data: Path, sink: MemorySink | None = None, **settings: Any) -> dict[str, Document]:
    """Everything that can be read now, once; returns the sink's documents by id."""
    sink = sink or MemorySink()
    with worker(data, sink, **settings) as made:
        made.run(follow=False)
    return sink.documents


def letters(data: Path) -> list[Letter]:
    """The dead letters that a worker has left."""
    opened = DeadLetters.reading(own_file(data, "deadletters.db"))
    if opened is None:
        return []
    with closing(opened):
        return list(opened.all())


def enriched(stream: Stream, **settings: Any) -> tuple[Enricher, Output]:
    """A whole stream taken without a worker."""
    enricher, output = Enricher(stream.id, **settings), Output()
    for piece in Reader(stream).read():
        made = enricher.take(piece)
        output.documents += made.documents
        output.letters += made.letters
    return enricher, output


def programs(documents: dict[str, Document]) -> list[str]:
    """The names of processes, in the order of arrival."""
    return [document.source["process"]["name"] for document in documents.values() if document.kind == "process"]


def losses(documents: dict[str, Document]) -> dict[str, Any]:
    """What is told as lost, by id."""
    return {name: each.source["cgtrail"]["loss"] for name, each in documents.items() if each.kind == "loss"}


def position(stream: Spooled) -> Position:
    """The committed position."""
    return position_file(stream.data / "spool", "sqlite").load()[stream.id.hex()]


def no_position(stream: Spooled) -> None:
    """Nothing is committed yet."""
    with pytest.raises(KeyError):
        position(stream)
