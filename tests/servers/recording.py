"""A taker that remembers what a source gave it, and what feeds a topic."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from confluent_kafka import Producer

from enrich.kafka.source import KafkaSource
from enrich.sources import Refused, SourceError, Taken
from shipper.wire.broker import Broker, Topics
from shipper.wire.frame import Frame, wrap
from shipper.wire.message import Message, encode
from shipper.wire.records import Tick
from tests.servers.kafka import Kafka

HOST, BOOT = b"h" * 16, b"b" * 16
PATIENCE = 120.0
"""Seconds that only a failure takes."""


def reach(settings: dict[str, str], **security: str) -> Broker:
    """What cgtrail makes of the settings of `tests.servers.kafka.topics`. Sessions are short."""
    told = {key.removeprefix("CGTRAIL_KAFKA_").lower(): value for key, value in settings.items()}
    topics = Topics(told["topic"], told["state_topic"], told["deadletter_topic"])
    known = {"session.timeout.ms": "6000", "heartbeat.interval.ms": "500"}
    return Broker(
        (told["servers"],), topics, told["group"], known | {k.replace("_", "."): v for k, v in security.items()}
    )


def frame(stream: int, number: int, size: int = 0) -> Frame:
    """A frame of a stream by its number, with `size` bytes of ticks and more."""
    payload = wrap(Tick().encode()) * (1 + size // 56)
    return Frame(bytes([stream]) * 16, HOST, BOOT, number, 1 + size // 56, payload, time=number)


def messages(stream: int, numbers: Iterable[int], size: int = 0) -> list[Message]:
    """The messages of a stream's frames."""
    return [encode(HOST, bytes([stream]) * 16, 7, frame(stream, number, size)) for number in numbers]


def send(kafka: Kafka, topic: str, told: Mapping[int, Iterable[Message]]) -> None:
    """Put messages into partitions; returns when they are there."""
    producer = Producer({"bootstrap.servers": kafka.servers, "acks": "all", "log_level": 0})
    failed: list[object] = []
    for partition, each in ((number, each) for number, every in told.items() for each in every):
        while True:
            try:
                producer.produce(
                    topic, each.value, each.key, partition, headers=list(each.headers),
                    on_delivery=lambda error, _: failed.append(error) if error else None,
                )  # fmt: skip
            except BufferError:
                producer.poll(0.1)
            else:
                break
        producer.poll(0)
    assert producer.flush(PATIENCE) == 0
    assert not failed, failed


@dataclass
class Recorder:
    """Stores what it takes every `flush` pieces, and commits it then."""

    source: KafkaSource
    stored: dict[str, list[int]]
    """Partition → places that were stored, by whomever, in order; several recorders share it."""
    flush: int = 1
    begun: list[tuple[str, int, int]] = field(default_factory=list)
    left: list[tuple[str, bool]] = field(default_factory=list)
    expired: list[tuple[str, int]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, list[int]] = field(default_factory=dict)
    stall: Callable[[], bool] = lambda: False
    """While it says so, the store takes nothing."""

    def begin(self, partition: str, committed: int, oldest: int) -> int:
        """As Taker."""
        assert partition not in self.places or not committed, "begun twice"
        self.begun.append((partition, committed, oldest))
        self.places[partition] = committed
        self.waiting[partition] = []
        return max(committed, oldest)

    def take(self, partition: str, taken: Taken | Refused) -> None:
        """As Taker."""
        assert partition in self.places, "not ours"
        if isinstance(taken, Refused):
            self.refused.append(taken)
        else:
            self.taken.append(taken)
        self.places[partition] = taken.behind
        self.waiting[partition].append(taken.place)
        if sum(map(len, self.waiting.values())) >= self.flush:
            while self.stall():
                self.source.wait(self, 0.05)
            self.store(list(self.waiting))

    def store(self, partitions: Collection[str], *, again: bool = True) -> None:
        """Everything that waits is stored, then committed. `again`: until it is."""
        ours = [name for name in partitions if name in self.places]
        for name in ours:
            self.stored.setdefault(name, []).extend(self.waiting[name])
            self.waiting[name] = []
        while True:
            try:
                self.source.commit({name: self.places[name] for name in ours if name in self.places}, {}, surely=True)
            except SourceError:
                if not again:
                    return
                self.source.wait(self, 0.05)
            else:
                return

    def end(self, partition: str) -> None:
        """As Taker; no partition of a topic ends."""
        raise AssertionError(partition)

    def expire(self, partition: str, oldest: int) -> None:
        """As Taker."""
        self.expired.append((partition, oldest))

    def leave(self, partitions: Collection[str], *, lost: bool = False) -> None:
        """As Taker."""
        if not lost:
            self.store(partitions, again=False)
        for name in partitions:
            self.left.append((name, lost))
            del self.places[name], self.waiting[name]


@dataclass
class Member:
    """A source and its recorder in a thread of their own, until `stop`."""

    broker: Broker
    instance: str
    stored: dict[str, list[int]]
    flush: int = 1
    once: bool = False
    stall: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        """Starts it."""
        self.stopping = threading.Event()
        self.source = KafkaSource(self.broker, self.instance, self.stopping, once=self.once)
        self.recorder = Recorder(self.source, self.stored, self.flush, stall=self.stall)
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            while not self.stopping.is_set():
                if not self.source.read(self.recorder, 0.1) and self.once:
                    break
            self.recorder.store(list(self.recorder.places))
        except BaseException as error:
            self.error = error
        finally:
            self.source.close()

    def stop(self) -> None:
        """It leaves in order."""
        self.stopping.set()
        self.join()

    def join(self) -> None:
        """Wait for its end, which must be a good one."""
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
        if self.error is not None:
            raise self.error


def until(reached: Callable[[], bool], what: str) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)
