"""Real runtimes: what they tell stands before the container's cgroup is born, and agrees with where it is."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bpf.events import CgroupMkdir
from shipper import cgroups
from shipper.runtimes.listen import runtimes
from shipper.runtimes.news import Heard, Lived, Metadata, News, Runtime
from shipper.wire.records import Life
from tests.kernel.capture import Capture, of
from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Dockerd, cgroup2_folder, cgroup2_mount, wait_until
from tests.kernel.runtimes import Client, containerd, lxc, podman

pytestmark = pytest.mark.kernel


class Listening:
    """What a runtime told, and when."""

    def __init__(self, runtime: Runtime) -> None:
        self.told: list[tuple[int, News]] = []
        self._runtime = runtime
        self._ended = threading.Event()
        runtime.start()
        runtime.wait_listed()
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def _take(self) -> None:
        while not self._ended.wait(0.001):
            while not self._runtime.updates.empty():
                self.told.append((time.clock_gettime_ns(time.CLOCK_BOOTTIME), self._runtime.updates.get()))

    def stop(self) -> None:
        """Listen no more."""
        self._runtime.stop()
        self._ended.set()
        self._thread.join()

    def metadata(self, condition: Callable[[Metadata], bool]) -> tuple[int, Metadata]:
        """The first of which this holds, and when it came."""

        def found() -> list[tuple[int, Metadata]]:
            return [(at, each) for at, each in self.told if isinstance(each, Metadata) and condition(each)]

        wait_until(lambda: bool(found()), "what a runtime tells of a container")
        return found()[0]

    def lives(self, key: str) -> list[Life]:
        """What a container lived."""
        return [each.life for _, each in self.told if isinstance(each, Lived) and each.key == key]


@contextmanager
def listening(docker: str = "", podman: str = "", containerd: str = "") -> Iterator[Listening]:
    """A listener to one daemon."""
    (runtime,) = runtimes(*([each] if each else [] for each in (docker, podman, containerd)))
    heard = Listening(runtime)
    try:
        wait_until(lambda: any(isinstance(each, Heard) for _, each in heard.told), "the daemon's answer")
        yield heard
    finally:
        heard.stop()


def born(capture: Capture, path: str) -> int:
    """When the cgroup at this path was made."""

    def births() -> list[CgroupMkdir]:
        return [each for each in of(capture.records, CgroupMkdir) if os.fsdecode(each.path) == path]

    capture.until(lambda: bool(births()), f"the birth of {path}")
    return births()[0].time


def path_of(pid: int) -> str:
    """A process's cgroup, below the root."""
    return "/" + str(cgroup2_folder(pid).relative_to(cgroup2_mount()))


@pytest.fixture(scope="module")
def ctr(docker_daemon: Dockerd) -> Iterator[Client]:
    """A containerd with the image "busybox"."""
    with containerd() as client:
        archive = client.folder / "image.tar"
        with archive.open("wb") as file:
            for piece in docker_daemon.client.images.get("busybox:latest").save(named=True):
                file.write(piece)
        client("images", "import", "--snapshotter=native", archive)
        yield client


@pytest.mark.parametrize("parent", ["", "/cgtrail-test/deep"])
def test_containerd(capture: Capture, ctr: Client, parent: str) -> None:
    """It is known from its creation on, all of it a moment later, and its cgroup is made where it was told to be."""
    name = f"box{len(parent)}"
    image = ctr("images", "list", "--quiet").split()[0]
    options = ["--snapshotter=native", "--label=tenant=alice", "--privileged"]
    options += [f"--cgroup={parent}/{name}"] if parent else []
    try:
        with listening(containerd=str(ctr.socket)) as heard:
            mount = "--mount=type=bind,src=/run,dst=/host,options=rbind"
            # only `ctr run` takes a cgroup, and it starts the container at once
            how = ("run", "--detach") if parent else ("containers", "create")
            ctr(*how, *options, mount, image, name, *FOREVER)
            key = f"containerd/default/{name}"
            first, _ = heard.metadata(lambda each: each.key == key)
            all_, told = heard.metadata(lambda each: each.key == key and each.cgroup != "")
            if not parent:
                ctr("tasks", "start", "--detach", name)
            pid = int(next(line for line in ctr("tasks", "list").splitlines() if line.startswith(name)).split()[1])
            try:
                assert told.cgroup == path_of(pid)
                assert (told.labels["tenant"], told.image) == ("alice", image)
                assert (told.privileged, told.runtime_socket) == (True, True)
                assert told.digest.startswith("sha256:")
                assert (first if parent else all_) < born(capture, told.cgroup)
                assert heard.lives(key) == [Life.CREATED]
            finally:
                ctr("tasks", "kill", "--signal=KILL", name)
                wait_until(lambda: "STOPPED" in ctr("tasks", "list") or not ctr("tasks", "list", "-q"), "its end")
                ctr("tasks", "delete", name)
                ctr("containers", "delete", name)
            wait_until(lambda: heard.lives(key) == [Life.CREATED, Life.REMOVED], "the container's removal")
    finally:
        for folder in (cgroup2_mount() / "cgtrail-test/deep", cgroup2_mount() / "cgtrail-test"):
            if folder.exists():
                folder.rmdir()


def test_docker(capture: Capture, docker_daemon: Dockerd) -> None:
    """`docker create` and `start` at once: name, image and labels are known before the cgroup is made."""
    with listening(docker=docker_daemon.host) as heard:
        create = {"labels": {"tenant": "alice"}, "volumes": ["/run:/host:ro"]}
        with docker_daemon.container("busybox", *FOREVER, name="early", **create) as box:
            at, _ = heard.metadata(lambda each: each.container_id == box.id and each.labels == {"tenant": "alice"})
            _, told = heard.metadata(lambda each: each.container_id == box.id and each.digest != "")
            assert (told.name, told.image, told.labels) == ("early", "busybox", {"tenant": "alice"})
            assert told.runtime_socket
            assert told.digest.startswith("sha256:")
            placed = cgroups.owner(path_of(box.pid))
            assert placed is not None
            assert placed.key == told.key
            assert at < born(capture, placed.path)
            box.handle.rename("late")
            heard.metadata(lambda each: each.container_id == box.id and each.name == "late")
        expected = [Life.CREATED, Life.RENAMED, Life.REMOVED]
        wait_until(lambda: heard.lives(told.key) == expected, "its renaming and its removal")


def test_podman(capture: Capture) -> None:
    """By the API that it shares with Docker; its service reads of creations in a file, so that they come later."""
    limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]  # otherwise it raises them to 1,048,576
    with podman() as client, listening(podman=f"unix://{client.socket}") as heard:
        create = ["--network=none", "--label=tenant=alice", "--privileged", "--volume=/run:/host", "--name=early"]
        container_id = client("create", *limits, *create, "busybox", *FOREVER).strip()
        at, told = heard.metadata(lambda each: each.container_id == container_id and each.privileged)
        assert (told.name, told.image) == ("early", "localhost/busybox:latest")
        assert (told.labels, told.runtime_socket) == ({"tenant": "alice"}, True)
        client("start", "early")
        placed = cgroups.owner(path_of(int(client("inspect", "--format={{.State.Pid}}", "early"))))
        assert placed is not None
        assert placed.key == told.key
        assert at < born(capture, placed.path)
        client("rename", "early", "late")
        heard.metadata(lambda each: each.container_id == container_id and each.name == "late")
        client("rm", "--force", "--time=0", "late")
        expected = [Life.CREATED, Life.RENAMED, Life.REMOVED]
        wait_until(lambda: heard.lives(told.key) == expected, "its renaming and its removal")


def test_lxc(capture: Capture) -> None:
    """LXC tells nothing: the path of its payload's cgroup is the container's, and its monitor is the host's."""
    with lxc("cgtrail-box") as attach:
        attach("true")  # whoever enters gets a cgroup of LXC's below the payload's
        for _, path in cgroups.walk(cgroup2_mount()):
            placed = cgroups.owner(path)
            if path.startswith("/lxc.payload.cgtrail-box"):
                assert placed is not None
                assert (placed.key, placed.path) == ("lxc/cgtrail-box", "/lxc.payload.cgtrail-box")
            elif "cgtrail-box" in path:
                assert (path, placed) == ("/lxc.monitor.cgtrail-box", None)
        born(capture, "/lxc.payload.cgtrail-box")
    assert not Path(cgroup2_mount() / "lxc.payload.cgtrail-box").exists()


def test_the_walk_is_the_kernels_own_numbers() -> None:
    """What a folder's listing says of its folders is what stat(2) says, and one that has none is not looked into."""
    found = dict(cgroups.walk(cgroup2_mount()))
    checked = 0
    for number, path in found.items():
        try:
            assert os.stat(f"{cgroup2_mount()}{path}").st_ino == number
        except FileNotFoundError:
            continue
        checked += 1
    assert checked
    everything = {folder.removeprefix(str(cgroup2_mount())) or "/" for folder, _, _ in os.walk(cgroup2_mount())}
    stable = everything & {
        folder.removeprefix(str(cgroup2_mount())) or "/" for folder, _, _ in os.walk(cgroup2_mount())
    }
    assert stable <= set(found.values()) | {path for _, path in cgroups.walk(cgroup2_mount())}
