"""Dead letters in a topic of a real Kafka: kept once by their id, with every byte, until they are removed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from confluent_kafka import Producer

from enrich.kafka.letters import MAX_BODY, KafkaLetters
from enrich.letters import Letter, LetterKind, LettersError
from enrich.sources import SourceError
from shipper.wire.broker import Broker
from tests.servers.kafka import Kafka, topics
from tests.servers.published import letters as kept
from tests.servers.published import reached

STREAM = "ab" * 16


@pytest.fixture
def own(broker: Kafka) -> Broker:
    """A cluster with topics of this test's own."""
    return reached(topics(broker))


@pytest.fixture
def letters(own: Broker) -> Iterator[KafkaLetters]:
    """The topic as a worker has it."""
    with closing(KafkaLetters(own)) as opened:
        yield opened


def letter(number: int, *, body: bytes = b"\0\xffbytes", time: int = 0) -> Letter:
    """A record's letter; its time is its number unless it is given."""
    place = (f"{STREAM}-{number}-3", LetterKind.RECORD, STREAM, number, 3, number + 1)
    return Letter(*place, time or number, "not_understood: \x1b[31mred é", body, "cgtrail.raw-0 at 17, host aa")


def test_kept_as_it_was(own: Broker, letters: KafkaLetters) -> None:
    """A letter comes back with every byte and every number, whatever it holds, the oldest first."""
    huge = replace(letter(3, body=bytes(range(256)) * 1000), time=1 << 80, frame=-5)
    given = [letter(1), letter(2, body=b""), huge]
    letters.add(given[::-1])
    assert kept(own) == given
    with closing(KafkaLetters(own)) as opened:
        assert opened.ids() == [each.id for each in given]
        assert [head.body for head in opened.heads()] == [b""] * 3
        assert [replace(head, body=each.body) for head, each in zip(opened.heads(), given, strict=True)] == given
        assert opened.get(given[1].id) == given[1]
        assert opened.get("nothing") is None


def test_met_again(own: Broker, letters: KafkaLetters) -> None:
    """The same trouble met again, by another worker too, is the same letter."""
    letters.add([letter(1)])
    with closing(KafkaLetters(own)) as other:
        other.add([letter(1), letter(2)])
    assert kept(own) == [letter(1), letter(2)]


def test_removed_and_blamed(broker: Kafka, own: Broker, letters: KafkaLetters) -> None:
    """What was delivered has a message without a value behind it; what was not has a new reason."""
    letters.add([letter(1), letter(2)])
    letters.remove(letter(1).id)
    letters.blame(letter(2).id, "the store is full")
    letters.blame("nothing", "no such letter")
    assert kept(own) == [replace(letter(2), reason="the store is full")]
    newest = {message.key(): message.value() for message in broker.messages(own.topics.deadletter)}
    assert newest == {letter(1).id.encode(): None, letter(2).id.encode(): letter(2).body}
    letters.add([letter(1)])
    assert [each.frame for each in kept(own)] == [1, 2]


def test_a_large_one_is_cut_visibly(own: Broker, letters: KafkaLetters) -> None:
    """A body that no message can hold is kept as far as it fits, and says so, also when it is blamed."""
    letters.add([letter(1, body=b"x" * (MAX_BODY + 1)), replace(letter(2, body=b"y" * MAX_BODY), reason="r" * 100_000)])
    first, second = kept(own)
    assert first.body == b"x" * MAX_BODY
    assert first.reason == f"{letter(1).reason}; kept: the first 900000 of 900001 bytes"
    assert (second.body, len(second.reason)) == (b"y" * MAX_BODY, 4096)
    letters.blame(first.id, "the store is full")
    assert kept(own)[0].reason == "the store is full; kept: the first 900000 of 900001 bytes"


def test_a_topic_for_small_messages(broker: Kafka, own: Broker) -> None:
    """Where the topic takes less than we think, more is cut: a letter never stops a worker."""
    small = replace(own, topics=replace(own.topics, deadletter=f"{own.group}.small"))
    broker.create(small.topics.deadletter, max_message_bytes=50_000, cleanup_policy="compact")
    body = os.urandom(400_000)
    with closing(KafkaLetters(small)) as letters:
        letters.add([letter(1, body=body), letter(2)])
    first, second = kept(small)
    assert second == letter(2)
    assert body.startswith(first.body)
    assert f"the first {len(first.body)} of {len(body)} bytes" in first.reason


def test_messages_of_somebody_else(own: Broker, letters: KafkaLetters) -> None:
    """Whatever else stands in the topic hides no letter."""
    client = Producer({"bootstrap.servers": own.servers[0]})
    client.produce(own.topics.deadletter, b"hello", b"key")
    client.produce(own.topics.deadletter, b"hello", None)
    client.produce(own.topics.deadletter, b"hello", b"\xff\xfe", headers={"cgtrail.kind": b"record"})
    told: dict[str, str | bytes | None] = {
        f"cgtrail.{name}": b"?" for name in ("kind", "frame", "index", "behind", "time", "stream", "reason")
    }
    client.produce(own.topics.deadletter, b"hello", b"odd", headers=told | {"cgtrail.origin": b""})
    client.flush(30)
    letters.add([letter(1)])
    assert kept(own) == [letter(1)]


def test_no_topic(own: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A topic that there is not is named, and what to do."""
    monkeypatch.setattr("enrich.kafka.letters.SECONDS", 2)
    nowhere = replace(own, topics=replace(own.topics, deadletter="nothing.here"))
    with closing(KafkaLetters(nowhere)) as letters:
        with pytest.raises(LettersError, match=r"nothing\.here can't be read.*`cgtrail setup kafka`"):
            letters.ids()
        with pytest.raises(SourceError, match=r"nothing\.here can't be written.*`cgtrail"):
            letters.add([letter(1)])


def test_several_partitions(broker: Kafka) -> None:
    """Letters are the same, whatever the topic is like."""
    own = reached(topics(broker))
    wide = replace(own, topics=replace(own.topics, deadletter=f"{own.group}.wide"))
    broker.create(wide.topics.deadletter, 5)
    many = [letter(number) for number in range(1, 60)]
    with closing(KafkaLetters(wide)) as letters:
        letters.add(many)
        for each in many[::2]:
            letters.remove(each.id)
    assert kept(wide) == many[1::2]


def test_a_broker_that_is_away(own_broker: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """A letter that nobody takes is an error in words, and the same object writes it once it can."""
    monkeypatch.setattr("enrich.kafka.letters.SECONDS", 3)
    own = reached(topics(own_broker))
    with closing(KafkaLetters(own)) as letters:
        letters.add([letter(1)])
        own_broker.stop()
        for _ in range(2):
            with pytest.raises(SourceError, match="can't be written: no broker can be reached"):
                letters.add([letter(2)])
        own_broker.start()
        letters.add([letter(2)])
        own_broker.pause()
        with pytest.raises(SourceError, match="can't be written"):
            letters.add([letter(3)])
        own_broker.resume()
        letters.add([letter(3)])
    assert [each.frame for each in kept(own)] == [1, 2, 3]
