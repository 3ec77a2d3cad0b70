"""Which wall-clock time a boot time is, and when the stream has to be told anew."""

from __future__ import annotations

import time
from dataclasses import dataclass

from shipper.tell import boot_ns
from shipper.wire.records import Clock

MOVE_NS = 50_000_000
STEP_NS = 5_000_000_000
"""A clock that is set by more begins an interval: within one, frames' times rise, and it can be found by them."""


@dataclass(slots=True)
class HostClock:
    """The host's clocks side by side."""

    offset: int = 0
    """Nanoseconds since 1970 minus those since boot, as the stream was told last."""
    stepped: bool = False
    """The wall clock was set by more than STEP_NS; whoever begins an interval takes it back."""

    def news(self, now: int, *, always: bool = False) -> Clock | None:
        """What the stream has to be told at boot time `now` (ns): nothing while they move together."""
        real = time.time_ns() - (boot_ns() - now)
        moved = abs(real - now - self.offset)
        self.stepped |= bool(self.offset) and moved > STEP_NS
        if not always and moved <= MOVE_NS:
            return None
        self.offset = real - now
        return Clock(time=now, realtime=real)
