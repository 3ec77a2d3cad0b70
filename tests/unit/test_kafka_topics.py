"""How topics should be and what of rights is too much or too little: what one broker alone can't show."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cgtrail.check.finding import Level
from cgtrail.kafka import acls, topics
from cgtrail.kafka.acls import Acl, Granted
from cgtrail.kafka.topics import Asked, Difference, Found, Kind
from shipper.wire.broker import Topics

NAMES = Topics("raw", "state", "deadletter")
HOST, WORKER = "User:host", "User:worker"


def found(replicas: int = 3, partitions: int = 2, **config: str) -> Found:
    """A raw topic as we make it, but for what is told."""
    own = topics.config(Kind.RAW, replicas, Asked()) | {key.replace("_", "."): value for key, value in config.items()}
    return Found((True,) * partitions, (replicas,) * partitions, (replicas,) * partitions, frozenset(), own)


def told(topic: Found, asked: Asked | None = None, brokers: int = 3) -> list[Difference]:
    """In what it differs."""
    return list(topics.differences(Kind.RAW, topic, asked or Asked(), brokers))


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("replicas", [1, 2, 3, 5])
@pytest.mark.parametrize("asked", [Asked(), Asked(retention_hours=1), Asked(needed_hours=8760)])
def test_what_we_make_is_what_we_want(kind: Kind, replicas: int, asked: Asked) -> None:
    """A topic with the configuration of a new one has no differences, whatever its size."""
    made = Found((True,), (replicas,), (replicas,), frozenset(), topics.config(kind, replicas, asked))
    assert not list(topics.differences(kind, made, replace(asked, replication=replicas), brokers=9))


def test_three_replicas_need_two_in_sync() -> None:
    """With one, a broker that dies takes what it alone had; with all, one that is away stops everybody."""
    assert topics.config(Kind.RAW, 3, Asked())["min.insync.replicas"] == "2"
    (weak,) = told(found(min_insync_replicas="1"))
    assert (weak.level, weak.change) == (Level.BAD, ("min.insync.replicas", "2"))
    (tight,) = told(found(min_insync_replicas="3"))
    assert (tight.level, tight.change) == (Level.NOTE, ("min.insync.replicas", "2"))
    assert topics.config(Kind.RAW, 2, Asked())["min.insync.replicas"] == "1"


def test_brokers_that_are_away() -> None:
    """No leader and too few in sync stop writing; one behind is a note."""
    well = found()
    (leaderless,) = told(replace(well, led=(True, False)))
    assert (leaderless.level, "1 of 2 partitions have no leader" in leaderless.found) == (Level.BAD, True)
    (few,) = told(replace(well, in_sync=(1, 3)))
    assert (few.level, "the 2 that writing needs" in few.found) == (Level.BAD, True)
    (behind,) = told(replace(well, in_sync=(2, 3)))
    assert behind.level is Level.NOTE
    assert not told(well)


def test_fewer_replicas_than_there_could_be() -> None:
    """A note where brokers would be there for more; bad where more were asked for."""
    assert not told(found(replicas=1), brokers=1)
    assert [each.level for each in told(found(replicas=1), brokers=3)] == [Level.NOTE]
    assert [each.level for each in told(found(replicas=1), Asked(replication=2), brokers=1)] == [Level.BAD]


def test_what_may_not_be_seen_is_not_judged() -> None:
    """Without its configuration only leaders and replicas count."""
    assert not told(replace(found(cleanup_policy="compact"), config=None))


def test_retention_that_was_asked_for_is_exact_and_else_enough() -> None:
    """Longer than needed is well, unless a number was given."""
    long = found(retention_ms=str(1000 * 3_600_000))
    assert not told(long)
    assert not told(found(retention_ms="-1"))
    (differs,) = told(long, Asked(retention_hours=999))
    assert "1,000 hours: 999 hours are wanted" in differs.found
    (short,) = told(found(retention_ms=str(3_600_000)), Asked(needed_hours=24))
    assert short.change == ("retention.ms", str(168 * 3_600_000))


@pytest.mark.parametrize(
    ("given", "principal"),
    [
        ("alice", "User:alice"),
        ("User:a:b", "User:a:b"),
        ("CN=host-1,O=x", "User:CN=host-1,O=x"),
        ("Group:g", "Group:g"),
    ],
)
def test_names_of_principals(given: str, principal: str) -> None:
    """A name alone is a user's."""
    assert acls.principal(given) == principal


def granted(operation: str, name: str, *, who: str = HOST, kind: str = "topic", prefixed: bool = False,
            allowed: bool = True, host: str = "*") -> Granted:  # fmt: skip
    """A right as it stands."""
    return Granted(Acl(kind, name, operation, who, prefixed), allowed, host)


def test_what_is_missing_is_what_is_not_granted_to_everywhere() -> None:
    """A right from one address, for a prefix, or denied, is not the right that we give."""
    wanted = acls.writer(HOST, NAMES)
    given = [granted("WRITE", "raw"), granted("DESCRIBE", "raw", host="10.0.0.1")]
    assert acls.missing(wanted, given) == [Acl("topic", "raw", "DESCRIBE", HOST)]
    assert (
        len(acls.missing(wanted, [granted("WRITE", "raw", prefixed=True), granted("WRITE", "raw", allowed=False)])) == 2
    )
    assert not acls.missing(wanted, [granted("WRITE", "raw"), granted("DESCRIBE", "raw")])


@pytest.mark.parametrize(
    ("also", "is_told"),
    [
        (granted("READ", "raw"), True),
        (granted("READ", "ra", prefixed=True), True),
        (granted("ALL", "*"), True),
        (granted("WRITE", "state"), True),
        (granted("READ", "cgtrail", kind="group"), True),
        (granted("READ", "*", who=acls.EVERYBODY), True),
        (granted("WRITE", "raw", allowed=False), True),
        (granted("READ", "another"), False),
        (granted("READ", "raw", kind="group"), False),
        (granted("WRITE", "raw"), False),
        (granted("READ", "another", allowed=False), False),
    ],
)
def test_what_a_host_may_beyond_writing(also: Granted, is_told: bool) -> None:
    """However it is granted: by name, by prefix, to everybody; other topics are not our business."""
    given = [granted("WRITE", "raw"), granted("DESCRIBE", "raw"), also]
    assert list(acls.beyond(acls.writer(HOST, NAMES), given, NAMES, "cgtrail")) == ([also] if is_told else [])


def test_a_worker_can_not_write_raw() -> None:
    """Who reads everything makes nothing up."""
    rights = acls.reader(WORKER, NAMES, "g")
    assert Acl("topic", "raw", "WRITE", WORKER) not in rights
    assert acls.told(rights).startswith(
        "describe, read group g; describe, read group g.*; describe, read, write topic dead"
    )
