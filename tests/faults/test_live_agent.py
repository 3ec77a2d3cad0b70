"""One agent after another: one at a time, the time between them told, also across a boot."""

from __future__ import annotations

import time
import uuid
from contextlib import ExitStack
from pathlib import Path

import pytest

from shipper.wire.records import AgentStart, CgroupInfo
from shipper.wire.segment import streams
from tests.faults.live import blind, documents, made_again, records, rig
from tests.faults.livestorm import EXEC, FORK, KINDS, programs, storm
from tests.kernel.capture import cgroup
from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Dockerd

pytestmark = [pytest.mark.kernel, pytest.mark.faults]

ROUNDS = 30
BOOT_ID = "/proc/sys/kernel/random/boot_id"
OTHER_BOOT = ("unshare", "--mount", "sh", "-c", f'mount --bind "$0" {BOOT_ID} && exec "$@"')
"""What starts a program to whom the host has booted again: the file with the new id follows, then the program."""


def test_second_agent(docker_daemon: Dockerd, tmp_path: Path) -> None:
    """A second agent on the same folder is refused, told who is there, and harms nothing."""
    with rig(docker_daemon, tmp_path) as live:
        live.start_agent()
        assert live.agent is not None
        told = live.command("ship", expect=1).stderr
        assert told.count("\n") == 1, told
        assert f"agent {live.agent.pid} already works on {live.data}" in told
        live.written()


def test_stopped(docker_daemon: Dockerd, tmp_path: Path) -> None:
    """Between an agent that was stopped and the next one nothing is stored, and that time is told to the moment."""
    with rig(docker_daemon, tmp_path) as live, storm(docker_daemon, tmp_path / "storm") as box:
        live.start_agent()
        live.start_worker()
        first = box.batch(ROUNDS)
        before_stop = time.time_ns()
        live.stop(live.agent)
        unseen = box.batch(ROUNDS)
        live.start_agent()
        after_start = time.time_ns()
        last = box.batch(ROUNDS)
        live.settle()
        ((cause, (start, end)),) = blind(documents(live.data))
        assert cause == "agent_stopped"
        assert before_stop <= start <= unseen[0].before
        assert unseen[-1].after <= end <= after_start
        stored = {argument for argument, _ in programs(live.documents(box.container.id))}
        assert stored == {each.argument for each in first + last if each.number % len(KINDS) != FORK}


def test_start_comes_first(docker_daemon: Dockerd, tmp_path: Path) -> None:
    """However much a keyframe tells, the agent's start stands in its first frame: a kill leaves no other without it."""
    with rig(docker_daemon, tmp_path) as live, ExitStack() as stack:
        deep = stack.enter_context(docker_daemon.container("busybox", *FOREVER)).cgroup
        for _ in range(12):
            deep = deep / ("x" * 250)
            stack.enter_context(cgroup(deep))
        for number in range(100):
            stack.enter_context(cgroup(deep / str(number)))
        live.start_agent()
        first, second, *_ = live.frames()
        assert AgentStart in map(type, records(first))
        assert CgroupInfo in map(type, records(second))


def test_other_boot(docker_daemon: Dockerd, tmp_path: Path) -> None:
    """After a reboot a new stream begins; what was not recorded between the two is told, and the worker takes both."""
    boot = str(uuid.uuid4())
    (tmp_path / "boot_id").write_text(f"{boot}\n")
    with rig(docker_daemon, tmp_path) as live, storm(docker_daemon, tmp_path / "storm") as box:
        live.start_agent()
        live.start_worker()
        first = box.batch(ROUNDS)
        live.written()
        live.kill(live.agent)
        unseen = box.batch(ROUNDS)
        live.start_agent(*OTHER_BOOT, str(tmp_path / "boot_id"))
        last = box.batch(ROUNDS)
        live.settle()
        assert len(streams(live.data / "spool")) == 2
        ((cause, (start, end)),) = blind(documents(live.data))
        assert cause == "agent_killed"
        assert first[-1].after <= start <= unseen[0].before
        assert unseen[-1].after <= end <= last[0].before
        found = dict(programs(live.documents(box.container.id)))
        boots = [{found[r.argument]["host"]["boot"]["id"] for r in rounds if r.number % len(KINDS) == EXEC}
                 for rounds in (first, last)]  # fmt: skip
        assert boots == [{Path(BOOT_ID).read_text().strip()}, {boot}]
        live.stop(live.agent)
        live.settle()
        live.stop(live.worker)
        assert made_again(live, tmp_path / "again") == documents(live.data)
