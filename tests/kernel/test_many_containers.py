"""Two hundred containers at once: each is known, and what is done in each is under its name."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.kernel.capture import cgroup
from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Container, Dockerd, cgroup2_mount
from tests.kernel.spine import spine

pytestmark = pytest.mark.kernel

REAL, OTHERS = 10, 190
"""Docker takes a minute and a half for two hundred; the others have what the kernel sees of a container."""
OTHER = 'echo $$ >"$0/cgroup.procs"; exec unshare --pid --fork --kill-child --mount-proc sh -c "/bin/true $1; exec cat"'


@contextmanager
def others() -> Iterator[list[str]]:
    """Processes in namespaces and cgroups as Docker makes them; the ids that their cgroups are named after."""
    ids = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(OTHERS)]
    with ExitStack() as stack:
        for container_id in ids:
            folder = cgroup2_mount() / "docker" / container_id
            stack.enter_context(cgroup(folder))
            argv = ["sh", "-c", OTHER, str(folder), f"in-{container_id}"]
            process = stack.enter_context(subprocess.Popen(argv, stdin=subprocess.PIPE))  # which ends with its input
            assert process.stdin
            stack.callback(process.stdin.close)
        yield ids


@contextmanager
def real(docker_daemon: Dockerd) -> Iterator[list[Container]]:
    """Docker's containers."""
    with ExitStack() as stack:
        made = [docker_daemon.container("busybox", *FOREVER, name=f"many-{number}") for number in range(REAL)]
        yield [stack.enter_context(container) for container in made]


def test_many(docker_daemon: Dockerd, tmp_path: Path) -> None:
    """Of two hundred containers none is missing, and no program is another one's."""
    with (
        spine(docker_daemon, tmp_path / "data", "--quiet") as running,
        real(docker_daemon) as named,
        others() as ids,
    ):
        for container in named:
            container.run("true", f"in-{container.id}")
        found = running.until("process.name:true AND event.action:exec AND process.args:in-*", REAL + OTHERS)
        assert running.status()["agent"]["containers"] >= REAL + OTHERS
    assert {d["container"]["id"] for d in found} == {container.id for container in named} | set(ids)
    assert {d["process"]["args"][1] == f"in-{d['container']['id']}" for d in found} == {True}
    names = {container.id: container.handle.name for container in named}
    assert {d["container"]["id"]: d["container"]["name"] for d in found if "name" in d["container"]} == names
    assert {d["cgtrail"]["attribution"] for d in found if "name" in d["container"]} == {"exact"}
