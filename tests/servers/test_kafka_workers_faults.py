"""What becomes of workers when their broker goes, forgets or refuses: they say so, wait, and go on."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, ResourcePatternType, ResourceType

from tests.servers.crew import Crew, Hosts, crew, hosts
from tests.servers.kafka import Kafka, topics


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Hosts:
    """Two hosts."""
    return hosts(tmp_path_factory.mktemp("hosts"), 2, 60, seed=2)


def test_a_broker_that_goes_and_comes_back(own_broker: Kafka, some: Hosts, tmp_path: Path) -> None:
    """Stopped, killed and stalled while two workers read: exactly the same documents."""
    settings = topics(own_broker, 4)
    with crew(own_broker, settings, tmp_path / "data") as own:
        own.feed(some, 4)
        for number in range(2):
            own.start(number, FAULTS_BATCH="20")
        own.until(lambda: own.status(0).get("assigned") and own.status(1).get("assigned"), "both at work")
        own_broker.stop()
        own.until(lambda: own.said("no broker can be reached"), "words")
        own_broker.start()
        own.until(lambda: own.said("works again"), "words")
        own_broker.kill()
        own_broker.start()
        own_broker.pause()
        threading.Event().wait(6)
        own_broker.resume()
        codes = [own.end(number) for number in range(2)]
        own.finish()
        own.assert_all(some)
        assert codes == [0, 0], own.tail()


def test_a_broker_that_has_forgotten_everything(own_broker: Kafka, some: Hosts, tmp_path: Path) -> None:
    """Its disk is empty: what was stored stays, what is missing is told as a loss, and reading goes on."""
    settings = topics(own_broker, 1)
    names = {key: settings[f"CGTRAIL_KAFKA_{key}"] for key in ("TOPIC", "STATE_TOPIC", "DEADLETTER_TOPIC")}
    first = Hosts([each[:100] for each in some.told], {}, set())
    rest = Hosts([each[120:] for each in some.told], {}, set())
    with crew(own_broker, settings, tmp_path / "data") as own:
        own.feed(first, 1)
        own.start(0)
        _drained(own, 0, 200)
        before = own.stored()
        own_broker.kill()
        own_broker.wipe()
        own_broker.start()
        own.until(lambda: own.said("the topic does not exist"), "words")
        own_broker.create(names["TOPIC"], 1, message_timestamp_type="LogAppendTime", max_message_bytes=1 << 20)
        own_broker.create(names["STATE_TOPIC"], 1, cleanup_policy="compact")
        own_broker.create(names["DEADLETTER_TOPIC"], 1)
        own.feed(rest, 1)
        own.until(lambda: _lag(own, 0) == 0 and len(own.stored()) > len(before), "the rest")
        assert own.end(0) == 0, own.tail()
        own.finish()
        found = own.stored()
        assert before.items() <= found.items()
        losses = [body for body in found.values() if '"frame_missing"' in body or '"frame_expired"' in body]
        print(losses)
        assert len(losses) >= len(some.told)


def test_who_may_not_read(broker: Kafka, some: Hosts, tmp_path: Path) -> None:
    """Without ACLs, and with a wrong password: said in words. Once it is granted, it goes on by itself."""
    settings = topics(broker, 2)
    user = settings["CGTRAIL_KAFKA_GROUP"]
    broker.add_user(user, "right")
    scram = settings | broker.settings("scram", user, "wrong")
    with crew(broker, scram, tmp_path / "data") as own:
        own.feed_as = settings
        own.start(0)
        own.until(lambda: own.said("brokers refuse the login"), "words for the login")
        broker.add_user(user, "wrong")
        own.until(lambda: own.said("brokers do not allow this user the"), "words for rights")
        _grant(broker, settings, user)
        own.until(lambda: own.status(0).get("assigned"), "partitions")
        own.feed(some, 2)
        assert own.end(0) == 0, own.tail()
        own.finish()
        own.assert_all(some)


def test_no_topic_for_the_state(broker: Kafka, some: Hosts, tmp_path: Path) -> None:
    """A worker waits for it, and says so."""
    settings = topics(broker, 1)
    topic = settings["CGTRAIL_KAFKA_STATE_TOPIC"]
    admin = broker.admin()
    admin.delete_topics([topic])[topic].result(30)
    with crew(broker, settings, tmp_path / "data") as own:
        own.feed(some, 1)
        own.start(0)
        own.until(lambda: own.said(f"topic {topic}: the topic does not exist"), "words")
        broker.create(topic, 2, cleanup_policy="compact")
        own.until(lambda: own.status(0).get("assigned"), "partitions")
        assert own.end(0) == 0, own.tail()
        own.finish()
        own.assert_all(some)


def _lag(own: Crew, number: int) -> int:
    lag = own.status(number).get("lag")
    return sum(lag.values()) if isinstance(lag, dict) and lag else -1


def _drained(own: Crew, number: int, messages: int) -> None:
    """Everything that was sent is stored and committed."""

    def done() -> bool:
        told = own.status(number).get("partitions")
        return isinstance(told, dict) and sum(each["committed"] for each in told.values()) == messages

    own.until(done, f"{messages} messages")


def _grant(broker: Kafka, settings: dict[str, str], user: str) -> None:
    prefix = settings["CGTRAIL_KAFKA_GROUP"]
    wanted = [(ResourceType.TOPIC, each) for each in (AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE)]
    wanted += [(ResourceType.GROUP, AclOperation.READ)]
    admin = broker.admin()
    made = admin.create_acls(
        [
            AclBinding(kind, prefix, ResourcePatternType.PREFIXED, f"User:{user}", "*", what, AclPermissionType.ALLOW)
            for kind, what in wanted
        ]
    )
    for each in made.values():
        each.result(30)
