"""While the spool is nearly full the kernel leaves out what matters least, and counts it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from bpf.enums import Cause, Narrow
from bpf.events import CgroupAttach, CgroupMkdir, CgroupRmdir, Exec, ExecFailed, Exit, Fork, Image, Running
from tests.kernel.capture import Capture, arguments_of, of
from tests.kernel.dockerd import Container, Dockerd, wait_until
from tests.kernel.oracle import arguments

pytestmark = pytest.mark.kernel

ARGS = 4096
"""Bytes of arguments that are left (bpf/image.h, NARROW_ARGS_BYTES)."""
CHILDREN = 20
EVERY = pytest.mark.parametrize("level", [Narrow.ARGUMENTS, Narrow.FORKS])


@pytest.fixture(autouse=True)
def _wide_again(capture: Capture) -> Iterator[None]:
    yield
    capture.probes.narrow(Narrow.NONE)


def narrowed(capture: Capture, container: Container) -> dict[int, int]:
    """Record type → records of a container that were left out on purpose."""
    losses = capture.probes.losses().items()
    return {kind: n for (owner, cause, kind), n in losses if (owner, cause) == (container.cgroup_id, Cause.NARROWED)}


def cut(record: Image) -> bool:
    """Whether a record says that some of its arguments are missing."""
    return record.args_bytes > len(record.args)


@EVERY
@pytest.mark.parametrize("more", [0, 1, 50_000])
def test_arguments(capture: Capture, container: Container, level: Narrow, more: int) -> None:
    """Arguments are cut to 4,096 bytes, and the record tells how many there were."""
    capture.probes.narrow(level)
    argv = ("/triggers/report", "x" * (ARGS + more - len("/triggers/report") - 2))
    seen = capture.run(container, *argv)
    (record,) = seen.of(Exec)
    whole = arguments(seen.report)
    assert len(whole) == record.args_bytes == ARGS + more
    assert record.args == whole[:ARGS]
    assert cut(record) == bool(more)
    capture.probes.narrow(Narrow.NONE)
    (record,) = capture.run(container, *argv).of(Exec)
    assert record.args == whole


@EVERY
@pytest.mark.parametrize("size", [4000, 5000, 60_000])
def test_arguments_of_a_failure(capture: Capture, container: Container, level: Narrow, size: int) -> None:
    """Of an exec that failed they are cut as well."""
    capture.probes.narrow(level)
    seen = capture.trigger(container, "fail-long", str(size))
    (record,) = seen.of(ExecFailed)
    whole = arguments(seen.report)
    assert record.args == whole[:ARGS]
    assert cut(record) == (len(whole) > ARGS)
    assert record.error == -seen.report["error"]


@pytest.mark.parametrize("level", Narrow)
def test_arguments_of_a_running_process(capture: Capture, docker_daemon: Dockerd, level: Narrow) -> None:
    """Of a process found running they are always cut: every keyframe has them again."""
    argv = ("/triggers/report", "stay", "x" * 2 * ARGS)
    with docker_daemon.container("triggers", *argv) as made:
        wait_until(lambda: bool(made.handle.logs()), "the process has reported")
        capture.probes.narrow(level)
        capture.drain()
        before = len(capture.records)
        capture.probes.snapshot()
        capture.drain()
        (record,) = (r for r in of(capture.records[before:], Running) if r.tgid == made.pid)
        told = arguments_of([record])[made.pid]
    whole = b"".join(argument.encode() + b"\0" for argument in argv)
    assert (record.args, record.args_bytes) == (b"", len(whole))
    assert (told.args, told.cut) == (whole[:ARGS], 1)


def test_forks(capture: Capture, container: Container) -> None:
    """Forks are counted instead of recorded; the same processes' starts and ends are recorded as ever."""
    capture.drain()
    capture.probes.narrow(Narrow.FORKS)
    begin, before = len(capture.records), Counter(narrowed(capture, container))
    seen = capture.trigger(container, "fork-spawn", str(CHILDREN))
    left_out = Counter(narrowed(capture, container)) - before
    assert not [r for r in of(capture.records[begin:], Fork) if r.owner == container.cgroup_id]
    assert left_out.keys() == {Fork.layout.number}
    assert left_out.total() >= CHILDREN
    children = {child["pid"] for child in seen.report["children"]}
    assert {r.vpid for r in seen.started(Exec)} == {r.vpid for r in seen.started(Exit)} == children


def test_forks_again(capture: Capture, container: Container) -> None:
    """At the levels before, and once the spool has room again, forks are recorded and nothing is counted."""
    capture.probes.narrow(Narrow.FORKS)
    capture.trigger(container, "fork-exit", "1", "0")
    before = narrowed(capture, container)
    for level in (Narrow.ARGUMENTS, Narrow.NONE):
        capture.probes.narrow(level)
        seen = capture.trigger(container, "fork-exit", str(CHILDREN), "0")
        assert {r.vpid for r in seen.started(Fork)} == {child["pid"] for child in seen.report["children"]}
    assert narrowed(capture, container) == before


@EVERY
def test_never_left_out(capture: Capture, docker_daemon: Dockerd, level: Narrow) -> None:
    """A container's cgroup, who enters it, its program and its end are recorded at every level."""
    capture.probes.narrow(level)
    with docker_daemon.container("busybox", "sleep", "infinity") as made:
        pass

    def about() -> list[type]:
        return [type(record) for record in capture.records if record.cgroup_id == made.cgroup_id]

    capture.until(lambda: CgroupRmdir in about(), "the cgroup's removal")
    assert {CgroupMkdir, CgroupAttach, Exec, Exit} <= set(about())
    assert narrowed(capture, made).keys() <= {Fork.layout.number}
