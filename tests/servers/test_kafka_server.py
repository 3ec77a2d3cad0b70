"""The broker that other tests stand on: it keeps what it took, loses what it should, and lets in whom it should."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from cgtrail import config
from cgtrail.brokers import broker as reached_by
from tests.servers.kafka import Kafka, topics
from tests.servers.listeners import PLAIN_PASSWORD, PLAIN_USER

OWNER = """
import sys, time
from pathlib import Path
from tests.servers.kafka import kafka
with kafka(Path(sys.argv[1])) as broker:
    print(broker._process.pid, flush=True)
    time.sleep(600)
"""


def write(broker: Kafka, topic: str, *values: bytes) -> None:
    """Values that the broker has acknowledged."""
    producer = Producer({"bootstrap.servers": broker.servers, "acks": "all", "log_level": 0})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(60) == 0


def values(broker: Kafka, topic: str) -> list[bytes]:
    """All values in a topic."""
    return [message.value() or b"" for message in broker.messages(topic)]


def test_a_killed_broker_keeps_what_it_took_and_an_emptied_one_does_not(own_broker: Kafka) -> None:
    """SIGKILL, SIGTERM and a pause lose nothing, ports stay; with an empty disk it is a new cluster."""
    topic, servers = topics(own_broker)["CGTRAIL_KAFKA_TOPIC"], own_broker.servers
    write(own_broker, topic, b"1", b"2")
    own_broker.kill()
    own_broker.start()
    write(own_broker, topic, b"3")
    own_broker.pause()
    own_broker.resume()
    own_broker.stop()
    own_broker.start()
    assert values(own_broker, topic) == [b"1", b"2", b"3"]
    own_broker.stop()
    own_broker.wipe()
    own_broker.start()
    assert own_broker.servers == servers
    assert topic not in own_broker.admin().list_topics(timeout=30).topics


def test_topics_are_a_tests_own(broker: Kafka) -> None:
    """Two tests on one broker have no topic and no group in common."""
    first, second = topics(broker, partitions=3), topics(broker)
    differ = {key for key in first if first[key] != second[key]}
    assert differ == {f"CGTRAIL_KAFKA_{name}" for name in ("TOPIC", "STATE_TOPIC", "DEADLETTER_TOPIC", "GROUP")}
    assert len(broker.admin().list_topics(timeout=30).topics[first["CGTRAIL_KAFKA_TOPIC"]].partitions) == 3


@pytest.mark.parametrize("kind", ["scram", "scram_tls", "mtls", "plain"])
def test_every_listener_lets_in_whom_it_knows(broker: Kafka, kind: str) -> None:
    """The settings that it tells reach it, as cgtrail reads them."""
    match kind:
        case "mtls":
            told = broker.settings(kind, certificate="host-1")
        case "plain":
            told = broker.settings("scram", PLAIN_USER, PLAIN_PASSWORD, mechanism="PLAIN")
        case _:
            broker.add_user("alice", "alice's")
            told = broker.settings(kind, "alice", "alice's")
    reached = AdminClient({**reached_by(config.load(None, told, {})).properties()})
    assert len(reached.list_topics(timeout=30).brokers) == 1


def test_no_broker_outlives_its_test_run(tmp_path: Path) -> None:
    """The process that started it is killed: it goes too."""
    argv = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.getcwd()}) as owner:
        assert owner.stdout is not None
        broker = os.pidfd_open(int(owner.stdout.readline()))
        owner.kill()
    try:
        assert select.select([broker], [], [], 60)[0], "it runs on"
    finally:
        os.close(broker)
