"""What was handed to the client and is not acknowledged: a position moves when all before it has arrived."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from time import monotonic

from shipper.wire.position import Position


@dataclass(slots=True)
class Sent:
    """A piece on its way."""

    stream: str
    """Its id in hexadecimal."""
    behind: Position
    """How far its stream is once it has arrived."""
    time: int
    """A frame's; 0 of other pieces."""
    size: int
    """Bytes of a frame; 0 of other pieces."""
    at: float = field(default_factory=monotonic)
    arrived: bool = False

    def arrive(self) -> None:
        """It was acknowledged."""
        self.arrived = True


class InFlight:
    """Pieces in the order in which they were sent."""

    def __init__(self) -> None:
        self._sent: deque[Sent] = deque()

    def __len__(self) -> int:
        """How many have not been settled."""
        return len(self._sent)

    def add(self, sent: Sent) -> None:
        """One more is on its way."""
        self._sent.append(sent)

    def settle(self) -> list[Sent]:
        """Takes out what has arrived with all before it, and returns that."""
        settled = []
        while self._sent and self._sent[0].arrived:
            settled.append(self._sent.popleft())
        return settled

    @property
    def age(self) -> float:
        """Seconds since the oldest was sent; may be asked from another thread."""
        try:
            return monotonic() - self._sent[0].at
        except IndexError:
            return 0.0
