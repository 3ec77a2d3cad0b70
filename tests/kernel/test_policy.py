"""What is recorded of a container follows its policy at once, and nothing else is disturbed by a change."""

from __future__ import annotations

import itertools
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bpf.enums import Counter, Policy, Watch
from bpf.events import CgroupAttach, CgroupMkdir, CgroupRmdir, Exec, Exit, Fork, Header, Task
from shipper import objects, probes
from shipper.kernel_maps import WATCHED
from shipper.objects import CaptureError
from tests.kernel.capture import TRIGGER, Capture, Seen, capturing, cgroup, of
from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Container, Dockerd, cgroup2_mount, program
from tests.kernel.test_cgroup import ID, about, entry
from tests.kernel.test_ledger import assert_complete, of_owner, visit

pytestmark = pytest.mark.kernel

CHILDREN = 300
SETTLED = 0.05
"""Seconds after which no program runs that saw the policy before."""


def policy(capture: Capture, cgroup_id: int) -> int:
    """What the kernel's map holds of an owner."""
    value = capture.probes.maps["watched"].get(cgroup_id.to_bytes(8, "little"))
    return int(WATCHED.unpack(value or b"")[2])


def spawn(container: Container) -> None:
    """Let a container start programs, and fail to start one, whether that is recorded or not."""
    container.run(TRIGGER, "fork-spawn", str(CHILDREN))
    container.run(TRIGGER, "fail-enoent")


def tasks(capture: Capture, container: Container, begin: int) -> list[Header]:
    """What is recorded of the processes of a container, but of those that enter it."""
    found = of(capture.records[begin:], Task)
    return [r for r in found if r.owner == container.cgroup_id and not isinstance(r, CgroupAttach)]


def starts(capture: Capture, container: Container, begin: int) -> int:
    """How many programs a container's processes have started."""
    return len(of(tasks(capture, container, begin), Exec))


@contextmanager
def storm(container: Container) -> Iterator[None]:
    """Programs start in a container all the time, as fast as they can."""
    script = "while :; do /triggers/trigger nothing; done"
    container.handle.exec_run(["sh", "-c", script], detach=True)
    yield
    container.handle.kill()


def test_birth(capture: Capture, container: Container) -> None:
    """A container begins with its programs recorded, and nothing that is typed."""
    assert policy(capture, container.cgroup_id) == Policy.EXEC
    with cgroup(container.cgroup / "below") as below:
        assert policy(capture, below) == 0


def test_off_and_on(docker_daemon: Dockerd, capture: Capture) -> None:
    """While a container's programs are not asked for none is recorded, and nothing is lost by that; then all are."""
    with docker_daemon.container("triggers", *FOREVER) as made:
        for asked in (Policy.TERMINAL | Policy.OUTPUT, Policy(0)):
            before = capture.trigger(made, "fork-spawn", str(CHILDREN))
            assert capture.probes.set_policy(made.cgroup_id, asked)
            capture.drain()
            begin, seen = len(capture.records), capture.probes.seen()[made.cgroup_id]
            spawn(made)
            capture.probes.snapshot()
            capture.drain()
            entered = [r for r in of(capture.records[begin:], CgroupAttach) if r.owner == made.cgroup_id]
            assert tasks(capture, made, begin) == []
            assert capture.probes.seen()[made.cgroup_id] == seen + len(entered)
            assert entered
            assert capture.probes.set_policy(made.cgroup_id, Policy.EXEC | Policy.TERMINAL)
            after = capture.trigger(made, "fork-spawn", str(CHILDREN))
            for seen_whole in (before, after):
                assert_whole(seen_whole)
        assert_complete(capture, made.cgroup_id)
        assert capture.losses(made.cgroup_id) == {}


def assert_whole(seen: Seen) -> None:
    """Each child was recorded: made, its program, ended."""
    pids = [child["pid"] for child in seen.report["children"]]
    for kind in (Fork, Exec, Exit):
        assert [record.vpid for record in seen.started(kind)] == pids


def again(capture: Capture, container: Container) -> None:
    """Wait until programs of a container are recorded."""
    begin = len(capture.records)
    capture.until(lambda: starts(capture, container, begin) > 10, "the storm, again")


def test_storm(docker_daemon: Dockerd, capture: Capture) -> None:
    """In a storm of programs a change takes effect at once; numbers stay exact, and a neighbour misses nothing."""
    off: list[tuple[int, int]] = []
    with (
        docker_daemon.container("triggers", *FOREVER) as made,
        docker_daemon.container("triggers", *FOREVER) as neighbour,
    ):
        owner, begin = made.cgroup_id, len(capture.records)
        with storm(made):
            capture.until(lambda: starts(capture, made, begin) > CHILDREN, "the storm")
            other = threading.Thread(target=neighbour.run, args=(TRIGGER, "fork-spawn", str(CHILDREN)))
            other.start()
            for _ in range(5):
                assert capture.probes.set_policy(owner, Policy.TERMINAL)
                time.sleep(SETTLED)
                since = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
                time.sleep(SETTLED)
                until = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
                assert capture.probes.set_policy(owner, Policy.EXEC)
                off.append((since, until))
                again(capture, made)
            other.join()
        capture.drain()
        assert_complete(capture, owner)
        assert_complete(capture, neighbour.cgroup_id)
        times = [record.time for record in tasks(capture, made, begin)]
        assert not [time for time in times for since, until in off if since <= time <= until]
        started = of(tasks(capture, neighbour, begin), Exec)
        assert len([record for record in started if b"nothing" in record.args]) == CHILDREN


def test_changes_lose_no_count(docker_daemon: Dockerd, capture: Capture) -> None:
    """However often user space administers an entry, no number is lost or given twice meanwhile."""
    stop = threading.Event()
    with docker_daemon.container("triggers", *FOREVER) as made:
        owner = made.cgroup_id

        def administer() -> None:
            for asked in itertools.cycle((Policy.EXEC, Policy.EXEC | Policy.OUTPUT)):
                assert capture.probes.set_policy(owner, asked)
                assert capture.probes.watch(owner, owner, asked)
                if stop.is_set():
                    return

        thread = threading.Thread(target=administer)
        thread.start()
        try:
            seen = capture.trigger(made, "fork-spawn", str(CHILDREN))
        finally:
            stop.set()
            thread.join()
        assert_whole(seen)
        assert_complete(capture, owner)
        assert capture.probes.seen()[owner] == len(of_owner(capture, owner))


def test_child_of_a_change(capture: Capture, container: Container) -> None:
    """A cgroup that is made while its container's programs are not asked for obeys, and so it does afterwards."""
    assert capture.probes.set_policy(container.cgroup_id, Policy.TERMINAL)
    with cgroup(container.cgroup / "born") as born:
        visit(container.cgroup / "born")
        capture.drain()
        assert {type(record) for record in about(capture, born)} == {CgroupMkdir, CgroupAttach}
        assert capture.probes.set_policy(container.cgroup_id, Policy.EXEC)
        pid = visit(container.cgroup / "born")
        capture.until(lambda: bool(of(about(capture, born), Exit)), "the process's end")
        assert [record.tgid for record in of(about(capture, born), Exit)] == [pid]
    capture.until(lambda: bool(of(about(capture, born), CgroupRmdir)), "the removal")


def test_host_keeps_its_own() -> None:
    """With the host asked for, a container that is not asked for is left out all the same."""
    with capturing(capture_host=True) as capture, cgroup(cgroup2_mount() / ID) as made:
        assert capture.probes.set_policy(made, Policy.TERMINAL)
        pid = visit(cgroup2_mount() / ID)
        with subprocess.Popen(["true"]) as process:
            process.wait()
        capture.until(lambda: process.pid in {r.tgid for r in of(capture.records, Exit)}, "the host's program")
        found = [record for record in of(capture.records, Task) if record.tgid == pid]
    assert {type(r) for r in found if r.owner == 0} >= {Fork, Exec}
    assert [type(r) for r in found if r.owner == made] == [CgroupAttach]


def test_settle(capture: Capture) -> None:
    """What was recorded provisionally becomes what user space says; what is settled stays."""
    path = cgroup2_mount() / "pods"
    with cgroup(path) as pods, cgroup(path / "one") as one, cgroup(path / "one" / "two") as two:
        assert entry(capture, two) == (pods, Watch.PROVISIONAL)
        assert capture.probes.watch(one, one, Policy.EXEC | Policy.OUTPUT)
        assert capture.probes.watch(two, one, Policy.TERMINAL)
        assert (entry(capture, one), entry(capture, two)) == ((one, Watch.CONTAINER), (one, Watch.CONTAINER))
        assert (policy(capture, one), policy(capture, two)) == (Policy.EXEC | Policy.OUTPUT, 0)
        assert [children(capture, owner) for owner in (pods, one)] == [0, 1]
        assert capture.probes.watch(one, pods, Policy.TERMINAL)
        assert entry(capture, one) == (one, Watch.CONTAINER)
        with cgroup(path / "one" / "x.service") as below:
            assert entry(capture, below) == (one, Watch.CONTAINER)
        capture.probes.unwatch(pods)
        assert (entry(capture, pods), entry(capture, one)) == (None, (one, Watch.CONTAINER))


def test_settle_under_an_owner(capture: Capture) -> None:
    """A provisional cgroup that turns out to be part of a container hands over what referred to it."""
    top = cgroup2_mount() / "top"
    with cgroup(top) as owner, cgroup(top / ID) as inside, cgroup(top / ID / "deep") as deep:
        assert entry(capture, deep) == (inside, Watch.CONTAINER)
        assert capture.probes.watch(owner, owner)
        with cgroup(top / "late") as late:
            assert entry(capture, late) == (owner, Watch.CONTAINER)
        assert children(capture, owner) == 0
        pid = visit(top / ID / "deep")
        capture.until(lambda: bool(of(about(capture, deep), Exit)), "the process's end")
        assert [(r.tgid, r.owner) for r in of(about(capture, deep), Exit)] == [(pid, inside)]


def children(capture: Capture, cgroup_id: int) -> int:
    """How many entries refer to an owner's."""
    value = capture.probes.maps["watched"].get(cgroup_id.to_bytes(8, "little"))
    return int(WATCHED.unpack(value or b"")[3])


def test_refused(capture: Capture, container: Container) -> None:
    """What is not watched, and what is nobody's topmost cgroup, has no policy; the host's entry stays."""
    with cgroup(container.cgroup / "below") as below:
        assert not capture.probes.set_policy(below, Policy.EXEC)
        assert not capture.probes.watch(2**62 + 1, below)
    assert not capture.probes.set_policy(2**62, Policy.EXEC)
    assert not capture.probes.watch(0, 0)
    capture.probes.unwatch(0)
    capture.probes.unwatch(2**62)
    assert 0 in capture.probes.seen()
    assert capture.probes.entries() == capture.probes.counter(Counter.ENTRIES)


def test_owner_gone(capture: Capture) -> None:
    """What refers to an owner that is watched no more is not recorded, and belongs to whom user space says then."""
    path = cgroup2_mount() / ID
    with cgroup(path) as first, cgroup(path / "one") as one:
        capture.probes.unwatch(first)
        visit(path / "one")
        capture.drain()
        found = about(capture, one)
        assert {type(record) for record in found} == {CgroupMkdir, CgroupAttach}
        assert [record.owner for record in found] == [first, 0]
        assert capture.probes.watch(one, one, Policy.EXEC)
        assert entry(capture, one) == (one, Watch.CONTAINER)
        pid = visit(path / "one")
        capture.until(lambda: bool(of(about(capture, one), Exit)), "the process's end")
        assert [(r.tgid, r.owner) for r in of(about(capture, one), Exit)] == [(pid, one)]


def test_control_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel refuses the program that changes who is watched, that is said with its reason."""
    source, built = tmp_path / "control.bpf.c", tmp_path / "control.bpf.o"
    source.write_text(
        '#define SEC(name) __attribute__((section(name), used))\nchar LICENSE[] SEC("license") = "GPL";\n'
        "const volatile int settings[3];\n"
        'SEC("syscall") int control(int *asked) { return settings[0] + *(int *)((char *)asked - 8); }\n'
    )
    subprocess.run([program("clang"), "-O2", "-g", "-target", "bpf", "-c", source, "-o", built], check=True)
    ours = objects.object_file
    monkeypatch.setattr(probes, "object_file", lambda family: built if family == "control" else ours(family))
    with pytest.raises(CaptureError, match="control is refused: the verifier refused it: "), capturing():
        pass
