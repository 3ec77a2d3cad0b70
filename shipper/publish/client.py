"""Kafka's client as the publisher uses it: one topic, everything acknowledged by all replicas, nothing out of order."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from contextlib import suppress

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer, ThrottleEvent

from shipper.wire.broker import Broker
from shipper.wire.message import MAX_BYTES
from shipper.wire.message import Message as Outgoing
from shipper.wire.refused import telling

QUEUE_KIB, QUEUE_MESSAGES = 16 << 10, 20_000
"""What may wait in the client: memory is bounded by both, whatever becomes of the brokers."""
RETRIES, RETRY_MS, RETRY_MAX_MS = 8, 100, 1000
"""A refusal that may pass is tried again for some five seconds, then told: the spool keeps what is refused."""
METADATA_SECONDS = 5.0
CLOSE_SECONDS = 1.0
_SECRET = re.compile(
    r"password|secret|pem|oauthbearer\.(?!method|client\.id|scope)|assertion|jaas|keytab", re.IGNORECASE
)
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
        self._failed: RefusedError | None = None
        self.heard: dict[str, str] = {}
        """What the client told of its troubles since somebody emptied it: name → text."""
        self.throttled = 0.0
        """Seconds that brokers had us wait, the last time; 0 when they no longer do."""
        own = broker.properties(
            enable_idempotence=True,
            enable_gapless_guarantee=True,
            acks="all",
            retries=RETRIES,
            retry_backoff_ms=RETRY_MS,
            retry_backoff_max_ms=RETRY_MAX_MS,
            message_timeout_ms=0,
            topic_metadata_propagation_max_ms=3000,
            reconnect_backoff_max_ms=2000,
            queue_buffering_max_kbytes=QUEUE_KIB,
            queue_buffering_max_messages=QUEUE_MESSAGES,
            batch_size=MAX_BYTES,
            log_connection_close=False,
        )
        heard = {"error_cb": self._trouble, "throttle_cb": self._throttle, "logger": _Log(self._clean)}
        try:
            self._producer = Producer({"compression.type": "zstd", **own, **heard})
        except (KafkaException, ValueError, TypeError) as error:
            raise ClientError(f"Kafka's client refuses its settings: {self._clean(_text(error))}") from None

    def partitions(self) -> int:
        """How many the topic has now. Raises RefusedError."""
        try:
            topic = self._producer.list_topics(self._topic, METADATA_SECONDS).topics[self._topic]
        except KafkaException as error:
            self.poll(0)
            raise self._refused(error.args[0]) from None
        if topic.error is not None:
            raise self._refused(topic.error)
        return len(topic.partitions)

    def send(self, message: Outgoing, partition: int, arrived: Callable[[], None]) -> bool:
        """Hand over a message; False while there is no room for it. `arrived` is called by `poll`, once, if it does.

        Raises RefusedError.
        """

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is None:
                arrived()
            elif self._failed is None or telling(self._failed.name) < telling(error.name()):
                self._failed = self._refused(error)

        try:
            self._producer.produce(
                self._topic, message.value, message.key, partition, delivered, headers=list(message.headers)
            )
        except BufferError:
            return False
        except KafkaException as error:
            self.poll(0)
            raise self._failed or self._refused(error.args[0]) from None
        return True

    def poll(self, seconds: float) -> None:
        """Hear what became of messages; waits for that so long at the most. Raises RefusedError."""
        self._producer.poll(seconds)
        if self._failed:
            raise self._failed

    def close(self) -> None:
        """Give up what is on its way."""
        with suppress(KafkaException):
            self._producer.purge(blocking=False)
            self._producer.flush(CLOSE_SECONDS)

    def _refused(self, error: KafkaError) -> RefusedError:
        """The error, or what was heard before, if that tells more."""
        self.heard.setdefault(error.name(), self._clean(error.str()))
        name = max(self.heard, key=telling)
        return RefusedError(name, self.heard[name])

    def _trouble(self, error: KafkaError) -> None:
        self.heard[error.name()] = self._clean(error.str())
        if error.fatal() and self._failed is None:
            self._failed = self._refused(error)

    def _throttle(self, event: ThrottleEvent) -> None:
        self.throttled = event.throttle_time

    def _clean(self, text: str) -> str:
        """Without secrets, and not too long."""
        for secret in self._hidden:
            text = text.replace(secret, "***")
        return text[:_DETAIL]


class _Log:
    """Takes the client's own log lines, as the standard library's loggers do."""

    def __init__(self, clean: Callable[[str], str]) -> None:
        self._clean = clean

    def log(self, level: int, form: str, *arguments: str) -> None:
        """One line. What the client finds critical is an error, its errors are mostly connections: warnings."""
        try:
            text = form % arguments
        except (TypeError, ValueError):
            text = " ".join(map(str, arguments))
        method = {logging.CRITICAL: _log.error, logging.ERROR: _log.debug, logging.WARNING: _log.debug}
        method.get(level, _log.debug)("Kafka's client says", text=self._clean(text))


def _text(error: BaseException) -> str:
    first = error.args[0] if error.args else error
    return first.str() if isinstance(first, KafkaError) else str(first)
