"""Spools that were recorded, as a publisher brings them into a topic; and what stands in topics of a test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from confluent_kafka import Producer

from cgtrail.halves import worker_with
from enrich.document import Document
from enrich.kafka.letters import KafkaLetters
from enrich.kafka.source import KafkaSource
from enrich.kafka.state import KafkaCheckpoints
from enrich.letters import Letter
from enrich.mark import Mark
from enrich.sinks import Sink
from enrich.sinks.memory import MemorySink
from enrich.worker import Worker
from shipper.spool import Spool
from shipper.wire.broker import Broker, Topics
from shipper.wire.frame import Frame
from shipper.wire.message import End, Message, Piece, encode
from shipper.wire.reader import Reader
from tests.faults.storm import HOST, Boot
from tests.faults.writer import append, begun


def reached(told: dict[str, str]) -> Broker:
    """How topics of a test are reached."""
    names = Topics(*(told[f"CGTRAIL_KAFKA_{name}TOPIC"] for name in ("", "STATE_", "DEADLETTER_")))
    return Broker((told["CGTRAIL_KAFKA_SERVERS"],), names, told["CGTRAIL_KAFKA_GROUP"])


def recorded(data: Path, boots: list[Boot], host: bytes = HOST) -> Path:
    """A data folder with the spool of some boots of a host."""
    for boot in boots:
        with Spool(data / "spool", host, boot.id) as spool:
            for frame in boot.frames:
                append(spool, frame)
    return data


def messages(data: Path, host: bytes = HOST) -> Iterator[tuple[Piece, Message]]:
    """What a publisher makes of a spool, in order; the last stream goes on."""
    known = begun(data / "spool")
    for stream in known:
        pieces: list[Piece] = list(Reader(stream).read())
        pieces += [End(stream.committed)] if stream != known[-1] else []
        for piece in pieces:
            yield piece, encode(host, stream.id, stream.opened, piece)


class Writer:
    """Writes into one partition of the raw topic."""

    def __init__(self, own: Broker, partition: int = 0) -> None:
        self._topic, self._partition = own.topics.raw, partition
        self._client = Producer({"bootstrap.servers": own.servers[0], "linger.ms": 5, "message.max.bytes": 2_000_000})

    def put(self, message: Message, time_ms: int = 0) -> None:
        """The next message; its time counts where the topic takes it from its writers."""
        self._client.produce(
            self._topic, message.value, message.key, self._partition, headers=[*message.headers], timestamp=time_ms
        )
        self._client.poll(0)

    def done(self) -> None:
        """All of it is there."""
        assert not self._client.flush(60)


def publish(own: Broker, data: Path, partition: int = 0, host: bytes = HOST, *, late_ns: int = 0) -> None:
    """All that a spool holds, taken so long after it was recorded, in a topic that takes times from its writers."""
    writer, at = Writer(own, partition), 0
    for piece, message in messages(data, host):
        at = piece.time if isinstance(piece, Frame) else at
        writer.put(message, (at + late_ns) // 1_000_000)
    writer.done()


@contextmanager
def worker(own: Broker, data: Path, sink: Sink, name: str = "one") -> Iterator[Worker]:
    """A worker on topics, which ends when it has read all that there is: `run(follow=False)`."""
    stop = threading.Event()
    with ExitStack() as stack:
        checkpoints = stack.enter_context(closing(KafkaCheckpoints(own, stop)))
        letters = stack.enter_context(closing(KafkaLetters(own)))
        mark = stack.enter_context(closing(Mark(data / f"{name}.mark", checkpoints)))
        source = stack.enter_context(closing(KafkaSource(own, "", stop, once=True)))
        yield worker_with(source, checkpoints, letters, mark, sink, stop)


def work(own: Broker, data: Path, sink: MemorySink | None = None) -> dict[str, Document]:
    """Everything that stands in the raw topic, once; returns the sink's documents by id."""
    sink = sink or MemorySink()
    with worker(own, data, sink) as made:
        made.run(follow=False)
    return sink.documents


def letters(own: Broker) -> list[Letter]:
    """All dead letters that there are, the oldest first."""
    with closing(KafkaLetters(own)) as opened:
        return list(opened.all())
