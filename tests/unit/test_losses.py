"""What was lost is told in the stream: each count once, whoever counted it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from bpf.enums import Cause
from bpf.events import Exec, Fork, Running, TtyOpen
from shipper.admission import Admission
from shipper.losses import Losses
from shipper.probes import Probes
from shipper.wire.frame import wrap
from shipper.wire.records import Loss

EXEC, FORK, RUNNING, OPEN = (cls.layout.number or 0 for cls in (Exec, Fork, Running, TtyOpen))
FULL = Cause.RING_FULL


@dataclass
class Kernel:
    """The counters of loaded programs, which only grow until they are freed."""

    counts: dict[tuple[int, int, int], int] = field(default_factory=dict)
    misses: int = 0

    def losses(self) -> dict[tuple[int, int, int], int]:
        """As `Probes.losses`."""
        return dict(self.counts)

    def losses_of(self, owner: int) -> dict[tuple[int, int, int], int]:
        """As `Probes.losses_of`."""
        return {account: count for account, count in self.counts.items() if account[0] == owner}

    def recursion_misses(self) -> int:
        """As `Probes.recursion_misses`."""
        return self.misses

    def forget(self, owner: int) -> None:
        """As `Probes.forget`."""
        self.counts = {account: count for account, count in self.counts.items() if account[0] != owner}


def losses_of(kernel: Kernel) -> Losses:
    """Losses of these counters and an admission of their own."""
    return Losses(cast("Probes", kernel), Admission(10_000))


def shown(losses: list[Loss]) -> list[tuple[int, int, int, int]]:
    """Owner, cause, type and count of each."""
    return [(loss.cgroup_id, loss.cause, loss.record_type, loss.count) for loss in losses]


def test_without_losses_nothing_is_told() -> None:
    """Counters of nothing make no records."""
    losses = losses_of(Kernel({(7, FULL, EXEC): 0}))
    assert list(losses.news(1)) == []
    assert losses.totals == {}


def test_each_count_is_told_once() -> None:
    """A Loss says what came since the one before, and since when."""
    kernel = Kernel()
    losses = losses_of(kernel)
    assert list(losses.news(100)) == []
    kernel.counts = {(7, FULL, EXEC): 5, (7, FULL, FORK): 1}
    first = list(losses.news(200))
    assert shown(first) == [(7, FULL, EXEC, 5), (7, FULL, FORK, 1)]
    assert {(loss.time, loss.since) for loss in first} == {(200, 100)}
    assert list(losses.news(300)) == []
    kernel.counts[7, FULL, EXEC] = 8
    (loss,) = losses.news(400)
    assert (loss.count, loss.since) == (3, 300)
    assert losses.totals == {FULL: 9}


def test_what_was_lost_before_the_first_reading_has_no_earlier_beginning() -> None:
    """There was no reading before: it began by now."""
    (loss,) = losses_of(Kernel({(7, FULL, EXEC): 5})).news(200)
    assert loss.since == 200


def test_programs_that_could_not_run_are_nobodys() -> None:
    """Whose records, is not known."""
    losses = losses_of(Kernel(misses=3))
    assert shown(list(losses.news(1))) == [(0, Cause.RECURSION, 0, 3)]
    assert list(losses.news(2)) == []


def test_an_ended_container_is_told_at_once() -> None:
    """Its last losses come before its counters are freed; those of others wait for the next reading."""
    kernel = Kernel({(7, FULL, EXEC): 2, (8, FULL, EXEC): 1})
    losses = losses_of(kernel)
    assert len(list(losses.news(100))) == 2
    kernel.counts[7, FULL, EXEC] = 5
    kernel.counts[8, FULL, EXEC] = 4
    assert shown(list(losses.final(7, 150))) == [(7, FULL, EXEC, 3)]
    assert kernel.counts == {(8, FULL, EXEC): 4}
    assert shown(list(losses.news(200))) == [(8, FULL, EXEC, 3)]


def test_a_freed_counter_begins_anew() -> None:
    """An owner whose number comes back is not told less than it lost."""
    kernel = Kernel({(7, FULL, EXEC): 5})
    losses = losses_of(kernel)
    list(losses.news(100))
    assert list(losses.final(7, 150)) == []
    kernel.counts[7, FULL, EXEC] = 2
    assert shown(list(losses.news(200))) == [(7, FULL, EXEC, 2)]


def test_an_end_without_losses_is_quiet() -> None:
    """Most containers lose nothing."""
    assert list(losses_of(Kernel({(8, FULL, EXEC): 4})).final(7, 1)) == []


def test_what_the_spool_refused_is_told_too() -> None:
    """With its own cause, at the next reading."""
    losses = losses_of(Kernel())
    losses.admission.refuse(wrap(Exec(owner=7).encode()) * 2, Cause.DISK, 90)
    (loss,) = losses.news(100)
    assert (loss.cgroup_id, loss.cause, loss.record_type, loss.count, loss.since) == (7, Cause.DISK, EXEC, 2, 90)
    assert losses.totals == {Cause.DISK: 2}


def test_totals_are_exact_while_the_disk_is_full() -> None:
    """A Loss that is refused at every tick is told again at every tick, and counted once."""
    kernel = Kernel({(7, FULL, EXEC): 5})
    losses = losses_of(kernel)
    losses.admission.refuse(wrap(Fork(owner=7).encode()), Cause.DISK, 90)
    for now in range(100, 200):
        for loss in list(losses.news(now)):
            losses.admission.refuse(wrap(loss.encode()), Cause.DISK, now)
    assert losses.totals == {FULL: 5, Cause.DISK: 1}
    assert sorted(shown(list(losses.news(300)))) == [(7, FULL, EXEC, 5), (7, Cause.DISK, FORK, 1)]


def test_lost_snapshots_are_counted_apart() -> None:
    """A keyframe asks whether running processes or open terminals were lost, of any owner and for any cause."""
    kernel = Kernel({(7, FULL, RUNNING): 2, (8, Cause.NARROWED, RUNNING): 1, (7, FULL, EXEC): 4})
    losses = losses_of(kernel)
    assert losses.snapshots() == 3
    losses.admission.refuse(wrap(Running(owner=7).encode()) + wrap(Exec(owner=7).encode()), Cause.SPOOL_FULL, 100)
    assert losses.snapshots() == 4
    kernel.counts[9, Cause.OVER_BUDGET, OPEN] = 1
    losses.admission.refuse(wrap(TtyOpen(owner=7).encode()), Cause.DISK, 100)
    assert losses.snapshots() == 6
