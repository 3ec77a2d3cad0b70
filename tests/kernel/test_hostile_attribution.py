"""Whose an event is, stays right whatever containers do with cgroups, names and short lives."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.kernel.capture import TRIGGER, cgroup
from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Container, Dockerd, cgroup2_mount
from tests.kernel.spine import Document, Spine, spine

pytestmark = pytest.mark.kernel

MOUNT = "mkdir -p /tmp/cgroup && mount -t cgroup2 none /tmp/cgroup"
MOUNTING = {"cap_add": ["SYS_ADMIN"], "security_opt": ["seccomp=unconfined"]}
"""What a container needs to mount the cgroup2 hierarchy: as much of it as its cgroup namespace shows."""
SHORT = 40


@pytest.fixture(scope="module")
def running(docker_daemon: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spine]:
    """cgtrail at work for the module."""
    with spine(docker_daemon, tmp_path_factory.mktemp("spine") / "data") as started:
        yield started


@pytest.fixture(scope="module")
def victim(docker_daemon: Dockerd, running: Spine) -> Iterator[Container]:
    """A container that does nothing wrong."""
    with docker_daemon.container("triggers", *FOREVER, name="victim") as made:
        yield made


@pytest.fixture(scope="module")
def attacker(docker_daemon: Dockerd, running: Spine) -> Iterator[Container]:
    """A container that has the host's whole cgroup2 hierarchy in /tmp/cgroup."""
    with docker_daemon.container("triggers", *FOREVER, name="attacker", **MOUNTING) as made:
        made.run("sh", "-c", MOUNT)
        yield made


def seen(running: Spine, mark: str, count: int = 1) -> list[Document]:
    """The documents of the programs that were started with a mark as an argument."""
    return running.until(f'process.args:"{mark}" AND event.action:exec', count)


def inside(container: Container) -> str:
    """A container's cgroup as the attacker sees it."""
    return f"/tmp/cgroup/{container.cgroup.relative_to(cgroup2_mount())}"


def test_born_in_another_container(running: Spine, attacker: Container, victim: Container) -> None:
    """A child that is born into another container's cgroup is that container's; its parent is not."""
    attacker.run(TRIGGER, "fork-into", inside(victim), "born-in-victim")
    parent, child = seen(running, "born-in-victim", 2)
    assert (parent["container"]["name"], child["container"]["name"]) == ("attacker", "victim")
    assert child["process"]["parent"]["entity_id"] == parent["process"]["entity_id"]
    assert child["cgtrail"]["attribution"] == "exact"


def test_born_in_a_child(running: Spine, attacker: Container) -> None:
    """A child that is born into a cgroup below its container's is the container's, whatever the cgroup's name."""
    with cgroup(attacker.cgroup / ("0" * 64)) as child_id:
        attacker.run(TRIGGER, "fork-into", f"{inside(attacker)}/{'0' * 64}", "born-below")
        parent, child = seen(running, "born-below", 2)
    assert {document["container"]["id"] for document in (parent, child)} == {attacker.id}
    assert child["cgtrail"]["cgroup"]["id"] == child_id != parent["cgtrail"]["cgroup"]["id"]


def test_born_on_the_host(running: Spine, attacker: Container) -> None:
    """A child that is born into a cgroup of the host's is the host's: only its parent is recorded."""
    with cgroup(cgroup2_mount() / "x.service"):
        attacker.run(TRIGGER, "fork-into", "/tmp/cgroup/x.service", "born-on-host")
        attacker.run(TRIGGER, "nothing", "afterwards")
        seen(running, "afterwards")
        (parent,) = seen(running, "born-on-host")
    assert parent["container"]["name"] == "attacker"


def test_posing(running: Spine, docker_daemon: Dockerd, victim: Container) -> None:
    """In a cgroup that a container made and named after another one, a program is its maker's."""
    names = [victim.id, f"docker-{victim.id}.scope", "\x1b]0;x\x07", "x.service", "n" * 255]
    with docker_daemon.container("triggers", *FOREVER, name="posing", cgroupns="private", **MOUNTING) as made:
        made.run("sh", "-c", MOUNT)
        for number, name in enumerate(names):
            made.run("mkdir", f"/tmp/cgroup/{name}")
            made.run(TRIGGER, "fork-into", f"/tmp/cgroup/{name}", f"posing-{number}")
            parent, child = seen(running, f"posing-{number}", 2)
            assert {document["container"]["id"] for document in (parent, child)} == {made.id}
            assert {document["cgtrail"]["attribution"] for document in (parent, child)} == {"exact"}
            assert parent["cgtrail"]["cgroup"]["id"] != child["cgtrail"]["cgroup"]["id"]


def short_lives(docker_daemon: Dockerd, folder: Path, prefix: str, count: int) -> dict[str, str]:
    """Run a program in so many containers that are removed at once, side by side; container id → name."""

    def run(number: int) -> tuple[str, str]:
        name, cidfile = f"{prefix}-{number}", folder / str(number)
        options = ["--rm", "--network", "none", "--name", name, "--cidfile", str(cidfile)]
        docker_daemon.command("run", *options, "busybox", "true", name)
        return cidfile.read_text(), name

    with ThreadPoolExecutor(8) as pool:
        return dict(pool.map(run, range(count)))


def check_short(running: Spine, started: dict[str, str], prefix: str, attributions: set[str]) -> None:
    """Each of the containers has the documents of its program's start and end, with its name and image."""
    for action in ("exec", "end"):
        query = f"process.name:true AND event.action:{action} AND container.name:{prefix}-*"
        found = running.until(query, len(started))
        assert {d["container"]["id"]: d["container"]["name"] for d in found} == started
        assert {d["process"]["args"][1] == d["container"]["name"] for d in found} == {True}
        assert {d["container"]["image"]["name"] for d in found} == {"busybox"}
        assert {d["cgtrail"]["attribution"] for d in found} <= attributions
        assert len(found) == len(started)


@pytest.mark.parametrize(
    "options",
    [{"cgroup_parent": "/docker/of-ones-own"}, {"cgroupns": "host"}, {"pid_mode": "host"}],
    ids=["parent", "cgroupns", "pid"],
)
def test_unusual_places(running: Spine, docker_daemon: Dockerd, options: dict[str, object]) -> None:
    """Wherever its cgroup lies and whatever it sees of the host: each program is its container's, from the first on."""
    name = "-".join(("unusual", *options))
    with docker_daemon.container("triggers", *FOREVER, name=name, **options) as made:
        made.run("sh", "-c", "exit 0")
        found = running.until("event.action:exec", 2, "--container", name)
        assert {document["container"]["id"] for document in found} == {made.id}
        assert {document["cgtrail"]["attribution"] for document in found} <= {"exact", "late"}
    for left in (*Path("/sys/fs/cgroup").glob("*/docker/of-ones-own"), cgroup2_mount() / "docker/of-ones-own"):
        with suppress(FileNotFoundError):  # Docker makes a parent in each hierarchy, and leaves it
            left.rmdir()


def test_side_by_side(running: Spine, docker_daemon: Dockerd, tmp_path: Path) -> None:
    """Of many containers that live for a moment side by side, every one has its documents and its name."""
    started = short_lives(docker_daemon, tmp_path, "moment", SHORT)
    check_short(running, started, "moment", {"exact", "late"})
