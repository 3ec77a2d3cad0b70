"""Nothing goes missing unseen: an owner's highest number is what was recorded and what was counted as lost together."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bpf.enums import Cause, Narrow
from bpf.events import CgroupAttach, CgroupMkdir, CgroupRmdir, Exit, Fork, Header, Running, TtyOutput
from shipper import libbpf
from tests.kernel.capture import Capture, capturing, cgroup, of
from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Container, Dockerd, cgroup2_mount, program, wait_until
from tests.kernel.flood import SMALL, flood, release, state, two_containers
from tests.kernel.terminals import at_terminal, record_all

pytestmark = pytest.mark.kernel

CHILDREN = 500
TOO_MANY = 1100
"""More cgroups than one container may have in the map (bpf/watch.h, MAX_CHILDREN)."""
FLOOD = ("fork-exit", str(CHILDREN), "0")


@pytest.fixture
def small() -> Iterator[Capture]:
    """Kernel programs whose ring is too small for a flood."""
    with capturing(SMALL) as capture:
        yield capture


def of_owner(capture: Capture, owner: int) -> list[Header]:
    """The records of one owner, whatever cgroup they are of."""
    return [record for record in capture.records if record.owner == owner]


def about(capture: Capture, cgroup_id: int) -> list[Header]:
    """The records of one cgroup."""
    return [record for record in capture.records if record.cgroup_id == cgroup_id]


def lost(capture: Capture, owner: int) -> int:
    """How many records of an owner were lost."""
    return sum(capture.losses(owner).values())


def finish(capture: Capture, container: Container) -> None:
    """Record one more program of a container, in a ring that has room again, and its end."""
    capture.drain()
    capture.run(container, "/triggers/report")
    capture.drain()


def assert_complete(capture: Capture, owner: int) -> None:
    """The numbers of an owner's records are unique, and the last one tells how many there were."""
    numbers = [record.sequence for record in of_owner(capture, owner)]
    assert len(set(numbers)) == len(numbers)
    assert min(numbers) == 1
    assert max(numbers) == len(numbers) + lost(capture, owner)


@pytest.mark.parametrize("trigger", [FLOOD, ("fork-spawn", str(CHILDREN))], ids=["fork", "exec"])
def test_complete(docker_daemon: Dockerd, small: Capture, trigger: tuple[str, ...]) -> None:
    """From its birth on, each record of a container is either there or counted."""
    with docker_daemon.container("triggers", *FOREVER) as made:
        with flood(docker_daemon, small, made, *trigger) as ready:
            release(ready)
        assert lost(small, made.cgroup_id) > 100
        finish(small, made)
        assert_complete(small, made.cgroup_id)
        assert isinstance(of_owner(small, made.cgroup_id)[0], CgroupMkdir)


def test_seen(docker_daemon: Dockerd, small: Capture) -> None:
    """The kernel's own count is the same at any time, also while the last records are lost ones."""
    with docker_daemon.container("triggers", *FOREVER) as made:
        with flood(docker_daemon, small, made, *FLOOD) as ready:
            release(ready)
        small.drain()
        owner = made.cgroup_id
        assert max(r.sequence for r in of_owner(small, owner)) < len(of_owner(small, owner)) + lost(small, owner)
        assert small.probes.seen()[owner] == len(of_owner(small, owner)) + lost(small, owner)
        small.watch(made)  # it is watched already, so this changes nothing
        finish(small, made)
        assert small.probes.seen()[owner] == max(r.sequence for r in of_owner(small, owner))
    small.until(lambda: bool(of(of_owner(small, owner), CgroupRmdir)), "the cgroup's removal")
    assert_complete(small, owner)
    assert owner not in small.probes.seen()


def test_processors(docker_daemon: Dockerd, small: Capture) -> None:
    """No number is used twice when a container's processes run side by side."""
    with docker_daemon.container("triggers", *FOREVER) as made:
        with (
            flood(docker_daemon, small, made, *FLOOD) as one,
            flood(docker_daemon, small, made, "fork-spawn", str(CHILDREN)) as other,
        ):
            release(one, other)
        finish(small, made)
        assert_complete(small, made.cgroup_id)


def test_two_containers(docker_daemon: Dockerd, small: Capture) -> None:
    """Two containers that lose records at the same time, each what it may not hold, are counted each on its own."""
    with two_containers(docker_daemon, small) as (first, second):
        with flood(docker_daemon, small, first, *FLOOD) as one, flood(docker_daemon, small, second, *FLOOD) as other:
            release(one, other)
        for made in (first, second):
            finish(small, made)
            assert lost(small, made.cgroup_id) > 100
            assert_complete(small, made.cgroup_id)


def test_child_cgroups(docker_daemon: Dockerd, small: Capture) -> None:
    """What happens in cgroups below a container's has numbers of the container."""
    with (
        docker_daemon.container("triggers", *FOREVER) as made,
        cgroup(made.cgroup / "below") as below,
        cgroup(made.cgroup / "below" / "deep") as deep,
        flood(docker_daemon, small, made, *FLOOD) as one,
        flood(docker_daemon, small, made, *FLOOD) as other,
    ):
        (made.cgroup / "below" / "cgroup.procs").write_text(str(one.pid))
        (made.cgroup / "below" / "deep" / "cgroup.procs").write_text(str(other.pid))
        small.drain()
        release(one, other)
        finish(small, made)
        assert_complete(small, made.cgroup_id)
        assert {r.cgroup_id for r in of_owner(small, made.cgroup_id)} == {made.cgroup_id, below, deep}
        assert not [r for r in small.records if r.owner in {below, deep}]


def test_narrowed(docker_daemon: Dockerd, small: Capture) -> None:
    """A record that is left out on purpose has a number too."""
    with docker_daemon.container("triggers", *FOREVER) as made:
        small.probes.narrow(Narrow.FORKS)
        with flood(docker_daemon, small, made, *FLOOD) as ready:
            release(ready)
        finish(small, made)
        assert_complete(small, made.cgroup_id)
        number = Fork.layout.number or 0
        losses = small.probes.losses()
        assert losses[made.cgroup_id, Cause.NARROWED, number] >= CHILDREN
        assert {cause for owner, cause, kind in losses if (owner, kind) == (made.cgroup_id, number)} == {Cause.NARROWED}


def test_terminal(docker_daemon: Dockerd, small: Capture) -> None:
    """What a terminal shows while nobody drains the ring is recorded or counted as lost, and so is what is typed."""
    with docker_daemon.container("triggers", *FOREVER) as made:
        record_all(small, made)
        with at_terminal(docker_daemon, "exec", "-it", made.id, "sh") as client:
            client.type(b"", rb"# ")
            client.type(b"seq 1 40000; echo end\r", rb"\r\nend\r\n.*# ")
            client.type(b"exit\r")
            client.end()
        assert small.losses(made.cgroup_id)[TtyOutput.layout.number or 0] > 0
        finish(small, made)
        assert_complete(small, made.cgroup_id)
        assert small.probes.seen()[made.cgroup_id] == len(of_owner(small, made.cgroup_id)) + lost(small, made.cgroup_id)


def test_older_container(docker_daemon: Dockerd) -> None:
    """A container that is older than the programs is counted from the moment it is watched."""
    with docker_daemon.container("triggers", *FOREVER) as older, capturing() as capture:
        capture.watch(older)
        capture.probes.snapshot()
        capture.run(older, "/triggers/report")
        assert_complete(capture, older.cgroup_id)
        (first,) = (r for r in of_owner(capture, older.cgroup_id) if r.sequence == 1)
        assert isinstance(first, Running)


def test_owner_later(docker_daemon: Dockerd) -> None:
    """A cgroup can't be watched on an owner's account that is not there; once it is, each record is counted."""
    with (
        docker_daemon.container("triggers", *FOREVER) as older,
        cgroup(older.cgroup / "below") as below,
        capturing() as capture,
    ):
        assert not capture.probes.watch(below, older.cgroup_id)
        visit(older.cgroup / "below")
        capture.drain()
        assert older.cgroup_id not in capture.probes.seen()
        assert not about(capture, below)
        capture.watch(older)
        assert capture.probes.watch(below, older.cgroup_id)
        visit(older.cgroup / "below")
        capture.drain()
        assert [r.sequence for r in of_owner(capture, older.cgroup_id)] == [1, 2]
        assert {r.cgroup_id for r in of_owner(capture, older.cgroup_id)} == {below}


def visit(folder: Path) -> int:
    """Let a process of the host enter a cgroup and end there; its process id."""
    with subprocess.Popen(["sleep", "infinity"]) as process:
        wait_until(lambda: state(process.pid) == "S", "its program is past its start")
        (folder / "cgroup.procs").write_text(str(process.pid))
        process.kill()
    return process.pid


def test_crowded(docker_daemon: Dockerd) -> None:
    """A cgroup that has no entry of its own, since the container has too many, is counted on the container's."""
    with capturing() as capture, docker_daemon.container("triggers", *FOREVER) as made, ExitStack() as stack:
        made_ids = [stack.enter_context(cgroup(made.cgroup / str(number))) for number in range(TOO_MANY)]
        assert capture.probes.maps["watched"].get(made_ids[-1].to_bytes(8, "little")) is None
        visit(made.cgroup / str(TOO_MANY - 1))
        capture.drain()
        assert {type(r) for r in about(capture, made_ids[-1])} == {CgroupMkdir, CgroupAttach, Exit}
        assert_complete(capture, made.cgroup_id)


def test_forget(docker_daemon: Dockerd, small: Capture) -> None:
    """The counts of a container that is gone are dropped, and only those."""
    with two_containers(docker_daemon, small) as (first, second):
        for made in (first, second):
            with flood(docker_daemon, small, made, *FLOOD) as ready:
                release(ready)
            small.drain()
        before = small.probes.losses()
        small.probes.forget(first.cgroup_id)
        assert small.probes.losses() == {key: n for key, n in before.items() if key[0] != first.cgroup_id}
        assert lost(small, first.cgroup_id) == 0 < lost(small, second.cgroup_id)
        assert 0 in {owner for owner, _, _ in before}


def test_host() -> None:
    """The host is an owner as well, when it is asked for; a cgroup that is part of it has no numbers of its own."""
    with capturing(capture_host=True) as capture:
        with cgroup(cgroup2_mount() / "x.service") as service:
            capture.until(lambda: bool(of(about(capture, service), CgroupMkdir)), "the cgroup's birth")
            with subprocess.Popen(["true"]) as process:
                process.wait()
            capture.until(lambda: process.pid in {r.tgid for r in of(capture.records, Exit)}, "the program's end")
        capture.until(lambda: bool(of(about(capture, service), CgroupRmdir)), "the cgroup's removal")

        def complete() -> bool:
            numbers = [record.sequence for record in of_owner(capture, 0)]
            return sorted(numbers) == list(range(1, len(numbers) + 1))

        capture.until(complete, "each number up to the highest, once")
        assert lost(capture, 0) == 0
        assert capture.probes.seen()[0] >= len(of_owner(capture, 0))
    assert {r.owner for r in about(capture, service)} == {0}


def test_recursion_misses(capture: Capture, container: Container, tmp_path: Path) -> None:
    """How often programs could not run is read where the kernel has it; with this build it is never."""
    capture.run(container, "/triggers/report")
    assert capture.probes.recursion_misses() == 0
    place = f"__builtin_offsetof(struct bpf_prog_info, recursion_misses) == {libbpf._RECURSION_MISSES}"
    source = tmp_path / "offset.c"
    source.write_text(f'#include <linux/bpf.h>\n_Static_assert({place}, "recursion_misses");\n')
    subprocess.run([program("gcc"), "-fsyntax-only", source], check=True)
