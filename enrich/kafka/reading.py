"""A topic read from place to place, by nobody's member: no group is joined, and nothing is committed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

from enrich.kafka.client import (
    END,
    Health,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
    consumer,
    failed,
)
from enrich.sources import SourceError
from shipper.wire.broker import Broker

SECONDS = 30.0
"""So long a broker may give nothing before a reader gives up."""
_POLL_SECONDS = 0.2
_MANY = 1000
_QUEUE_KIB = 16 << 10
"""What is fetched ahead, all partitions together; the broker gives at most this much at a time."""


class Span(NamedTuple):
    """Offsets from `begin` up to, and without, `end`."""

    begin: int
    end: int


class TopicReader:
    """Reads one topic. Its client is made at once and connects when it is asked something."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self.topic = topic
        self._health = Health(f"reading topic {topic}")
        self._ends: dict[int, int] = {}
        self._consumer = consumer(
            broker,
            self._health,
            group_id=broker.group,
            enable_auto_commit=False,
            enable_auto_offset_store=False,
            enable_partition_eof=True,
            auto_offset_reset="earliest",
            queued_max_messages_kbytes=_QUEUE_KIB,
            fetch_max_bytes=_QUEUE_KIB << 10,
            fetch_wait_max_ms=10,  # a fetch that waits at a partition's end would hold up the next read
        )

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def spans(self) -> dict[int, Span]:
        """What each partition holds now. Raises SourceError."""
        try:
            told = self._consumer.list_topics(self.topic, timeout=SECONDS).topics[self.topic]
            if told.error is not None:
                raise self._failed(told.error)
            parts = [TopicPartition(self.topic, number) for number in told.partitions]
            return {part.partition: Span(*self._watermarks(part)) for part in parts}
        except KafkaException as error:
            raise self._failed(error) from error

    def since(self, spans: dict[int, Span], time_ns: int) -> dict[int, int]:
        """The first offset of each partition that the broker took at or behind a time; its end where there is none.

        The time is in ns since 1970, as the broker's clock tells it. Raises SourceError.
        """
        asked = [TopicPartition(self.topic, number, max(time_ns // 1_000_000, 0)) for number in spans]
        try:
            told = self._consumer.offsets_for_times(asked, SECONDS)
        except KafkaException as error:
            raise self._failed(error) from error
        found = {}
        for part in told:
            span = spans[part.partition]
            found[part.partition] = min(max(part.offset, span.begin), span.end) if part.offset >= 0 else span.end
        return found

    def read(self, spans: dict[int, Span], stop: threading.Event | None = None) -> Iterator[Message]:
        """The messages of some spans; of a partition in order. Ends early when stopped. Raises SourceError.

        A span ends, too, where the partition ends now: offsets may have been compacted away.
        """
        self._ends = {number: span.end for number, span in spans.items() if span.begin < span.end}
        self._consumer.assign([TopicPartition(self.topic, number, spans[number].begin) for number in self._ends])
        heard = time.monotonic()
        try:
            while self._ends and not (stop and stop.is_set()):
                first = self._consumer.poll(_POLL_SECONDS)
                if first is not None:
                    heard = time.monotonic()
                    for message in (first, *self._consumer.consume(_MANY, 0)):
                        yield from self._taken(message)
                elif time.monotonic() - heard > SECONDS:
                    raise self._failed(None)
        except KafkaException as error:
            raise self._failed(error) from error
        finally:
            self._consumer.unassign()

    def leave(self, partition: int) -> None:
        """No more of a partition is wanted of the `read` that is under way."""
        if self._ends.pop(partition, None) is not None:
            self._consumer.incremental_unassign([TopicPartition(self.topic, partition)])

    def _taken(self, message: Message) -> Iterator[Message]:
        """A message if it lies in its span, whose end is noted. Raises SourceError."""
        error, number, offset = message.error(), message.partition(), message.offset()
        if error is not None and error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            return  # the client asks for the group's coordinator, whom nobody needs who only reads
        if error is not None and error.code() != END:
            self._health.complain(error)
            if not error.retriable():
                raise self._failed(error)
        elif number is not None and offset is not None and number in self._ends:
            if error is None and offset < self._ends[number]:
                yield message
            if error is not None or offset + 1 >= self._ends.get(number, 0):
                self.leave(number)

    def _watermarks(self, part: TopicPartition) -> tuple[int, int]:
        told = self._consumer.get_watermark_offsets(part, timeout=SECONDS)
        if told is None:
            raise self._failed(None)
        return told

    def _failed(self, error: KafkaError | Exception | None) -> SourceError:
        what = f"topic {self.topic} can't be read"
        if error is not None:
            return failed(what, error)
        why = self._health.error or f"brokers say nothing for {SECONDS:.0f} s"
        return SourceError(f"{what}: {why}: `cgtrail check` tells what is wrong with Kafka")
