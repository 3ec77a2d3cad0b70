"""Workers' state in a real broker's compacted topic: whatever becomes of it, what is given back is whole and true."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
from confluent_kafka import Producer

from enrich.checkpoint import Snapshot
from enrich.kafka.state import CHUNK, KafkaCheckpoints
from enrich.sources import SourceError
from tests.servers.kafka import Kafka, topics
from tests.servers.recording import reach

STREAM = "0123456789abcdef0123456789abcdef"


@contextmanager
def _state(settings: dict[str, str]) -> Iterator[KafkaCheckpoints]:
    checkpoints = KafkaCheckpoints(reach(settings), threading.Event())
    try:
        yield checkpoints
    finally:
        checkpoints.close()


def _body(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311  so that nothing compresses it


def _put(broker: Kafka, settings: dict[str, str], told: dict[bytes, bytes | None]) -> None:
    producer = Producer({"bootstrap.servers": broker.servers, "log_level": 0})
    for key, value in told.items():
        producer.produce(settings["CGTRAIL_KAFKA_STATE_TOPIC"], value, key, 0)
    assert producer.flush(60) == 0


def _there(broker: Kafka, settings: dict[str, str]) -> dict[bytes, bytes]:
    """What compaction leaves."""
    told = {each.key() or b"": each.value() for each in broker.messages(settings["CGTRAIL_KAFKA_STATE_TOPIC"])}
    return {key: value for key, value in told.items() if value is not None}


def test_another_worker_finds_the_newest_two(broker: Kafka) -> None:
    """Of several partitions and sizes, larger than a message may be too, each has its own."""
    settings = topics(broker, 3)
    kept = {f"raw-{number}": [_body(number * 10 + nth, number * CHUNK * 2 + nth) for nth in range(4)]
            for number in range(5)}  # fmt: skip
    with _state(settings) as first:
        for nth in range(4):
            for name, bodies in kept.items():
                older = first.store(name, "schema", Snapshot((nth + 1) * 100, bodies[nth]))
                assert older == nth * 100
    with _state(settings) as second:
        for name, bodies in kept.items():
            wanted = [Snapshot(400, bodies[3]), Snapshot(300, bodies[2])]
            assert second.load(name, "schema", 1000) == wanted
            assert second.load(name, "schema", 399) == wanted[1:]
            assert second.load(name, "schema", 299) == []
    assert all(len(each.value() or b"") <= CHUNK for each in broker.messages(settings["CGTRAIL_KAFKA_STATE_TOPIC"]))


def test_what_does_not_fit_is_left_alone(broker: Kafka) -> None:
    """A chunk that is missing, another one's or damaged, a manifest that makes no sense: the other slot serves."""
    settings = topics(broker, 1)
    bodies = [_body(nth, CHUNK * 3) for nth in range(2)]
    with _state(settings) as writer:
        for nth, body in enumerate(bodies):
            writer.store("raw-0", "schema", Snapshot(nth + 1, body))
    sound = _there(broker, settings)
    newest = next(key for key, value in sound.items() if key.count(b"/") == 3 and b'"position":2' in value)
    damages: list[dict[bytes, bytes | None]] = [
        {newest + b"/1": None},
        {newest + b"/0": sound[newest + b"/1"]},
        {newest + b"/2": b""},
        {newest: b"\xff"},
        {newest: sound[newest].replace(b'"chunks":4', b'"chunks":3')},
        {newest: sound[newest].replace(b'"chunks":4', b'"chunks":4000000000')},
        {newest: b'{"position":2,"x":' + b"[" * 100_000},
        {newest: b'{"schema":"\xff"}'},
        {newest: None},
    ]
    for wrong in damages:
        _put(broker, settings, wrong)
        with _state(settings) as reader:
            assert reader.load("raw-0", "schema", 9) == [Snapshot(1, bodies[0])], wrong
        _put(broker, settings, {key: sound[key] for key in wrong})
        with _state(settings) as reader:
            assert len(reader.load("raw-0", "schema", 9)) == 2, wrong


def test_another_schema(broker: Kafka) -> None:
    """Of another version nothing is given; the first snapshot of this one takes its place."""
    settings = topics(broker, 1)
    with _state(settings) as state:
        state.store("raw-0", "old", Snapshot(5, b"a"))
        state.store("raw-0", "old", Snapshot(6, b"b"))
        assert state.load("raw-0", "new", 9) == []
        assert state.store("raw-0", "new", Snapshot(7, b"c")) == 0
        assert state.load("raw-0", "new", 9) == [Snapshot(7, b"c")]


@pytest.mark.parametrize("others", ["g.stdout", "g/raw-0/0", "status", "g/"])
def test_each_group_has_its_own(broker: Kafka, others: str) -> None:
    """Workers of two sinks share the topic: one's state and deaths are not the other's, whatever they are called."""
    settings = topics(broker, 1) | {"CGTRAIL_KAFKA_GROUP": "g"}
    another = settings | {"CGTRAIL_KAFKA_GROUP": others}
    with _state(settings) as one, _state(another) as other:
        for position in (10, 20):
            one.store("raw-0", "schema", Snapshot(position, b"one"))
        assert other.load("raw-0", "schema", 99) == []
        for position in (1, 2, 3):
            other.store("raw-0", "schema", Snapshot(position, b"other"))
        one.died(STREAM, 7, 1)
        assert other.deaths(STREAM) == {}
    with _state(settings) as one, _state(another) as other:
        assert one.load("raw-0", "schema", 99) == [Snapshot(20, b"one"), Snapshot(10, b"one")]
        assert other.load("raw-0", "schema", 99) == [Snapshot(3, b"other"), Snapshot(2, b"other")]
        assert one.deaths(STREAM) == {(7, 1): 1}


def test_places_that_were_lost(broker: Kafka) -> None:
    """The log was emptied: a snapshot of what stood there before is never given again, even when its place returns."""
    settings = topics(broker, 1)
    with _state(settings) as before:
        before.store("raw-0", "schema", Snapshot(50, b"old"))
        before.store("raw-0", "schema", Snapshot(90, b"older log"))
    with _state(settings) as state:
        assert state.load("raw-0", "schema", 0) == []
        assert state.store("raw-0", "schema", Snapshot(60, b"new")) == 0
    with _state(settings) as after:
        assert after.load("raw-0", "schema", 1000) == [Snapshot(60, b"new")]


def test_a_snapshot_that_shrinks_leaves_no_chunks(broker: Kafka) -> None:
    """What a smaller one does not overwrite is forgotten: compaction can take it."""
    settings = topics(broker, 1)
    with _state(settings) as state:
        for position, size in ((1, CHUNK * 4), (2, CHUNK * 4), (3, 10), (4, 10)):
            state.store("raw-0", "schema", Snapshot(position, _body(position, size)))
    own = f"snapshot/{settings['CGTRAIL_KAFKA_GROUP']}/raw-0".encode()
    assert sorted(_there(broker, settings)) == [own + end for end in (b"/0", b"/0/0", b"/1", b"/1/0")]


def test_deaths_are_counted_over_workers(broker: Kafka) -> None:
    """What one worker died of is known to the next one, wherever it runs."""
    settings = topics(broker, 3)
    for nth in range(3):
        with _state(settings) as state:
            state.died(STREAM, 7, 1)
            assert state.deaths(STREAM) == {(7, 1): nth + 1}
    with _state(settings) as state:
        assert state.deaths("f" * 32) == {}
        assert state.deaths(STREAM) == {(7, 1): 3}


def test_what_others_keep_there_is_passed(broker: Kafka) -> None:
    """Workers' status, and keys that nobody knows."""
    settings = topics(broker, 1)
    _put(broker, settings, {b"status/host-0": msgspec.json.encode({"pid": 1}), b"raw-0": b"?", b"": b"x", b"/": b"y"})
    with _state(settings) as state:
        assert state.load("raw-0", "schema", 9) == []
        state.store("raw-0", "schema", Snapshot(1, b"a"))
        assert state.load("raw-0", "schema", 9) == [Snapshot(1, b"a")]


def test_no_topic(broker: Kafka) -> None:
    """It is said in words; once the topic is there all works."""
    settings = topics(broker, 1) | {"CGTRAIL_KAFKA_STATE_TOPIC": "cgtrail.not.yet"}
    with _state(settings) as state:
        with pytest.raises(SourceError, match=r"topic cgtrail.not.yet: the topic does not exist"):
            state.load("raw-0", "schema", 9)
        with pytest.raises(SourceError, match=r"topic cgtrail.not.yet: the topic does not exist"):
            state.store("raw-0", "schema", Snapshot(1, b"a"))
        broker.create("cgtrail.not.yet", 2, cleanup_policy="compact")
        state.store("raw-0", "schema", Snapshot(1, b"a"))
        assert state.load("raw-0", "schema", 9) == [Snapshot(1, b"a")]


def test_a_topic_that_is_made_anew(broker: Kafka) -> None:
    """A worker that runs on goes on keeping its state there."""
    settings = topics(broker, 1)
    topic = settings["CGTRAIL_KAFKA_STATE_TOPIC"]
    with _state(settings) as state:
        for position in range(1, 6):
            state.store("raw-0", "schema", Snapshot(position, _body(position, CHUNK * 2)))
        admin = broker.admin()
        admin.delete_topics([topic])[topic].result(30)
        broker.create(topic, 1, cleanup_policy="compact")
        kept = []
        for position in range(6, 30):
            try:
                state.store("raw-0", "schema", Snapshot(position, b"new"))
                kept.append(position)
            except SourceError as error:
                print(error)
            if len(kept) == 2:
                break
    with _state(settings) as other:
        assert other.load("raw-0", "schema", 99)[0] == Snapshot(kept[-1], b"new")
