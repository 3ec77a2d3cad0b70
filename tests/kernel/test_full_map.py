"""A map that is full of cgroups: containers can't keep each other out, what finds no room is told, and it heals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bpf.enums import Counter, Policy, Watch
from bpf.events import CgroupAttach, CgroupMkdir, CgroupRmdir, Exit
from tests.kernel.capture import Capture, capturing, cgroup, of
from tests.kernel.dockerd import cgroup2_mount
from tests.kernel.test_cgroup import about, entry
from tests.kernel.test_ledger import visit

pytestmark = pytest.mark.kernel

ROOM = 256
CHILDREN = ROOM - ROOM // 4
"""Entries beyond which no container's further cgroup gets one (bpf/place.h)."""


@pytest.fixture
def small() -> Iterator[Capture]:
    """Kernel programs whose map has little room."""
    with capturing(max_cgroups=ROOM) as capture:
        yield capture


def container(number: int) -> Path:
    """Where a container's cgroup would be."""
    return cgroup2_mount() / f"docker-{number:064x}.scope"


def crowd(stack: ExitStack, folder: Path, count: int) -> list[int]:
    """Cgroups below one."""
    return [stack.enter_context(cgroup(folder / str(number))) for number in range(count)]


def assert_counted(capture: Capture) -> None:
    """The kernel's count is that of the map's entries."""
    assert capture.probes.entries() == len(capture.probes.watched_cgroups())


def test_reserve(small: Capture) -> None:
    """Cgroups of containers leave a quarter for new containers, and those without an entry are found all the same."""
    with ExitStack() as stack:
        tops = [stack.enter_context(cgroup(container(number))) for number in range(4)]
        below = [made for number in range(4) for made in crowd(stack, container(number), 60)]
        placed = small.probes.watched_cgroups()
        assert tops == [made for made in tops if made in placed]
        assert len(placed) == small.probes.entries() == CHILDREN
        assert small.probes.counter(Counter.CROWDED) == len(set(below) - placed)
        late = [stack.enter_context(cgroup(container(number))) for number in range(4, ROOM - CHILDREN)]
        assert {entry(small, made) for made in late} == {(made, Watch.CONTAINER) for made in late}
        assert small.probes.unwatched() == 0
        pid = visit(container(3) / "59")
        small.until(lambda: bool(of(about(small, below[-1]), Exit)), "the end of a process without an entry")
        assert [(r.tgid, r.owner) for r in of(about(small, below[-1]), Exit)] == [(pid, tops[3])]
    assert_counted(small)
    assert small.probes.watched_cgroups().isdisjoint([*tops, *below, *late])
    assert small.probes.counter(Counter.CROWDED) == 0


def test_full(small: Capture) -> None:
    """A container for which there is no room is counted and told; it is recorded once there is and it is asked for."""
    with ExitStack() as stack:
        number = 0
        while small.probes.entries() < ROOM:
            stack.enter_context(cgroup(container(number)))
            number += 1
        last = container(number)
        refused = stack.enter_context(cgroup(last))
        assert (small.probes.unwatched(), small.probes.entries()) == (1, ROOM)
        small.until(lambda: bool(about(small, refused)), "its birth")
        (birth,) = of(about(small, refused), CgroupMkdir)
        assert (birth.watch, birth.owner, birth.path) == (Watch.REFUSED, 0, f"/{last.name}".encode())
        visit(last)
        assert not small.probes.watch(refused, refused)
        assert small.probes.unwatched() == 1
        container(0).rmdir()
        stack.callback(container(0).mkdir)  # the stack removes it
        assert small.probes.entries() == ROOM - 1
        assert small.probes.watch(refused, refused, Policy.EXEC)
        assert entry(small, refused) == (refused, Watch.CONTAINER)
        pid = visit(last)
        small.until(lambda: bool(of(about(small, refused), Exit)), "the end of a process")
        assert [type(record) for record in about(small, refused)] == [CgroupMkdir, CgroupAttach, Exit]
        assert [(r.tgid, r.owner) for r in of(about(small, refused), Exit)] == [(pid, refused)]
    small.until(lambda: bool(of(about(small, refused), CgroupRmdir)), "the removal")
    assert_counted(small)


def test_older_children(small: Capture) -> None:
    """Of cgroups that user space finds, those without room are their container's, as are those that are made then."""
    with ExitStack() as stack:
        owner = stack.enter_context(cgroup(container(0)))
        older = crowd(stack, container(0), ROOM)
        for made in older:
            small.probes.unwatch(made)
        small.probes.unwatch(owner)
        assert small.probes.counter(Counter.CROWDED) == 0
        assert_counted(small)
        assert small.probes.watch(owner, owner)
        assert all(small.probes.watch(made, owner) for made in older)
        crowded = [made for made in older if made not in small.probes.watched_cgroups()]
        younger = stack.enter_context(cgroup(container(0) / "younger"))
        assert (small.probes.counter(Counter.CROWDED), entry(small, younger)) == (len(crowded) + 1, None)
        pids = [visit(container(0) / name) for name in (str(ROOM - 1), "younger")]
        small.until(lambda: bool(of(about(small, younger), Exit)), "the end of a process")
        ends = of(about(small, crowded[-1]) + about(small, younger), Exit)
        assert [(record.tgid, record.owner) for record in ends] == [(pid, owner) for pid in pids]
    assert small.probes.counter(Counter.CROWDED) == 0
    assert_counted(small)


def test_unwatched_owner(small: Capture) -> None:
    """With an owner that user space takes out go those that were found by its entry only."""
    with ExitStack() as stack:
        owner = stack.enter_context(cgroup(container(0)))
        crowd(stack, container(0), ROOM)
        assert small.probes.counter(Counter.CROWDED) > 0
        small.probes.unwatch(owner)
        assert small.probes.counter(Counter.CROWDED) == 0
        last = container(0) / str(ROOM - 1)
        visit(last)
        small.drain()
        assert [type(record) for record in about(small, last.stat().st_ino)] == [CgroupMkdir]
    assert_counted(small)
