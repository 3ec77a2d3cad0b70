"""What could not be recorded, told in the stream: the kernel's counters, read at ticks, and what the spool refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from bpf.events import Cause, Running
from shipper.admission import Account, Admission
from shipper.probes import Probes
from shipper.wire.records import Loss


@dataclass
class Losses:
    """Reads the counters of loaded programs; each count is told once."""

    probes: Probes
    admission: Admission
    totals: Counter[Cause] = field(default_factory=Counter)
    """What was told since the agent began."""
    _told: dict[Account, int] = field(default_factory=dict)
    _read: int = 0
    """Boot time in ns of the last reading."""

    def news(self, now: int) -> Iterator[Loss]:
        """What was lost since it was asked last, of everybody. `now`: boot time in ns."""
        counts = self.probes.losses()
        counts[0, Cause.RECURSION, 0] = self.probes.recursion_misses()
        yield from self._news(counts, now)
        for loss in self.admission.take(now):
            self.totals[Cause(loss.cause)] += loss.count
            yield loss
        self._read = now

    def final(self, owner: int, now: int) -> Iterator[Loss]:
        """What a container that has ended lost since the last reading; its counters are freed."""
        counts = {account: count for account, count in self.probes.losses().items() if account[0] == owner}
        if counts:
            yield from self._news(counts, now)
            self.probes.forget(owner)
            for account in counts:
                self._told.pop(account, None)

    def snapshots(self) -> int:
        """How many records of running processes were lost, ever."""
        return sum(count for (_, _, kind), count in self.probes.losses().items() if kind == Running.layout.number)

    def _news(self, counts: dict[Account, int], now: int) -> Iterator[Loss]:
        for account, count in counts.items():
            lost = count - self._told.get(account, 0)
            if lost > 0:
                owner, cause, kind = account
                self._told[account] = count
                self.totals[Cause(cause)] += lost
                yield Loss(
                    time=now, cgroup_id=owner, count=lost, since=self._read or now, cause=cause, record_type=kind
                )
