"""Spools that were recorded, as a publisher brings them into a topic; and what stands in topics of a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from confluent_kafka import Producer

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
