"""From a Kafka message to what a worker takes."""

from __future__ import annotations

from typing import cast

from enrich.kafka.client import TIMESTAMP_LOG_APPEND_TIME, Message
from enrich.sources import Refused, Taken
from shipper.wire.message import MessageError, read

MAX_KEY = 100
"""Bytes of a key that an origin tells: ours have 32, anybody's may be as large as a message."""


def taken(partition: str, place: int, message: Message) -> Taken | Refused:
    """What stands at a place of a partition. Its time is told where the topic says that it is the broker's."""
    kind, at = message.timestamp()
    moment = at * 1_000_000 if kind == TIMESTAMP_LOG_APPEND_TIME else 0
    key, value = message.key(), message.value()
    origin = f"{partition}, offset {place}, key {key if key is None else key[:MAX_KEY]!r}"
    try:
        told = read(key, value, _headers(message))
    except MessageError as error:
        return Refused(place, place + 1, error, value or b"", moment, origin)
    return Taken(place, place + 1, told.stream, told.piece, moment, told.opened, origin)


def _headers(message: Message) -> list[tuple[str, bytes | None]]:
    """Raises MessageError for headers that are none of ours."""
    try:
        return cast("list[tuple[str, bytes | None]]", message.headers() or [])
    except UnicodeDecodeError as error:
        raise MessageError(f"a header's name is no text: {error}") from error
