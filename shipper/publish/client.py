"""Kafka's client as the publisher uses it: one topic, everything acknowledged by all replicas, nothing out of order."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer, ThrottleEvent

from shipper.wire.broker import Broker
from shipper.wire.message import MAX_BYTES
from shipper.wire.message import Message as Outgoing
from shipper.wire.refused import named, telling

QUEUE_KIB, QUEUE_MESSAGES = 16 << 10, 20_000
"""What may wait in the client: memory is bounded by both, whatever becomes of the brokers."""
RETRIES, RETRY_MS, RETRY_MAX_MS = 8, 100, 1000
"""A refusal that may pass is tried again for some five seconds, then told: the spool keeps what is refused."""
CLOSE_SECONDS = 1.0
_SECRET = re.compile(
    r"password|secret|pem|oauthbearer\.(?!method|client\.id|scope)|assertion|jaas|keytab", re.IGNORECASE
)
SAY_SECONDS = 60.0
_IDLE_TALK = {"CONFWARN", "GETPID"}
"""Kinds of log lines: on settings that are meant so (enable.gapless.guarantee, which it calls experimental), and that a
broker which has just started does not give out producers' numbers yet."""
_DETAIL = 300
"""Characters that are told of an error's own text."""

_log = structlog.get_logger()


class ClientError(RuntimeError):
    """The client does not take its settings; the message says which."""


class RefusedError(RuntimeError):
    """Nothing can be published now; `name` is the error's in Kafka, `detail` what the client says of it."""

    def __init__(self, name: str, detail: str = "") -> None:
        super().__init__(f"{name}: {detail}")
        self.name, self.detail = name, detail


class Client:
    """One producer's life; after a RefusedError another one is made.

    A piece that is refused stops all behind it (enable.gapless.guarantee): who reads never sees a hole that is filled
    later. No message times out, for that would be such a hole.
    """

    def __init__(self, broker: Broker) -> None:
        self._topic = broker.topics.raw
        self._hidden = [text for name, text in broker.security.items() if _SECRET.search(name) and len(text) > 2]
        self._failed = False
        self.heard: dict[str, str] = {}
        """What the client told of its troubles since somebody emptied it: name → text."""
        self.throttled = 0.0
        """Seconds that brokers had us wait, the last time; 0 when they no longer do."""
        own = broker.properties(
            enable_idempotence=True,
            enable_gapless_guarantee=True,
            acks="all",
            allow_auto_create_topics=False,
            retries=RETRIES,
            retry_backoff_ms=RETRY_MS,
            retry_backoff_max_ms=RETRY_MAX_MS,
            message_timeout_ms=0,
            topic_metadata_propagation_max_ms=3000,
            reconnect_backoff_ms=500,
            reconnect_backoff_max_ms=2000,
            queue_buffering_max_kbytes=QUEUE_KIB,
            queue_buffering_max_messages=QUEUE_MESSAGES,
            batch_size=MAX_BYTES,
            log_connection_close=False,
        )
        self._said = _Log(self._clean)
        heard = {"error_cb": self._hear, "throttle_cb": self._throttle, "logger": self._said}
        try:
            self._producer = Producer({"compression.type": "lz4", **own, **heard})
        except (KafkaException, ValueError, TypeError) as error:
            raise ClientError(f"Kafka's client refuses its settings: {self._clean(_text(error))}") from None

    def partitions(self, seconds: float) -> int:
        """How many the topic has now; waits so long at the most for an answer. Raises RefusedError."""
        try:
            topic = self._producer.list_topics(self._topic, seconds).topics[self._topic]
        except KafkaException as error:
            self.poll(0)  # what is heard of connections tells more than that there was no answer
            self._fail(_told(error))
        else:
            if topic.error is None and topic.partitions:
                return len(topic.partitions)
            self._fail(topic.error or KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
        self.poll(0)
        raise AssertionError("poll raises what failed")

    def send(self, message: Outgoing, partition: int, arrived: Callable[[], None]) -> bool:
        """Hand over a message; False while there is no room for it. `arrived` is called by `poll`, once, if it does.

        Raises RefusedError.
        """

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is None:
                arrived()
            else:
                self._fail(error)

        try:
            self._producer.produce(
                self._topic, message.value, message.key, partition, delivered, headers=list(message.headers)
            )
        except BufferError:
            return False
        except KafkaException as error:
            self._fail(_told(error))
            self.poll(0)
        return True

    def poll(self, seconds: float) -> None:
        """Hear what became of messages; waits for that so long at the most. Raises RefusedError."""
        try:
            self._producer.poll(seconds)
        except KafkaException as error:  # a fatal one: of what messages failed comes behind it
            self._fail(_told(error))
        if self._failed:
            self._listen(lambda: not any(map(telling, self.heard)))
            name = max(self.heard, key=telling)  # of what was heard, what tells most
            raise RefusedError(name, self.heard[name])

    def close(self) -> None:
        """Give up what is on its way. That some of it was acknowledged may still be heard."""
        self._said.closing = True
        with suppress(KafkaException):
            self._producer.purge(blocking=False)
        self._listen(lambda: len(self._producer) > 0)  # what is never heard of is never freed
        del self._producer  # at once, with its threads: collected later, they would pile up

    def _listen(self, waiting: Callable[[], bool]) -> None:
        """Hear what there is to be heard, for a moment; that what fails is fatal is known."""
        until = time.monotonic() + CLOSE_SECONDS
        while waiting() and time.monotonic() < until:
            try:
                self._producer.poll(CLOSE_SECONDS / 20)
            except KafkaException as error:
                _told(error)

    def _fail(self, error: KafkaError) -> None:
        self._failed = True
        self._hear(error)

    def _hear(self, error: KafkaError) -> None:
        text = error.str()
        self.heard.setdefault(named(error.name(), text), self._clean(text))

    def _throttle(self, event: ThrottleEvent) -> None:
        self.throttled = event.throttle_time

    def _clean(self, text: str) -> str:
        """Without secrets, and not too long."""
        for secret in self._hidden:
            text = text.replace(secret, "***")
        return text[:_DETAIL]


class _Log:
    """Takes the client's own log lines, as the standard library's loggers do.

    Each kind of line is a warning once in SAY_SECONDS; the client repeats itself with every try to connect.
    """

    _said: ClassVar[dict[str, float]] = {}
    """When each kind was a warning, of all clients: another one is made after each refusal."""

    def __init__(self, clean: Callable[[str], str]) -> None:
        self._clean = clean
        self.closing = False
        """What it says of what we give up is no news."""

    def log(self, level: int, form: str, *told: str) -> None:
        """One line; the first thing told is its kind, as FAIL, and the last its text."""
        kind, now = told[0], time.monotonic()
        grave = level >= logging.WARNING and kind not in _IDLE_TALK and not self.closing
        if grave and now - self._said.get(kind, -SAY_SECONDS) >= SAY_SECONDS:
            self._said[kind] = now
            _log.warning("Kafka's client says", text=self._clean(form % told))
        else:
            _log.debug("Kafka's client says", text=self._clean(form % told))


def _told(error: KafkaException) -> KafkaError:
    """What it tells. The client's library never frees what it raises for a fatal error: at least not all our frames."""
    error.__traceback__ = None
    told: KafkaError = error.args[0]
    return told


def _text(error: BaseException) -> str:
    first = error.args[0] if error.args else error
    return first.str() if isinstance(first, KafkaError) else str(first)
