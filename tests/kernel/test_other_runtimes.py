"""Containers of containerd, and such as come and go faster than Docker makes them, in documents."""

from __future__ import annotations

import hashlib
import subprocess
import time
from pathlib import Path

import pytest

from tests.kernel.capture import cgroup
from tests.kernel.dockerd import Dockerd, busybox_archive, cgroup2_mount
from tests.kernel.runtimes import containerd
from tests.kernel.spine import spine
from tests.unit.docker_daemon import FakeDaemon, container, event

pytestmark = pytest.mark.kernel

RATE, COUNT = 20, 200
"""Containers a second, and how many."""
PROGRAM = 'echo $$ >"$0/cgroup.procs"; exec /bin/true "$1"'


def test_two_runtimes_at_once(docker_daemon: Dockerd, tmp_path: Path) -> None:
    """containerd's container, at a path and with a name of its choice, is another than Docker's, of other tenants."""
    with containerd() as ctr:
        (tmp_path / "image.tar").write_bytes(busybox_archive({}))
        rootfs = tmp_path / "rootfs"
        rootfs.mkdir()
        subprocess.run(["tar", "-xf", tmp_path / "image.tar", "-C", rootfs], check=True)
        settings = {"CGTRAIL_RUNTIMES_CONTAINERD": str(ctr.socket)}
        with spine(docker_daemon, tmp_path / "data", settings=settings) as running:
            options = ["--rm", "--network", "none", "--label", "cgtrail.tenant=t1", "--name", "twin"]
            docker_daemon.command("run", *options, "busybox", "/bin/busybox", "true", "of-docker")
            ctr(
                "run", "--rm", "--label=cgtrail.tenant=t2", "--rootfs", rootfs, "twin", "/bin/busybox", "true", "of-ctr"
            )
            found = running.until('event.action:exec AND process.args:("of-docker" OR "of-ctr")', 2)
            lives = running.search("event.dataset:cgtrail.container", "--tenant", "t2")
    shown = {
        document["process"]["args"][-1]: (
            document["container"]["runtime"],
            document["container"]["name"],
            document["cgtrail"]["tenant"]["id"],
            document["cgtrail"]["attribution"] in {"exact", "late"},
        )
        for document in found
    }
    assert shown == {"of-docker": ("docker", "twin", ["t1"], True), "of-ctr": ("containerd", "twin", ["t2"], True)}
    assert [document["event"]["action"] for document in lives] == ["created", "started", "died", "removed"]


def test_twenty_containers_a_second(docker_daemon: Dockerd, tmp_path: Path) -> None:
    """Each that comes and goes within a few milliseconds has its name, image and tenant, and its life is told."""
    daemon = FakeDaemon(tmp_path)
    daemon.start()
    try:
        with spine(docker_daemon, tmp_path / "data", settings={"DOCKER_HOST": daemon.url}) as running:
            began = time.monotonic()
            for number in range(COUNT):
                _live(daemon, number)
                time.sleep(max(began + (number + 1) / RATE - time.monotonic(), 0))
            query = "event.action:exec AND container.name:churn-*"
            found = running.until(query, COUNT, "--tenant", "churn")
            ends = running.until("event.action:removed AND container.name:churn-*", COUNT, "--tenant", "churn")
    finally:
        daemon.stop()
    assert {d["container"]["name"]: d["process"]["args"][-1] for d in found} == {
        f"churn-{number}": f"in-{number}" for number in range(COUNT)
    }
    assert {d["container"]["image"]["name"] for d in found} == {"nginx"}
    assert {d["cgtrail"]["attribution"] for d in found} <= {"exact", "late"}
    assert len(ends) == COUNT


def _live(daemon: FakeDaemon, number: int) -> None:
    """A container is created, runs one program, and is removed, as Docker tells of it and as the kernel sees it."""
    container_id = hashlib.sha256(b"churn %d" % number).hexdigest()
    labels = {"cgtrail.tenant": "churn"}
    made = container(container_id, f"churn-{number}", **labels)
    daemon.containers.append(made)
    at = time.time_ns()
    daemon.events.put(event("create", container_id, at, name=f"churn-{number}", image="nginx:1.29", **labels))
    folder = cgroup2_mount() / "docker" / container_id
    with cgroup(folder):
        subprocess.run(["sh", "-c", PROGRAM, str(folder), f"in-{number}"], check=True)
    daemon.containers.remove(made)
    daemon.events.put(event("destroy", container_id, at))
