"""What workers told last in the state topic (`enrich.kafka.told`), for who looks from anywhere."""

from __future__ import annotations

import time
from contextlib import closing, suppress
from dataclasses import dataclass, field

import msgspec

from enrich.kafka import client
from enrich.kafka.client import Health, KafkaError, KafkaException, Message, TopicPartition
from enrich.kafka.told import PARTITION, PREFIX, WorkerTold
from shipper.wire.broker import Broker

WINDOWS = (30.0, 600.0, 86400.0)
"""Who looks reads the last seconds first, then what is before: there may be much between, the snapshots."""
_BATCH = 100
_POLL_SECONDS = 0.5


class Heard(msgspec.Struct):
    """What a worker told last."""

    name: str
    time: int
    """By the clock of the log, ns since 1970."""
    told: WorkerTold | None
    """None: another version told it, or nobody of ours."""


def heard(broker: Broker, seconds: float) -> tuple[list[Heard], float]:
    """What workers told last, by name, and how many seconds were looked back: less than a day where time was up.

    It takes about so many `seconds` at the most. Raises SourceError when nothing can be read.
    """
    bounds: client.Settings = {"socket.timeout.ms": max(int(seconds * 1000), 1000)}
    health = _Quiet("reading what workers tell")
    with closing(
        client.consumer(
            broker, health, bounds, group_id=broker.group, enable_auto_commit=False, enable_partition_eof=True
        )
    ) as consumer:
        look = _Look(broker.topics.state, consumer, time.monotonic() + seconds)
        try:
            looked = look.back()
        except KafkaException as error:
            raise client.failed("what workers tell can't be read", health.worst or error) from error
    return sorted(look.found.values(), key=lambda each: each.name), looked


class _Quiet(Health):
    """Remembers what was heard: who looks is told once, at the end."""

    worst: KafkaError | None = None

    def complain(self, error: KafkaError) -> None:
        self.worst = error


@dataclass
class _Look:
    topic: str
    consumer: client.Consumer
    until: float
    """By time.monotonic()."""
    found: dict[str | bytes, Heard] = field(default_factory=dict)
    """By key."""

    def back(self) -> float:
        """Look back as far as there is time; returns how far, in seconds. Raises KafkaException."""
        topic = self.consumer.list_topics(self.topic, timeout=self._left()).topics[self.topic]
        if topic.error is not None:
            raise KafkaException(topic.error)
        _, end = self.consumer.get_watermark_offsets(self._at(0), timeout=self._left())
        now, looked = int(time.time() * 1000), 0.0
        for window in WINDOWS:
            if looked and time.monotonic() >= self.until:
                break
            (place,) = self.consumer.offsets_for_times([self._at(now - int(window * 1000))], timeout=self._left())
            begin = min(place.offset, end) if place.offset >= 0 else end
            if begin < end and not self._read(begin, end):
                break
            end, looked = begin, window
        if not looked and not self.found:
            raise client.silent()
        return looked

    def _at(self, offset: int) -> TopicPartition:
        return TopicPartition(self.topic, PARTITION, offset)

    def _left(self) -> float:
        """Seconds. Raises KafkaException when there are none."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise client.silent()
        return left

    def _read(self, begin: int, end: int) -> bool:
        """What was told between two places, of whom nothing newer is known; False when time was up first."""
        read: dict[str | bytes, Heard] = {}
        self.consumer.assign([self._at(begin)])
        done = False
        while not done and time.monotonic() < self.until:
            for message in self.consumer.consume(_BATCH, _POLL_SECONDS):
                error, place = message.error(), message.offset()
                if error is not None and error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
                    continue  # who only looks is no member, and the client asks for the group all the same
                if error is not None and error.code() != client.END:
                    raise KafkaException(error)
                told = _told(message) if error is None else None
                if told and place is not None and place < end:
                    read[message.key() or b""] = told
                done = done or error is not None or (place is not None and place >= end - 1)
        self.found = read | self.found
        return done


def _told(message: Message) -> Heard | None:
    """None for what else is in the topic."""
    key = message.key()
    name = key.decode(errors="replace") if isinstance(key, bytes) else key or ""
    value = message.value()
    if not name.startswith(PREFIX) or not value:
        return None
    told = None
    with suppress(ValueError, RecursionError):
        told = msgspec.json.decode(value, type=WorkerTold)
    _, milliseconds = message.timestamp()
    name = name.removeprefix(PREFIX)
    return Heard(name.removeprefix(f"{told.group}/") if told else name, milliseconds * 1_000_000, told)
