"""Who may do what, against a broker that decides: SCRAM over TLS, mutual TLS, OAUTHBEARER, ACLs."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from cgtrail.kafka.acls import Acl
from cgtrail.kafka.admin import AdminError, reach
from cgtrail.kafka.topics import Found
from shipper.wire.broker import Broker
from tests.servers.clusters import Cluster
from tests.servers.kafka import Kafka
from tests.servers.listeners import PLAIN_PASSWORD, PLAIN_USER
from tests.unit.spooled import FIVE, five

PASSWORD = "a long secret of theirs"  # noqa: S105  of a broker that lives for a test
DENIED = {"TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED"}
LISTENERS = ("scram_tls", "mtls")


def settings(cluster: Cluster, listener: str, name: str) -> dict[str, str]:
    """How somebody of that name comes in."""
    if listener == "mtls":
        return cluster.kafka.settings("mtls", certificate=name)
    cluster.kafka.add_user(name, PASSWORD)
    return cluster.kafka.settings(listener, name, PASSWORD)


def principal(listener: str, name: str) -> str:
    """What the broker calls them."""
    return f"User:CN={name}" if listener == "mtls" else f"User:{name}"


def write(broker: Broker, topic: str, value: bytes = b"x") -> str:
    """The name of the error with which an idempotent write ends, empty if it does not."""
    ended: list[str] = []
    properties: dict[str, Any] = {**broker.properties(enable_idempotence=True, message_timeout_ms=20_000)}
    producer = Producer(properties)
    producer.produce(topic, value, b"key", on_delivery=lambda error, _: ended.append(error.name() if error else ""))
    producer.flush(30)
    return ended[0]


def read(broker: Broker, topic: str, group: str) -> set[str]:
    """Names of the errors that come in place of a message from the beginning, and of a commit of it."""
    properties: dict[str, Any] = {**broker.properties(group_id=group, enable_auto_commit=False)}
    consumer = Consumer(properties)
    met: set[str] = set()
    until = time.monotonic() + 20
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        while met < DENIED:
            assert time.monotonic() < until, f"neither a message nor a refusal, but {met}"
            message = consumer.poll(1)
            if message is None:
                continue
            if error := message.error():
                met.add(error.name())
                continue
            consumer.commit(message=message, asynchronous=False)
            break
    except KafkaException as error:
        met.add(error.args[0].name())
    finally:
        consumer.close()
    return met


@dataclass
class Rights:
    """A host and a worker with what `setup kafka` grants them, and somebody with nothing."""

    cluster: Cluster
    told: tuple[dict[str, str], ...]
    """Settings of the three."""
    host: Broker
    worker: Broker
    stranger: Broker

    def topic(self, kind: str) -> str:
        """A topic's name."""
        return f"{self.cluster.name}.{kind}"


def seen(broker: Broker, topic: str) -> None:
    """Wait until a broker knows what was granted: the controller knows it a moment before."""
    admin, until = reach(broker), time.monotonic() + 30
    while not isinstance(admin.find([topic])[topic], Found):
        assert time.monotonic() < until, "the right does not come"
        time.sleep(0.05)


@pytest.fixture(params=LISTENERS)
def rights(cluster: Cluster, request: pytest.FixtureRequest) -> Rights:
    """By each way in."""
    listener, suffix = str(request.param), uuid4().hex[:8]
    host, worker, stranger = (f"{who}-{suffix}" for who in ("host", "worker", "stranger"))
    done = cluster.setup(
        "--partitions", "1", "--writer", principal(listener, host), "--reader", principal(listener, worker)
    )
    assert done.code == 0, done.found
    told = tuple(settings(cluster, listener, each) for each in (host, worker, stranger))
    reached = [cluster.broker(**each) for each in told]
    seen(reached[0], f"{cluster.name}.raw")
    seen(reached[1], f"{cluster.name}.state")
    return Rights(cluster, told, *reached)


def test_a_host_may_write_and_nothing_else(rights: Rights) -> None:
    """Whoever takes a host over reads nothing of others, changes no state, makes no topic, grants nothing."""
    raw, host = rights.topic("raw"), rights.host
    assert write(host, raw) == ""
    assert len(rights.cluster.kafka.messages(raw)) == 1
    assert read(host, raw, rights.cluster.name) == DENIED
    assert write(host, rights.topic("state")) == "TOPIC_AUTHORIZATION_FAILED"
    assert write(host, rights.topic("deadletter")) == "TOPIC_AUTHORIZATION_FAILED"
    admin = reach(host)
    for forbidden in (
        lambda: admin.make(rights.topic("own"), 1, 1, {}, dry=False),
        lambda: admin.change(raw, {"retention.ms": "1"}, dry=False),
        lambda: admin.grow(raw, 100, dry=False),
        lambda: admin.may(rights.cluster.name),
        lambda: admin.allow([Acl("topic", raw, "READ", "User:eve")]),
    ):
        with pytest.raises(AdminError, match="do not allow"):
            forbidden()
    assert isinstance(admin.find([raw])[raw], Found)


def test_a_worker_may_read_and_keep_its_state(rights: Rights) -> None:
    """It commits in its group, writes snapshots and letters, and makes up no records of a host."""
    raw, worker = rights.topic("raw"), rights.worker
    assert write(rights.host, raw) == ""
    assert read(worker, raw, rights.cluster.name) == set()
    assert write(worker, raw) == "TOPIC_AUTHORIZATION_FAILED"
    for kind in ("state", "deadletter"):
        assert write(worker, rights.topic(kind)) == ""
    assert "READ" in reach(worker).may(rights.cluster.name)
    with pytest.raises(AdminError, match="consumer group"):
        reach(worker).may("another-group")


def test_these_rights_are_all_that_is_needed(rights: Rights, tmp_path: Path) -> None:
    """A host with the right to write publishes its spool, and a worker with its rights makes all documents of it."""
    host, worker, _ = rights.told
    spooled = five(tmp_path / "host")
    published = rights.cluster.run("--data", str(spooled.data), "publish", "--once", **host)
    assert published.returncode == 0, published.stderr
    made = rights.cluster.run("--data", str(tmp_path / "worker"), "enrich", "--once", "--sink", "stdout", **worker)
    assert made.returncode == 0, made.stderr
    names = [json.loads(line).get("process", {}).get("name") for line in made.stdout.splitlines()]
    assert [name for name in names if name in FIVE] == FIVE
    told = rights.cluster.run("--data", str(tmp_path / "worker"), "deadletters", "list", **worker)
    assert told.returncode == 0, told.stderr


def test_a_stranger_may_nothing(rights: Rights) -> None:
    """Who is let in and was granted nothing does not even see whether there are topics."""
    assert write(rights.stranger, rights.topic("raw")) == "TOPIC_AUTHORIZATION_FAILED"
    admin = reach(rights.stranger)
    for found in admin.find([rights.topic("raw"), "no-such-topic"]).values():
        assert isinstance(found, AdminError)
        assert found.name == "TOPIC_AUTHORIZATION_FAILED"
    with pytest.raises(AdminError, match="consumer group"):
        admin.may(rights.cluster.name)


@pytest.fixture(scope="module")
def refusals(broker: Kafka) -> dict[str, AdminError]:
    """What is said of each thing that people get wrong; all are tried at once, since each takes its seconds."""
    broker.add_user("known", PASSWORD)
    by_scram, plain = broker.settings("scram_tls", "known", PASSWORD), broker.settings()
    own_ca, servers = "CGTRAIL_KAFKA_SSL_CA_FILE", "CGTRAIL_KAFKA_SERVERS"
    told = {
        "wrong password": broker.settings("scram_tls", "known", f"not {PASSWORD}"),
        "unknown user": broker.settings("scram_tls", "unknown", PASSWORD),
        "wrong mechanism": broker.settings("scram_tls", "known", PASSWORD, mechanism="PLAIN"),
        "no CA": by_scram | {own_ca: ""},
        "CA of somebody else": by_scram | {own_ca: str(broker.certificate("self")[0])},
        "no certificate": broker.settings("mtls"),
        "plaintext to a TLS port": plain | {servers: broker.listener("scram_tls")},
        "TLS to a plaintext port": broker.settings("mtls", certificate="x") | {servers: broker.servers},
        "no name": plain | {servers: "kafka.invalid:9092"},
        "nobody there": plain | {servers: "127.0.0.1:1"},
        "unknown property": plain | {"CGTRAIL_KAFKA_CLIENT": "no.such.property=1"},
    }
    reached = {case: Cluster(broker, "refused").broker(**each) for case, each in told.items()}

    def refused(wrong: Broker) -> AdminError:
        with pytest.raises(AdminError) as found:
            reach(wrong, seconds=3)
        return found.value

    with ThreadPoolExecutor(len(reached)) as at_once:
        return dict(zip(reached, at_once.map(refused, reached.values()), strict=True))


@pytest.mark.parametrize(
    ("case", "words", "advice"),
    [
        ("wrong password", "brokers refuse the login", "kafka.sasl_username and the password"),
        ("unknown user", "brokers refuse the login", "kafka.sasl_username and the password"),
        ("wrong mechanism", "brokers refuse the login", "kafka.sasl_mechanism"),
        ("no CA", "no TLS connection can be made", "kafka.ssl_ca_file"),
        ("CA of somebody else", "no TLS connection can be made", "kafka.ssl_ca_file"),
        ("no certificate", "no TLS connection can be made", "kafka.ssl_certificate_file"),
        ("plaintext to a TLS port", "no broker can be reached", "the port is that of this protocol"),
        ("TLS to a plaintext port", "no broker can be reached", "the port is that of this protocol"),
        ("no name", "host name is not known", "kafka.servers"),
        ("nobody there", "no broker can be reached", "kafka.servers"),
        ("unknown property", "a client can't be made of [kafka]", "correct"),
    ],
)
def test_why_there_is_no_connection_is_said_in_words(
    refusals: dict[str, AdminError], case: str, words: str, advice: str
) -> None:
    """Each thing that people get wrong: what it is, what to look at, and never the password."""
    refused = refusals[case]
    assert words in refused.sentence
    assert advice in refused.advice
    assert PASSWORD not in str(refused)


def test_a_broker_that_stands_still_does_not_answer(own_broker: Kafka) -> None:
    """It takes a connection and says nothing: that is not called an absence."""
    cluster = Cluster(own_broker, "still")
    own_broker.pause()
    with pytest.raises(AdminError, match="do not answer"):
        reach(cluster.broker(), seconds=3)
    own_broker.resume()
    assert reach(cluster.broker(), seconds=60).brokers == 1


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "OAUTHBEARER"])
def test_other_logins(cluster: Cluster, mechanism: str) -> None:
    """PLAIN, the shorter SCRAM, and OAUTHBEARER, whose properties are passed through."""
    kafka = cluster.kafka
    match mechanism:
        case "PLAIN":
            told = kafka.settings("scram_tls", PLAIN_USER, PLAIN_PASSWORD, mechanism=mechanism)
        case "SCRAM-SHA-256":
            kafka.add_user("known", PASSWORD)
            told = kafka.settings("scram_tls", "known", PASSWORD, mechanism=mechanism)
        case _:
            passed = "enable.sasl.oauthbearer.unsecure.jwt=true,sasl.oauthbearer.config=principal=oscar"
            told = kafka.settings("scram_tls", mechanism=mechanism) | {"CGTRAIL_KAFKA_CLIENT": passed}
            assert cluster.setup("--writer", "oscar").code == 0
    broker = cluster.broker(**told)
    assert reach(broker).brokers == 1
    if mechanism == "OAUTHBEARER":
        seen(broker, f"{cluster.name}.raw")
        assert write(broker, f"{cluster.name}.raw") == ""
