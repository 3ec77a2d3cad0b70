"""Several hosts' streams in one log made by hand, and what a partition and a worker make of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from enrich.document import Document
from enrich.enricher import Enricher
from enrich.partition import Partition
from enrich.sources import Refused, Taken, Taker
from shipper.wire.frame import Frame
from shipper.wire.message import End, Piece
from shipper.wire.reader import Reader
from tests.unit.spooled import Spooled
from tests.unit.stream import SECOND, UNIX, container, exec_

NAME = "cgtrail.raw-0"


@dataclass
class Agent:
    """An agent's stream: what it wrote, as pieces."""

    folder: Path
    id: bytes
    host: bytes = b"h" * 16
    boot: bytes = b"b" * 16
    up: int = 10 * SECOND
    """Boot time in ns of its first record."""
    booted: int = UNIX
    """When its host was booted, in ns since 1970."""

    def __post_init__(self) -> None:
        """Nothing is written yet."""
        self.spooled = Spooled(self.folder / self.id.hex(), self.id, now=self.up, set_back=UNIX - self.booted)

    def programs(self, first: int, number: int) -> Agent:
        """A keyframe of a container, and so many programs a frame each."""
        self.spooled.keyframe(*container(), first=not self.spooled.number)
        for pid in range(first, first + number):
            self.spooled.add(exec_(pid, 1, b"/bin/p%d" % pid))
        self.spooled.tick(3)
        return self

    @property
    def pieces(self) -> list[Piece]:
        """All that was written so far."""
        found = Reader(self.spooled.stream).read()
        return [replace(each, host=self.host, boot=self.boot) if isinstance(each, Frame) else each for each in found]

    @property
    def end(self) -> End:
        """It has ended."""
        return End(self.spooled.number)

    def taken(self, pieces: Iterable[Piece] | None = None) -> list[Taken]:
        """Pieces as a log tells them; the log's clock is the host's."""
        told = self.pieces if pieces is None else pieces
        return [
            Taken(0, 1, self.id, each, getattr(each, "time", self.spooled.unix), self.spooled.opened) for each in told
        ]


def placed(pieces: Iterable[Taken | Refused], first: int = 0) -> list[Taken | Refused]:
    """Pieces in the order of a log."""
    return [replace(each, place=place, behind=place + 1) for place, each in enumerate(pieces, first)]


def merged(*streams: Sequence[Taken]) -> list[Taken | Refused]:
    """The pieces of several streams in turn."""
    longest = max(map(len, streams))
    return placed(stream[index] for index in range(longest) for stream in streams if index < len(stream))


def partition(committed: int = 0, oldest: int = 0, counts: Counter[str] | None = None) -> Partition:
    """A partition that nothing was taken of."""
    shared = Counter[str]() if counts is None else counts

    def fresh(stream: bytes, opened: int) -> Enricher:
        return Enricher(stream, opened=opened, counts=shared)

    return Partition(NAME, committed, oldest, fresh, shared)


def take(into: Partition, pieces: Iterable[Taken | Refused]) -> Partition:
    """All of them."""
    for piece in pieces:
        into.take(piece)
    return into


def bodies(documents: Iterable[Document]) -> list[tuple[str, bytes]]:
    """What documents say, in order."""
    return [(document.id, document.encode()) for document in documents]


@dataclass
class LogSource:
    """One partition in memory. What is not given yet is given `each` at a time."""

    log: list[Taken | Refused]
    each: int = 3
    committed: int = 0
    needs: int = 0
    meanwhile: Callable[[Taker], object] = lambda _: None
    """Called whenever the worker waits."""
    waits: int = 0
    commits: list[tuple[int, bool]] = field(default_factory=list)
    at: int = -1

    def read(self, taker: Taker, seconds: float) -> bool:  # noqa: ARG002  all is there
        """Give what comes next."""
        if self.at < 0:
            self.at = taker.begin(NAME, self.committed, 0)
        given = self.log[self.at : self.at + self.each]
        for piece in given:
            taker.take(NAME, piece)
            self.at = piece.behind
        return bool(given)

    def wait(self, taker: Taker, seconds: float) -> None:  # noqa: ARG002  no test waits for a clock
        """Does what the test does meanwhile."""
        self.waits += 1
        self.meanwhile(taker)

    def commit(self, places: dict[str, int], needs: dict[str, int], *, surely: bool) -> None:
        """It is durable at once."""
        self.committed, self.needs = places[NAME], needs.get(NAME, self.needs)
        self.commits.append((self.committed, surely))

    def left(self, taker: Taker, *, lost: bool = False) -> None:
        """The partition goes to another worker."""
        leaving: Collection[str] = [NAME]
        taker.leave(leaving, lost=lost)
        self.at = len(self.log)

    def backlog(self) -> int:
        """What is not committed."""
        return len(self.log) - self.committed

    def facts(self) -> dict[str, Any]:
        """How it goes."""
        return {"lag": {NAME: self.backlog()}}

    def close(self) -> None:
        """Nothing is open."""
