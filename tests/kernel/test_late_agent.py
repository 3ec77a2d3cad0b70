"""What an agent gets to know of a container late, when it has ended and was removed, it still tells."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from shipper.admission import Admission
from shipper.cgroups import mount_point
from shipper.intake import Intake
from shipper.inventory import Inventory
from shipper.losses import Losses
from shipper.probes import Probes
from shipper.retention import Bounds
from shipper.runtimes.listen import runtimes
from shipper.runtimes.news import Lived, News, key
from shipper.spool import Spool
from shipper.tell import boot_ns
from shipper.tenants.book import TenantBook
from shipper.wire.records import AgentStart, Clock, HostInfo, Life
from tests.kernel.dockerd import DEADLINE, Dockerd
from tests.kernel.spine import Document
from tests.unit.spooled import enriched

pytestmark = pytest.mark.kernel


@dataclass
class Late:
    """An agent's intake that does nothing by itself, and what Docker has told in the meantime."""

    intake: Intake
    told: list[News] = field(default_factory=list)

    def wait_removed(self, container_id: str) -> None:
        """Wait until Docker has told that a container is no more."""
        docker = self.intake.inventory.runtimes[0]
        removed = key("docker", container_id), Life.REMOVED
        while removed not in [(news.key, news.life) for news in self.told if isinstance(news, Lived)]:
            self.told.append(docker.updates.get(timeout=DEADLINE))

    def hear(self) -> None:
        """Docker's news arrive."""
        for news in self.told:
            self.intake.inventory.runtimes[0].updates.put(news)
        self.intake.inventory.news(lambda: None)

    def drain(self) -> None:
        """As the agent's loop does."""
        self.intake.drain()
        self.intake.inventory.drained()

    def documents(self, container_id: str) -> list[Document]:
        """What a worker makes of a container's program."""
        list(self.intake.spool.commit(room=True))
        _, output = enriched(self.intake.spool.stream)
        sources = [document.source for document in output.documents]
        mine = [source for source in sources if source.get("container", {}).get("id") == container_id]
        programs = [source for source in mine if source["event"]["dataset"] == "cgtrail.process"]
        return [program for program in programs if program["process"]["name"] == "true"]


@contextmanager
def late(docker_daemon: Dockerd, data: Path) -> Iterator[Late]:
    """Kernel programs, a listener to Docker and a spool; nobody moves anything from one to the other."""
    bounds = Bounds()
    with Probes() as probes, Spool(data / "spool", bytes(16), bytes(16)) as spool:
        admission = Admission(bounds.max_bytes)
        intake = Intake(spool, probes, admission, boot_ns())
        heard, book = runtimes(docker=[docker_daemon.host]), TenantBook(saved=data / "tenants.json")
        inventory = Inventory(mount_point(), probes, Losses(probes, admission), heard, book, intake.put)
        intake.inventory = inventory
        for record in (HostInfo(), Clock(time=boot_ns(), realtime=time.time_ns()), AgentStart(time=boot_ns())):
            intake.put(record)
        inventory.start()
        try:
            yield Late(intake)
        finally:
            inventory.close()


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
            agent.drain()
        agent.hear()
        agent.drain()
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
    assert key("docker", container_id) not in agent.intake.inventory.registry.containers
