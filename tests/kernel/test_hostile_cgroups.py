"""A container that makes thousands of cgroups hides nothing, harms nobody, and costs nothing once they are gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from bpf.enums import Counter, Watch
from bpf.events import CgroupMkdir, CgroupRmdir, Exit
from shipper.kernel_maps import WATCHED
from tests.kernel.capture import Capture, capturing, cgroup, of
from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Container, Dockerd
from tests.kernel.test_cgroup import about, entry
from tests.kernel.test_ledger import visit

pytestmark = pytest.mark.kernel

ID = "fedcba9876543210" * 4
MAX_CHILDREN = 1024
"""Of one container in the map (bpf/watch.h)."""
TOO_MANY = MAX_CHILDREN + 50


def crowded(capture: Capture) -> int:
    """How many cgroups are found by an ancestor's entry only."""
    return capture.probes.counter(Counter.CROWDED)


def children(capture: Capture, container: Container) -> int:
    """How many cgroups below its own a container has in the map."""
    value = capture.probes.maps["watched"].get(container.cgroup_id.to_bytes(8, "little"))
    return int(WATCHED.unpack(value or b"")[3])


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
