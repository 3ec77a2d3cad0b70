"""A trigger in a container that waits until everything up to it was drained, and then does more than a ring holds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bpf.events import Exec
from tests.kernel.capture import TRIGGER, Capture, Report, of
from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Container, Dockerd, program, wait_until

SMALL = 64 * 1024
"""Bytes of a ring that a flood fills."""
ENOUGH = 60.0
"""Seconds that a flood never takes."""


@dataclass
class Flood:
    """A trigger that has been stopped before it does anything; Docker's part is over."""

    process: subprocess.Popen[bytes]
    pid: int
    """As the host sees it."""

    def release(self) -> Report:
        """Let it go, draining nothing meanwhile; what it reports."""
        os.kill(self.pid, signal.SIGCONT)
        output, _ = self.process.communicate(timeout=ENOUGH)
        report: Report = json.loads(output)
        return report


def release(*floods: Flood) -> list[int]:
    """Let several go at once; how many children each had."""
    with ThreadPoolExecutor(len(floods)) as pool:
        return [len(report["children"]) for report in pool.map(Flood.release, floods)]


@contextmanager
def flood(docker_daemon: Dockerd, capture: Capture, container: Container, *argv: str) -> Iterator[Flood]:
    """A stopped trigger in a container; everything up to there has been drained."""
    argv = (TRIGGER, "when-continued", *argv)
    wanted = b"".join(argument.encode() + b"\0" for argument in argv)
    command = [program("docker"), "exec", container.id, *argv]
    begin = len(capture.records)
    with subprocess.Popen(command, env=docker_daemon.environment, stdout=subprocess.PIPE) as process:
        capture.until(lambda: wanted in {r.args for r in starts(capture, begin, container)}, "the trigger's start")
        (pid,) = (r.tgid for r in starts(capture, begin, container) if r.args == wanted)
        wait_until(lambda: state(pid) == "T", "the trigger has stopped")
        capture.drain()
        try:
            yield Flood(process, pid)
        finally:
            if process.poll() is None:  # a test that failed must not wait for it
                os.kill(pid, signal.SIGKILL)


def starts(capture: Capture, begin: int, container: Container) -> list[Exec]:
    """The programs that were started in a container, from a number of records on."""
    return [record for record in of(capture.records[begin:], Exec) if record.cgroup_id == container.cgroup_id]


def state(pid: int) -> str:
    """The state of a process in /proc (proc(5), stat)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@contextmanager
def two_containers(docker_daemon: Dockerd, capture: Capture) -> Iterator[tuple[Container, Container]]:
    """Two containers, made one after the other while the ring has room."""
    with docker_daemon.container("triggers", *FOREVER) as first:
        capture.drain()
        with docker_daemon.container("triggers", *FOREVER) as second:
            capture.drain()
            yield first, second
