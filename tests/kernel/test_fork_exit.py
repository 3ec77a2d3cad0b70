"""Every process that is made and every one that ends is recorded once; threads are not."""

from __future__ import annotations

import os
import signal

import pytest

from bpf.enums import ExitFlag
from bpf.events import Exec, Exit, Fork
from tests.kernel.capture import Capture, Seen, of
from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Container, Dockerd

pytestmark = pytest.mark.kernel


def statuses(seen: Seen) -> dict[int, int]:
    """Process id → wait status of the trigger's children, as their parent was told."""
    return {child["pid"]: child["status"] for child in seen.report["children"]}


def check_children(seen: Seen) -> None:
    """Exactly the children that the parent reports were made and ended, as it reports."""
    forks, exits = seen.started(Fork), seen.started(Exit)
    assert [r.vpid for r in forks] == list(statuses(seen))
    assert {r.vpid: r.status for r in exits} == statuses(seen)
    assert len(exits) == len(forks)
    (parent,) = seen.of(Exec)
    for made, ended in zip(forks, exits, strict=True):
        assert (made.tgid, made.start) == (ended.tgid, ended.start)
        assert (made.ppid, made.parent_start, made.parent_comm) == (parent.tgid, parent.start, b"trigger")
        assert (made.comm, made.pgid, made.sid) == (b"trigger", parent.pgid, parent.sid)
        assert made.start <= made.time <= ended.time


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_exit_code(capture: Capture, container: Container, code: int) -> None:
    """A process's end has its exit code."""
    seen = capture.trigger(container, "fork-exit", "20", str(code))
    assert len(statuses(seen)) == 20
    check_children(seen)
    assert {os.waitstatus_to_exitcode(r.status) for r in seen.started(Exit)} == {code}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT, signal.SIGHUP])
def test_signal(capture: Capture, container: Container, number: signal.Signals) -> None:
    """The end of a process that a signal ended has the signal, and whether memory was dumped."""
    seen = capture.trigger(container, "fork-signal", "3", str(int(number)))
    check_children(seen)
    assert {os.waitstatus_to_exitcode(r.status) for r in seen.started(Exit)} == {-number}


def test_spawn(capture: Capture, container: Container) -> None:
    """Fifty children that each start a program are fifty forks, execs and ends."""
    seen = capture.trigger(container, "fork-spawn", "50")
    assert [r.vpid for r in seen.started(Exec)] == list(statuses(seen))
    assert len(seen.started(Fork)) == len(seen.started(Exit)) == 50
    assert {r.args for r in seen.started(Exec)} == {b"/triggers/trigger\0nothing\0"}


def test_threads(capture: Capture, container: Container) -> None:
    """Threads are neither made nor ended as far as records go."""
    seen = capture.trigger(container, "fork-threads", "20")
    assert seen.started(Fork) == []
    (end,) = seen.of(Exit)
    assert end.vpid == seen.root


@pytest.mark.parametrize("trigger", ["fork-leader-first", "fork-threads-end"])
def test_leader_first(capture: Capture, container: Container, trigger: str) -> None:
    """A process whose first thread ends before the others ends once, with the last, and as its parent is told."""
    seen = capture.trigger(container, trigger, "7")
    check_children(seen)
    (end,) = seen.started(Exit)
    assert end.comm == b"trigger"


def test_out_of_memory(capture: Capture, docker_daemon: Dockerd) -> None:
    """The end of a process that was killed because memory ran out says so; another's that was killed does not."""
    with docker_daemon.container("triggers", *FOREVER, mem_limit="24m") as made:
        begin = len(capture.records)
        # tail keeps a line until it ends, and this one does not; the second is killed by the shell
        made.run("sh", "-c", "tail /dev/zero; sleep 1000 & kill -9 $!; wait $!", expect=137)

        def ended() -> list[Exit]:
            found = of(capture.records[begin:], Exit)
            return [r for r in found if r.owner == made.cgroup_id and r.status == signal.SIGKILL]

        capture.until(lambda: len(ended()) == 2, "the ends of both")
        first, second = ended()
        assert (first.comm, first.exit_flags, second.exit_flags) == (b"tail", ExitFlag.OOM, 0)
