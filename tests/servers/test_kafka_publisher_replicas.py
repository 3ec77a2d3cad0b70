"""Two brokers of which one is away: what may be written only to both waits, and the reason is said."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka.admin import NewTopic

from tests.faults.processes import PATIENCE
from tests.servers.kafka import Kafka, _classes
from tests.servers.publishers import assert_whole, publishing


@contextmanager
def joined(first: Kafka, folder: Path) -> Iterator[Kafka]:
    """Another broker of the first one's cluster."""
    folder.mkdir()
    told = {"process.roles": "broker", "node.id": "2"}
    told["controller.quorum.voters"] = f"1@{first.listener('controller')}"
    second = Kafka(folder, told)
    lines = dict(line.split("=", 1) for line in second._properties.read_text().splitlines())
    lines["listeners"] = lines["advertised.listeners"]  # no controller's
    second._properties.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    metadata = (first.data / "meta.properties").read_text().splitlines()
    (cluster,) = (line.partition("=")[2] for line in metadata if line.startswith("cluster.id="))
    argv = [
        "java",
        "-cp",
        _classes(),
        "kafka.tools.StorageTool",
        "format",
        "-t",
        cluster,
        "-c",
        str(second._properties),
    ]
    subprocess.run(argv, check=True, capture_output=True, timeout=PATIENCE)
    try:
        second.start()
        yield second
    finally:
        second.kill()


def test_too_few_replicas_are_said_and_waited_for(own_broker: Kafka, tmp_path: Path) -> None:
    """min.insync.replicas=2 with one broker left: nothing is acknowledged, so no position moves; then all arrives."""
    topic = "replicated"
    settings = own_broker.settings() | {"CGTRAIL_KAFKA_TOPIC": topic}
    with joined(own_broker, tmp_path / "second") as second, publishing(tmp_path / "data", settings) as spool:
        admin = own_broker.admin()
        made = admin.create_topics([NewTopic(topic, 1, 2, config={"min.insync.replicas": "2"})])
        made[topic].result(60)
        spool.storm(1, 10)
        spool.finish()
        before = spool.positions
        second.kill()
        spool.storm(1, 30)
        publisher = spool.start("--once")
        spool.says("too few replicas are in sync")
        spool.own.wait(lambda: spool.status.get("error") == "too few replicas are in sync", "the status")
        known = {name: position.next for name, position in spool.positions.items() if name in before}
        assert known == {name: position.next for name, position in before.items()}
        second.start()
        assert publisher.wait(PATIENCE) == 0, spool.log
        assert_whole(own_broker, spool)
