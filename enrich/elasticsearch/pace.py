"""How much is sent at a time: a little more after each request that went well, half of it when a server is pressed."""

from __future__ import annotations

import threading

SLOW_SECONDS = 5.0
"""A request that takes longer was too large for what the cluster can do now."""
MAX_DOCUMENTS = 500
"""In one request: more cost more each, as memory for so much is given back to the system and asked for each time."""
_STEP = 1 / 16
_LEAST = 1 / 256


class Pace:
    """Additive increase, multiplicative decrease (as TCP's, RFC 5681) of a request's size and of requests in flight.

    Both begin at what is allowed. Of several refusals that were on their way together, the first one counts: the others
    say nothing about the new pace. Thread-safe.
    """

    def __init__(self, max_bytes: int, max_in_flight: int) -> None:
        """Go at full speed. Raises ValueError where nothing would be allowed."""
        if max_bytes < 1 or max_in_flight < 1:
            raise ValueError(f"bulk_bytes {max_bytes} and in_flight {max_in_flight}: 1 at least")
        self._told, self._max_bytes, self._max_in_flight = max_bytes, max_bytes, max_in_flight
        self._share, self._flights = 1.0, float(max_in_flight)
        self._turn = 0
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """In one request, at the most."""
        return max(1, int(self._max_bytes * self._share))

    @property
    def documents(self) -> int:
        """In one request, at the most."""
        return max(1, int(MAX_DOCUMENTS * self._share))

    @property
    def in_flight(self) -> int:
        """Requests at a time, at the most."""
        return int(self._flights)

    @property
    def turn(self) -> int:
        """Which pace this is: to be told with the answer of a request that was begun now."""
        return self._turn

    def went(self, turn: int, seconds: float) -> None:
        """A request of that turn was carried out."""
        if seconds > SLOW_SECONDS:
            self._less(turn, 0.75)
            return
        with self._lock:
            self._share = min(1.0, self._share + _STEP)
            self._flights = min(float(self._max_in_flight), self._flights + _STEP)

    def pressed(self, turn: int) -> None:
        """A request of that turn was refused, in part or whole, for want of room (429)."""
        self._less(turn, 0.5)

    def too_large(self, size: int) -> None:
        """A request of so many bytes is more than what stands on the way ever takes (413)."""
        with self._lock:
            self._max_bytes = max(1, min(self._max_bytes, size // 2))

    def none_passes(self) -> None:
        """What stands on the way takes nothing at all: once it does, it may take as much as is allowed."""
        with self._lock:
            self._max_bytes = self._told

    def _less(self, turn: int, factor: float) -> None:
        with self._lock:
            if turn == self._turn:
                self._turn += 1
                self._share = max(_LEAST, self._share * factor)
                self._flights = max(1.0, self._flights * factor)
