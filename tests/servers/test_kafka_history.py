"""History again out of a real Kafka: what the live group made of a time, and the group never notices."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, ResourcePatternType, ResourceType

from enrich.again import Making
from enrich.document import Document
from enrich.history import History, ReplayError, SpoolHistory
from enrich.kafka.history import KafkaHistory
from enrich.replay import Replay
from enrich.sinks.memory import MemorySink
from enrich.sources import SourceError
from shipper.wire.broker import Broker
from shipper.wire.message import Message
from tests.faults.boxes import SECOND
from tests.faults.storm import HOST, storm
from tests.kernel.dockerd import wait_until
from tests.servers.kafka import Kafka, topics
from tests.servers.published import Writer, messages, publish, reached, recorded, work
from tests.unit import spooled

EVER = 1 << 62
SEED = 20261123
OTHER = b"another host's i"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host's spool: two boots, eighty seconds, a keyframe each six."""
    return recorded(tmp_path_factory.mktemp("storm"), storm(SEED, 400))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another host's spool, of the same time."""
    return recorded(tmp_path_factory.mktemp("other"), storm(SEED + 1, 400), OTHER)


@pytest.fixture(scope="module")
def live(data: Path) -> dict[str, Document]:
    """What a worker makes of it."""
    return spooled.work(data)


@pytest.fixture
def own(broker: Kafka) -> Broker:
    """Topics of this test's own, three partitions; the raw one takes times from its writers."""
    own = reached(topics(broker, partitions=3))
    raw = f"{own.group}.created"
    broker.create(raw, 3, message_timestamp_type="CreateTime", retention_ms=-1, max_message_bytes=1 << 20)
    return replace(own, topics=replace(own.topics, raw=raw))


@pytest.fixture
def past(own: Broker) -> Iterator[KafkaHistory]:
    """The topic's past."""
    with closing(KafkaHistory(own, threading.Event())) as opened:
        yield opened


def replayed(kept: History, since: int = 0, until: int = EVER, **settings: Any) -> dict[str, Document]:
    """The documents of a time."""
    sink = MemorySink()
    replay = Replay(kept, sink, threading.Event(), Making(**settings))
    replay.run(kept.stretches(since, until), since, until, lambda _: 0)
    return sink.documents


def by_id(documents: dict[str, Document]) -> dict[str, Any]:
    """Documents as they would be stored."""
    return {name: json.loads(document.encode()) for name, document in documents.items()}


def moments(live: dict[str, Document]) -> list[int]:
    """Times in both boots, and between them."""
    first, *_, last = sorted(document.time for document in live.values())
    return [first, first + 20 * SECOND, (first + last) // 2, last - 30 * SECOND, last - 5 * SECOND, last + 1]


def test_everything_again(own: Broker, past: KafkaHistory, data: Path, live: dict[str, Document]) -> None:
    """The whole topic makes what a worker made of the spool: the same ids, the same bytes."""
    publish(own, data)
    assert len(live) > 1000
    assert by_id(replayed(past)) == by_id(live)


@pytest.mark.parametrize("late", [0, -10 * SECOND, 3600 * SECOND])
def test_parts(
    own: Broker,
    past: KafkaHistory,
    data: Path,
    other: Path,
    live: dict[str, Document],
    late: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A time makes what the spool makes of it, and what the live run made but for what says that it may differ.

    It does so whether the hosts' clocks are right, or further ahead than keyframes are looked for, or an hour behind.
    """
    monkeypatch.setattr("enrich.kafka.history.MARGIN_NS", 7 * SECOND)
    publish(own, data, late_ns=late)
    publish(own, other, 1, OTHER, late_ns=late)
    times = moments(live)
    for since, until in ((times[1], times[2]), (times[2], times[3]), (times[3], times[4]), (times[4], EVER)):
        again = by_id(replayed(past, since, until))
        mine = {name: body for name, body in again.items() if name in live}
        assert mine == by_id(replayed(SpoolHistory(data / "spool"), since, until))
        assert mine.keys() == {name for name, document in live.items() if since <= document.time < until}
        different = {name for name in mine if mine[name] != by_id({name: live[name]})[name]}
        assert all(mine[name]["cgtrail"].get("partial") for name in different)
        assert len(again) > len(mine) or not mine


@pytest.fixture
def logged(broker: Kafka) -> Broker:
    """Topics of this test's own, as `cgtrail setup kafka` makes them."""
    return reached(topics(broker, partitions=2))


def test_holes_and_what_was_sent_again(logged: Broker, data: Path, other: Path, tmp_path: Path) -> None:
    """What the live group makes of holes, of frames sent again and of garbage between, history makes of them too."""
    rng = random.Random(SEED)  # noqa: S311  chance, no secret
    writer = Writer(logged, 1)
    hosts = [[message for _, message in messages(folder, host)] for folder, host in ((data, HOST), (other, OTHER))]
    while any(hosts):
        waiting = rng.choice([each for each in hosts if each])
        count = rng.randint(1, 20)
        sent, waiting[:count] = waiting[:count], []
        if rng.random() < 0.1 and len(sent) > 3:
            del sent[1 : rng.randint(2, 3)]
        for message in sent + (sent if rng.random() < 0.2 else []):
            writer.put(message)
        if rng.random() < 0.1:
            writer.put(Message(b"?", rng.randbytes(50), []))
    writer.done()
    made = work(logged, tmp_path)
    losses = [document for document in made.values() if document.kind == "loss"]
    assert {document.source["cgtrail"]["loss"]["cause"] for document in losses} >= {"frame_missing"}
    with closing(KafkaHistory(logged, threading.Event())) as past:
        assert by_id(replayed(past)) == by_id(made)
        times = moments(made)
        for since, until in pairwise(times[1:]):
            again = by_id(replayed(past, since, until))
            assert again.keys() == {name for name, document in made.items() if since <= document.time < until}
            different = {name for name in again if again[name] != by_id({name: made[name]})[name]}
            assert all(again[name]["cgtrail"].get("partial") for name in different), different


def test_what_is_not_wanted_is_not_read(
    own: Broker, past: KafkaHistory, data: Path, live: dict[str, Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part is read from its keyframe, which lies near the time; progress ends where the part ends."""
    monkeypatch.setattr("enrich.kafka.history.MARGIN_NS", 7 * SECOND)
    publish(own, data)
    times = moments(live)
    (stretch,) = past.stretches(times[4], times[4] + SECOND)
    (whole,) = (each for each in past.stretches(0, EVER) if each.stream == stretch.stream)
    assert stretch.place > whole.place
    assert 0 < stretch.size < whole.size
    progress: list[int] = []
    chosen = past.stretches(0, EVER)
    Replay(past, MemorySink(), threading.Event()).run(chosen, 0, EVER, progress.append)
    assert sum(progress) == sum(each.size for each in chosen)


def test_stopped(own: Broker, data: Path) -> None:
    """A stop ends the search and the reading."""
    publish(own, data)
    stop = threading.Event()
    with closing(KafkaHistory(own, stop)) as past:
        chosen = past.stretches(0, EVER)
        read = past.read(chosen)
        next(read)
        stop.set()
        assert len(list(read)) < 2000
        assert past.stretches(0, EVER) == []


def test_nothing_there(past: KafkaHistory) -> None:
    """An empty topic is told, and what to do; a topic that there is not is told as such."""
    with pytest.raises(ReplayError, match=r"is empty.*`cgtrail publish`"):
        past.stretches(0, EVER)


def test_no_topic(own: Broker) -> None:
    """A topic that there is not is named, and what to do."""
    nowhere = replace(own, topics=replace(own.topics, raw="nothing.here"))
    with closing(KafkaHistory(nowhere, threading.Event())) as past, pytest.raises(SourceError, match=r"nothing\.here"):
        past.stretches(0, EVER)


def test_who_may_only_read_the_topic(broker: Kafka, logged: Broker, data: Path, live: dict[str, Document]) -> None:
    """No right to the group is needed, nor any to write; without the right to read the topic, that is said."""
    user, admin = f"reader.{logged.group}", broker.admin()
    broker.add_user(user, "secret")
    publish(logged, data)
    security = {"security.protocol": "sasl_plaintext", "sasl.mechanism": "SCRAM-SHA-256"}
    security |= {"sasl.username": user, "sasl.password": "secret"}
    known = replace(logged, servers=(broker.listener("scram"),), security=security)
    with closing(KafkaHistory(known, threading.Event())) as past:
        with pytest.raises(SourceError, match=r"do not allow this user the topic.*`cgtrail setup kafka "):
            past.stretches(0, EVER)
        may = (AclOperation.READ, AclPermissionType.ALLOW)
        right = AclBinding(
            ResourceType.TOPIC, logged.topics.raw, ResourcePatternType.LITERAL, f"User:{user}", "*", *may
        )
        admin.create_acls([right])[right].result(30)
        wait_until(lambda: _may_read(past), "the broker to know of the right")  # its controller does so before
        assert by_id(replayed(past)) == by_id(live)


def _may_read(past: KafkaHistory) -> bool:
    with suppress(SourceError):
        return bool(past.stretches(0, EVER))
    return False
