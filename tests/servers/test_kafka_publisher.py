"""The publisher and a real Kafka: everything arrives in order, whoever is killed, and what is refused is said."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourcePatternType,
    ResourceType,
)

from shipper.publish.client import QUEUE_MESSAGES
from shipper.wire.segment import streams
from tests.faults.processes import PATIENCE, kill
from tests.servers.kafka import Kafka, kafka, topics
from tests.servers.publishers import assert_whole, publishing, recorded


def test_everything_arrives_once_in_order(broker: Kafka, tmp_path: Path) -> None:
    """Two boots: frames, and the end of the first; positions are behind it, and a second run sends nothing."""
    with publishing(tmp_path / "data", topics(broker, 5)) as spool:
        spool.storm(1, 60)
        spool.finish()
        assert assert_whole(broker, spool) == 0
        first, newest = streams(spool.data / "spool")
        positions = spool.positions
        assert positions[first.id.hex()].next == first.committed + 1
        assert positions[newest.id.hex()].next == newest.committed
        assert len({position.partition for position in positions.values()}) == 1
        status = spool.status
        assert (status["backlog_frames"], status["in_flight"], status["error"]) == (0, 0, None)
        assert status["sent_frames"] == first.committed + newest.committed
        spool.finish()
        assert assert_whole(broker, spool) == 0


def test_a_stop_sends_what_is_in_the_spool_and_stores_the_position(broker: Kafka, tmp_path: Path) -> None:
    """SIGTERM: what was written right before it is sent, and not again later."""
    with publishing(tmp_path / "data", topics(broker)) as spool:
        spool.storm(1, 10)
        publisher = spool.start()
        spool.progress(1)
        spool.storm(1, 40)
        assert kill(publisher, signal.SIGTERM) == 0
        spool.finish()
        assert assert_whole(broker, spool) == 0


def test_a_publisher_killed_at_random_moments(broker: Kafka, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """While the spool is written: nothing is missing, nothing comes before its time, what comes twice is the same."""
    seed = pytestconfig.getoption("faults_seed") or random.SystemRandom().randrange(1 << 32)
    print(f"repeat with --faults-seed {seed}")
    rng = random.Random(seed)  # noqa: S311  chance, no secret
    with publishing(tmp_path / "data", topics(broker, 3)) as spool:
        writer = spool.own.writer(rng.randrange(1000), 120, 0.002)
        for _ in range(6):
            publisher = spool.start()
            time.sleep(rng.uniform(0.1, 1.5))
            kill(publisher)
        assert writer.wait(PATIENCE) == 0
        spool.finish()
        assert_whole(broker, spool)


def test_one_publisher_at_a_time(broker: Kafka, tmp_path: Path) -> None:
    """A second one on the same spool is refused, and says who publishes."""
    with publishing(tmp_path / "data", topics(broker)) as spool:
        spool.storm(1, 10)
        first = spool.start()
        spool.progress(1)
        assert spool.start().wait(PATIENCE) == 1
        assert f"publisher {first.pid} already works on" in spool.log


def test_a_topic_that_grows_moves_no_stream(broker: Kafka, tmp_path: Path) -> None:
    """A stream stays where it was begun; only the next one may be elsewhere."""
    with publishing(tmp_path / "data", topics(broker)) as spool:
        spool.storm(1, 10)
        spool.finish()
        admin = broker.admin()
        admin.create_partitions([NewPartitions(spool.topic, 50)])[spool.topic].result(60)
        spool.own.wait(lambda: len(admin.list_topics(spool.topic).topics[spool.topic].partitions) == 50, "growth")
        spool.storm(1, 60)
        spool.finish()
        assert assert_whole(broker, spool) == 0


def test_a_missing_topic_is_said_and_waited_for(broker: Kafka, tmp_path: Path) -> None:
    """It is not made by the way; once it is there, all goes to it."""
    settings = topics(broker) | {"CGTRAIL_KAFKA_TOPIC": f"{tmp_path.name}.raw"}
    with publishing(tmp_path / "data", settings) as spool:
        spool.storm(1, 20)
        publisher = spool.start("--once")
        spool.says("the topic does not exist")
        spool.own.wait(lambda: spool.status.get("error") == "the topic does not exist", "the status")
        assert spool.topic not in broker.admin().list_topics(timeout=30).topics
        broker.create(spool.topic)
        assert publisher.wait(PATIENCE) == 0
        spool.says("Kafka takes the spool's pieces again")
        assert assert_whole(broker, spool) == 0
        assert spool.log.count("the topic does not exist") == 1


def test_no_topic_is_made_by_asking_for_it(tmp_path: Path) -> None:
    """Brokers that make topics for whoever names them: it would have their defaults, not ours."""
    named = {"CGTRAIL_KAFKA_TOPIC": "raw"}
    with (
        kafka(tmp_path / "kafka", auto_create_topics_enable="true") as own,
        publishing(tmp_path / "data", own.settings() | named) as spool,
    ):
        spool.storm(1, 10)
        spool.start()
        spool.says("the topic does not exist")
        spool.own.wait(lambda: sum(spool.status["errors"].values()) > 2, "some tries")
        assert "raw" not in own.admin().list_topics(timeout=30).topics


@pytest.mark.parametrize("granted", [None, AclOperation.DESCRIBE], ids=["nothing", "describe"])
def test_a_refused_user_is_said_and_waited_for(broker: Kafka, tmp_path: Path, granted: AclOperation | None) -> None:
    """Without the right to write nothing is lost; with it, everything arrives."""
    told = topics(broker)
    user = f"host-{tmp_path.name}"
    broker.add_user(user, "its own secret")
    with publishing(tmp_path / "data", told | broker.settings("scram", user, "its own secret")) as spool:
        spool.storm(1, 20)
        if granted:
            allow(broker, spool.topic, user, granted)
        publisher = spool.start("--once")
        spool.says("brokers do not allow this user")
        allow(broker, spool.topic, user, AclOperation.WRITE)
        assert publisher.wait(PATIENCE) == 0, spool.log
        assert assert_whole(broker, spool) == 0
        assert "its own secret" not in spool.log


def test_a_wrong_password_is_said_and_never_shown(broker: Kafka, tmp_path: Path) -> None:
    """What the brokers say of a login, with what to check; also what the client itself writes shows no secret."""
    broker.add_user("bob", "right")
    settings = topics(broker) | broker.settings("scram", "bob", "wr0ng-passw0rd")
    with publishing(tmp_path / "data", settings) as spool:
        spool.storm(1, 10)
        spool.own._start("cgtrail", "--data", str(spool.data), "-v", "publish", **spool.settings)
        spool.says("brokers refuse the login")
        assert "sasl_password" not in spool.log
        assert "wr0ng" not in spool.log


def test_a_message_that_is_too_large_is_never_left_out(broker: Kafka, tmp_path: Path) -> None:
    """The topic takes only small messages: it stops there, and goes on in order once the topic is right."""
    with publishing(tmp_path / "data", topics(broker)) as spool:
        configure(broker, spool.topic, max_message_bytes="1500")
        spool.storm(1, 30)
        publisher = spool.start("--once")
        spool.says("a message is larger than the topic allows")
        configure(broker, spool.topic, max_message_bytes=str(1 << 20))
        assert publisher.wait(PATIENCE) == 0, spool.log
        assert_whole(broker, spool)


@pytest.mark.parametrize("kind", ["scram_tls", "mtls"])
def test_over_tls(broker: Kafka, tmp_path: Path, kind: str) -> None:
    """SCRAM over TLS, and mutual TLS, each with a right to write and no other."""
    name = f"tls-{kind}"
    broker.add_user(name, "pw of it")
    own = broker.settings(kind, certificate=name) if kind == "mtls" else broker.settings(kind, name, "pw of it")
    with publishing(tmp_path / "data", topics(broker) | own) as spool:
        allow(broker, spool.topic, f"CN={name}" if kind == "mtls" else name, AclOperation.WRITE)
        spool.storm(1, 20)
        spool.finish()
        assert assert_whole(broker, spool) == 0


def test_settings_that_the_client_refuses_end_it(broker: Kafka, tmp_path: Path) -> None:
    """What no retry mends is a mistake of the configuration's, told with the property's name."""
    with publishing(tmp_path / "data", topics(broker) | {"CGTRAIL_KAFKA_CLIENT": "sasl.no.such=1"}) as spool:
        spool.storm(1, 10)
        assert spool.start().wait(PATIENCE) == 2
        assert "sasl.no.such" in spool.log


def test_a_broker_that_is_killed_paused_and_stopped(own_broker: Kafka, tmp_path: Path) -> None:
    """Each is said, and when it is over; everything arrives, in order. What waits in memory is bounded."""
    with publishing(tmp_path / "data", topics(own_broker, 3)) as spool:
        spool.storm(1, 10)
        publisher = spool.start()
        spool.progress(5)
        writer = spool.own.writer(1, 1000, 0.02)  # there is something to send all the time
        own_broker.kill()
        spool.says("no broker can be reached")
        own_broker.start()
        spool.says("Kafka takes the spool's pieces again")
        own_broker.pause()
        spool.says("brokers do not answer")
        assert 0 < spool.status["in_flight"] <= QUEUE_MESSAGES
        own_broker.resume()
        spool.own.wait(lambda: spool.log.count("pieces again") == 2, "the second end of trouble")
        own_broker.stop()
        spool.own.wait(lambda: spool.log.count("no broker can be reached") == 2, "the third trouble")
        assert writer.wait(PATIENCE * 3) == 0
        own_broker.start()
        spool.own.wait(lambda: spool.status.get("backlog_frames") == 0, "all")
        assert kill(publisher, signal.SIGTERM) == 0
        assert_whole(own_broker, spool)


def test_a_broker_that_lost_its_disk(own_broker: Kafka, tmp_path: Path) -> None:
    """With fewer partitions than before: the stream goes on from its position, in a new one, and that is said."""
    with publishing(tmp_path / "data", topics(own_broker, 40)) as spool:
        spool.storm(1, 10)
        spool.finish()
        before = {name: each.next for name, each in spool.positions.items()}
        own_broker.kill()
        own_broker.wipe()
        spool.storm(1, 40)
        publisher = spool.start("--once")
        spool.says("no broker can be reached")
        own_broker.start()
        spool.says("the topic does not exist")
        own_broker.create(spool.topic, 1)
        assert publisher.wait(PATIENCE) == 0, spool.log
        spool.says("the stream's partition is gone; it goes on in another")
        wanted = sum(len(pieces) for pieces in recorded(spool.data).values())
        assert len(own_broker.messages(spool.topic)) == wanted - sum(before.values())


def allow(broker: Kafka, topic: str, user: str, operation: AclOperation) -> None:
    """A right on a topic."""
    admin = broker.admin()
    principal, literal = f"User:{user}", ResourcePatternType.LITERAL
    told = AclBinding(ResourceType.TOPIC, topic, literal, principal, "*", operation, AclPermissionType.ALLOW)
    for done in admin.create_acls([told]).values():
        done.result(30)


def configure(broker: Kafka, topic: str, **config: str) -> None:
    """Change a topic's configuration."""
    entries = [
        ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for name, value in config.items()
    ]
    admin = broker.admin()
    for done in admin.incremental_alter_configs(
        [ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)]
    ).values():
        done.result(30)
