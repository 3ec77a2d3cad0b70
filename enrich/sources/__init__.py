"""Where workers read: ordered logs, each of which can be begun anywhere and committed.

A *partition* is one such log: a stream of a spool, or a partition of a Kafka topic, in which several hosts' streams
stand. Places in it are integers that rise: frame numbers, or offsets. A new source is one file here and one case in
`cgtrail/halves.py`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

from shipper.wire.message import MessageError, Piece

READ_BYTES = 1 << 20
"""Of pieces that a source gives in one `read`, about: then what came of them is stored."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One piece of a stream, as it stands in a partition."""

    place: int
    """Where it stands."""
    behind: int
    """The place behind it: what a reader that has done with it commits."""
    stream: bytes
    piece: Piece
    time: int = 0
    """When the log took it, in ns since 1970, as the log tells; 0 where it does not."""
    opened: int = 0
    """When its stream was opened, in ns since 1970; 0 where that is not told."""
    origin: str = ""
    """Topic, partition, offset and key, for people; empty where stream and number say it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Bytes in a partition that are no piece of a stream."""

    place: int
    behind: int
    error: MessageError
    body: bytes
    time: int = 0
    origin: str = ""
    """Topic, partition, offset and key, for people."""


class Taker(Protocol):
    """Who takes what a source reads: the worker. A source calls it in its own `read` and `wait`, never elsewhere."""

    def begin(self, partition: str, committed: int, oldest: int) -> int:
        """A partition is ours from now on, or its log was cut and counts anew; returns the place to read it from.

        `committed`: all before it is stored, 0 where nothing ever was; `oldest`: the oldest place that can still be
        read. The place that is returned may lie before it: what is gone is the source's to tell, or shows in numbers.
        """
        ...

    def take(self, partition: str, taken: Taken | Refused) -> None:
        """The next piece of a partition."""
        ...

    def end(self, partition: str) -> None:
        """A partition has ended for ever: a spool's stream, once a later one was begun."""
        ...

    def expire(self, partition: str, oldest: int) -> None:
        """What stood before this place in a partition is gone: streams that have only spoken there are over."""
        ...

    def leave(self, partitions: Collection[str], *, lost: bool = False) -> None:
        """Partitions go to another worker. What is taken is stored and committed first, unless they are `lost`."""
        ...


class Source(Protocol):
    """Reads partitions for a Taker."""

    def read(self, taker: Taker, seconds: float) -> bool:
        """Give the taker what there is, READ_BYTES at the most; waits for it so long. False when there was nothing."""
        ...

    def wait(self, taker: Taker, seconds: float) -> None:
        """Let time pass without giving anything, and stay a member: the store is slow."""
        ...

    def commit(self, places: dict[str, int], needs: dict[str, int], *, surely: bool) -> None:
        """All before these places is stored. `needs`: places from which a restart reads again.

        With `surely` it returns once that is durable, else it may be so later. Raises OSError and SourceError.
        """
        ...

    def backlog(self) -> int:
        """Frames or messages that can be read and are not committed."""
        ...

    def facts(self) -> dict[str, Any]:
        """How it goes, for people and metrics; may be asked from another thread."""
        ...

    def close(self) -> None:
        """Let go of everything. Nothing is read after."""
        ...


class SourceError(RuntimeError):
    """The log can't be read or committed now; the message says why and what to do."""
