"""What an agent gets to know of a container late, when it has ended and was removed, it still tells."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from shipper.admission import Admission
from shipper.intake import Intake, boot_ns
from shipper.losses import Losses
from shipper.probes import Probes
from shipper.registry import Registry
from shipper.retention import Bounds
from shipper.runtimes import Docker, Metadata, Removed
from shipper.spool import Spool
from shipper.wire.records import AgentStart, Clock, HostInfo
from tests.kernel.dockerd import DEADLINE, Dockerd, wait_until
from tests.kernel.spine import Document
from tests.unit.spooled import enriched

pytestmark = pytest.mark.kernel


@dataclass
class Late:
    """An agent's intake that does nothing by itself, and what Docker has told in the meantime."""

    intake: Intake
    told: list[Metadata | Removed] = field(default_factory=list)

    def wait_removed(self, container_id: str) -> None:
        """Wait until Docker has told that a container is no more."""
        while Removed(container_id) not in self.told:
            self.told.append(self.intake.docker.updates.get(timeout=DEADLINE))

    def hear(self) -> None:
        """Docker's news arrive."""
        for news in self.told:
            self.intake.docker.updates.put(news)
        self.intake.news()

    def documents(self, container_id: str) -> list[Document]:
        """What a worker makes of a container's program."""
        list(self.intake.spool.commit(room=True))
        _, output = enriched(self.intake.spool.stream)
        sources = [document.source for document in output.documents]
        return [
            s for s in sources if s.get("container", {}).get("id") == container_id and s["process"]["name"] == "true"
        ]


@contextmanager
def late(docker_daemon: Dockerd, data: Path) -> Iterator[Late]:
    """Kernel programs, a listener to Docker and a spool; nobody moves anything from one to the other."""
    bounds = Bounds()
    with Probes() as probes, Spool(data / "spool", bytes(16), bytes(16)) as spool:
        docker = Docker(docker_daemon.host)
        admission = Admission(bounds.max_bytes)
        losses = Losses(probes, admission)
        intake = Intake(spool, probes, Registry(frozenset({Docker.RUNTIME})), docker, admission, losses, boot_ns())
        for record in (HostInfo(), Clock(time=boot_ns(), realtime=time.time_ns()), AgentStart(time=boot_ns())):
            intake.put(record)
        docker.start()
        docker.wait_listed()
        try:
            yield Late(intake)
        finally:
            docker.stop()
            listener_ended(docker_daemon)


def listener_ended(docker_daemon: Dockerd) -> None:
    """Let a listener that was stopped hear something, so that it looks up, and wait for its end."""
    short(docker_daemon, "last")
    wait_until(lambda: "docker" not in {thread.name for thread in threading.enumerate()}, "the listener's end")


def short(docker_daemon: Dockerd, name: str) -> str:
    """Run a program in a container that is removed at once; the container's id."""
    create = docker_daemon.client.containers.create
    made = create("busybox", ["true"], name=name, labels={"short": "yes"}, network_mode="none")
    made.start()
    made.wait()
    made.remove()
    return str(made.id)


@pytest.mark.parametrize("first", ["ring", "docker"])
def test_removed(docker_daemon: Dockerd, tmp_path: Path, first: str) -> None:
    """Whether its end or its name is read first: a container's documents have its name, image and labels."""
    with late(docker_daemon, tmp_path) as agent:
        container_id = short(docker_daemon, f"short-{first}")
        agent.wait_removed(container_id)
        if first == "ring":
            agent.intake.drain()
        agent.hear()
        agent.intake.drain()
        found = agent.documents(container_id)
    assert [document["event"]["action"] for document in found] == ["exec", "end"]
    for document in found:
        container = document["container"]
        assert (container["name"], container["image"]["name"], container["labels"]) == (
            f"short-{first}",
            "busybox",
            {"short": "yes"},
        )
        assert document["cgtrail"]["attribution"] == ("late" if first == "ring" else "exact")
    assert agent.intake.registry.containers.isdisjoint({container_id})
