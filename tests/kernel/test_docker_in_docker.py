"""A container that runs a Docker daemon of its own: what its containers do is the outer container's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shipper import cgroups
from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Container, Dockerd, wait_until
from tests.kernel.spine import spine

pytestmark = pytest.mark.kernel

_BASIC = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "SETFCAP", "SYS_CHROOT"]
CAPABILITIES = [*_BASIC, "NET_BIND_SERVICE", "NET_ADMIN", "NET_RAW", "SYS_PTRACE", "SYS_ADMIN", "MKNOD", "AUDIT_WRITE"]
"""Less than a privileged container has, so that a test machine may be a container itself."""
PROGRAMS = ("/usr", "/lib", "/lib64", "/sbin", "/etc/alternatives")
CGROUPS = """
umount -R /sys/fs/cgroup; mount -o remount,rw /sys
mount -t tmpfs cgroups /sys/fs/cgroup
for controller in $(cut -f1 /proc/cgroups | tail -n +2); do
    mkdir /sys/fs/cgroup/$controller
    mount -t cgroup -o $controller cgroup /sys/fs/cgroup/$controller || rmdir /sys/fs/cgroup/$controller
done
mkdir /sys/fs/cgroup/unified; mount -t cgroup2 none /sys/fs/cgroup/unified
"""
"""A Docker daemon's view of cgroups, as the root of its own cgroup namespace has it."""
DAEMON = (
    "PATH=$PATH:/usr/sbin:/usr/bin exec dockerd --data-root /tmp/d --exec-root /tmp/x --pidfile /tmp/p "
    "-H unix:///tmp/s --iptables=false --ip6tables=false --bridge=none --storage-driver=vfs >/tmp/log 2>&1"
)
CLIENT = "/usr/bin/docker -H unix:///tmp/s"


@pytest.fixture
def outer(docker_daemon: Dockerd) -> Iterator[Container]:
    """A container in which a Docker daemon runs that has the image "inner"."""
    volumes = {path: {"bind": path, "mode": "ro"} for path in PROGRAMS}
    options = {"cap_add": CAPABILITIES, "cgroupns": "private", "security_opt": ["seccomp=unconfined"]}
    folders = {"/run": "", "/var": "", "/tmp": "exec"}
    with docker_daemon.container("busybox", *FOREVER, name="outer", volumes=volumes, tmpfs=folders, **options) as made:
        made.run("sh", "-c", CGROUPS)
        made.handle.exec_run(["sh", "-c", DAEMON], detach=True)
        wait_until(lambda: made.handle.exec_run(["sh", "-c", f"{CLIENT} version"])[0] == 0, "the inner daemon", 60)
        made.run("sh", "-c", f"tar c -C / bin etc/passwd | {CLIENT} import - inner")
        yield made


def test_outermost(docker_daemon: Dockerd, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A program of an inner container names the outer one, in a cgroup that has both their ids."""
    with spine(docker_daemon, tmp_path / "data") as running:
        outer: Container = request.getfixturevalue("outer")
        outer.run("sh", "-c", f"{CLIENT} run --network none --name lab inner /bin/busybox true of-inner")
        inner = outer.run("sh", "-c", f"{CLIENT} ps --all --no-trunc --format '{{{{.ID}}}}'").decode().strip()
        found = running.until('process.args:"of-inner" AND process.name:busybox AND event.action:exec', 1)
        (document,) = (d for d in found if d["process"]["vpid"] == 1)
    assert document["container"]["name"] == "outer"
    assert document["container"]["id"] == outer.id != inner
    assert document["cgtrail"]["attribution"] == "exact"
    assert document["cgtrail"]["cgroup"]["path"] == f"/docker/{outer.id}/docker/{inner}"
    assert document["cgtrail"]["cgroup"]["id"] != outer.cgroup_id
    placed = cgroups.owner(document["cgtrail"]["cgroup"]["path"])
    assert placed
    assert placed.container_id == outer.id
