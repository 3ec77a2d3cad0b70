"""What could not be recorded, told in the stream: the kernel's counters, read at ticks, and what the spool refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from bpf.enums import Cause
from shipper.admission import SNAPSHOTS, Account, Admission
from shipper.probes import Probes
from shipper.wire.records import Loss


@dataclass
class Losses:
    """Reads the counters of loaded programs; each count is told once."""

    probes: Probes
    admission: Admission
    _told: dict[Account, int] = field(default_factory=dict)
    _read: int = 0
    """Boot time in ns of the last reading."""
    _kernel: Counter[Cause] = field(default_factory=Counter)

    @property
    def totals(self) -> Counter[Cause]:
        """What was lost since the agent began, each record once however often its Loss was refused."""
        return self._kernel + self.admission.totals

    def news(self, now: int) -> Iterator[Loss]:
        """What was lost since it was asked last, of everybody. `now`: boot time in ns."""
        counts = self.probes.losses()
        counts[0, Cause.RECURSION, 0] = self.probes.recursion_misses()
        yield from self._news(counts, now)
        yield from self.admission.take(now)
        self._read = now

    def final(self, owner: int, now: int) -> Iterator[Loss]:
        """What a container that has ended lost since the last reading; its counters are freed."""
        counts = self.probes.losses_of(owner)
        if counts:
            yield from self._news(counts, now)
            self.probes.forget(owner)
            for account in counts:
                self._told.pop(account, None)

    def snapshots(self) -> int:
        """How many records of what runs or is open were lost, ever."""
        lost = sum(count for (_, _, kind), count in self.probes.losses().items() if kind in SNAPSHOTS)
        return lost + self.admission.snapshots

    def _news(self, counts: dict[Account, int], now: int) -> Iterator[Loss]:
        for account, count in counts.items():
            lost = count - self._told.get(account, 0)
            if lost > 0:
                owner, cause, kind = account
                self._told[account] = count
                self._kernel[Cause(cause)] += lost
                yield Loss(
                    time=now, cgroup_id=owner, count=lost, since=self._read or now, cause=cause, record_type=kind
                )
