"""A container that makes thousands of cgroups hides nothing, harms nobody, and costs nothing once they are gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from bpf.events import CgroupMkdir, CgroupRmdir, Counter, Exit, Watch
from shipper.probes import WATCHED, watched_entry
from tests.kernel.capture import Capture, capturing, cgroup, of
from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Container, Dockerd
from tests.kernel.test_cgroup import about, entry
from tests.kernel.test_ledger import visit

pytestmark = pytest.mark.kernel

ID = "fedcba9876543210" * 4
MAX_CHILDREN = 1024
"""Of one container in the map (bpf/record.h)."""
TOO_MANY = MAX_CHILDREN + 50
MAP_ENTRIES = 65_536
"""Of the map `watched` (bpf/record.h)."""


def crowded(capture: Capture) -> int:
    """How many cgroups are found by an ancestor's entry only."""
    values = (capture.probes.maps["counters"].get(n.to_bytes(4, "little")) for n in (Counter.CROWDED, Counter.UNPLACED))
    return sum(int.from_bytes(value or b"", "little") for value in values) % 2**64


def children(capture: Capture, container: Container) -> int:
    """How many cgroups below its own a container has in the map."""
    value = capture.probes.maps["watched"].get(container.cgroup_id.to_bytes(8, "little"))
    return int(WATCHED.unpack(value or b"")[2])


@contextmanager
def nested(folder: Path, names: list[str]) -> Iterator[Path]:
    """Cgroups one in the other; the innermost."""
    with ExitStack() as stack:
        for name in names:
            folder /= name
            stack.enter_context(cgroup(folder))
        yield folder


def test_uncrowded_again(docker_daemon: Dockerd) -> None:
    """Once the cgroups that found no room are gone, in whatever order, no lookup asks ancestors any more."""
    with capturing() as capture, docker_daemon.container("busybox", *FOREVER) as made:
        folders = [made.cgroup / str(number) for number in range(TOO_MANY)]
        for folder in folders:
            folder.mkdir()
        assert (children(capture, made), crowded(capture)) == (MAX_CHILDREN, TOO_MANY - MAX_CHILDREN)
        for folder in folders[100:] + folders[:100]:
            folder.rmdir()
        assert (children(capture, made), crowded(capture)) == (0, 0)
        with cgroup(made.cgroup / "again") as again:
            assert entry(capture, again) == (made.cgroup_id, Watch.CONTAINER)


def test_uncrowded_by_its_end(docker_daemon: Dockerd) -> None:
    """A container that Docker removes with all its cgroups leaves nothing in the maps."""
    with capturing() as capture:
        with docker_daemon.container("busybox", *FOREVER) as made:
            for number in range(TOO_MANY):
                (made.cgroup / str(number)).mkdir()
        capture.until(lambda: bool(of(about(capture, made.cgroup_id), CgroupRmdir)), "the cgroup's removal")
        assert crowded(capture) == 0
        assert made.cgroup_id not in {WATCHED.unpack(value)[0] for value in entries(capture)}


def entries(capture: Capture) -> list[bytes]:
    """The values of the map of who is watched."""
    _, values = capture.probes.maps["watched"].read()
    return [values[at : at + WATCHED.size] for at in range(0, len(values), WATCHED.size)]


@pytest.mark.parametrize("name", ["x.service", ID, f"docker-{ID}.scope"])
def test_deep(docker_daemon: Dockerd, name: str) -> None:
    """Nested however deep where there is no room, under whatever names, a process is its container's."""
    with capturing() as capture, docker_daemon.container("busybox", *FOREVER) as made, ExitStack() as stack:
        for number in range(TOO_MANY):
            stack.enter_context(cgroup(made.cgroup / str(number)))
        with nested(made.cgroup, [f"{number}-{name}" for number in range(39)] + [name]) as deepest:
            innermost = deepest.stat().st_ino
            pid = visit(deepest)
        capture.until(lambda: bool(of(about(capture, innermost), CgroupRmdir)), "the innermost cgroup's removal")
        records = about(capture, innermost)
        assert {record.owner for record in records} == {made.cgroup_id}
        assert [record.tgid for record in of(records, Exit)] == [pid]
        (birth,) = of(records, CgroupMkdir)
        assert (birth.watch, birth.path.startswith(f"/docker/{made.id}/".encode())) == (Watch.CONTAINER, True)


def test_full_map(docker_daemon: Dockerd) -> None:
    """Where the map has no room at all, cgroups found by user space and by the kernel are their container's."""
    with capturing() as capture, docker_daemon.container("busybox", *FOREVER) as made, ExitStack() as stack:
        older = stack.enter_context(cgroup(made.cgroup / "older"))
        capture.probes.unwatch(older)
        taken = fill(capture)
        capture.probes.watch(older, made.cgroup_id)
        younger = stack.enter_context(cgroup(made.cgroup / "younger"))
        assert entry(capture, older) is None
        assert entry(capture, younger) is None
        assert crowded(capture) == 2
        pids = [visit(made.cgroup / name) for name in ("older", "younger")]
        stack.close()
        capture.until(lambda: bool(of(about(capture, younger), CgroupRmdir)), "the removal")
        ends = of(about(capture, older) + about(capture, younger), Exit)
        assert [record.tgid for record in ends] == pids
        assert {record.owner for record in ends} == {made.cgroup_id}
        assert crowded(capture) == 0
        for key in taken:
            capture.probes.maps["watched"].delete(key)


def fill(capture: Capture) -> list[bytes]:
    """Take all the room in the map of who is watched, by cgroups that never were; their keys."""
    watched = capture.probes.maps["watched"]
    free = MAP_ENTRIES - len(entries(capture))
    keys = [(2**63 + number).to_bytes(8, "little") for number in range(free)]
    for key in keys:
        watched.set(key, watched_entry(0, Watch.CONTAINER))
    return keys
