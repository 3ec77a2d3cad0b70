"""For a guest with preempt=full: failing execs on one processor that preempt each other, and what was recorded of them.

Prints one JSON object. A slow caller fails with long arguments all the time; a fast one of a higher priority, which
wakes up by a timer, fails too and makes a process, each time in the middle of whatever the slow one is at.
"""

from __future__ import annotations

import ctypes
import json
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bpf.events import ExecFailed
from tests.kernel.capture import Capture, capturing, cgroup, of

ROUNDS = 400
SLOW, FAST = (b"s" * 20,) * 190, (b"fast",) * 40
_libc = ctypes.CDLL(None)


def _argv(args: tuple[bytes, ...]) -> Any:
    return (ctypes.c_char_p * (len(args) + 1))(*args, None)


def execve(args: tuple[bytes, ...]) -> Callable[[], None]:
    """What fails to start a program by execve(2)."""
    argv = _argv(args)
    return lambda: _libc.execve(b"/no/such/program", argv, None)


def execveat(args: tuple[bytes, ...]) -> Callable[[], None]:
    """What fails to start a program by execveat(2)."""
    argv = _argv(args)
    return lambda: _libc.syscall(322, -1, b"/no/such/program", argv, None, 0)


def caller(folder: Path, act: Callable[[], None], priority: int) -> int:
    """A process on the first processor that acts so many times; its process id."""
    pid = os.fork()
    if pid:
        return pid
    os.sched_setaffinity(0, {0})
    (folder / "cgroup.procs").write_text(str(os.getpid()))
    if priority:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    for _ in range(ROUNDS):
        act()
        if priority:
            time.sleep(0.0005)
    os._exit(0)


def fail_and_fork(fail: Callable[[], None]) -> None:
    """Fail, and make a process that ends at once."""
    fail()
    if os.fork() == 0:
        os._exit(0)
    os.wait()


def drained(capture: Capture, pids: list[int]) -> None:
    """Drain the ring until all processes have ended."""
    left = set(pids)
    while left:
        capture.drain()
        ended, _ = os.waitpid(-1, os.WNOHANG)
        left.discard(ended)
    capture.drain()


def main() -> None:
    """Run two callers and compare what was recorded with what they did."""
    fast = execveat(FAST)
    with capturing() as capture, cgroup(Path("/sys/fs/cgroup/preempted")) as made:
        capture.probes.watch(made, made)
        folder = Path("/sys/fs/cgroup/preempted")
        callers = [
            caller(folder, execve(SLOW), 0),
            caller(folder, lambda: fail_and_fork(fast), 2),
            caller(folder, execve(FAST), 1),
        ]
        drained(capture, callers)
        found = Counter(kind(record) for record in of(capture.records, ExecFailed))
        lost = capture.losses(made).get(ExecFailed.layout.number or 0, 0)
        missed = capture.probes.recursion_misses()
        hooks = sorted(a.program for a in capture.probes.attempts if a.refused is None and a.event == "exec_failed")
    preemption = Path("/sys/kernel/debug/sched/preempt").read_text()
    print(
        json.dumps(
            {
                "preemption": preemption,
                "done": 3 * ROUNDS,
                "found": found,
                "lost": lost,
                "missed": missed,
                "hooks": hooks,
            }
        )
    )


def kind(record: ExecFailed) -> str:
    """Whose it is, or that it is nobody's."""
    whole = {b"".join(arg + b"\0" for arg in args): name for args, name in ((SLOW, "slow"), (FAST, "fast"))}
    known = record.filename == b"/no/such/program" and record.error == -2 and record.args_bytes == len(record.args)
    return whole.get(record.args, "damaged") if known else "damaged"


if __name__ == "__main__":
    main()
