"""`cgtrail check` where Kafka is configured: what it says of the way there, of rights, and of topics."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest

from cgtrail import config
from cgtrail.brokers import broker
from cgtrail.check import kafka as looked_at
from cgtrail.check import report
from cgtrail.check.finding import Finding, Level
from cgtrail.settings import Config, Kafka
from tests.servers.clusters import Cluster

PASSWORD = "a secret of theirs"  # noqa: S105  of a broker that lives for a test


def look(cluster: Cluster, **settings: str) -> list[Finding]:
    """All findings, as the super user or as settings say."""
    return list(looked_at.look(config.load(None, cluster.named | (settings or cluster.kafka.settings()), {})))


def way(*servers: str, protocol: str = "plaintext", client: tuple[str, ...] = ()) -> list[Finding]:
    """What is found of the way to brokers alone."""
    kafka = Kafka(list(servers), security_protocol=protocol, client=list(client))
    return list(looked_at._way(broker(Config(kafka=kafka))))


def about(found: list[Finding], what: str, level: Level) -> str:
    """What was found of one thing, with advice."""
    told = [each for each in found if each.what.endswith(what) and each.level is level]
    assert all(each.advice for each in told) or level is Level.OK
    return "\n".join(f"{each.found} → {each.advice}" for each in told)


def user(cluster: Cluster, *granted: str) -> dict[str, str]:
    """Somebody new, with what `setup kafka` grants for these options; returns when the broker knows it."""
    name = f"user-{uuid4().hex[:8]}"
    cluster.kafka.add_user(name, PASSWORD)
    told = cluster.kafka.settings("scram_tls", name, PASSWORD)
    for option in granted:
        assert cluster.setup(option, name).code == 0
    until = time.monotonic() + 30
    while granted and not about(look(cluster, **told), "kafka rights", Level.OK):
        assert time.monotonic() < until, "the rights do not come"
        time.sleep(0.1)
    return told


def test_no_kafka_is_no_finding() -> None:
    """Most hosts have none."""
    assert not list(looked_at.look(Config()))


def test_a_cluster_that_is_set_up_is_well(cluster: Cluster) -> None:
    """Every finding is good; `cgtrail check` asks for them."""
    assert cluster.setup("--partitions", "2").code == 0
    found = look(cluster)
    assert [each for each in found if each.level is not Level.OK] == []
    assert "1 broker reached by plaintext" in found[0].found
    assert "2 partitions, 1 replica" in about(found, "raw", Level.OK)
    assert report.LOOKS["kafka"] is looked_at.look


def test_topics_that_are_not_there(cluster: Cluster) -> None:
    """What to do is a command."""
    found = look(cluster)
    for kind in ("raw", "state", "deadletter"):
        assert "`cgtrail setup kafka`" in about(found, f"{cluster.name}.{kind}", Level.BAD)


@pytest.mark.parametrize(
    ("kind", "made", "level", "words"),
    [
        ("raw", {"cleanup_policy": "compact"}, Level.BAD, "all others are lost"),
        ("raw", {"message_timestamp_type": "CreateTime"}, Level.BAD, "whose clock is wrong"),
        ("raw", {"retention_ms": 23 * 3_600_000}, Level.BAD, "retention.ms is 23 hours: messages go before 24 hours"),
        ("raw", {"retention_bytes": 1 << 20}, Level.NOTE, "messages go before their time"),
        ("raw", {"max_message_bytes": 500_000}, Level.BAD, "large messages are refused"),
        ("raw", {"min_insync_replicas": 2}, Level.BAD, "fewer replicas in sync than the 2"),
        ("raw", {"unclean_leader_election_enable": "true"}, Level.BAD, "vanishes"),
        ("raw", {"compression_type": "gzip"}, Level.NOTE, "compress again"),
        ("state", {"cleanup_policy": "delete"}, Level.BAD, "snapshots go with time"),
        ("state", {"segment_bytes": 1 << 30}, Level.NOTE, "reads longer"),
        ("deadletter", {"cleanup_policy": "compact"}, Level.NOTE, "old ones should go"),
        ("deadletter", {"cleanup_policy": "compact,delete", "retention_ms": 1000}, Level.NOTE, "letters go before"),
    ],
)
def test_a_topic_that_somebody_made_otherwise(
    cluster: Cluster, kind: str, made: dict[str, str | int], level: Level, words: str
) -> None:
    """What comes of it, how it should be, and what to do."""
    right = {"raw": {"message_timestamp_type": "LogAppendTime"}, "state": {"cleanup_policy": "compact"}}
    cluster.kafka.create(f"{cluster.name}.{kind}", 1, **({**right.get(kind, {}), **made}))
    assert words in about(look(cluster), f"{cluster.name}.{kind}", level)


def test_a_host_that_may_only_write_is_well(cluster: Cluster) -> None:
    """It may not look at configurations: a note, and no alarm."""
    assert cluster.setup().code == 0
    found = look(cluster, **user(cluster, "--writer"))
    assert Level.BAD not in {each.level for each in found}
    assert "to write only" in about(found, "kafka rights", Level.OK)
    assert "may not be seen" in about(found, f"{cluster.name}.raw", Level.NOTE)
    assert "sasl_ssl SCRAM-SHA-512" in found[0].found


def test_a_worker_and_one_that_lacks_something(cluster: Cluster) -> None:
    """All rights are well; another group is not granted, and told by name; nothing at all is told too."""
    assert cluster.setup().code == 0
    worker = user(cluster, "--reader")
    assert "all that a worker needs; not an agent's" in about(look(cluster, **worker), "kafka rights", Level.OK)
    elsewhere = look(cluster, **(worker | {"CGTRAIL_KAFKA_GROUP": "another"}))
    assert "may not read group another" in about(elsewhere, "kafka rights", Level.BAD)
    nobody = look(cluster, **user(cluster))
    assert "neither write nor read" in about(nobody, "kafka rights", Level.BAD)


def test_no_connection_is_one_finding(cluster: Cluster) -> None:
    """In words, without the password; and settings that disagree are one before anything connects."""
    cluster.kafka.add_user("known", PASSWORD)
    (refused,) = look(cluster, **cluster.kafka.settings("scram_tls", "known", f"not {PASSWORD}"))
    assert (refused.what, refused.level) == ("kafka", Level.BAD)
    assert "refuse the login" in refused.found
    assert PASSWORD not in f"{refused}"
    (disagree,) = list(looked_at.look(Config(kafka=Kafka(["127.0.0.1:1"], sasl_username="x"))))
    assert "logs in nowhere" in disagree.found


def test_who_could_listen_in_is_told() -> None:
    """Another machine without TLS, and TLS that trusts everybody, are notes; this machine is neither."""
    far = way("kafka.example:9092", "127.0.0.1:9092")
    assert [each.level for each in far] == [Level.NOTE]
    assert "kafka.example:9092 can be read on the way" in far[0].found
    loose = way("kafka.example:9092", protocol="ssl", client=("enable.ssl.certificate.verification=false",))
    assert "whoever answers is taken for a broker" in loose[0].found
    assert not way("[::1]:1", "localhost:2", "127.1.2.3:4")
