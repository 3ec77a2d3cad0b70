"""A ring that fills up has room for everybody: one container's flood costs its own completeness, never another's."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack

import pytest

from bpf.enums import Cause
from bpf.events import Exit, Fork
from shipper.wire.frame import stride
from tests.kernel.capture import Capture, capturing
from tests.kernel.dockerd import Container, Dockerd
from tests.kernel.flood import SMALL, flood, release, two_containers
from tests.kernel.test_loss import stored

pytestmark = pytest.mark.kernel

RING = 8 * SMALL
MANY = 4000
"""Children of a flood: several rings full."""
FEW = 100
RECORD = 256
"""Bytes that a record of theirs does not pass."""


def lost(capture: Capture, container: Container) -> Counter[Cause]:
    """Cause → records lost of a container since loading."""
    counts: Counter[Cause] = Counter()
    for (owner, cause, _), count in capture.probes.losses().items():
        if owner == container.cgroup_id:
            counts[Cause(cause)] += count
    return +counts


def size(capture: Capture, begin: int, container: Container) -> int:
    """Bytes of the ring that a container's records took."""
    return sum(stride(record.length) for record in capture.records[begin:] if record.owner == container.cgroup_id)


def test_a_flood_leaves_room(docker_daemon: Dockerd) -> None:
    """Nobody drains, one container floods: it gets half of the ring and half of the rest, and the other loses none."""
    with (
        capturing(RING) as capture,
        two_containers(docker_daemon, capture) as (loud, quiet),
        flood(docker_daemon, capture, loud, "fork-exit", str(MANY), "0") as storm,
        flood(docker_daemon, capture, quiet, "fork-exit", str(FEW), "0") as few,
    ):
        capture.drain()
        begin = len(capture.records)
        assert release(storm) == [MANY]
        assert release(few) == [FEW]
        capture.drain()
        assert stored(capture, begin, quiet.cgroup_id) == {Fork.layout.number: FEW, Exit.layout.number: FEW + 1}
        assert lost(capture, quiet) == {}
        assert RING / 2 < size(capture, begin, loud) <= RING * 3 / 4 + RECORD
        kept = stored(capture, begin, loud.cgroup_id).total()
        assert lost(capture, loud) == {Cause.OVER_BUDGET: 2 * MANY + 1 - kept}


def test_several_floods_leave_room(docker_daemon: Dockerd) -> None:
    """Two containers that flood leave an eighth of the ring at least, however the second one comes after the first."""
    with capturing(RING) as capture, ExitStack() as stack:
        loud = stack.enter_context(two_containers(docker_daemon, capture))
        storms = [
            stack.enter_context(flood(docker_daemon, capture, made, "fork-exit", str(MANY), "0")) for made in loud
        ]
        capture.drain()
        begin = len(capture.records)
        assert release(*storms) == [MANY, MANY]
        capture.drain()
        assert sum(size(capture, begin, made) for made in loud) <= RING * 7 / 8 + 4 * RECORD
        assert all(lost(capture, made).keys() == {Cause.OVER_BUDGET} for made in loud)


def test_no_room_for_anybody(docker_daemon: Dockerd) -> None:
    """A record that is larger than all that is free is lost to the full ring, not to its container's budget."""
    with (
        capturing(SMALL) as capture,
        two_containers(docker_daemon, capture) as (loud, quiet),
        flood(docker_daemon, capture, loud, "fork-exit", str(MANY), "0") as storm,
        flood(docker_daemon, capture, quiet, "fail-long", str(SMALL // 2)) as large,
    ):
        capture.drain()
        release(storm)
        large.release()
        capture.drain()
        assert lost(capture, loud).keys() == {Cause.OVER_BUDGET}
        assert lost(capture, quiet) == {Cause.RING_FULL: 1}


def test_nothing_is_held_against_it(docker_daemon: Dockerd) -> None:
    """A flood that was drained is forgotten: as much of the next one is taken, whatever lies between them."""
    with capturing(RING) as capture, two_containers(docker_daemon, capture) as (loud, other):
        taken = []
        for between in (0, 3, 30):
            with ExitStack() as stack:
                rests = [flood(docker_daemon, capture, other, "fork-exit", str(FEW), "0") for _ in range(between > 0)]
                waiting = [stack.enter_context(rest) for rest in rests]
                storm = stack.enter_context(flood(docker_daemon, capture, loud, "fork-exit", str(MANY), "0"))
                capture.drain()
                begin = len(capture.records)
                release(storm)
                capture.drain()
                taken.append(stored(capture, begin, loud.cgroup_id).total())
                for rest in waiting:
                    rest.release()
                capture.drain()
        assert min(taken) > 0.9 * max(taken)  # what else runs on this host has its share of the ring
