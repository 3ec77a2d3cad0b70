"""`cgtrail setup kafka` on a real broker: it makes what is missing, says what differs, changes what it is told to."""

from __future__ import annotations

from tests.servers.clusters import Cluster


def test_it_makes_what_is_missing_and_is_content_with_it(cluster: Cluster) -> None:
    """Three topics as the documentation says; a second time nothing is made, and all is well."""
    first = cluster.setup("--partitions", "4", "--retention-hours", "48")
    assert (first.code, first.err) == (0, "")
    assert [len(cluster.found(kind).replicas) for kind in ("raw", "state", "deadletter")] == [4, 4, 1]
    raw, state, letters = (cluster.has(kind) for kind in ("raw", "state", "deadletter"))
    assert (raw["cleanup.policy"], raw["message.timestamp.type"]) == ("delete", "LogAppendTime")
    assert (raw["retention.ms"], raw["compression.type"]) == (str(48 * 3_600_000), "producer")
    assert int(raw["max.message.bytes"]) >= 600_000
    assert (state["cleanup.policy"], letters["cleanup.policy"]) == ("compact", "compact,delete")
    assert "1 replica" in first.about("raw", "note")
    again = cluster.setup()
    assert (again.code, {each["level"] for each in again.found}) == (0, {"ok"})


def test_a_dry_run_changes_nothing(cluster: Cluster) -> None:
    """It says what would be made and granted, and its code says that something would."""
    told = cluster.setup("--dry-run", "--writer", f"host-{cluster.name}")
    assert told.code == 3
    assert all("would be made" in told.about(kind) for kind in ("raw", "state", "deadletter"))
    assert "2 would be granted" in told.about(f"User:host-{cluster.name}")
    assert f"{cluster.name}.raw" not in cluster.kafka.admin().list_topics(timeout=30).topics
    assert cluster.setup("--dry-run", "--replication-factor", "3").about("raw", "bad").startswith("it can't be made")


def test_what_differs_is_told_and_mended_only_when_asked(cluster: Cluster) -> None:
    """A topic that somebody made otherwise keeps what it has until --apply, and the rest of its settings after it."""
    odd: dict[str, str | int] = {
        "cleanup_policy": "compact",
        "retention_ms": 3_600_000,
        "max_message_bytes": 100_000,
        "flush_ms": 12_345,
    }
    cluster.kafka.create(f"{cluster.name}.raw", 1, **odd)
    before = cluster.has("raw")
    for arguments in ([], ["--dry-run"], ["--dry-run", "--apply"]):
        told = cluster.setup(*arguments)
        assert told.code == 3
        assert all(key in told.about("raw") for key in ("cleanup.policy", "retention.ms", "max.message.bytes"))
        assert cluster.has("raw") == before
    done = cluster.setup("--apply")
    assert done.code == 0, done.found
    assert "cleanup.policy was compact, is now delete" in done.about("raw", "ok")
    after = cluster.has("raw")
    assert (after["cleanup.policy"], after["flush.ms"]) == ("delete", "12345")
    assert int(after["max.message.bytes"]) >= 600_000
    assert cluster.setup().code == 0


def test_partitions_grow_only_when_they_are_asked_for(cluster: Cluster) -> None:
    """Asked for they are told, with what it means; applied they are there; fewer can't be."""
    assert cluster.setup("--partitions", "2").code == 0
    assert cluster.setup("--apply").code == 0
    assert cluster.found("raw").partitions == 2
    told = cluster.setup("--partitions", "3")
    assert told.code == 3
    assert "streams that run stay" in told.about("raw", "bad")
    assert cluster.found("raw").partitions == 2
    assert cluster.setup("--partitions", "3", "--apply").code == 0
    assert (cluster.found("raw").partitions, cluster.found("state").partitions) == (3, 2)
    fewer = cluster.setup("--partitions", "1", "--apply")
    assert fewer.code == 3
    assert "can't be taken back" in fewer.about("raw", "bad")


def test_rights_are_granted_once(cluster: Cluster) -> None:
    """A host may write and describe raw, and nothing else; a worker what it needs; again is no change."""
    host, worker = f"User:host-{cluster.name}", f"User:worker-{cluster.name}"
    first = cluster.setup("--writer", host, "--reader", worker)
    assert first.code == 0, first.found
    admin = cluster.admin
    rights = {(each.acl.operation, each.acl.name) for each in admin.granted(host) if each.allowed}
    assert rights == {("WRITE", f"{cluster.name}.raw"), ("DESCRIBE", f"{cluster.name}.raw")}
    assert len(admin.granted(worker)) == 12
    again = cluster.setup("--writer", host, "--reader", worker)
    assert "as before" in again.about(host)
    assert (len(admin.granted(host)), len(admin.granted(worker))) == (2, 12)


def test_a_host_that_may_more_is_told(cluster: Cluster) -> None:
    """What was granted or denied by others is not taken back, but said."""
    admin = cluster.admin
    assert cluster.setup("--reader", f"both-{cluster.name}").code == 0
    told = cluster.setup("--writer", f"both-{cluster.name}")
    assert told.code == 3
    assert f"may also read topic {cluster.name}.raw" in told.about(f"User:both-{cluster.name}", "bad")
    assert len(admin.granted(f"User:both-{cluster.name}")) == 13


def test_it_says_why_it_can_not(cluster: Cluster) -> None:
    """No broker there; a user who may not: a sentence, what to do, and no trace of Python."""
    away = cluster.setup(CGTRAIL_KAFKA_SERVERS="127.0.0.1:1")
    assert away.code == 1
    assert "no broker can be reached" in away.err
    assert cluster.setup(CGTRAIL_KAFKA_GROUP="x").code == 2
    cluster.kafka.add_user("nobody", "secret-of-nobody")
    refused = cluster.setup("--writer", "eve", **cluster.kafka.settings("scram_tls", "nobody", "secret-of-nobody"))
    assert refused.code == 3
    assert "do not allow" in refused.about("raw", "bad")
    assert refused.about("User:eve", "bad")
    assert "secret-of-nobody" not in str(refused)


def test_people_are_told_in_lines(cluster: Cluster) -> None:
    """Without --json: a line a finding, and a last one that sums it up."""
    done = cluster.run("setup", "kafka")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "Kafka is set up."
    assert f"ok    {cluster.name}.raw" in done.stdout
