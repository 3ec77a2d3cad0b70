"""A snapshot tells of every watched process that runs, also of those that nobody saw start."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from bpf.enums import ImageFlag
from bpf.events import Exec, Fork, Running
from shipper.cmdline_reader import BYTES
from tests.kernel.capture import Capture, arguments_of, capturing, of
from tests.kernel.dockerd import Container, Dockerd, wait_until
from tests.kernel.flood import SMALL, state
from tests.kernel.oracle import image_of, image_told

pytestmark = pytest.mark.kernel

UNREAD = ImageFlag.ARGS_UNREADABLE
"""What the kernel says of every running process's arguments; they are asked for later."""
KTHREADD = 2
"""Whose children the kernel's threads are."""
MANY = 300
"""Processes whose records a small ring can't hold."""


def running(capture: Capture, container: Container) -> list[Running]:
    """What a new snapshot has of a container."""
    before = len(capture.records)
    capture.probes.snapshot()
    capture.drain()
    return [r for r in of(capture.records[before:], Running) if r.cgroup_id == container.cgroup_id]


def test_older_process(docker_daemon: Dockerd) -> None:
    """A process that is older than the programs is told as it reports itself, once its container is watched."""
    argv = ("/triggers/report", "stay", "two words", "")
    with (
        docker_daemon.container("triggers", *argv, working_dir="/triggers", user="alice") as older,
        capturing() as capture,
    ):
        wait_until(lambda: bool(older.handle.logs()), "the process has reported")
        report = json.loads(older.handle.logs())
        assert running(capture, older) == []
        capture.watch(older)
        (record,) = running(capture, older)
        told = arguments_of([record])
    assert image_of(record) == image_told(report) | {"args": b"", "flags": UNREAD}
    assert told[older.pid].args == b"".join(argument.encode() + b"\0" for argument in argv)
    assert (record.cwd, record.tgid, record.filename) == (b"/triggers", older.pid, b"")


def children(pid: int) -> dict[int, str]:
    """Process id → state of a process's children (proc(5), stat)."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, parent, *_ = (folder / "stat").read_text().rpartition(") ")[2].split()
            if int(parent) == pid:
                found[int(folder.name)] = state
    return found


def test_every_process(capture: Capture, docker_daemon: Dockerd) -> None:
    """All processes that Docker lists are told, each once and with its parent; one that has ended is not."""
    script = "sleep 0.1 & sleep 1000 & sleep 2000 & exec tail -f /dev/null"
    with docker_daemon.container("busybox", "sh", "-c", script) as made:
        wait_until(lambda: "Z" in children(made.pid).values(), "one process has ended")
        listed = {int(pid): (int(parent), command) for _, pid, parent, *_, command in made.handle.top()["Processes"]}
        ended = {pid for pid, state in children(made.pid).items() if state == "Z"}
        records = running(capture, made)
        args = arguments_of(records)
    told = {r.tgid: (r.ppid, args[r.tgid].args[:-1].replace(b"\0", b" ").decode()) for r in records}
    assert len(ended) == 1
    assert len(records) == len(told) == 3
    assert told == {pid: process for pid, process in listed.items() if pid not in ended}


def test_leader_gone(capture: Capture, container: Container) -> None:
    """A process whose first thread has ended runs as long as another does."""
    command = b"/triggers/trigger\0fork-leader-gone\0"
    container.handle.exec_run(command.decode().split("\0")[:-1], detach=True)
    capture.until(lambda: command in {r.args for r in of(capture.records, Exec)}, "the program's start")
    (start,) = (r for r in of(capture.records, Exec) if r.args == command)
    wait_until(lambda: ") Z " in Path(f"/proc/{start.tgid}/stat").read_text(), "its first thread has ended")
    (record,) = (r for r in running(capture, container) if r.tgid == start.tgid)
    args = arguments_of([record])[start.tgid].args
    os.kill(start.tgid, signal.SIGKILL)
    assert (record.vpid, record.start, record.comm, record.flags) == (start.vpid, start.start, b"trigger", UNREAD)
    assert (args, record.exe, record.cwd) == (command, b"/triggers/trigger", b"/")


def test_host() -> None:
    """With the host asked for, its processes are told; kernel threads are not."""
    with capturing(capture_host=True) as capture:
        capture.probes.snapshot()
        capture.drain()
    found = {record.tgid: record for record in of(capture.records, Running)}
    own = found[os.getpid()]
    assert arguments_of([own])[os.getpid()].args == Path("/proc/self/cmdline").read_bytes()[:BYTES]
    assert (own.cwd, own.ppid) == (os.fsencode(Path.cwd()), os.getppid())
    assert os.getppid() in found
    assert KTHREADD not in found


def test_forked(capture: Capture, container: Container) -> None:
    """Of a process that has started no program since it was forked, that is told; its program is its parent's."""
    container.handle.exec_run(["/triggers/trigger", "fork-signal", "1", str(int(signal.SIGSTOP))], detach=True)
    capture.until(lambda: bool(stopped(capture, container)), "a child that was made and has stopped")
    (pid,) = stopped(capture, container)
    records = {r.tgid: r for r in running(capture, container)}
    args = arguments_of(list(records.values()))
    os.kill(pid, signal.SIGKILL)
    child, parent = records[pid], records[records[pid].ppid]
    assert (child.flags, parent.flags) == (ImageFlag.FORKED | UNREAD, UNREAD)
    assert (args[child.tgid].args, child.exe) == (args[parent.tgid].args, parent.exe)
    assert {r.tgid for r in records.values() if r.flags & ImageFlag.FORKED} == {pid}


def stopped(capture: Capture, container: Container) -> set[int]:
    """The processes of a container that were forked and are stopped now."""
    forked = {r.tgid for r in of(capture.records, Fork) if r.cgroup_id == container.cgroup_id}
    return {pid for pid in forked if Path(f"/proc/{pid}").exists() and state(pid) == "T"}


def test_beside_the_drain(docker_daemon: Dockerd) -> None:
    """A snapshot that is larger than the ring is taken by one thread while another one drains."""
    script = f"for i in $(seq {MANY}); do sleep 1000 & done; wait"
    with docker_daemon.container("busybox", "sh", "-c", script) as older:
        wait_until(lambda: len(children(older.pid)) == MANY, "all processes run")
        with capturing(SMALL) as capture, ThreadPoolExecutor(1) as pool:
            capture.watch(older)
            taken = pool.submit(capture.probes.snapshot)
            capture.until(taken.done, "the snapshot's end")
            taken.result()
            capture.drain()
            lost = sum(capture.losses(older.cgroup_id).values())
    told = [r.tgid for r in of(capture.records, Running)]
    assert len(set(told)) == len(told)
    assert len(told) + lost == MANY + 1


def test_interrupted(capture: Capture, container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel ends a read early because there were so many processes, the snapshot goes on."""
    whole = {r.tgid for r in running(capture, container)}
    answers = iter([BlockingIOError()])

    def read(fd: int, size: int) -> bytes:
        for error in answers:
            raise error
        return os_read(fd, size)

    os_read = os.read
    monkeypatch.setattr("shipper.libbpf.os.read", read)
    assert {r.tgid for r in running(capture, container)} == whole
