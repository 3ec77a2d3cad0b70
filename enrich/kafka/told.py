"""What workers tell of themselves in the state topic: `enrich.kafka.telling` puts it there, `heard` reads it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

PREFIX = "status/"
"""What keys begin with; the worker's group and, behind another /, its name follow."""
PARTITION = 0
MAX_STREAMS, MAX_ACCOUNTS, MAX_NAME, MAX_ERROR = 1000, 300, 64, 500
"""A worker tells of so many streams and containers, and so many characters: a message stays below the 1,000,000 bytes
that clients send. What is beyond is told as a sum."""
REST = -2
"""The cgroup under which the accounts of a stream are that are beyond MAX_ACCOUNTS, as one."""

Count = Annotated[int, msgspec.Meta(ge=-(1 << 62), le=1 << 62)]


class Account(msgspec.Struct, omit_defaults=True):
    """One container's, as `enrich.steps.ledger` tells it."""

    seen: Count
    received: Count
    lost: dict[str, Count]
    container: str | None = None


class StreamTold(msgspec.Struct, omit_defaults=True):
    """One stream of a partition."""

    host: str = ""
    """The host's id, in hexadecimal."""
    frame: Count = 0
    frame_time: Count = 0
    """Of the newest frame that was taken, ns since 1970; 0: none was."""
    name: str | None = None
    """The host's name."""
    holes: Count = 0
    """Frames that are missing."""
    refused: Count = 0
    """Frames that were refused because another stream speaks for the host."""


class PartitionTold(msgspec.Struct, omit_defaults=True):
    """One partition that is a worker's."""

    place: Count = 0
    lag: Count = 0
    """Messages that were not taken yet."""
    checkpoint_age_seconds: float = 0.0
    streams: dict[str, StreamTold] = {}


class WorkerTold(msgspec.Struct, omit_defaults=True):
    """How a worker does."""

    time: Count = 0
    """By its clock, ns since 1970."""
    ended: bool = False
    """It ended in order, and has no partitions any more."""
    group: str = ""
    """Its consumer group: workers of different groups read the same partitions."""
    partitions: dict[str, PartitionTold] = {}
    counts: dict[str, Count] = {}
    accounts: dict[str, dict[int, Account]] = {}
    """Stream → cgroup → account."""
    untold: Count = 0
    """Streams beyond MAX_STREAMS."""
    error: str | None = None
    store_error: str | None = None


def of_facts(facts: Mapping[str, Any], *, ended: bool = False, group: str = "") -> WorkerTold:
    """What a worker tells, of its facts: bounded, whatever hosts and containers there are."""
    lag = facts.get("lag") or {}
    found = {
        (partition, stream): told
        for partition, known in facts.get("partitions", {}).items()
        for stream, told in known.get("streams", {}).items()
    }
    newest = sorted(found, key=lambda each: -found[each].get("frame_time", 0))[:MAX_STREAMS]
    partitions = {
        name: PartitionTold(known.get("place", 0), lag.get(name, 0), known.get("checkpoint_age_seconds", 0.0))
        for name, known in facts.get("partitions", {}).items()
    }
    for partition, stream in newest:
        partitions[partition].streams[stream] = _stream(found[partition, stream])
    streams = {stream for _, stream in newest}
    accounts = {stream: owners for stream, owners in facts.get("accounts", {}).items() if stream in streams}
    return WorkerTold(
        time.time_ns(),
        ended,
        group,
        partitions,
        dict(facts.get("counts", {})),
        _bounded(accounts),
        len(found) - len(newest),
        _cut(facts.get("error"), MAX_ERROR),
        _cut(facts.get("store_error"), MAX_ERROR),
    )


def _stream(told: Mapping[str, Any]) -> StreamTold:
    host, frame, time = told.get("host", ""), told.get("frame", 0), told.get("frame_time", 0)
    return StreamTold(host, frame, time, _cut(told.get("name"), MAX_NAME), told.get("holes", 0), told.get("refused", 0))


def _cut(text: str | None, length: int) -> str | None:
    return text and text[:length]


def _bounded(accounts: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> dict[str, dict[int, Account]]:
    """The busiest accounts, and of each stream the sum of all others."""
    known = [(stream, owner, account) for stream, owners in accounts.items() for owner, account in owners.items()]
    known.sort(key=lambda each: -each[2]["seen"])
    told: dict[str, dict[int, Account]] = {}
    for index, (stream, owner, account) in enumerate(known):
        at = told.setdefault(stream, {})
        if index < MAX_ACCOUNTS:
            at[owner] = Account(
                account["seen"], account["received"], dict(account["lost"]), _cut(account.get("container"), MAX_NAME)
            )
            continue
        rest = at.setdefault(REST, Account(0, 0, {}))
        rest.seen += account["seen"]
        rest.received += account["received"]
        for cause, count in account["lost"].items():
            rest.lost[cause] = rest.lost.get(cause, 0) + count
    return told
