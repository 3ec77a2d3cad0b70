"""What does not fit into the ring is counted: stored and lost records together are exactly what was done."""

from __future__ import annotations

from collections import Counter

import pytest

from bpf.enums import Cause, Watch
from bpf.events import CgroupAttach, Exec, Exit, Fork, Task
from shipper.kernel_maps import LOSS_KEY, watched_entry
from tests.kernel.capture import Capture, capturing, cgroup, of
from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Container, Dockerd
from tests.kernel.flood import SMALL, flood, two_containers

pytestmark = pytest.mark.kernel

CHILDREN = 500
MANY, FIRST_OWNER = 3000, 1 << 40
"""Owners that no cgroup has: more than one call reads of a map."""


def stored(capture: Capture, begin: int, cgroup_id: int) -> Counter[int]:
    """Record type → how many of a cgroup were drained."""
    tasks = (r for r in capture.records[begin:] if isinstance(r, Task) and r.cgroup_id == cgroup_id)
    return Counter(record.type for record in tasks)


def kinds(**counts: int) -> Counter[int]:
    """Record type → how many, given by name."""
    types = {"fork": Fork, "execs": Exec, "ends": Exit}
    return Counter({types[name].layout.number or 0: count for name, count in counts.items()})


def test_no_loss(docker_daemon: Dockerd, capture: Capture, container: Container) -> None:
    """With room in the ring nothing is lost and nothing is counted."""
    with flood(docker_daemon, capture, container, "fork-spawn", str(4 * CHILDREN)) as ready:
        begin = len(capture.records)
        report = ready.release()
    capture.drain()
    done = len(report["children"])
    assert done == 4 * CHILDREN
    assert stored(capture, begin, container.cgroup_id) == kinds(fork=done, execs=done, ends=done + 1)
    assert not any(capture.losses(container.cgroup_id).values())


@pytest.mark.parametrize("trigger", [("fork-exit", str(CHILDREN), "0"), ("fork-spawn", str(CHILDREN))])
def test_exact(docker_daemon: Dockerd, trigger: tuple[str, ...]) -> None:
    """In a ring that is too small each record is either stored or counted, by type, on its container's account."""
    with capturing(SMALL) as capture, docker_daemon.container("triggers", *FOREVER) as made:
        with flood(docker_daemon, capture, made, *trigger) as ready:
            begin, before = len(capture.records), Counter(capture.losses(made.cgroup_id))
            done = len(ready.release()["children"])
        capture.drain()
        lost = Counter(capture.losses(made.cgroup_id)) - before
        kept = stored(capture, begin, made.cgroup_id)
        execs = {"execs": done} if trigger[0] == "fork-spawn" else {}
        assert kept + lost == kinds(fork=done, ends=done + 1, **execs)
        assert min(kept.total(), lost.total()) > 100
        assert_exact_again(docker_daemon, capture, made)


def assert_exact_again(docker_daemon: Dockerd, capture: Capture, container: Container) -> None:
    """A ring that was full and has been drained serves as before."""
    with flood(docker_daemon, capture, container, "fork-exit", "20", "0") as ready:
        begin, before = len(capture.records), capture.losses(container.cgroup_id)
        ready.release()
    capture.drain()
    assert stored(capture, begin, container.cgroup_id) == kinds(fork=20, ends=21)
    assert capture.losses(container.cgroup_id) == before


def test_two_containers(docker_daemon: Dockerd) -> None:
    """What two containers lose is counted on the account of each."""
    with (
        capturing(SMALL) as capture,
        two_containers(docker_daemon, capture) as (first, second),
        flood(docker_daemon, capture, first, "fork-exit", str(CHILDREN), "0") as one,
        flood(docker_daemon, capture, second, "fork-exit", str(2 * CHILDREN), "0") as other,
    ):
        begin = len(capture.records)
        before = {made: Counter(capture.losses(made.cgroup_id)) for made in (first, second)}
        one.release()
        other.release()
        capture.drain()
        for made, done in ((first, CHILDREN), (second, 2 * CHILDREN)):
            lost = Counter(capture.losses(made.cgroup_id)) - before[made]
            assert stored(capture, begin, made.cgroup_id) + lost == kinds(fork=done, ends=done + 1)
            assert lost.total() > 100


def test_child_cgroup(docker_daemon: Dockerd) -> None:
    """What is lost in a cgroup below a container's is counted on the container's account."""
    with (
        capturing(SMALL) as capture,
        docker_daemon.container("triggers", *FOREVER) as made,
        cgroup(made.cgroup / "below") as below,
    ):
        with flood(docker_daemon, capture, made, "fork-exit", str(CHILDREN), "0") as ready:
            (made.cgroup / "below" / "cgroup.procs").write_text(str(ready.pid))
            capture.until(lambda: below in {r.cgroup_id for r in of(capture.records, CgroupAttach)}, "the move")
            begin, before = len(capture.records), Counter(capture.losses(made.cgroup_id))
            ready.release()
        capture.drain()
        lost = Counter(capture.losses(made.cgroup_id)) - before
        assert stored(capture, begin, below) + lost == kinds(fork=CHILDREN, ends=CHILDREN + 1)
        assert lost.total() > 100
        assert capture.losses(below) == {}


def test_many_owners() -> None:
    """Everybody's numbers and losses are read, however many there are, and those of one alone."""
    owners = range(FIRST_OWNER, FIRST_OWNER + MANY)
    fork = Fork.layout.number or 0
    with capturing(SMALL) as capture:
        watched, lost = capture.probes.maps["watched"], capture.probes.maps["losses"]
        for count, owner in enumerate(owners, 1):
            watched.set(owner.to_bytes(8, "little"), watched_entry(owner, Watch.CONTAINER, count))
            lost.set(LOSS_KEY.pack(owner, Cause.RING_FULL, fork), count.to_bytes(8, "little"))
        seen, losses = capture.probes.seen(), capture.probes.losses()
        assert [seen[owner] for owner in owners] == list(range(1, MANY + 1))
        assert [losses[owner, Cause.RING_FULL, fork] for owner in owners] == list(range(1, MANY + 1))
        assert capture.probes.losses_of(owners[6]) == {(owners[6], Cause.RING_FULL, fork): 7}
        capture.probes.forget(owners[6])
        assert capture.probes.losses_of(owners[6]) == {}
