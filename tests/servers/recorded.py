"""What the agents of three hosts recorded: spools of storms with people at prompts, and what must come of them.

The same seed and size make the same records. Only the ids of streams are random: documents are compared under names.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from shipper.wire.frame import Frame
from shipper.wire.segment import COMMITTED, Segment, Stream, count, scan
from tests.faults.kept import Documents, Kept, names, renamed, undisturbed
from tests.faults.storm import Boot, records_of, storm
from tests.faults.writer import begun, write
from tests.servers.prompts import Prompts

HOSTS = (b"the first host's", b"another host's i", b"a third one's id")
"""Their ids: of four partitions, the first and the third host's streams are in one, the other's in another."""
POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Host:
    """One of them: a data folder with a spool of two boots, and what a worker makes of it that nobody disturbs."""

    id: bytes
    data: Path
    records: int
    names: Mapping[str, str]
    """Stream → what it is called in comparisons."""
    wanted: Kept

    def streams(self) -> list[Stream]:
        """One a boot."""
        return begun(self.data / "spool")

    @property
    def frames(self) -> int:
        """How many there are."""
        return sum(stream.committed for stream in self.streams())


@dataclass(frozen=True, slots=True)
class Recorded:
    """All hosts."""

    seed: int
    hosts: tuple[Host, ...]

    @property
    def records(self) -> int:
        """How many there are."""
        return sum(host.records for host in self.hosts)

    @property
    def frames(self) -> int:
        """How many there are."""
        return sum(host.frames for host in self.hosts)

    @property
    def names(self) -> dict[str, str]:
        """Stream → name, of all."""
        return {stream: name for host in self.hosts for stream, name in host.names.items()}

    @property
    def wanted(self) -> Kept:
        """What comes of all together."""
        documents: Documents = {}
        letters: dict[str, tuple[str, bytes]] = {}
        for host in self.hosts:
            assert not documents.keys() & host.wanted.documents.keys()
            documents |= host.wanted.documents
            letters |= host.wanted.letters
        return Kept(documents, letters)

    def named(self, found: Mapping[str, str]) -> Documents:
        """Documents under the names of their streams."""
        return renamed(self.names, found)


def boots(seed: int, ticks: int, number: int) -> list[Boot]:
    """What the agents of host `number` recorded: five ticks a second, about 70 records each."""
    return storm(seed * len(HOSTS) + number, ticks, partial(Prompts, host=HOSTS[number]))


def record(folder: Path, seed: int, ticks: int) -> Recorded:
    """Spools of all hosts in a folder, with what comes of each."""
    hosts = []
    for number, ident in enumerate(HOSTS):
        data, told = folder / f"host{number}", boots(seed, ticks, number)
        with _not_synced():
            write(data / "spool", told, host=ident)
        called = names(data, f"host{number}-")
        with TemporaryDirectory(dir=folder) as scratch:
            wanted = undisturbed(data, Path(scratch), called=called)
        hosts.append(Host(ident, data, records_of(told), called, wanted))
    return Recorded(seed, tuple(hosts))


@contextmanager
def _not_synced() -> Iterator[None]:
    """Nothing waits for the disk in this block."""
    real = os.fdatasync
    os.fdatasync = lambda fd: None  # noqa: ARG005  a file descriptor, as the real one
    try:
        yield
    finally:
        os.fdatasync = real


@dataclass
class Agent:
    """Writes a host's spool once more, byte by byte the same and frame by frame: what a publisher reads."""

    host: Host
    data: Path
    seconds: float = 0
    """So long it takes for all, at least."""
    share: float = 1
    """It writes up to here, of all, and waits."""
    written: int = 0
    """Frames so far."""
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Write all of it."""
        for stream in self.host.streams():
            to = self.data / "spool" / stream.path.name
            to.mkdir(parents=True)
            for segment in stream.segments():
                self._copy(stream, segment, to)

    def _copy(self, stream: Stream, segment: Segment, to: Path) -> None:
        content, frames = segment.path.read_bytes(), self.host.frames
        with (to / segment.path.name).open("wb", buffering=0) as opened:
            for piece in scan(segment.path, stream.id):
                assert isinstance(piece.found, Frame)
                while self.written > self.share * frames and not self.over.wait(POLL_SECONDS):
                    pass
                if self.over.wait(self.seconds / frames):
                    return
                opened.write(content[piece.offset : piece.end])
                (to / COMMITTED).write_bytes(count(piece.found.number + 1))
                self.written += 1


@contextmanager
def agents(recorded: Recorded, folder: Path, *, seconds: float = 0, share: float = 1) -> Iterator[list[Agent]]:
    """All hosts' spools are written in this block, in folders `host0`, …"""
    made = [Agent(host, folder / host.data.name, seconds, share) for host in recorded.hosts]
    threads = [threading.Thread(target=each.run, name=each.data.name) for each in made]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        for each, thread in zip(made, threads, strict=True):
            each.over.set()
            thread.join()
