"""From the spool to Kafka, in order, nothing left out: what is refused is sent again until it is acknowledged."""

from __future__ import annotations

import os
import random
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from shipper.publish.client import Client, ClientError, RefusedError
from shipper.publish.in_flight import InFlight, Sent
from shipper.publish.pieces import Outgoing, Pieces
from shipper.publish.troubles import Troubles
from shipper.wire.broker import Broker
from shipper.wire.frame import HEADER_SIZE, Frame
from shipper.wire.message import End, encode
from shipper.wire.position import Position, position_file
from shipper.wire.refused import SILENT, THROTTLED, telling, who_we_are
from shipper.wire.segment import Stream, streams

READER = "kafka"
"""The publisher's name among the readers of a spool."""
POLL_SECONDS = 0.05
STORE_SECONDS = 0.2
"""The position is stored so often at most: that is what a killed publisher sends again."""
AT_ONCE = 500
"""Pieces between two looks at what was acknowledged."""
HINT_SECONDS, SILENT_SECONDS = 3.0, 8.0
"""Without an acknowledgement for so long, what the client says is told; or that it says nothing."""
DRAIN_SECONDS, LAST_SECONDS = 5.0, 2.0
"""How long a stop may take, and for how much of it nothing new is sent."""
ANSWER_SECONDS, LAST_ANSWER_SECONDS = (3.0, 20.0), 2.0
"""How long brokers may take to tell the topic's partitions: at first, after refusals, and once we are to stop."""
BACKOFF_SECONDS = (0.5, 15.0)
"""Between two tries: at first, and at the most."""
THROTTLED_SECONDS, SAY_SECONDS = 1.0, 60.0
"""From when on brokers' waiting times are told, and how often."""

_log = structlog.get_logger()


@dataclass
class Publisher:
    """Publishes one spool until `stop` is set. One at a time: `shipper.lock` sees to that."""

    broker: Broker
    spool: Path
    stop: threading.Event
    renewed: Callable[[], Broker] | None = None
    """The cluster for another client after a refusal: passwords in files may have been changed."""
    sent_frames: int = 0
    sent_bytes: int = 0
    """What was acknowledged since the start."""

    def __post_init__(self) -> None:
        """Reads the positions."""
        self._file = position_file(self.spool, READER)
        self._positions = self._file.load()
        self._stored = dict(self._positions)
        self._in_flight = InFlight()
        self._troubles = Troubles(self.broker.topics.raw)
        self._pieces: Pieces | None = None
        self._last = _Last()
        self._deadline = 0.0
        self._throttled = 0.0
        self._partitions = 0
        self.turned = time.monotonic()
        """When the main loop turned last."""

    def run(self, *, follow: bool = True) -> bool:
        """Publish what there is, and with `follow` what comes, until stopped; True when all was acknowledged.

        A stop has what is in the spool sent for DRAIN_SECONDS at the most; the position is stored last. Raises
        ClientError where the settings are wrong.
        """
        pause = BACKOFF_SECONDS[0]
        while True:
            self.turned = time.monotonic()
            before, stopping, client = self.sent_frames, self.stop.is_set(), None
            try:
                client = Client(self.broker)
                answer = LAST_ANSWER_SECONDS if stopping else min(max(ANSWER_SECONDS[0], 4 * pause), ANSWER_SECONDS[1])
                self._partitions = client.partitions(answer)
                return self._publish(client, follow=follow)
            except RefusedError as refused:
                self._troubles.tell(refused.name, refused.detail)
            except ClientError as error:
                if self._troubles.error is None:
                    raise
                self._troubles.tell("_INVALID_ARG", str(error))  # a key was replaced, its certificate not yet
            finally:
                if client is not None:
                    client.close()
                self._move()
                self._in_flight = InFlight()
                self._store()
            if stopping or self._late():
                return False
            pause = BACKOFF_SECONDS[0] if self.sent_frames > before else min(2 * pause, BACKOFF_SECONDS[1])
            self.stop.wait(pause * random.uniform(0.7, 1.3))  # noqa: S311  many hosts must not come at once
            self.broker = self.renewed() if self.renewed else self.broker

    def _publish(self, client: Client, *, follow: bool) -> bool:
        """With one client, until all is acknowledged or time is up. Raises RefusedError."""
        self._pieces = Pieces(self.spool, dict(self._positions))
        waiting = _Waiting(self._pieces)
        while True:
            self.turned = time.monotonic()
            sent = not self._closing() and self._send(client, waiting)
            client.poll(0 if sent else POLL_SECONDS)
            self._settle(client)
            if not self._in_flight and (not follow or self.stop.is_set()) and waiting.empty():
                return True
            if self._late():
                return False

    def _send(self, client: Client, waiting: _Waiting) -> bool:
        """Hand over some pieces; False when there are no more, or there is no room for more."""
        for _ in range(AT_ONCE):
            outgoing = waiting.next()
            if outgoing is None:
                return False
            piece, name = outgoing.piece, outgoing.stream.hex()
            partition = self._partition(name, outgoing.host)
            told = (piece.time, HEADER_SIZE + len(piece.payload)) if isinstance(piece, Frame) else (0, 0)
            # The last frame is wanted until the end is told: what is read whole may be removed at any time.
            needs = outgoing.behind if isinstance(piece, End) else max(outgoing.behind - 1, 0)
            sent = Sent(name, Position(outgoing.behind, needs, partition), *told)
            message = encode(outgoing.host, outgoing.stream, outgoing.opened, piece)
            if not client.send(message, partition, sent.arrive):
                return False
            self._in_flight.add(sent)
            waiting.taken()
        return True

    def _partition(self, name: str, host: bytes) -> int:
        """Where a stream goes for as long as it lives: as librdkafka's partitioner `consistent` chose at its begin."""
        known = self._positions.get(name, Position(0))
        if not 0 <= known.partition < self._partitions:
            chosen = zlib.crc32(host.hex().encode()) % self._partitions
            if known.partition >= 0:
                _log.warning("the stream's partition is gone; it goes on in another", stream=name,
                             gone=known.partition, partition=chosen,
                             next="was the topic made anew? Workers tell what is lost of it")  # fmt: skip
            self._positions[name] = Position(known.next, known.needs, chosen)
            self._store()  # before the first piece: a topic that grows moves no stream
        return self._positions[name].partition

    def _move(self) -> bool:
        """Positions move with what was acknowledged; whether anything was."""
        settled = self._in_flight.settle()
        for sent in settled:
            self._positions[sent.stream] = sent.behind
            if sent.size:
                self.sent_frames += 1
                self.sent_bytes += sent.size
                self._last.time = sent.time
        return bool(settled)

    def _settle(self, client: Client) -> None:
        """What was acknowledged counts; for how long nothing was is told, and that brokers slow us down."""
        now = time.monotonic()
        if self._move():
            self._last.heard = now
            self._troubles.over()
            client.heard.clear()
        elif self._in_flight:
            self._hint(client, min(self._in_flight.age, now - self._last.heard))
        if now - self._last.stored >= STORE_SECONDS:
            self._store()
        if client.throttled >= THROTTLED_SECONDS and now - self._throttled >= SAY_SECONDS:
            self._throttled = now
            _log.warning("brokers slow us down: a quota", wait_seconds=client.throttled,
                         next="raise producer_byte_rate of this user or client with kafka-configs.sh")  # fmt: skip

    def _hint(self, client: Client, silent: float) -> None:
        if silent >= HINT_SECONDS and client.heard:
            name = max(client.heard, key=telling)
            if who_we_are(name):
                raise RefusedError(name, client.heard[name])  # this client will never know another password
            self._troubles.hint(name, client.heard[name])
        elif silent >= SILENT_SECONDS:
            self._troubles.hint(THROTTLED if client.throttled else SILENT, f"for {silent:.0f} s")

    def _store(self) -> None:
        """Make positions durable, of the streams that there still are."""
        self._last.stored = time.monotonic()
        if self._positions == self._stored:
            return
        here = {stream.id.hex() for stream in streams(self.spool)}
        kept = {name: place for name, place in self._positions.items() if name in here}
        try:
            self._file.store(kept)
        except OSError as error:
            if not self._last.unwritable:
                _log.warning("the position can't be stored; what was acknowledged is sent again after a restart",
                             file=str(self._file.path), error=str(error), next="make room there")  # fmt: skip
            self._last.unwritable = True
        else:
            self._positions, self._stored, self._last.unwritable = kept, dict(kept), False

    def _late(self) -> bool:
        """Whether a stop has taken as long as it may."""
        if self.stop.is_set() and not self._deadline:
            self._deadline = time.monotonic() + DRAIN_SECONDS
        return bool(self._deadline) and time.monotonic() >= self._deadline

    def _closing(self) -> bool:
        """Whether nothing new is to be sent: what is on its way is waited for."""
        return bool(self._deadline) and time.monotonic() >= self._deadline - LAST_SECONDS

    def facts(self) -> dict[str, Any]:
        """How it goes, for people and metrics; may be asked from another thread."""
        positions, pieces = self._positions, self._pieces
        stream = pieces.stream if pieces else None
        known = positions.get(stream.id.hex()) if stream else None
        backlog = sum(max(each.committed - _next(positions, each), 0) for each in streams(self.spool))
        return {
            "pid": os.getpid(),
            "time": time.time_ns(),
            "turned": self.turned,
            "stream": stream.id.hex() if stream else None,
            "partition": known.partition if known else None,
            "number": pieces.number if pieces else 0,
            "acknowledged": known.next if known else 0,
            "sent_frames": self.sent_frames,
            "sent_bytes": self.sent_bytes,
            "in_flight": len(self._in_flight),
            "in_flight_age_seconds": self._in_flight.age,
            "backlog_frames": backlog,
            "lag_seconds": self._lag() if backlog else 0.0,
            "error": self._troubles.error,
            "errors": dict(self._troubles.count),
        }

    def _lag(self) -> float:
        """Seconds since the last frame that was acknowledged was written; where none was, since the first one."""
        at = self._last.time
        if not at:
            waiting = (each for each in streams(self.spool) if each.committed > _next(self._positions, each))
            heads = (segment.head() for stream in waiting for segment in stream.segments())
            at = next((head.time for head in heads if head), time.time_ns())
        return max(time.time_ns() - at, 0) / 1e9


@dataclass
class _Last:
    heard: float = field(default_factory=time.monotonic)
    """When something was acknowledged."""
    stored: float = 0.0
    """When positions were stored, or that was tried."""
    unwritable: bool = False
    time: int = 0
    """Of the last frame that was acknowledged."""


class _Waiting:
    """The next piece, kept until it is taken."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self._reading: Iterator[Outgoing] = iter(())
        self._next: Outgoing | None = None

    def next(self) -> Outgoing | None:
        """The piece; None when there is none now."""
        if self._next is None:
            self._next = next(self._reading, None)
            if self._next is None:
                self._reading = self._pieces.read()
                self._next = next(self._reading, None)
        return self._next

    def taken(self) -> None:
        """It is on its way."""
        self._next = None

    def empty(self) -> bool:
        """Whether there is nothing now."""
        return self.next() is None


def _next(positions: dict[str, Position], stream: Stream) -> int:
    return positions.get(stream.id.hex(), Position(0)).next
