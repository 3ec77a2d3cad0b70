"""A real agent, people who type and programs that start, into Elasticsearch, while publisher, worker, node are killed.

As test_kafka_live.py. What reached the spool is in the index exactly once, as a worker beside the spool would have it,
and each line that was typed is found by a search.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cgtrail.elasticsearch.roles import writer
from tests.faults.conftest import Effort, effort, rng, seed
from tests.faults.kept import assert_same, called_so, names, undisturbed
from tests.faults.live import Document, counts, rig
from tests.faults.livestorm import storm
from tests.faults.test_live_kills import assert_accounted
from tests.faults.typed import NAME, session
from tests.kernel.conftest import docker_daemon, trigger_programs
from tests.kernel.dockerd import Dockerd
from tests.kernel.furnished import furnished
from tests.servers.elastic import Elastic
from tests.servers.fleet import PATIENCE
from tests.servers.group import Group
from tests.servers.indexed import SINK, TIMEOUT_SECONDS, copies, once, rollover
from tests.servers.kafka import Kafka, topics
from tests.servers.prepared import prepare
from tests.servers.test_kafka_live import Live, assert_typed

__all__ = ["docker_daemon", "effort", "rng", "seed", "trigger_programs"]  # fixtures

pytestmark = [pytest.mark.kernel, pytest.mark.faults, pytest.mark.kafka, pytest.mark.elasticsearch]

SHORT, LONG = 4, 25
"""Strikes."""
PAUSE_US = 50_000
"""From one round of the storm to the next: Elasticsearch takes its time to start, and much happens meanwhile."""


@dataclass
class Stored(Live):
    """An agent, the publisher that it starts, a broker, a worker, and the Elasticsearch where it stores."""

    es: Elastic | None = None
    namespace: str = ""

    @property
    def node(self) -> Elastic:
        """Where the worker stores."""
        assert self.es is not None
        return self.es

    def start_worker(self) -> None:
        """Start the worker."""
        command = ("-m", "cgtrail", "enrich", *SINK, "--data", str(self.rig.data))
        self.rig.worker = self.rig._start(sys.executable, *command)

    def kill(self, name: str) -> None:
        """A moment passes, then one is killed and begins again, or indices are rolled over while the worker is away."""
        if name not in {"worker", "elasticsearch"}:
            super().kill(name)
            return
        self.moment()
        self.killed.append(name)
        print(f"killing: {name}", flush=True)
        if name == "worker":
            self.rig.kill(self.rig.worker)
            rollover(self.node, self.namespace)
            self.start_worker()
        else:
            self.node.kill()
            self.node.start()

    def found(self) -> list[Document]:
        """All documents that stand in the index, each once, oldest first."""
        bodies = once(copies(self.node, self.namespace), self.killed).values()
        return sorted((json.loads(body) for body in bodies), key=lambda document: str(document["@timestamp"]))


@contextmanager
def live(daemon: Dockerd, broker: Kafka, es: Elastic, folder: Path, rng: random.Random) -> Iterator[Stored]:
    """All of them at work."""
    settings, namespace = topics(broker, 2), es.namespace()
    prepare(es, namespace, writer_reads=True)
    key = es.key(writer(namespace, reads=True).body["indices"])
    settings |= es.settings(api_key=key, namespace=namespace, timeout_seconds=str(TIMEOUT_SECONDS))
    group = Group(broker, settings["CGTRAIL_KAFKA_TOPIC"], settings["CGTRAIL_KAFKA_GROUP"] + ".elasticsearch")
    own = {name.removeprefix("CGTRAIL_"): value for name, value in settings.items()}
    with rig(daemon, folder, spool_keyframe_seconds=2, enrich_snapshot_seconds=1, **own) as made:
        running = Stored(made, broker, group, rng, es=es, namespace=namespace)
        made.start_agent()
        running.start_worker()
        yield running


def test_live(
    docker_daemon: Dockerd, own_broker: Kafka, own_es: Elastic, effort: Effort, rng: random.Random, tmp_path: Path
) -> None:
    """The index is what the spool says: every line and every program is there, once."""
    struck = ["publisher", "worker", "elasticsearch"]
    struck += [rng.choice([*struck, "broker"]) for _ in range((LONG if effort.long else SHORT) - len(struck))]
    with (
        live(docker_daemon, own_broker, own_es, tmp_path, rng) as running,
        storm(docker_daemon, tmp_path / "storm") as box,
        furnished(docker_daemon, {}, name=NAME) as desk,
        ThreadPoolExecutor(1) as somebody,
    ):
        typing = somebody.submit(session, docker_daemon, desk)
        box.begin(pause=PAUSE_US)
        for name in struck:
            running.kill(name)
        lines = typing.result(PATIENCE)
        box.end()
        box.rest()
        made = running.rig
        made.written()
        made.stop(made.agent)
        made.command("publish", "--once")  # the agent's own may have been killed last
        running.drained()
        made.stop(made.worker)
        wanted = undisturbed(made.data, tmp_path / "beside", forks=True)
        stored = once(copies(own_es, running.namespace), f"--faults-seed, killed {running.killed}")
        assert_same(called_so(names(made.data), stored, []), wanted, f"--faults-seed, killed {running.killed}")
        everything = running.found()
        assert {cause for cause, _ in counts(everything)} <= {"stored", "ring_full"}
        assert_accounted(box.rounds(), of(everything, box.container.id), [])
        typed = [each for each in of(everything, desk.id) if each["event"]["action"] == "command_started"]
        assert_typed(typed, lines, whole=True)
        assert_searchable(running, desk.id, lines)


def of(found: list[Document], container: str) -> list[Document]:
    """Those of a container."""
    return [each for each in found if each.get("container", {}).get("id") == container]


def assert_searchable(running: Stored, container: str, lines: list[str]) -> None:
    """A search of Elasticsearch's finds each line that was typed there."""
    own = {"term": {"container.id": container}}
    for line in set(lines):
        asked = {"bool": {"filter": [own, {"term": {"cgtrail.command.line": line}}]}}
        path = f"logs-cgtrail.command-{running.namespace}/_count"
        found = running.node.ask("POST", path, {"query": asked})["count"]
        assert found >= lines.count(line), line
