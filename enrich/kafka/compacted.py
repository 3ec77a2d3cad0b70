"""A compacted topic as a table: the newest value of each key, found again by its place, written surely."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn

from enrich.kafka import client
from enrich.kafka.client import END, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from enrich.sources import SourceError
from shipper.wire.broker import Broker

ANSWER_SECONDS = 15.0
"""Brokers that give nothing for so long are away."""
DELIVERY_MS = 10_000
_DEFAULTS = {
    "queued.max.messages.kbytes": 16 << 10,
    "fetch.queue.backoff.ms": 20,
    "fetch.max.bytes": 8 << 20,
    "fetch.wait.max.ms": 10,  # what is asked next waits behind a fetch that waits for news
}


@dataclass(slots=True)
class Known:
    """What was read of a partition."""

    next: int = -1
    """Everything before it was read; -1: nothing yet."""
    places: dict[bytes, int] = field(default_factory=dict)
    """Key → place of its newest value."""
    values: dict[bytes, bytes] = field(default_factory=dict)
    """Key → that value, of those that are kept in memory."""


class Compacted:
    """`keep` says of which keys values are kept in memory: small ones. One thread at a time uses it."""

    def __init__(self, broker: Broker, topic: str, what: str, keep: Callable[[bytes], bool]) -> None:
        """`what` is said to be impossible where it is: "keeping workers' state"."""
        self._broker, self._topic, self._what, self._keep = broker, topic, what, keep
        self._health = client.Health(what, quiet=True)
        self._consumer: Consumer | None = None
        self._producer: Producer | None = None
        self._known: dict[int, Known] = {}

    def partitions(self, seconds: float = ANSWER_SECONDS) -> int:
        """How many it has, as brokers tell within so long. Raises SourceError."""
        try:
            found = self._reader().list_topics(self._topic, timeout=seconds).topics[self._topic]
        except KafkaException as error:
            self._fail(error)
        if found.error is not None or not found.partitions:
            self._fail(found.error or KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
        return len(found.partitions)

    def known(self, number: int) -> Known:
        """What was read of a partition up to now, without asking."""
        return self._known.setdefault(number, Known())

    def scan(self, number: int) -> Known:
        """Read what came since the last time, to the end. Raises SourceError."""
        try:
            low, high = self._ends(number)
            known = self.known(number)
            if not 0 <= known.next <= high:  # never read, or the topic was made anew
                known = self._known[number] = Known(low)
            if known.next < high:
                self._each(number, max(known.next, low), high, lambda message: self._note(known, message))
                known.next = high
        except KafkaException as error:
            self._fail(error)
        self._health.works()
        return known

    def fetch(self, number: int, places: Iterable[int]) -> dict[int, bytes]:
        """Place → value, of those that are still there. Raises SourceError."""
        wanted, found = set(places), dict[int, bytes]()

        def take(message: Message) -> None:
            if message.offset() in wanted:
                found[message.offset() or 0] = message.value() or b""

        try:
            if wanted:
                self._each(number, min(wanted), max(wanted) + 1, take)
        except KafkaException as error:
            self._fail(error)
        return found

    def write(self, number: int, told: Mapping[bytes, bytes | None]) -> None:
        """Values by key, None to forget one; returns when they are safe. Raises SourceError: some may be there then."""
        known, wrong = self.known(number), list[KafkaError]()

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                wrong.append(error)
            else:
                self._note(known, message)

        try:
            producer = self._writer()
            for key, value in told.items():
                producer.produce(self._topic, value, key, number, on_delivery=delivered)
            if not client.flushed(producer, DELIVERY_MS / 1000 + 5):
                wrong.append(client.silent().args[0])
        except (KafkaException, BufferError) as error:
            self._drop()
            self._fail(error)
        if wrong:
            self._drop()
            self._fail(wrong[0])
        self._health.works()

    def close(self) -> None:
        """Let go of both connections."""
        self._drop()
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _note(self, known: Known, message: Message) -> None:
        key, value, place = message.key() or b"", message.value(), message.offset()
        known.places.pop(key, None)
        known.values.pop(key, None)
        if value is not None and place is not None:
            known.places[key] = place
            if self._keep(key):
                known.values[key] = value

    def _each(self, number: int, begin: int, end: int, take: Callable[[Message], None]) -> None:
        """Hand over what stands from a place up to, and without, another. Raises KafkaException."""
        reader = self._reader()
        reader.assign([TopicPartition(self._topic, number, begin)])
        try:
            patience = time.monotonic() + ANSWER_SECONDS
            while time.monotonic() < patience:
                message = reader.poll(0.5)
                if message is None:
                    continue
                error, place = message.error(), message.offset()
                if error is not None and error.code() != END:
                    raise KafkaException(error)
                if place is None or place >= end or error is not None:
                    return
                take(message)
                patience = time.monotonic() + ANSWER_SECONDS
                if place == end - 1:
                    return
            raise client.silent()
        finally:
            reader.unassign()

    def _ends(self, number: int) -> tuple[int, int]:
        found = self._reader().get_watermark_offsets(TopicPartition(self._topic, number), timeout=ANSWER_SECONDS)
        if found is None:
            raise client.silent()
        return int(found[0]), int(found[1])

    def _reader(self) -> Consumer:
        if self._consumer is None:
            self._consumer = client.consumer(
                self._broker, self._health, _DEFAULTS, group_id=self._broker.group,
                enable_auto_commit=False, enable_partition_eof=True, auto_offset_reset="error",
            )  # fmt: skip
        return self._consumer

    def _writer(self) -> Producer:
        if self._producer is None:
            self._producer = client.producer(
                self._broker, self._health, {"linger.ms": 5}, message_timeout_ms=DELIVERY_MS
            )
        return self._producer

    def _drop(self) -> None:
        """A producer that failed would send in its own time what is sent anew, or never again."""
        if self._producer is not None:
            with suppress(KafkaException):
                self._producer.purge()
                self._producer.poll(0)
            self._producer = None

    def _fail(self, error: Exception | KafkaError) -> NoReturn:
        reason = client.reason(error, self._health)
        raise client.failed(f"{self._what} is not possible now: topic {self._topic}", reason) from (
            error if isinstance(error, Exception) else None
        )


__all__ = ["Compacted", "Known", "SourceError"]
