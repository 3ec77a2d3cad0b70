"""What the spool takes as it fills: less and less, in a fixed order, and every record that it does not take counted.

From the first step on, a container's records are taken as long as it holds no more of the room up to REFUSE than it
leaves free: as in the ring (`owner__may` of bpf/record.h), a flood costs its own completeness and nobody else's.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass, field

from bpf.enums import Cause, Narrow
from bpf.events import CgroupMkdir, CgroupRmdir, Running, TtyOpen
from bpf.schema import decode
from shipper.wire.frame import PREFIX, stride, walk
from shipper.wire.records import FIRST, Loss

STEPS = NARROW_OUTPUT, NARROW_ARGUMENTS, NARROW_FORKS, REFUSE, FULL = 0.80, 0.85, 0.90, 0.94, 1.0
"""Fractions of the bound at which what terminals show is left out, long arguments are cut, forks left out, the kernel's
records refused, and all."""
BACK = 0.05
"""So much below a step the spool must fall before the step is taken back."""
SNAPSHOTS = frozenset({Running.layout.number, TtyOpen.layout.number})
"""Types of what a keyframe finds running or open: without one of them it is incomplete."""
_KEPT = frozenset({CgroupMkdir.layout.number, CgroupRmdir.layout.number})
_NARROW = (NARROW_FORKS, Narrow.FORKS), (NARROW_ARGUMENTS, Narrow.ARGUMENTS), (NARROW_OUTPUT, Narrow.OUTPUT)
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
    snapshots: int = 0
    """Of these, what a keyframe found running or open."""
    _used: int = 0
    _room: int = 0
    """Bytes that may still be taken before records are refused from everybody."""
    _held: dict[int, int] = field(default_factory=dict)
    """Owner → bytes taken since the first step, less what has been removed."""

    def measure(self, used: int) -> bool:
        """Take the step that fits so many bytes; True when it changed."""
        fill = used / self.max_bytes
        held = (step for step in STEPS if fill >= step - (BACK if step <= self.level else 0))
        level = max(held, default=0.0)
        changed, self.level = level != self.level, level
        self._share(used)
        return changed

    def _share(self, used: int) -> None:
        self._room = int(self.max_bytes * REFUSE) - used
        if not self.level:
            self._held.clear()
        elif used < self._used:  # whose bytes were removed is not known: everybody's, in proportion
            self._held = {owner: held * used // self._used for owner, held in self._held.items()}
        self._used = used

    @property
    def narrow(self) -> Narrow:
        """What the kernel programs are to leave out."""
        return next((level for step, level in _NARROW if self.level >= step), Narrow.NONE)

    @property
    def narrowed(self) -> dict[str, bool]:
        """The same by what it is, in lower case."""
        return {level.name.lower(): level <= self.narrow for level in Narrow if level}

    def admit(self, span: bytes, count: int, now: int) -> tuple[bytes, int]:
        """What is taken of a span of kernel records, and how many those are."""
        if not self.level:
            return span, count
        taken, left = self._divide(span)
        if left and self.level >= REFUSE:
            self.refuse(b"".join(left), Cause.SPOOL_FULL, now)
        elif left:
            self._count_all(b"".join(left), Cause.OVER_BUDGET, now)
        return b"".join(taken), len(taken)

    def refuse(self, payload: bytes, cause: Cause, now: int) -> None:
        """Count the records of a payload as lost; what a Loss among them tells stays told."""
        self.gap = True
        self._count_all(payload, cause, now)

    def _divide(self, span: bytes) -> tuple[list[bytes], list[bytes]]:
        """The records that are taken, and the others, as they lie in the span."""
        taken: list[bytes] = []
        left: list[bytes] = []
        for at, length in walk(span):
            number, owner = _TYPE_OWNER.unpack_from(span, at)
            size = stride(length)
            held = self._held.get(owner, 0) + size
            fits = number in _KEPT or (self.level < REFUSE and held <= self._room)
            if fits:
                self._held[owner] = held
                self._room -= size
            (taken if fits else left).append(span[at - PREFIX : at - PREFIX + size])
        return taken, left

    def _count_all(self, payload: bytes, cause: Cause, now: int) -> None:
        self.since = self.since or now
        for at, length in walk(payload):
            number, owner = _TYPE_OWNER.unpack_from(payload, at)
            if number == Loss.layout.number:
                loss = decode(payload, at, length)
                assert isinstance(loss, Loss)
                self._count((loss.cgroup_id, loss.cause, loss.record_type), loss.count)
                self.since = min(self.since, loss.since or self.since)
            elif number < FIRST:
                self._count((owner, cause, number), 1)
                self.totals[cause] += 1
                self.snapshots += number in SNAPSHOTS

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
