"""What the spool takes as it fills: less and less, in a fixed order, and every record that it does not take counted."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass, field

from bpf.events import Cause, CgroupMkdir, CgroupRmdir, Narrow
from bpf.schema import decode
from shipper.wire.frame import PREFIX, stride, walk
from shipper.wire.records import FIRST, Loss

STEPS = NARROW_ARGUMENTS, NARROW_FORKS, REFUSE, FULL = 0.80, 0.90, 0.94, 1.0
"""Fractions of the bound at which long arguments are cut, forks left out, the kernel's records refused, and all."""
BACK = 0.05
"""So much below a step the spool must fall before the step is taken back."""
_KEPT = frozenset({CgroupMkdir.layout.number, CgroupRmdir.layout.number})
# type of a record, and its owner behind type, fixed, length, time and cgroup id
_TYPE_OWNER = struct.Struct("<H22xQ")

Account = tuple[int, int, int]
"""Owner cgroup, cause, record type."""


@dataclass(slots=True)
class Admission:
    """Steps of a filling spool, and the account of what was refused since it was last taken."""

    max_bytes: int
    level: float = 0.0
    """The step that holds: 0, or one of the fractions above."""
    refused: dict[Account, int] = field(default_factory=dict)
    since: int = 0
    """Boot time in ns when the first of them was refused."""
    gap: bool = False
    """Something was refused, and no keyframe has told since what is alive."""
    totals: Counter[Cause] = field(default_factory=Counter)
    """Records refused, ever."""

    def measure(self, used: int) -> bool:
        """Take the step that fits so many bytes; True when it changed."""
        fill = used / self.max_bytes
        held = (step for step in STEPS if fill >= step - (BACK if step <= self.level else 0))
        level = max(held, default=0.0)
        changed, self.level = level != self.level, level
        return changed

    @property
    def narrow(self) -> Narrow:
        """What the kernel programs are to leave out."""
        if self.level >= NARROW_FORKS:
            return Narrow.FORKS
        return Narrow.ARGUMENTS if self.level >= NARROW_ARGUMENTS else Narrow.NONE

    def admit(self, span: bytes, count: int, now: int) -> tuple[bytes, int]:
        """What is taken of a span of kernel records, and how many those are."""
        if self.level < REFUSE:
            return span, count
        kept = [(at, length) for at, length in walk(span) if _TYPE_OWNER.unpack_from(span, at)[0] in _KEPT]
        self.refuse(span, Cause.SPOOL_FULL, now, kept=_KEPT)
        return b"".join(span[at - PREFIX : at - PREFIX + stride(length)] for at, length in kept), len(kept)

    def refuse(self, payload: bytes, cause: Cause, now: int, kept: frozenset[int | None] = frozenset()) -> None:
        """Count the records of a payload as lost, but for types in `kept`; what a Loss among them tells stays told."""
        self.gap = True
        self.since = self.since or now
        for at, length in walk(payload):
            number, owner = _TYPE_OWNER.unpack_from(payload, at)
            if number == Loss.layout.number:
                loss = decode(payload, at, length)
                assert isinstance(loss, Loss)
                self._count((loss.cgroup_id, loss.cause, loss.record_type), loss.count)
                self.since = min(self.since, loss.since or self.since)
            elif number < FIRST and number not in kept:
                self._count((owner, cause, number), 1)
                self.totals[cause] += 1

    def take(self, now: int) -> list[Loss]:
        """The account so far, as records; it begins anew."""
        taken, since = self.refused, self.since
        self.refused, self.since = {}, 0
        return [
            Loss(time=now, cgroup_id=owner, count=count, since=since, cause=cause, record_type=number)
            for (owner, cause, number), count in taken.items()
        ]

    def _count(self, account: Account, count: int) -> None:
        self.refused[account] = self.refused.get(account, 0) + count
