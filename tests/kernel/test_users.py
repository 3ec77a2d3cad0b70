"""Names of users are those of the container's own files, whatever it is doing to them; never the host's."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from shipper.expendable import PATIENT_ROUNDS
from shipper.users import LOOK_NS, PATIENCE_NS, PAUSE_NS, Users
from shipper.users_reader import ANSWER, NEVER, NEW, NOT_YET, answer
from shipper.wire.records import UserNames
from tests.kernel.capture import TRIGGER
from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import DEADLINE, Container, Dockerd, busybox_archive, cgroup2_mount, wait_until
from tests.kernel.test_silent_arguments import MOUNTER

pytestmark = pytest.mark.kernel

ALICE = b"0:root\x001000:alice"


class Agent:
    """Rounds of an agent, whose time passes as the test says."""

    def __init__(self) -> None:
        self.users, self.now, self.got = Users(), 1, list[UserNames]()

    def found(self, container: Container) -> None:
        """A container appeared."""
        self.users.found(f"docker/{container.id}", str(container.cgroup), container.cgroup_id)

    def until(self, condition: Callable[[], object], step: int = PAUSE_NS) -> None:
        """Rounds until it is so; a pause passes whenever everybody has answered."""
        end = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < end, f"never; {self.users}"
            self.round()
            if not self.users._reader.open:
                self.now += step

    def round(self) -> None:
        """One round of the agent."""
        self.got += self.users.answers(self.now)
        time.sleep(0.001)

    def names(self, container: Container) -> UserNames:
        """What the files of a new container say."""
        before = len(self.got)
        self.found(container)
        self.until(lambda: len(self.got) > before)
        return self.got[-1]


@pytest.fixture
def agent() -> Iterator[Agent]:
    """An agent without containers."""
    made = Agent()
    yield made
    made.users.close()

    def left() -> int:
        made.users.close()  # looks after those that were killed
        return made.users.abandoned

    wait_until(lambda: left() == 0, "the children are gone")


@pytest.fixture(scope="module")
def nameless(docker_daemon: Dockerd) -> str:
    """An image that has no passwd."""
    buffer = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(busybox_archive({}))) as whole,
        tarfile.open(fileobj=buffer, mode="w") as made,
    ):
        for entry in whole:
            if entry.name != "etc/passwd":
                made.addfile(entry, whole.extractfile(entry) if entry.isfile() else None)
    docker_daemon.add_image("nameless", buffer.getvalue())
    return "nameless"


def test_names(docker_daemon: Dockerd, agent: Agent) -> None:
    """A running container's names come with its key and the mount namespace that they hold in."""
    with docker_daemon.container("busybox", *FOREVER) as made:
        told = agent.names(made)
        mount_ns = Path(f"/proc/{made.pid}/ns/mnt").stat().st_ino
    assert (told.key.decode(), told.owner) == (f"docker/{made.id}", made.cgroup_id)
    assert (told.users, told.groups, told.left_out, told.mount_ns) == (ALICE, b"", 0, mount_ns)


def test_new_user(docker_daemon: Dockerd, agent: Agent) -> None:
    """A user and a group that are added in a running container are told, and nothing is while nothing changes."""
    with docker_daemon.container("busybox", *FOREVER) as made:
        agent.names(made)
        agent.now += 2 * LOOK_NS
        agent.until(lambda: agent.users._reader.asked)
        agent.until(lambda: not agent.users._reader.open)
        assert len(agent.got) == 1
        adding = "cp passwd new; echo bob:x:1001:1001::/: >>new; mv new passwd; echo staff:x:7:bob >>group"
        made.run("sh", "-c", f"cd /etc; {adding}")
        agent.until(lambda: len(agent.got) > 1, LOOK_NS)
    assert (agent.got[-1].users, agent.got[-1].groups) == (ALICE + b"\x001001:bob", b"7:staff")
    assert agent.users.known() == agent.got[-1:]


@pytest.mark.parametrize(
    "target", ["/proc/1/root/etc/passwd", "/proc/self/root/etc/passwd", "../../../host/etc/passwd"]
)
@pytest.mark.parametrize("options", [{}, {"pid_mode": "host"}], ids=["own-pids", "host-pids"])
def test_link_to_the_host(docker_daemon: Dockerd, agent: Agent, target: str, options: dict[str, str]) -> None:
    """A link to the host's file does not lead there, not even through the host's own processes."""
    with docker_daemon.container("busybox", *FOREVER, **options) as made:
        made.run("ln", "-sf", target, "/etc/passwd")
        told = agent.names(made)
    assert told.users == b""
    assert told.left_out or not target.startswith("/proc/1")


def test_root_of_ones_own(docker_daemon: Dockerd, agent: Agent) -> None:
    """A process that changed its root to a folder of its making does not speak for the container."""
    with docker_daemon.container("busybox", *FOREVER) as made:
        script = (
            "mkdir -p /tmp/r/etc; cp -r /bin /tmp/r; echo liar:x:0:0::/: >/tmp/r/etc/passwd; chroot /tmp/r sleep 99"
        )
        made.handle.exec_run(["sh", "-c", script], detach=True)
        wait_until(lambda: b"sleep" in made.run("ps"), "it runs")
        assert agent.names(made).users == ALICE


def test_init_in_a_child(docker_daemon: Dockerd, agent: Agent) -> None:
    """Where all processes have moved to cgroups below the container's, as systemd does, they are found."""
    with docker_daemon.container("busybox", *FOREVER) as made:
        inner = made.cgroup / "empty/init.scope"
        inner.mkdir(parents=True)
        try:
            (inner / "cgroup.procs").write_text(str(made.pid))
            assert (made.cgroup / "cgroup.procs").read_text() == ""
            assert agent.names(made).users == ALICE
        finally:
            (made.cgroup / "cgroup.procs").write_text(str(made.pid))
            inner.rmdir()
            inner.parent.rmdir()


def test_mounted_files(docker_daemon: Dockerd, agent: Agent, tmp_path: Path) -> None:
    """Files that are mounted into a container are its own."""
    (tmp_path / "passwd").write_bytes(b"web:x:33:33::/:\n")
    volumes = {str(tmp_path / "passwd"): {"bind": "/etc/passwd", "mode": "ro"}}
    with docker_daemon.container("busybox", *FOREVER, volumes=volumes) as made:
        assert agent.names(made).users == b"33:web"


def test_never_the_hosts(docker_daemon: Dockerd, nameless: str) -> None:
    """However early a container without a passwd is asked for, even while runc still stands in the host's root."""
    assert Path("/etc/passwd").stat().st_size
    told, stop, folders = list[bytes](), threading.Event(), list[str]()

    def ask() -> None:
        while not stop.is_set():
            told.extend([answer(NEVER + folder.encode()) for folder in folders[-1:]])

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(10):
            handle = docker_daemon.client.containers.create(nameless, ["true"], network_mode="none")
            folders.append(f"{cgroup2_mount()}/docker/{handle.id}")
            handle.start()
            handle.wait()
            handle.remove()
    finally:
        stop.set()
        asking.join()
    read = [each for each in told if each[0] == NEW]
    assert read
    assert {each[ANSWER.size :] for each in read} == {b""}


ENTERING = """
import os, sys
runtime, container, group = sys.argv[1:]
os.chroot(runtime)
os.chdir("/")
if os.fork():
    os.wait()
else:
    os.write(int(group), b"0")
    print("joined", flush=True)
    sys.stdin.readline()
    os.chroot(container)
    print("entered", flush=True)
    sys.stdin.read()
"""
"""A runtime whose root is not the host's, as one in a snap has: its child joins, then enters."""


def test_never_the_runtimes(tmp_path: Path) -> None:
    """While a container's first process still stands in its runtime's root, whichever that is, nothing is told."""
    (tmp_path / "container/etc").mkdir(parents=True)
    (tmp_path / "container/etc/passwd").write_bytes(b"own:x:0:0::/:\n")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_bytes(b"runtime:x:0:0::/:\n")
    folder = cgroup2_mount() / f"cgtrail-{tmp_path.name}-{os.getpid()}"
    folder.mkdir()
    try:
        with (folder / "cgroup.procs").open("wb", buffering=0) as group:
            argv = [sys.executable, "-c", ENTERING, str(tmp_path), "/container", str(group.fileno())]
            made = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[group.fileno()], bufsize=0
            )
        with made:
            assert made.stdin
            assert made.stdout
            assert made.stdout.readline() == b"joined\n"
            assert answer(NEVER + bytes(folder))[0] == NOT_YET
            made.stdin.write(b"\n")
            assert made.stdout.readline() == b"entered\n"
            told = answer(NEVER + bytes(folder))
            assert (told[0], told[ANSWER.size :]) == (NEW, b"0:own")
            made.stdin.close()
    finally:
        wait_until(lambda: not (folder / "cgroup.procs").read_text(), "its process has ended")
        folder.rmdir()


def test_short_lives(docker_daemon: Dockerd, agent: Agent) -> None:
    """Containers that end as soon as they start harm nobody: others' names come, and nothing is kept of them."""
    with docker_daemon.container("busybox", *FOREVER) as lasting:
        for _ in range(10):
            handle = docker_daemon.client.containers.create("busybox", ["true"], network_mode="none")
            folder = Path(f"{cgroup2_mount()}/docker/{handle.id}")
            agent.users.found(f"docker/{handle.id}", str(folder), 7)
            starting = threading.Thread(target=handle.start)
            starting.start()
            while starting.is_alive():
                agent.round()
            handle.wait()
            agent.users.gone(f"docker/{handle.id}")
            handle.remove()
        assert {(record.users, record.groups) for record in agent.got} <= {(ALICE, b"")}
        assert agent.names(lasting).users == ALICE
    assert (len(agent.users.known()), agent.users.unread) == (1, 0)


def test_silent_file(docker_daemon: Dockerd, agent: Agent) -> None:
    """A passwd whose file system never answers costs the others a moment, and is told of."""
    with (
        docker_daemon.container("triggers", TRIGGER, "silent-arguments", **MOUNTER) as hostile,
        docker_daemon.container("busybox", *FOREVER) as beside,
    ):
        wait_until(lambda: bool(hostile.handle.logs()), "its file system is mounted")
        hostile.run("ln", "-sf", "/tmp/silent", "/etc/passwd")
        agent.found(hostile)
        agent.until(lambda: agent.users._reader.asked)
        agent.now += PATIENCE_NS + 1
        with capture_logs() as logs:
            for _ in range(PATIENT_ROUNDS + 1):
                agent.round()
        assert [entry["cgroup"] for entry in logs] == [hostile.cgroup_id]
        assert agent.names(beside).users == ALICE
        agent.until(lambda: agent.now > 3 * LOOK_NS, LOOK_NS)
        assert (agent.users.unread, len(agent.users.known())) == (1, 1)
