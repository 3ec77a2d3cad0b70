"""History again out of a real Kafka: what the live group made of a time, and the group never notices."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from enrich.again import Making
from enrich.document import Document
from enrich.history import History, SpoolHistory
from enrich.kafka.history import KafkaHistory
from enrich.replay import Replay
from enrich.sinks.memory import MemorySink
from shipper.wire.broker import Broker
from tests.faults.boxes import SECOND
from tests.faults.storm import storm
from tests.servers.kafka import Kafka, topics
from tests.servers.published import publish, reached, recorded
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
