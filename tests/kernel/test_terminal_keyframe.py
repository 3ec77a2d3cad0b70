"""A keyframe tells of every terminal that is open, also of those that nobody saw being opened."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bpf.enums import EVERYTHING, Cause, Policy, TerminalFlag
from bpf.events import Exec, Header, Running, TtyOpen
from shipper.wire.records import AgentStart, CgroupInfo, KeyframeBegin, KeyframeEnd
from tests.kernel.capture import Capture, capturing, of
from tests.kernel.dockerd import Container, Dockerd, cgroup2_mount
from tests.kernel.flood import SMALL
from tests.kernel.spine import spine
from tests.kernel.terminals import at_terminal, life, record_all
from tests.kernel.test_terminal_birth import spooled

pytestmark = pytest.mark.kernel

MANY = 300
"""Terminals that are open at the same time; of twice as many, a small ring does not hold the records."""
HOLD = """
import os, pty, sys
os.setsid()
opened = [pty.openpty() for _ in range(int(sys.argv[1]))]
os.login_tty(os.dup(opened[0][1])) if sys.argv[2] else None
os.write(3, b"!")
os.read(4, 1)
"""
"""Opens so many terminals, the first perhaps as its session's, and holds them until nobody wants it to."""


def told(capture: Capture, cgroup_id: int) -> list[TtyOpen]:
    """What a new keyframe has of a cgroup's terminals."""
    begin = len(capture.records)
    asking = threading.Thread(target=capture.probes.snapshot)
    asking.start()
    while asking.is_alive():
        capture.drain()
        asking.join(0.001)
    capture.drain()
    return [r for r in of(capture.records[begin:], TtyOpen) if r.home == cgroup_id]


@contextmanager
def holding(folder: Path, count: int, *, session: bool = False) -> Iterator[int]:
    """A process in a cgroup that has so many pseudo-terminals open; its id."""
    (stays, goes), (told_by, tells) = os.pipe(), os.pipe()

    def enter() -> None:
        (folder / "cgroup.procs").write_text(str(os.getpid()))
        os.dup2(tells, 103)
        os.dup2(stays, 104)
        os.dup2(103, 3)
        os.dup2(104, 4)

    argv = [sys.executable, "-c", HOLD, str(count), "session" if session else ""]
    with subprocess.Popen(argv, preexec_fn=enter, pass_fds=(3, 4)) as process:  # noqa: PLW1509
        os.close(stays)
        os.close(tells)
        try:
            assert os.read(told_by, 1) == b"!"
            yield process.pid
        finally:
            os.close(goes)
            process.wait()
            os.close(told_by)


@contextmanager
def watched(capture: Capture, name: str) -> Iterator[Path]:
    """A cgroup of which everything is recorded."""
    folder = cgroup2_mount() / f"{name}-{os.getpid()}"
    folder.mkdir()
    try:
        number = folder.stat().st_ino
        assert capture.probes.watch(number, number, EVERYTHING)
        yield folder
    finally:
        folder.rmdir()


def group(capture: Capture, begin: int, container: Container, name: str) -> int:
    """The process group of a program that was started in a container, or 0."""
    found = [r for r in of(capture.records[begin:], Exec) if r.cgroup_id == container.cgroup_id]
    return next((r.pgid for r in found if r.args.startswith(name.encode())), 0)


def test_open_before(docker_daemon: Dockerd, container: Container) -> None:
    """A session that is older than the programs is told with its leader, its foreground and its size."""
    exec_ = ("exec", "-it", container.id, "sh")
    with at_terminal(docker_daemon, *exec_, rows=33, columns=101) as client, capturing() as capture:
        client.type(b"", rb"# ")
        record_all(capture, container)
        (record,) = told(capture, container.cgroup_id)
        (leader,) = (r for r in of(capture.records, Running) if r.tgid == record.leader)
        assert (leader.cgroup_id, leader.sid, leader.tty >> 20) == (container.cgroup_id, record.leader, 136)
        assert (record.foreground, record.rows, record.columns) == (record.leader, 33, 101)
        assert (record.terminal_flags, record.opener, record.shown) == (TerminalFlag.FOUND, 0, 0)
        begin = len(capture.records)
        client.type(b"sleep 1000\r", rb"1000\r\n")
        capture.until(lambda: bool(group(capture, begin, container, "sleep")), "sleep to run")
        (again,) = told(capture, container.cgroup_id)
        assert life(again) == life(record)
        assert (again.leader, again.foreground) == (record.leader, group(capture, begin, container, "sleep"))
        assert again.consumed == len("sleep 1000\n")
        client.type(b"\x03", rb"# ")  # what docker exec started outlives its client
        client.type(b"exit\r")
        client.end()


def test_each_keyframe_tells_of_an_idle_one(docker_daemon: Dockerd, capture: Capture, container: Container) -> None:
    """As long as it is open, and no longer."""
    record_all(capture, container)
    with at_terminal(docker_daemon, "exec", "-it", container.id, "sh") as client:
        client.type(b"", rb"# ")
        found = [told(capture, container.cgroup_id) for _ in range(3)]
        assert [len(records) for records in found] == [1, 1, 1]
        assert len({life(record) for records in found for record in records}) == 1
        assert found[0][0].opener > 0
        client.type(b"exit\r")
        client.end()
    assert told(capture, container.cgroup_id) == []


@pytest.mark.parametrize("before", [True, False])
def test_many_are_told_once_each(before: bool) -> None:
    """By whoever has them open, whether that was seen or not; only the first is a session's."""
    with capturing() as capture, watched(capture, "many") as folder:
        number = folder.stat().st_ino
        if before:
            with holding(folder, MANY, session=True) as holder, capturing() as late:
                assert late.probes.watch(number, number, EVERYTHING)
                found = told(late, number)
        else:
            with holding(folder, MANY, session=True) as holder:
                found = told(capture, number)
        assert len(found) == len({(record.device, record.index) for record in found}) == MANY
        assert sorted(record.leader for record in found) == [0] * (MANY - 1) + [holder]
        assert {record.tgid for record in found} == {holder}
        assert {record.opener for record in found} == {0 if before else holder}
        assert told(capture, number) == []


def test_others_are_not_told(capture: Capture) -> None:
    """Of a container whose terminals nobody asks for, or that is not watched, nothing is."""
    with watched(capture, "others") as folder, holding(folder, 3, session=True):
        number = folder.stat().st_ino
        assert capture.probes.set_policy(number, Policy.EXEC)
        assert told(capture, number) == []
        for asked in (Policy.TERMINAL, Policy.OUTPUT):
            assert capture.probes.set_policy(number, asked)
            assert len(told(capture, number)) == 3
        capture.probes.unwatch(number)
        assert told(capture, number) == []


def test_lost_ones_are_counted() -> None:
    """A ring that has no room for all of them: what is missing is counted, so that the keyframe is known incomplete."""
    with (
        capturing(SMALL) as small,
        watched(small, "lost") as folder,
        holding(folder, MANY),
        holding(folder, MANY),
    ):
        number = folder.stat().st_ino
        small.drain()
        begin = len(small.records)
        small.probes.snapshot()
        small.drain()
        found = [r for r in of(small.records[begin:], TtyOpen) if r.home == number]
        lost = {key: n for key, n in small.probes.losses_of(number).items() if n}
        assert lost.keys() <= {(number, cause, TtyOpen.layout.number) for cause in (Cause.RING_FULL, Cause.OVER_BUDGET)}
        assert len(found) < 2 * MANY
        assert len(found) + sum(lost.values()) == 2 * MANY


def test_in_an_agents_keyframe(docker_daemon: Dockerd, container: Container, tmp_path: Path) -> None:
    """It stands between the marks of the first one, behind what its container is."""
    data = tmp_path / "data"
    with at_terminal(docker_daemon, "exec", "-it", container.id, "sh") as client:
        client.type(b"", rb"# ")
        with spine(docker_daemon, data) as running:
            running.settle()
    records = spooled(data)
    kinds = [type(record) for record in records]
    begin, end = kinds.index(KeyframeBegin), kinds.index(KeyframeEnd)
    place = {type(r): at for at, r in enumerate(records) if isinstance(r, Header) and mine(r, container)}
    assert begin < kinds.index(AgentStart) < place[CgroupInfo] < place[TtyOpen] < end


def mine(record: Header, container: Container) -> bool:
    """Whether a record is about a container's topmost cgroup."""
    return record.cgroup_id == container.cgroup_id
