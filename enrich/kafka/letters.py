"""Dead letters in a topic, where all workers put them: key is the letter's id, value its bytes, headers the rest.

The topic is compacted by key: the same letter again is the same letter, and one without a value is removed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, cast

import msgspec
import structlog

from enrich.kafka.client import Health, KafkaError, KafkaException, Message, Producer, failed, flushed, producer
from enrich.kafka.reading import Span, TopicReader
from enrich.letters import Letter, LettersError
from enrich.sources import SourceError
from shipper.wire.broker import Broker

_log = structlog.get_logger()

MAX_BODY = 900_000
"""Bytes of a letter's body that are kept: librdkafka and brokers take messages of 1,000,000 as they come."""
MAX_TEXT = 4096
"""Characters of a reason and of an origin that are kept."""
SECONDS = 20
"""So long a broker may take to take a letter."""
_PREFIX = "cgtrail."
_NUMBERS, _TEXTS = ("frame", "index", "behind", "time"), ("stream", "reason", "origin")
_LENGTH = "cgtrail.length"
"""Header: how many bytes the body has; more than the value where that was cut."""

Headers = list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the newest state of a letter stands."""

    partition: int
    offset: int
    time: int
    """The broker's, in ms since 1970."""
    head: Letter | None
    """The letter without its body; None for one that was removed."""


@dataclass(slots=True)
class _Sent:
    key: bytes
    value: bytes | None
    headers: Headers
    error: KafkaError | None = None
    done: bool = False


class KafkaLetters:
    """Writes letters and reads them; what is read is as of the first question."""

    def __init__(self, broker: Broker) -> None:
        """Nothing is asked of the broker yet."""
        self._broker, self._topic = broker, broker.topics.deadletter
        self._producer: Producer | None = None
        self._reader: TopicReader | None = None
        self._places: dict[str, _Place] = {}
        self._health = Health(f"writing topic {self._topic}")
        self.dropped = 0
        """None ever is: a topic has no bound of its own."""

    def close(self) -> None:
        """Disconnect."""
        if self._reader is not None:
            self._reader.close()
        self._reader = self._producer = None

    def add(self, letters: Sequence[Letter]) -> None:
        """Keep letters; all their brokers have them when this returns. Raises SourceError."""
        self._send([_Sent(_key(letter.id), letter.body[:MAX_BODY], _headers(letter)) for letter in letters])

    def remove(self, identity: str) -> None:
        """Forget a letter, after it was delivered. Raises SourceError."""
        self._send([_Sent(_key(identity), None, [])])

    def blame(self, identity: str, reason: str) -> None:
        """A letter stays, for this reason. Raises SourceError and LettersError."""
        message = self._message(identity)
        if message is not None:
            told = dict(_told(message)) | {_PREFIX + "reason": reason.encode(errors="backslashreplace")}
            self._send([_Sent(_key(identity), message.value(), list(told.items()))])

    def ids(self) -> list[str]:
        """All their ids, the oldest letter's first. Raises LettersError."""
        return [head.id for head in self.heads()]

    def heads(self) -> Iterator[Letter]:
        """Every letter without its body, the oldest first. Raises LettersError."""
        self._read()
        heads = [place.head for place in self._places.values() if place.head]
        return iter(sorted(heads, key=attrgetter("time", "stream", "frame", "index", "id")))

    def get(self, identity: str) -> Letter | None:
        """One letter; None when it is not there any more. Raises LettersError."""
        message = self._message(identity)
        return None if message is None else _letter(message, message.value() or b"")

    def all(self) -> Iterator[Letter]:
        """Every letter, the oldest first, one by one: their bodies may be large. Raises LettersError."""
        return (letter for letter in map(self.get, self.ids()) if letter)

    def _read(self) -> None:
        """Learn which letters there are: the newest state of each key."""
        if self._reader is not None:
            return
        reader = self._reader = TopicReader(self._broker, self._topic)
        foreign = 0
        try:
            for message in reader.read(reader.spans()):
                try:
                    self._learn(message)
                except (KeyError, ValueError):
                    foreign += 1
        except SourceError as error:
            raise LettersError(str(error)) from error
        if foreign:
            _log.warning("messages that are no dead letters of this version are passed over",
                         topic=self._topic, messages=foreign, next="none, if somebody else writes there")  # fmt: skip

    def _learn(self, message: Message) -> None:
        """Raises KeyError and ValueError for what is no letter."""
        identity = (message.key() or b"").decode()
        head = None if message.value() is None else _letter(message, b"")
        here = _Place(message.partition() or 0, message.offset() or 0, message.timestamp()[1], head)
        known = self._places.get(identity)
        if known is None or known.partition == here.partition or known.time <= here.time:
            self._places[identity] = here

    def _message(self, identity: str) -> Message | None:
        self._read()
        place = self._places.get(identity)
        if place is None or place.head is None or self._reader is None:
            return None
        span = {place.partition: Span(place.offset, place.offset + 1)}
        try:
            found = list(self._reader.read(span))
        except SourceError as error:
            raise LettersError(str(error)) from error
        return found[0] if found else None

    def _send(self, waiting: list[_Sent]) -> None:
        """Until the brokers have all of it: what is too large for them is cut more. Raises SourceError."""
        self._deliver(waiting)
        for sent in waiting:
            while not sent.done:
                if sent.error is None or sent.error.code() != KafkaError.MSG_SIZE_TOO_LARGE or not sent.value:
                    self._producer = None  # what it holds still is not wanted any more
                    raise self._failed(sent.error)
                self._deliver([sent])  # alone: it may be the others that were too large for one request
                if not sent.done:
                    sent.value = sent.value[: len(sent.value) // 2]
        self._health.works()

    def _deliver(self, waiting: list[_Sent]) -> None:
        if self._producer is None:
            self._producer = producer(
                self._broker,
                self._health,
                compression_type="zstd",
                delivery_timeout_ms=SECONDS * 1000,
            )
        for sent in waiting:
            self._produce(self._producer, sent)
        flushed(self._producer, SECONDS + 5)

    def _produce(self, client: Producer, sent: _Sent) -> None:
        def told(error: KafkaError | None, _: Message) -> None:
            sent.error, sent.done = error, error is None

        while True:
            try:
                client.produce(self._topic, sent.value, sent.key, headers=[*_cut(sent)], on_delivery=told)
            except BufferError:
                client.poll(1)
            except KafkaException as error:
                sent.error = error.args[0]
                return
            else:
                return

    def _failed(self, error: KafkaError | None) -> SourceError:
        what = f"topic {self._topic} can't be written"
        if error is not None and error.code() != KafkaError._MSG_TIMED_OUT:  # noqa: SLF001  its public name
            return failed(what, error)
        why = self._health.error or f"brokers say nothing for {SECONDS} s"
        return SourceError(f"{what}: {why}: `cgtrail check` tells what is wrong with Kafka")


def _key(identity: str) -> bytes:
    return identity.encode(errors="backslashreplace")


def _headers(letter: Letter) -> Headers:
    told = {"kind": letter.kind.value, "length": str(len(letter.body))}
    told |= {name: str(getattr(letter, name)) for name in _NUMBERS + _TEXTS}
    return [(_PREFIX + name, text.encode(errors="backslashreplace")) for name, text in told.items()]


def _cut(sent: _Sent) -> Headers:
    """The headers, in which long texts are cut, and the reason says what was cut of the body."""
    if sent.value is None:
        return []
    told = {name: text[:MAX_TEXT] for name, text in sent.headers}
    length = int(told[_LENGTH])
    if length > len(sent.value):
        reason = told[_PREFIX + "reason"].partition(b"; kept: ")[0]
        told[_PREFIX + "reason"] = reason + b"; kept: the first %d of %d bytes" % (len(sent.value), length)
    return list(told.items())


def _told(message: Message) -> Headers:
    return [
        (name, value if isinstance(value, bytes) else b"") for name, value in cast("Headers", message.headers() or [])
    ]


def _letter(message: Message, body: bytes) -> Letter:
    """Raises KeyError and ValueError for a message that `_headers` did not make."""
    told = {name.removeprefix(_PREFIX): value.decode(errors="replace") for name, value in _told(message)}
    known: dict[str, Any] = {"id": (message.key() or b"").decode(), "body": b""}
    known |= {name: int(told[name]) for name in _NUMBERS} | {name: told[name] for name in _TEXTS}
    return replace(msgspec.convert(known | {"kind": told["kind"]}, Letter), body=body)
