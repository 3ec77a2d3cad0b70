"""Target: a partition of the log in which whoever writes what he likes, beside an agent."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any

import msgspec

from enrich.enricher import Enricher
from enrich.partition import Partition
from enrich.sources import Refused, Taken
from shipper.wire.frame import KEYFRAME, Frame, FrameError, head, walk
from shipper.wire.message import STREAM, Message, MessageError, encode, read
from shipper.wire.records import KeyframeBegin, KeyframeEnd
from tests.unit.frames import frame
from tests.unit.stream import SECOND, UNIX, container, exec_

NAME = "cgtrail.raw-0"
AGENT, HOST = b"a" * 16, b"h" * 16
HOSTILE = 64
"""Messages of one input that are taken; what is behind them tries nothing new."""
HEADERS = ("cgtrail.stream", "cgtrail.opened", "cgtrail.kind", "cgtrail.number")

_Wire = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]], int]
"""Key, value, headers, and how many seconds before or behind the agent's the log took it."""


def packed(messages: list[_Wire]) -> bytes:
    """The input that stands for messages."""
    return msgspec.msgpack.encode(messages)


def partition(data: bytes) -> None:
    """Nothing raises; the agent's documents are what they are alone; a restart anywhere makes the same."""
    try:
        hostile = msgspec.msgpack.decode(data, type=list[_Wire])[:HOSTILE]
    except (ValueError, RecursionError):
        hostile = [(b"", data, [], 0), (b"", data, [(name, data) for name in HEADERS], 0), *_framed(data)]
    log = list(_log(hostile))
    whole = _made(_fresh(), log)
    assert [each for each in whole[0] if each[0].startswith(AGENT.hex())] == _alone()
    assert len({name for name, _, _ in whole[1]}) == len(whole[1])
    place = len(log) * (zlib.crc32(data) & 0xFF) >> 8
    before = _fresh()
    first = _made(before, log[:place], end=False)
    after = _fresh(place)
    after.restore(place, before.save())
    rest = _made(after, log[place:])
    assert (first[0] + rest[0], first[1] + rest[1]) == whole


def _framed(data: bytes) -> Iterator[_Wire]:
    """Bytes as the payload of a frame of a host of its own."""
    with suppress(FrameError):
        list(walk(data))
    odd = Frame(b"o" * 16, b"o" * 16, b"o" * 16, 0, 0, data[: 1 << 16], time=UNIX)
    message = encode(odd.host, odd.stream, UNIX, odd)
    yield message.key, message.value, [*message.headers], 0


def _log(hostile: list[_Wire]) -> Iterator[Taken | Refused]:
    """The agent's messages, with the others' in turn between them."""
    own: list[_Wire] = [(each.key, each.value, [*each.headers], 0) for each in _agent()]
    each = -(-len(hostile) // (len(own) - 1)) if hostile else 0
    mixed: list[_Wire] = []
    for index, message in enumerate(own):
        mixed += [message, *(_theirs(other) for other in hostile[index * each : (index + 1) * each])]
    for place, (key, value, headers, late) in enumerate(mixed):
        time = max(UNIX + (20 + max(min(late, 1 << 30), -(1 << 30))) * SECOND, 0)
        try:
            told = read(key, value, headers)
        except MessageError as error:
            yield Refused(place, place + 1, error, value or b"", time, f"{NAME}, offset {place}")
        else:
            yield Taken(place, place + 1, told.stream, told.piece, time, told.opened, f"{NAME}, offset {place}")


def _theirs(message: _Wire) -> _Wire:
    """Whoever writes does not know the agent's stream, which is random, and is not of its host."""
    key, value, headers, late = message
    headers = [(name, b"b" * 32 if name == STREAM and _hex(told) == AGENT else told) for name, told in headers]
    with suppress(FrameError):
        if value and head(value).host == HOST:
            return key, b"", headers, late
    return key, value, headers, late


def _hex(told: bytes | None) -> bytes:
    try:
        return bytes.fromhex((told or b"").decode("ascii"))
    except ValueError:
        return b""


def _fresh(committed: int = 0) -> Partition:
    return Partition(NAME, committed, 0, lambda stream, opened: Enricher(stream, opened=opened), Counter())


def _made(
    own: Partition, log: list[Taken | Refused], *, end: bool = True
) -> tuple[list[tuple[str, bytes]], list[Kept]]:
    """Documents and letters, to be compared to the byte."""
    for taken in log:
        own.take(taken)
    if end:
        own.end()
    own.facts()
    own.accounts()
    documents = [(each.id, each.encode()) for each in own.made.documents]
    return documents, [(each.id, each.reason, each.body) for each in own.made.letters]


Kept = tuple[str, str, bytes]


@cache
def _agent() -> list[Message]:
    records: list[list[Any]] = [
        [KeyframeBegin(), *container(), KeyframeEnd()],
        *([exec_(pid, 1, b"/bin/p%d" % pid)] for pid in range(2, 9)),
    ]
    made = []
    for number, told in enumerate(records):
        for record in told:
            record.time = 10 * SECOND
        payload = frame(number, *(record.encode() for record in told)).payload
        flags = 0 if number else KEYFRAME
        one = Frame(AGENT, HOST, b"b" * 16, number, len(told), payload, time=UNIX + 10 * SECOND, flags=flags)
        made.append(encode(HOST, AGENT, UNIX, one))
    return made


@cache
def _alone() -> list[tuple[str, bytes]]:
    return _made(_fresh(), list(_log([])))[0]
