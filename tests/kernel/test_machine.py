"""Machines that are not as they should be: `check` and `ship` say so, with place and next step, or do their work."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from shipper import cgroups
from shipper.memory import tightest
from shipper.status import STATUS, read_status
from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Container, Dockerd, wait_until
from tests.kernel.spine import spine

pytestmark = pytest.mark.kernel

READY_SECONDS = 60.0
"""Only a failure takes as long."""
MIB = 1 << 20


def mounts(script: str) -> tuple[str, ...]:
    """What starts a program in a mount namespace of its own, after a script."""
    return ("unshare", "--mount", "sh", "-c", f'{script} && exec "$@"', "sh")


@dataclass(frozen=True)
class Odd:
    """A machine with one thing that is odd."""

    before: Sequence[str]
    """What starts a program on it; {} is a folder that is empty."""
    what: str
    found: str
    """What `check` finds bad there: a part of it."""
    ship: str
    """What `ship` ends with: a part of it."""


MACHINES = {
    "nobody": Odd(
        # Who may read all files, for this clone and its Python may lie in somebody's home.
        ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=+dac_read_search",
         "--ambient-caps=+dac_read_search"),
        "privileges", "uid 65534, without CAP_BPF and CAP_PERFMON", "Permission denied; run it as root",
    ),
    "no capabilities": Odd(
        ("setpriv", "--bounding-set=-bpf,-perfmon,-sys_admin"),
        "privileges", "uid 0, without CAP_BPF and CAP_PERFMON", "this process lacks CAP_BPF and CAP_PERFMON",
    ),
    "one capability": Odd(
        ("setpriv", "--bounding-set=-perfmon,-sys_admin"),
        "privileges", "uid 0, without CAP_PERFMON", "this process lacks CAP_PERFMON; run it as root",
    ),
    "user namespace": Odd(
        ("unshare", "--user", "--map-root-user"),
        "namespace", "in a user namespace of its own", "capabilities of a user namespace do not count for BPF",
    ),
    "no types": Odd(
        mounts("mount --bind {} /sys/kernel/btf"),
        "kernel", "without BTF", "the kernel's types are not at /sys/kernel/btf/vmlinux",
    ),
    "version 1 alone": Odd(
        mounts("umount -a -t cgroup2 && mount -t cgroup -o none,name=cgtrail-test none {}"),
        "cgroups", "version 1 alone", "no cgroup2 file system is mounted",
    ),
    "no cgroups": Odd(
        mounts("umount -R /sys/fs/cgroup"),
        "cgroups", "none mounted", "mount -t cgroup2 none /sys/fs/cgroup/unified",
    ),
    "no sysfs": Odd(
        mounts("mount -t tmpfs none /sys"),
        "cgroups", "no cgroups in /sys/fs/cgroup", "/sys/kernel/btf/vmlinux",
    ),
    "no procfs": Odd(
        mounts("mount -t tmpfs none /proc"),
        "cgroups", "/proc/self/mountinfo", "/proc/self/mountinfo: No such file or directory",
    ),
    "few open files": Odd(
        ("prlimit", "--nofile=20"),
        "programs", "oo many open files", "oo many open files",
    ),
}  # fmt: skip


def run(before: Sequence[str], *arguments: str, docker: str = "unix:///none") -> subprocess.CompletedProcess[str]:
    """How `cgtrail ARGUMENTS` ends there."""
    argv = [*before, sys.executable, "-m", "cgtrail", *arguments]
    env = os.environ | {"DOCKER_HOST": docker}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env, timeout=READY_SECONDS)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def check(before: Sequence[str], data: Path, code: int, docker: str = "unix:///none") -> list[dict[str, str]]:
    """What `cgtrail check` finds there."""
    done = run(before, "check", "--json", "--data", str(data), docker=docker)
    assert done.returncode == code, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """An empty folder."""
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


@pytest.mark.parametrize("name", MACHINES)
def test_odd_machines_are_explained(tmp_path: Path, empty: Path, name: str) -> None:
    """`check` finds it bad and says what to do; `ship` ends with 1 and one line that says the same."""
    odd = MACHINES[name]
    before = [part.replace("{}", str(empty)) for part in odd.before]
    found = check(before, tmp_path / "data", 3)
    matching = [each for each in found if each["level"] == "bad" and odd.found in each["found"] + each["advice"]]
    assert matching, found
    assert matching[0]["what"] == odd.what
    assert all(each["advice"] for each in found if each["level"] != "ok")
    done = run(before, "ship", "--data", str(tmp_path / "data"))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert odd.ship in done.stderr


SERVING = {
    "no tracefs": "umount -a -t tracefs,debugfs,securityfs",
    "cgroup2 elsewhere": "umount -R /sys/fs/cgroup && mount -t cgroup2 none {}",
}


@pytest.mark.parametrize("script", SERVING.values(), ids=SERVING)
def test_odd_machines_that_serve(tmp_path: Path, empty: Path, script: str) -> None:
    """Tracepoints need no tracefs, and cgroup2 may be mounted anywhere: a container's programs are recorded."""
    before = mounts(script.replace("{}", str(empty)))
    found = check(before, tmp_path / "data", 0)
    if "{}" in script:
        assert [each["level"] for each in found if str(empty) in each["found"]] == ["note"]
    done = run(before, "demo", "--json", "--data", str(tmp_path / "data"))
    assert done.returncode == 0, done.stderr
    shown = [json.loads(line) for line in done.stdout.splitlines()]
    assert {each["container"]["name"] for each in shown} == {cgroups.DEMO}


def test_a_part_of_the_hierarchy_is_told(tmp_path: Path) -> None:
    """As in a container that got a cgroup namespace of its own: the others' cgroups are not there."""
    part = cgroups.mount_point() / "cgtrail-test-part"
    part.mkdir()
    try:
        found = check(mounts(f"mount --bind {part} {part.parent}"), tmp_path / "data", 3)
    finally:
        part.rmdir()
    assert any("only a part of the hierarchy" in each["found"] for each in found if each["level"] == "bad")


def test_a_read_only_disk_is_told(tmp_path: Path, empty: Path) -> None:
    """By every command that would write there, in one line each, also where the folder exists already."""
    before = mounts(f"mount -t tmpfs none {empty} && mkdir {empty}/there && mount -o remount,ro {empty}")
    for folder in (empty / "there", empty / "new"):
        found = check(before, folder, 3)
        assert [each["what"] for each in found if each["level"] == "bad"] == ["data folder"]
        assert any("read-only" in each["found"] for each in found)
        for command in ("ship", "enrich"):
            done = run(before, command, "--data", str(folder))
            assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
            assert re.search(rf"{folder}.*: Read-only file system; remount it", done.stderr)


# Memory


@contextmanager
def limited(size: int) -> Iterator[tuple[str, ...]]:
    """What starts a program with so much memory."""
    old = cgroups.mounted("cgroup", option="memory")
    root = old or cgroups.mount_point()
    if not old:
        (root / "cgroup.subtree_control").write_text("+memory")
    folder = root / f"cgtrail-test-{os.getpid()}"
    folder.mkdir()
    try:
        (folder / ("memory.limit_in_bytes" if old else "memory.max")).write_text(str(size))
        if not old:
            (folder / "memory.swap.max").write_text("0")
        yield ("sh", "-c", f'echo $$ > {folder}/cgroup.procs && exec "$@"', "sh")
    finally:
        wait_until(lambda: not (folder / "cgroup.procs").read_text(), "its processes to end")
        folder.rmdir()


@pytest.mark.parametrize(("command", "size"), [("ship", 48), ("ship", 64), ("ship", 80), ("up", 80), ("up", 128)])
def test_too_little_memory_is_no_silent_kill(tmp_path: Path, command: str, size: int) -> None:
    """What would be killed by the kernel ends before, with the limit's file and its numbers."""
    assert tightest() is None, "this test's own cgroup has a limit already"
    with limited(size * MIB) as before:
        done = run(before, command, "--data", str(tmp_path / "data"))
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert f"allows {size} MiB" in done.stderr
        assert "raise the limit" in done.stderr


def test_check_with_little_memory(tmp_path: Path) -> None:
    """It says so and is not killed itself: the programs are tried with a small ring, or not at all."""
    with limited(64 * MIB) as before:
        found = check(before, tmp_path, 3)
    assert {each["what"] for each in found if each["level"] == "bad"} <= {"memory", "programs"}
    assert any(each["what"] == "memory" and "of 64 MiB" in each["found"] for each in found)


# Several at once; Docker


@contextmanager
def agent(data: Path, docker: str, log: Path, before: Sequence[str] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """An agent that records."""
    argv = [*before, sys.executable, "-m", "cgtrail", "ship", "--data", str(data)]
    with log.open("ab") as output:
        process = subprocess.Popen(argv, env=os.environ | {"DOCKER_HOST": docker}, stderr=output)
    try:
        wait_until(lambda: read_status(data / STATUS).get("pid") == process.pid or process.poll() is not None,
                   "its first keyframe", READY_SECONDS)  # fmt: skip
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        assert process.wait(READY_SECONDS) == 0, log.read_text()


def test_two_installations(docker_daemon: Dockerd, tmp_path: Path) -> None:
    """Both record everything, each for itself; `check` names the other; one goes on when the other ends."""
    one, other = tmp_path / "one" / "data", tmp_path / "other" / "data"
    for folder in (one, other):
        folder.parent.mkdir()
    with spine(docker_daemon, one) as first:
        with spine(docker_daemon, other) as second, docker_daemon.container("busybox", *FOREVER, name="both") as box:
            box.run("/bin/busybox", "true", "shared")
            query = 'process.args:"shared" AND event.action:exec'
            documents = [each.until(query, 1, "--container", "both") for each in (first, second)]
            assert [len(found) for found in documents] == [1, 1]
            for key in ("pid", "args", "entity_id"):
                assert documents[0][0]["process"][key] == documents[1][0]["process"][key]
            found = check((), one, 0, docker=docker_daemon.host)
            assert any(each["what"] == "docker" and "cgroup driver" in each["found"] for each in found), found
            assert [each["level"] for each in found if f"works on {other}" in each["found"]] == ["note"]
            assert [each["what"] for each in found if each["found"].endswith(f" works on {one}")] == ["agent", "worker"]
        with docker_daemon.container("busybox", *FOREVER, name="after") as box:
            box.run("/bin/busybox", "true", "alone")
            assert len(first.until('process.args:"alone" AND event.action:exec', 1, "--container", "after")) == 1


@contextmanager
def hanging(file: Path) -> Iterator[None]:
    """A socket that accepts, by its backlog, and never answers."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(file))
        listener.listen(16)
        yield
        file.unlink()


def named(data: Path, box: Container, name: str) -> bool:
    """Whether the spool tells the container's name by now."""
    argv = [sys.executable, "-m", "cgtrail", "spool", "cat", "--data", str(data)]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    return any(box.id in line and f'"{name}"' in line for line in told.splitlines())


def test_docker_hangs(docker_daemon: Dockerd, tmp_path: Path) -> None:
    """Recording does not wait for it, `check` says so in time, and names come when it answers again."""
    file, data = tmp_path / "s", tmp_path / "data"
    with docker_daemon.container("busybox", *FOREVER, name="patient") as box, ExitStack() as hang:
        hang.enter_context(hanging(file))
        (found,) = [each for each in check((), data, 0, docker=f"unix://{file}") if each["what"] == "docker"]
        assert (found["level"], str(file) in found["found"]) == ("note", True)
        with agent(data, f"unix://{file}", tmp_path / "log"):
            assert not named(data, box, "patient")
            hang.close()
            file.symlink_to(docker_daemon.host.removeprefix("unix://"))
            wait_until(lambda: named(data, box, "patient"), "the container's name", READY_SECONDS)
    log = (tmp_path / "log").read_text()
    assert f"address=unix://{file}" in log
    assert "Traceback" not in log


@pytest.mark.parametrize("streams", ["<&- >&- 2>&-", "2>/dev/full"])
def test_nowhere_to_log(tmp_path: Path, streams: str) -> None:
    """An agent whose standard streams are closed, or full, records, and writes its log into no file of ours."""
    data, before = tmp_path / "data", ("sh", "-c", f'exec "$@" {streams}', "sh")
    with agent(data, "unix:///none", tmp_path / "log", before):
        pass
    assert run((), "spool", "verify", "--data", str(data)).returncode == 0
    assert (tmp_path / "log").read_bytes() == b""


def test_up_starts_while_docker_hangs(tmp_path: Path) -> None:
    """It says what it does not know."""
    file = tmp_path / "s"
    with hanging(file):
        argv = [sys.executable, "-m", "cgtrail", "up", "--data", str(tmp_path / "data")]
        env = os.environ | {"DOCKER_HOST": f"unix://{file}"}
        with subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
            assert process.stderr is not None
            assert "recording containers" in next(line for line in process.stderr if line.startswith("cgtrail: "))
            assert "no names and images of docker's containers" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            process.stderr.read()
        assert process.returncode == 0
