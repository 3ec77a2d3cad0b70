"""Kafka's client as workers use it: made here, its errors in words, its own log in ours."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from enrich.sources import SourceError
from shipper.wire.broker import Broker
from shipper.wire.refused import telling, words

__all__ = [
    "ASTRAY",
    "END",
    "MOVING",
    "OFFSET_BEGINNING",
    "OFFSET_END",
    "TIMESTAMP_LOG_APPEND_TIME",
    "Consumer",
    "Health",
    "KafkaError",
    "KafkaException",
    "Message",
    "Producer",
    "TopicPartition",
    "consumer",
    "failed",
    "producer",
    "reason",
    "silent",
]

_log = structlog.get_logger()
_REQUEST_MS = 20_000
"""A broker that does not answer a request for so long is asked again, or another one is."""
_TOLD_ELSEWHERE = frozenset(("FAIL", "ERROR", "REQTMOUT", "CLOSE", "ASSIGN", "SESSTMOUT", "CONFWARN", "FATAL"))
"""Kinds of librdkafka's log lines that come as errors or rebalances too, or that say nothing to people."""
END = KafkaError._PARTITION_EOF  # noqa: SLF001  so the client names its own codes
"""Code of what is given where a partition ends now."""
ASTRAY = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._LOG_TRUNCATION)  # noqa: SLF001
"""Codes of what is given where a place is not in the log."""
MOVING = (KafkaError.ILLEGAL_GENERATION, KafkaError.REBALANCE_IN_PROGRESS, KafkaError.UNKNOWN_MEMBER_ID)
"""Codes of what members are told while partitions move between them: it passes."""
FATAL = KafkaError._FATAL  # noqa: SLF001
Settings = Mapping[str, str | int | bool]


class Health:
    """What a client complains of: said once in words, and once when it works again."""

    def __init__(self, what: str, *, quiet: bool = False) -> None:
        """`what` is not possible when it complains: "reading Kafka". `quiet`: nothing is logged, who asks is told."""
        self._what, self._quiet = what, quiet
        self.cause: KafkaError | None = None
        """What was heard last that tells a reason, where what is raised may not: a login that is refused."""
        self._said: set[str] = set()
        self.error: str | None = None
        """What stands in the way now."""
        self.fatal: str | None = None
        """Why the client can't ever go on."""

    def met(self, error: Exception) -> None:
        """As `complain`, of an exception."""
        inner = _cause(error)
        if isinstance(inner, KafkaError):
            self.complain(inner)
            return
        if self.error is None:
            _log.warning(f"{self._what} is not possible now; trying again", error=str(error))
        self.error = str(error)

    def complain(self, error: KafkaError) -> None:
        """Something does not work now; the client goes on trying."""
        name = error.name()
        if self.error is not None and not telling(name):
            return
        told = words(name)
        self.error = f"{told.sentence} ({name})"
        if telling(name) > 1:
            self.cause = error
        if name not in self._said and not self._quiet:
            self._said.add(name)
            _log.warning(
                f"{self._what} is not possible now; trying again",
                error=self.error,
                said=error.str(),
                next=told.advice,
            )

    def heard(self, error: KafkaError) -> None:
        """As `complain`, of what the client tells by itself: one broker of several may be away, and others serve."""
        if error.fatal() or error.code() == FATAL:
            self.fatal = error.str()
        elif error.name() != "_TRANSPORT":
            self.complain(error)

    def works(self) -> None:
        """It works."""
        if self.error is not None:
            if not self._quiet:
                _log.info(f"{self._what} works again")
            self.error = self.cause = None
            self._said.clear()


class _Log:
    """Takes what librdkafka logs, which it gives to whatever has this method of logging.Logger's."""

    @staticmethod
    def log(level: int, form: str, *values: Any) -> None:
        """`values`: the kind of line, the client's name, the line."""
        kind, _, line = values if len(values) == 3 else ("", "", form % values)
        loud = level >= logging.WARNING and kind not in _TOLD_ELSEWHERE
        (_log.warning if loud else _log.debug)("Kafka's client says", kind=kind, line=line)


def consumer(
    broker: Broker,
    health: Health,
    defaults: Settings | None = None,
    called: Mapping[str, Callable[..., None]] | None = None,
    **own: str | int | bool,
) -> Consumer:
    """A consumer. `own`, with underscores for dots, wins over what is configured; `defaults` do not.

    `called`: callbacks by their properties' names.

    Raises SourceError for settings that the client refuses.
    """
    # No transaction of somebody's that never ends holds a partition up.
    told: dict[str, Any] = {"socket.timeout.ms": _REQUEST_MS, "isolation.level": "read_uncommitted"} | dict(
        defaults or {}
    )
    made: Consumer = _made(Consumer, health, told | broker.properties(**own) | dict(called or {}))
    return made


def flushed(producer: Producer, seconds: float) -> bool:
    """Whether all is told of that was to be sent, after so long at the most.

    By polling: Producer.flush raises what is no exception once its client has met what it calls fatal.
    """
    until = time.monotonic() + seconds
    while len(producer) and time.monotonic() < until:
        with suppress(KafkaException):  # told of message by message, and to the client's error_cb
            producer.poll(0.1)
    return not len(producer)


def producer(broker: Broker, health: Health, defaults: Settings | None = None, **own: str | int | bool) -> Producer:
    """A producer whose messages are safe, and in order, once they are delivered. Raises SourceError as `consumer`."""
    told = dict(defaults or {}) | broker.properties(enable_idempotence=True, acks="all", **own)
    made: Producer = _made(Producer, health, told)
    return made


def _made(kind: Callable[..., Any], health: Health, told: dict[str, Any]) -> Any:
    try:
        return kind(told | {"error_cb": health.heard}, logger=_Log())
    except (KafkaException, ValueError, TypeError) as error:
        message = f"Kafka's client refuses its settings ({_cause(error)}): see to [kafka] in the configuration"
        raise SourceError(message) from error


def silent() -> KafkaException:
    """What to raise where brokers do not answer in time."""
    return KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001


def failed(what: str, error: KafkaError | Exception) -> SourceError:
    """What to raise for an error of the client's. `what` can't be done: "the state can't be read"."""
    inner = error if isinstance(error, KafkaError) else _cause(error)
    if not isinstance(inner, KafkaError):
        return SourceError(f"{what}: {inner}")
    if inner.code() in MOVING:
        return SourceError(f"{what} while partitions move between workers ({inner.name()}); it passes")
    told = words(inner.name())
    return SourceError(f"{what}: {told.sentence} ({inner.name()}: {inner.str()}); {told.advice}")


def reason(error: KafkaError | Exception, health: Health) -> KafkaError | Exception:
    """What stands behind an error: where it only says that nobody answers, what was heard of the connection."""
    inner = error if isinstance(error, KafkaError) else _cause(error)
    vague = isinstance(inner, KafkaError) and telling(inner.name()) < 2
    return health.cause if vague and health.cause is not None else inner


def _cause(error: Exception) -> KafkaError | Exception:
    inner = error.args[0] if error.args else None
    return inner if isinstance(inner, KafkaError) else error
