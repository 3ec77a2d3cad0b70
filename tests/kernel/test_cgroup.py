"""A container's cgroup is watched from its birth to its end; what runs elsewhere is left alone."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from bpf.enums import Watch
from bpf.events import CgroupAttach, CgroupMkdir, CgroupRmdir, Exec, Exit, Fork, Header, Task
from shipper.kernel_maps import WATCHED
from tests.kernel.capture import Capture, capturing, cgroup, of
from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Container, Dockerd, cgroup2_mount

pytestmark = pytest.mark.kernel

ID = "0123456789abcdef" * 4
RUNS = 20
CHILDREN = 1100
"""More than one container may have in the map (bpf/watch.h, MAX_CHILDREN)."""


def about(capture: Capture, cgroup_id: int) -> list[Header]:
    """The records of one cgroup."""
    return [record for record in capture.records if record.cgroup_id == cgroup_id]


def entry(capture: Capture, cgroup_id: int) -> tuple[int, int] | None:
    """Owner and reason by which the kernel watches a cgroup, or None."""
    value = capture.probes.maps["watched"].get(cgroup_id.to_bytes(8, "little"))
    return WATCHED.unpack(value)[:2] if value else None


def host_program() -> int:
    """Start a program on the host and wait for its end; its process id."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


def test_life(capture: Capture, docker_daemon: Dockerd) -> None:
    """A container's cgroup is made, entered by its first process and removed, each recorded once and in this order."""
    with docker_daemon.container("busybox", "sleep", "infinity") as made:
        assert entry(capture, made.cgroup_id) == (made.cgroup_id, Watch.CONTAINER)
    capture.until(lambda: bool(of(about(capture, made.cgroup_id), CgroupRmdir)), "the cgroup's removal")
    records = about(capture, made.cgroup_id)
    (birth,) = of(records, CgroupMkdir)
    (end,) = of(records, CgroupRmdir)
    assert birth.path == f"/docker/{made.id}".encode()
    assert (birth.watch, birth.level) == (Watch.CONTAINER, 2)
    assert birth.parent_id == made.cgroup.parent.stat().st_ino
    assert (records[0], records[-1]) == (birth, end)
    assert entry(capture, made.cgroup_id) is None


def test_entry(capture: Capture, container: Container) -> None:
    """What enters a container is recorded with its parent outside, before the container's first program."""
    capture.until(lambda: bool(of(about(capture, container.cgroup_id), Exec)), "the container's first program")
    records = about(capture, container.cgroup_id)
    (start,) = (r for r in of(records, Exec) if r.vpid == 1)
    entry, *_ = of(records, CgroupAttach)
    assert records.index(entry) < records.index(start)
    inside = {r.tgid for r in records if isinstance(r, Task)}
    assert entry.ppid not in inside
    assert start.tgid in inside - {entry.tgid}
    assert (entry.comm[:4], entry.parent_comm) == (b"runc", b"runc")
    assert entry.pid_ns != container.pid_ns


def test_another_hierarchy(capture: Capture, tmp_path: Path) -> None:
    """A cgroup of version 1 is none of ours, whatever its name, and though a watched one has the same number."""
    subprocess.run(["mount", "-t", "cgroup", "-o", "none,name=cgtrail", "none", str(tmp_path)], check=True)
    try:
        with cgroup(tmp_path / ID) as number, cgroup(cgroup2_mount() / f"docker-{ID}.scope") as marked:
            assert entry(capture, number) is None
            assert capture.probes.watch(number, number)
            with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
                (tmp_path / ID / "cgroup.procs").write_text(str(process.pid))
                process.communicate()
        capture.until(lambda: bool(of(about(capture, marked), CgroupRmdir)), "the other cgroup's removal")
        assert about(capture, number) == []
        assert entry(capture, number) == (number, Watch.CONTAINER)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_short_containers(capture: Capture, docker_daemon: Dockerd, tmp_path: Path) -> None:
    """Of containers that live for a moment none is missed: each has its program, its end and its own cgroup."""

    def run(number: int) -> str:
        name = tmp_path / str(number)
        options = ("--rm", "--network", "none", "--cidfile", str(name))
        docker_daemon.command("run", *options, "busybox", "true", str(number))
        return name.read_text()

    capture.drain()
    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(run, range(RUNS)))

    capture.drain()
    births = {r.path: r.cgroup_id for r in of(capture.records, CgroupMkdir)}
    cgroups = [births[f"/docker/{name}".encode()] for name in ids]
    assert len(set(cgroups)) == RUNS
    capture.until(lambda: set(cgroups) <= {r.cgroup_id for r in of(capture.records, CgroupRmdir)}, "all removals")
    for number, cgroup_id in enumerate(cgroups):
        records = about(capture, cgroup_id)
        (start,) = [r for r in of(records, Exec) if r.filename == b"/bin/true"]
        (end,) = [r for r in of(records, Exit) if r.tgid == start.tgid]
        assert start.args == b"true\0%d\0" % number
        assert (start.vpid, end.status) == (1, 0)


@pytest.mark.parametrize(
    ("name", "watch"),
    [
        (ID, Watch.CONTAINER),
        (f"docker-{ID}.scope", Watch.CONTAINER),
        (f"cri-containerd-{ID}.scope", Watch.CONTAINER),
        (f"crio-{ID}", Watch.CONTAINER),
        (ID[1:], Watch.PROVISIONAL),
        (ID.upper(), Watch.PROVISIONAL),
        (f"{ID[1:]}-", Watch.PROVISIONAL),
        ("lxc.payload.box", Watch.CONTAINER),
        ("lxc.payload.x.service", Watch.CONTAINER),
        ("lxc.monitor.box", Watch.NONE),
        (f"libpod-{ID}.scope", Watch.CONTAINER),
        (f"libpod-conmon-{ID}.scope", Watch.NONE),
        (f"crio-conmon-{ID}.scope", Watch.NONE),
        (f"crio-conmon-{ID}", Watch.NONE),
        (f"conmon-{ID}.scope", Watch.CONTAINER),
        ("conmon", Watch.NONE),
        ("conmon2", Watch.PROVISIONAL),
        ("systemd-nspawn@box.service", Watch.PROVISIONAL),
        ("systemd-nspawn@box.service.slice", Watch.NONE),
        ("machine-box.scope", Watch.PROVISIONAL),
        ("machine-qemu\\x2d1\\x2dvm.scope", Watch.NONE),
        ("machine.slice", Watch.NONE),
        ("x" * 255, Watch.PROVISIONAL),
        ("x", Watch.PROVISIONAL),
        ("x.service", Watch.NONE),
        ("x.slice", Watch.NONE),
        ("x.mount", Watch.NONE),
        ("session-1.scope", Watch.NONE),
        (f"{ID}.service", Watch.NONE),
    ],
)
def test_names(capture: Capture, name: str, watch: Watch) -> None:
    """A cgroup's name tells a container from a part of the host; where it does not, user space is asked."""
    with cgroup(cgroup2_mount() / name) as made:
        watched = entry(capture, made)
    capture.drain()
    assert watched == ((made, watch) if watch else None)
    assert [(r.path, r.watch, r.level) for r in of(about(capture, made), CgroupMkdir)] == (
        [(f"/{name}".encode(), watch, 1)] if watch else []
    )
    assert len(of(about(capture, made), CgroupRmdir)) == bool(watch)


def test_child(capture: Capture, container: Container) -> None:
    """A cgroup below a container's is watched as part of it, whatever its name, and who enters it is recorded."""
    with cgroup(container.cgroup / "x.service") as made:
        assert entry(capture, made) == (container.cgroup_id, Watch.CONTAINER)
        with subprocess.Popen(["sleep", "infinity"]) as process:
            (container.cgroup / "x.service" / "cgroup.procs").write_text(str(process.pid))
            process.kill()
        capture.until(lambda: bool(of(about(capture, made), Exit)), "the end of the process that entered")
    attach, end = (record for record in about(capture, made) if isinstance(record, Task))
    assert isinstance(attach, CgroupAttach)
    assert (attach.tgid, attach.comm, attach.ppid) == (process.pid, b"sleep", os.getpid())
    assert isinstance(end, Exit)
    assert (end.tgid, end.status) == (process.pid, 9)


def test_below_provisional(capture: Capture) -> None:
    """Below a cgroup that nobody can tell yet, a container is one of its own and the rest is as its parent."""
    path = cgroup2_mount() / "pods"
    with cgroup(path) as pods, cgroup(path / "x.service") as service, cgroup(path / ID) as container:
        assert entry(capture, service) == (pods, Watch.PROVISIONAL)
        assert entry(capture, container) == (container, Watch.CONTAINER)
        with cgroup(path / ID / "x.service") as inside:
            assert entry(capture, inside) == (container, Watch.CONTAINER)


def test_podman_pod(capture: Capture) -> None:
    """Where Podman makes its own cgroups, a pod is no container, its containers are, and conmon is part of neither."""
    path = cgroup2_mount() / "cgtrail.slice" / "libpod_parent"
    pod = path / ID[::-1]
    with (
        cgroup(path.parent),
        cgroup(path) as parent,
        cgroup(path / "conmon") as conmon,
        cgroup(pod) as above,
        cgroup(pod / f"libpod-{ID}") as inside,
        cgroup(path / f"libpod-{ID}") as single,
    ):
        assert [entry(capture, made) for made in (parent, conmon)] == [None, None]
        assert entry(capture, above) == (above, Watch.PROVISIONAL)
        assert entry(capture, inside) == (inside, Watch.CONTAINER)
        assert entry(capture, single) == (single, Watch.CONTAINER)


def test_grandchildren(capture: Capture, container: Container) -> None:
    """Cgroups far below a container's are watched as part of it, and counted on it as long as they are there."""
    children = capture.probes.maps["watched"]
    key = container.cgroup_id.to_bytes(8, "little")
    path = container.cgroup / "one"
    with cgroup(path), cgroup(path / "two") as two, cgroup(path / "two" / "three") as three:
        assert entry(capture, two) == entry(capture, three) == (container.cgroup_id, Watch.CONTAINER)
        assert WATCHED.unpack(children.get(key) or b"")[3] == 3
    assert WATCHED.unpack(children.get(key) or b"")[3] == 0


def test_born_inside(capture: Capture, trigger_programs: Path) -> None:
    """A process that is born into a container's cgroup from outside is recorded, its parent outside is not."""
    path = cgroup2_mount() / ID
    with cgroup(path) as made:
        argv = [str(trigger_programs / "trigger"), "fork-into", str(path)]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        capture.drain()
    fork, end = (record for record in about(capture, made) if isinstance(record, Task))
    assert isinstance(fork, Fork)
    assert isinstance(end, Exit)
    assert f'"pid":{fork.ppid},' in done.stdout
    assert f'"children":[{{"pid":{fork.tgid},"status":{end.status}}}]' in done.stdout
    assert not [record for record in capture.records if record.tgid == fork.ppid]


def test_unwatch(docker_daemon: Dockerd) -> None:
    """A container is recorded from `watch` to `unwatch`, also one that is older than the programs."""
    with docker_daemon.container("triggers", "sleep", "infinity") as older, capturing() as capture:
        older.run("true")
        capture.watch(older)
        seen = capture.run(older, "/triggers/report")
        capture.probes.unwatch(older.cgroup_id)
        older.run("true")
        capture.drain()
    assert [record.vpid for record in seen.of(Exec)] == [seen.report["pid"]]
    assert [r.filename for r in of(capture.records, Exec) if r.pid_ns == older.pid_ns] == [b"/triggers/report"]


def test_host_left_alone(capture: Capture, container: Container) -> None:
    """Programs of the host are not recorded."""
    pids = {host_program() for _ in range(10)}
    capture.run(container, "/triggers/report")
    assert not [record for record in capture.records if record.tgid in pids]


def test_host() -> None:
    """With the host asked for, its programs are recorded: made, started and ended once each."""
    with capturing(capture_host=True) as capture:
        pids = [host_program() for _ in range(10)]
        capture.until(lambda: set(pids) <= {r.tgid for r in of(capture.records, Exit)}, "the ends of the programs")
    ours = [record for record in capture.records if record.tgid in pids]
    assert [r.tgid for r in of(ours, Fork)] == [r.tgid for r in of(ours, Exit)] == pids
    assert [r.args for r in of(ours, Exec) if r.tgid in pids] == [b"true\0"] * 10
    assert {(r.ppid, r.vpid) for r in of(ours, Fork)} == {(os.getpid(), pid) for pid in pids}


def test_many_children(docker_daemon: Dockerd) -> None:
    """Where a container has more cgroups than are watched one by one, the others are found through it."""
    with (
        capturing() as capture,
        docker_daemon.container("busybox", *FOREVER) as made,
        ExitStack() as stack,
    ):
        ids = [stack.enter_context(cgroup(made.cgroup / str(number))) for number in range(CHILDREN)]
        watched = [entry(capture, made) is not None for made in ids]
        assert watched == sorted(watched, reverse=True)
        assert 0 < watched.count(False) < 100
        with subprocess.Popen(["sleep", "infinity"]) as process:
            (made.cgroup / str(CHILDREN - 1) / "cgroup.procs").write_text(str(process.pid))
            process.kill()
        capture.until(lambda: bool(of(about(capture, ids[-1]), Exit)), "the end of the process that entered")
        stack.close()
        capture.until(lambda: bool(of(about(capture, ids[-1]), CgroupRmdir)), "the last cgroup's removal")
        assert [type(record) for record in about(capture, ids[-1])] == [CgroupMkdir, CgroupAttach, Exit, CgroupRmdir]
