"""Five thousand cgroups of one container, through agent and worker: right while they are there, then nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shipper.agent import Agent, Settings
from tests.kernel.capture import TRIGGER
from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Container, Dockerd, wait_until
from tests.kernel.test_hostile_attribution import MOUNT, MOUNTING
from tests.unit.spooled import work

pytestmark = pytest.mark.kernel

CROWD = 5000
MAX_CHILDREN = 1024
"""Of one container in the kernel's map (bpf/watch.h)."""


@contextmanager
def agent(docker_daemon: Dockerd, data: Path) -> Iterator[Agent]:
    """An agent in a thread, so that what it knows can be looked at."""
    stop = threading.Event()
    made = Agent(Settings(data, version="0", runtimes={"docker": [docker_daemon.host]}), stop)
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        wait_until(lambda: bool(made.latest), "the agent to record")
        yield made
    finally:
        stop.set()
        thread.join()


def cgroups(container: Container) -> set[int]:
    """The ids of the cgroups below a container's."""
    return {folder.stat().st_ino for folder in container.cgroup.iterdir() if folder.is_dir()}


def watched(running: Agent, ids: set[int]) -> int:
    """How many of them have an entry of their own in the kernel."""
    entries = running.probes.maps["watched"]
    return sum(entries.get(number.to_bytes(8, "little")) is not None for number in ids)


def test_crowd(docker_daemon: Dockerd, tmp_path: Path) -> None:
    """Each program is its container's, also in the last cgroup of a crowd; what is gone is known to nobody."""
    with (
        agent(docker_daemon, tmp_path) as running,
        docker_daemon.container("triggers", *FOREVER, name="victim") as victim,
        docker_daemon.container("triggers", *FOREVER, name="crowd", cgroupns="private", **MOUNTING) as crowd,
    ):
        crowd.run("sh", "-c", f"{MOUNT} && cd /tmp/cgroup && mkdir $(seq {CROWD})")
        ids = cgroups(crowd)
        assert len(ids) == CROWD
        wait_until(lambda: ids <= running.inventory.registry.cgroups, "the agent knows the crowd")
        assert watched(running, ids) == MAX_CHILDREN
        crowd.run(TRIGGER, "fork-into", f"/tmp/cgroup/{CROWD}", "of-crowd")
        victim.run(TRIGGER, "nothing", "of-victim")
        crowd.run("sh", "-c", f"cd /tmp/cgroup && rmdir $(seq {CROWD})")
        wait_until(lambda: ids.isdisjoint(running.inventory.registry.cgroups), "the agent has forgotten the crowd")
        assert watched(running, ids) == 0
        victim.run(TRIGGER, "nothing", "after-crowd")
    found = [document.source for document in work(tmp_path).values() if document.kind == "process"]
    execs = [document for document in found if document["event"]["action"] == "exec"]
    marked = [document for document in execs if document["process"]["args"][-1].startswith(("of-", "after-"))]
    assert [(d["process"]["args"][-1], d["container"]["name"], d["cgtrail"]["attribution"]) for d in marked] == [
        ("of-crowd", "crowd", "exact"),
        ("of-crowd", "crowd", "exact"),
        ("of-victim", "victim", "exact"),
        ("after-crowd", "victim", "exact"),
    ]
    assert {marked[1]["cgtrail"]["cgroup"]["id"]} <= ids
