"""What becomes of containers is a journal of its own: made, started, entered, ended, removed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Dockerd, wait_until
from tests.kernel.spine import Document, Spine, spine

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def running(docker_daemon: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spine]:
    """cgtrail at work for the module."""
    with spine(docker_daemon, tmp_path_factory.mktemp("spine") / "data") as started:
        yield started


def life(running: Spine, name: str, actions: int) -> dict[str, Document]:
    """Action → document, of a container's journal."""
    found = running.until("event.dataset:cgtrail.container", actions, "--container", name)
    assert len(found) == actions, [document["event"]["action"] for document in found]
    return {document["event"]["action"]: document for document in found}


def test_a_containers_life(running: Spine, docker_daemon: Dockerd) -> None:
    """Each step has its own document, with everything that is known of it, oldest first."""
    labels = {"com.example.role": "web", "cgtrail.tenant": "shop"}
    with docker_daemon.container("busybox", *FOREVER, name="alive", labels=labels) as box:
        box.run("/bin/busybox", "true", "entered")
        box.handle.kill(signal="SIGKILL")
        box.handle.wait()
    found = life(running, "alive", 5)
    assert list(found) == ["created", "started", "entered", "died", "removed"]
    started, entered, died = found["started"], found["entered"], found["died"]
    for document in found.values():
        assert document["container"]["id"] == box.id
        assert document["container"]["labels"] == labels
        assert document["cgtrail"]["tenant"]["id"] == ["shop"]
        assert document["cgtrail"]["attribution"] in {"exact", "late"}
    assert started["process"]["pid"] == box.pid
    assert started["process"]["args"] == list(FOREVER)
    assert started["process"]["parent"]["name"].startswith("containerd-shim")
    assert started["container"]["image"]["hash"]["all"][0].startswith("sha256:")
    assert started["container"]["security_context"] == {"privileged": False}
    assert started["cgtrail"]["container"]["runtime_socket"] is False
    assert "CAP_CHOWN" in started["process"]["thread"]["capabilities"]["effective"]
    assert entered["process"]["args"][-1] == "entered"
    assert entered["user"]["id"] == "0"
    assert died["process"]["exit_code"] == 137
    assert died["cgtrail"]["signal"] == "SIGKILL"
    assert died["cgtrail"]["container"]["oom"] is False
    assert died["event"]["duration"] > 0


def test_how_a_process_came_in(running: Spine, docker_daemon: Dockerd) -> None:
    """The first process, and what was put in from outside, lead what they start."""
    script = "/bin/busybox true deep & wait; exec tail -f /dev/null"
    with docker_daemon.container("busybox", "sh", "-c", script, name="tree") as box:
        box.run("sh", "-c", "(/bin/busybox true outside); true")
        running.until("process.args:outside AND event.action:exec", 1, "--container", "tree")
    (deep,) = running.search("process.args:deep AND event.action:exec AND process.name:busybox", "--container", "tree")
    (outside,) = running.search(
        "process.args:outside AND event.action:exec AND process.name:busybox", "--container", "tree"
    )
    assert deep["cgtrail"]["entry"] == "init"
    assert deep["process"]["entry_leader"]["pid"] == box.pid
    assert outside["cgtrail"]["entry"] == "exec"
    assert outside["process"]["entry_leader"]["name"] == "sh"
    assert outside["process"]["entry_leader"]["entry_meta"]["type"] == "container"
    assert outside["process"]["entry_leader"]["entity_id"] != deep["process"]["entry_leader"]["entity_id"]


def test_what_a_container_may(running: Spine, docker_daemon: Dockerd, tmp_path: Path) -> None:
    """A runtime's socket mounted in it is named, for whoever is in it can do whatever the runtime can."""
    socket = docker_daemon.host.removeprefix("unix://")
    with docker_daemon.container("busybox", *FOREVER, name="mighty", volumes=[f"{socket}:/var/run/docker.sock"]):
        pass
    assert life(running, "mighty", 4)["started"]["cgtrail"]["container"]["runtime_socket"] is True


def test_names_of_users(running: Spine, docker_daemon: Dockerd) -> None:
    """A user has the name that the container's own file gives, never the host's."""
    with docker_daemon.container("busybox", *FOREVER, name="users") as box:

        def named() -> bool:
            box.run("/bin/busybox", "true", "again", user="1000")
            return bool(running.search("process.args:again AND user.name:alice", "--container", "users"))

        wait_until(named, "the name of user 1000")
        assert {d["user"].get("name") for d in running.search("user.id:1000", "--container", "users")} <= {
            None,
            "alice",
        }


def test_the_journal_reads_oldest_first(running: Spine, docker_daemon: Dockerd) -> None:
    """`cgtrail journal` tells a container's story in order, as documents with --json."""
    with docker_daemon.container("busybox", *FOREVER, name="story") as box:
        box.run("/bin/busybox", "true", "told")
    life(running, "story", 5)
    printed = running.command("journal", "--container", "story", "--json").stdout
    documents = [json.loads(line) for line in printed.splitlines()]
    assert [d["@timestamp"] for d in documents] == sorted(d["@timestamp"] for d in documents)
    assert {d["event"]["dataset"] for d in documents} == {"cgtrail.process", "cgtrail.container"}
    assert "told" in running.command("journal", "--container", "story").stdout
