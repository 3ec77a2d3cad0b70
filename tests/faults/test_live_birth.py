"""Births of cgroups that the ring lost: the next keyframe makes up for them."""

from __future__ import annotations

import subprocess
import uuid
from contextlib import ExitStack
from pathlib import Path

import pytest

from bpf.events import CgroupMkdir, Header
from shipper.wire.records import FIRST, Loss
from tests.faults.live import PATIENCE, Rig, rig
from tests.faults.livestorm import storm
from tests.kernel.capture import cgroup
from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Dockerd, cgroup2_mount, wait_until
from tests.kernel.flood import SMALL

pytestmark = [pytest.mark.kernel, pytest.mark.faults]

ROUNDS = 300
"""Some three times what the ring holds."""


def plug() -> None:
    """Fill what a flood has left of a ring: these are the smallest records, and each has a budget of its own."""
    for _ in range(200):
        with cgroup(cgroup2_mount() / f"cgtrail-test-{uuid.uuid4()}"):
            pass


def visit(folder: Path) -> None:
    """Let a process of the host enter a cgroup and end there."""
    with subprocess.Popen(["sleep", "infinity"]) as process:
        (folder / "cgroup.procs").write_text(str(process.pid))
        process.kill()


def of(live: Rig, cgroup_id: int) -> list[Header]:
    """The kernel's records about a cgroup."""
    found = (record for record in live.records() if isinstance(record, Header))
    return [record for record in found if record.cgroup_id == cgroup_id and record.type < FIRST]


def test_lost_births(docker_daemon: Dockerd, tmp_path: Path) -> None:
    """A container born while the ring was full is looked for at once; a host's cgroup is left alone."""
    service = cgroup2_mount() / f"cgtrail-test-{uuid.uuid4()}"
    with (
        rig(docker_daemon, tmp_path, capture_ring_bytes=SMALL, spool_keyframe_seconds=2) as live,
        storm(docker_daemon, tmp_path / "storm") as box,
        ExitStack() as stack,
    ):
        live.start_agent()
        live.start_worker()
        with live.frozen():
            box.batch(ROUNDS)
            plug()
            plain = stack.enter_context(cgroup(service))
            visit(service)
            born = stack.enter_context(docker_daemon.container("busybox", *FOREVER, name="born"))
            before = live.facts()["sweeps"]
        wait_until(lambda: live.facts()["sweeps"] > before, "a walk over all cgroups", PATIENCE)
        live.assert_healed(born, "born")
        live.account(born.cgroup_id)
        assert not [r for number in (plain, born.cgroup_id) for r in of(live, number) if isinstance(r, CgroupMkdir)]
        lost = {r.cgroup_id for r in live.records() if isinstance(r, Loss)}
        assert lost >= {plain, born.cgroup_id}, "both were watched, and their births lost"
        visit(service)
        live.written()
        assert of(live, plain) == []
        live.account(box.container.cgroup_id)
        assert str(plain) not in live.facts()["seen"]
