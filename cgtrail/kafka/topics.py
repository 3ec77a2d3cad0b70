"""The three topics: how they should be, and in what one that is there differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from cgtrail.check.finding import Level
from shipper.wire.broker import Topics

PARTITIONS = 12
"""Of a raw topic that is made: up to so many workers share it."""
REPLICATION = 3
RETENTION_HOURS = 168
LETTER_HOURS = 720
"""How long dead letters are kept."""
MAX_MESSAGE_BYTES = 1 << 20
LEAST_MESSAGE_BYTES, LEAST_LETTER_BYTES = 600_000, 950_000
"""What a message of ours has at the most (shipper.wire.message.MAX_BYTES), or a letter, with headers and batch."""
_SEGMENT_BYTES = 16 << 20
_SEGMENT_MS = 600_000
_HOUR_MS = 3_600_000


class Kind(StrEnum):
    """What a topic is for."""

    RAW = "raw"
    STATE = "state"
    DEADLETTER = "deadletter"


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants of topics; None: what we think is right."""

    partitions: int | None = None
    replication: int | None = None
    retention_hours: int | None = None
    needed_hours: int = 24
    """The least that raw must keep: as long as a spool does (spool.max_hours)."""


@dataclass(frozen=True, slots=True)
class Found:
    """A topic that is there; by partition: whether it has a leader, replicas, and those in sync."""

    led: tuple[bool, ...]
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]
    may: frozenset[str]
    """What we may do with it, as in WRITE; empty where brokers do not tell."""
    config: Mapping[str, str] | None
    """None where we may not see it."""

    @property
    def partitions(self) -> int:
        """How many there are."""
        return len(self.replicas)

    @property
    def replication(self) -> int:
        """Replicas of the partition that has fewest."""
        return min(self.replicas, default=0)

    @property
    def shape(self) -> str:
        """For people."""
        return f"{count(self.partitions, 'partition')}, {count(self.replication, 'replica')}"


@dataclass(frozen=True, slots=True)
class Difference:
    """What is not as it should be."""

    level: Level
    found: str
    advice: str
    change: tuple[str, str] | None = None
    """The configuration that would mend it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What one key of a topic's configuration must be."""

    key: str
    wanted: str
    fits: Callable[[str], bool]
    why: str
    """What comes of it where it is not so."""
    level: Level = Level.BAD


def names(topics: Topics) -> dict[Kind, str]:
    """What the topics are called."""
    return {Kind.RAW: topics.raw, Kind.STATE: topics.state, Kind.DEADLETTER: topics.deadletter}


def partitions(kind: Kind, asked: Asked) -> int:
    """How many a new topic gets. Dead letters are few."""
    return 1 if kind is Kind.DEADLETTER else asked.partitions or PARTITIONS


def config(kind: Kind, replication: int, asked: Asked) -> dict[str, str]:
    """The configuration of a new topic."""
    return {rule.key: rule.wanted for rule in rules(kind, replication, asked) if rule.key not in _INHERITED}


_INHERITED = {"retention.bytes", "unclean.leader.election.enable"}
"""What the cluster's own default decides for a new topic: right where nobody has changed it, and told where not."""


def rules(kind: Kind, replication: int, asked: Asked) -> list[Rule]:
    """What must hold for a topic of so many replicas."""
    own = {Kind.RAW: _raw, Kind.STATE: _state, Kind.DEADLETTER: _deadletter}[kind]
    return [*own(asked), *_all(replication, LEAST_LETTER_BYTES if kind is Kind.DEADLETTER else LEAST_MESSAGE_BYTES)]


def differences(kind: Kind, found: Found, asked: Asked, brokers: int) -> Iterator[Difference]:
    """In what a topic of a cluster with so many brokers differs."""
    yield from _replicas(found, asked, brokers)
    if found.config is None:
        return
    for rule in rules(kind, found.replication, asked):
        value = found.config.get(rule.key)
        if value is not None and not rule.fits(value):
            told = f"{rule.key} is {_shown(rule.key, value)}: {rule.why}"
            advice = f"set it to {_shown(rule.key, rule.wanted)}: `cgtrail setup kafka --apply` does"
            yield Difference(rule.level, told, advice, (rule.key, rule.wanted))


def count(number: int, what: str) -> str:
    """As in 1 replica, 2 replicas."""
    return f"{number} {what}" if number == 1 else f"{number:,} {what}s"


def _replicas(found: Found, asked: Asked, brokers: int) -> Iterator[Difference]:
    has = count(found.replication, "replica")
    reassign = "kafka-reassign-partitions.sh changes that, while all goes on"
    if asked.replication not in {None, found.replication}:
        yield Difference(Level.BAD, f"{has}, and {asked.replication} are wanted", reassign)
    elif not asked.replication and found.replication < min(REPLICATION, brokers):
        yield Difference(Level.NOTE, f"{has} on {brokers} brokers: a lost disk loses what is on it", reassign)
    least = int((found.config or {}).get("min.insync.replicas", "1"))
    start = "start the brokers that hold them"
    of = f"of {found.partitions} partitions"
    if leaderless := found.led.count(False):
        yield Difference(Level.BAD, f"{leaderless} {of} have no leader: nothing can be written there", start)
    elif few := sum(each < least for each in found.in_sync):
        yield Difference(
            Level.BAD, f"{few} {of} have fewer replicas in sync than the {least} that writing needs", start
        )
    elif behind := sum(each < all_ for each, all_ in zip(found.in_sync, found.replicas, strict=True)):
        yield Difference(Level.NOTE, f"{behind} {of} have replicas that are behind or away", start)


def _all(replication: int, largest: int) -> Iterator[Rule]:
    least = 2 if replication >= REPLICATION else 1
    said = f"with {replication} replicas and acks=all "
    weak = f"{said}what one broker alone has counts as kept, and is gone with it"
    tight = f"{said}nothing can be written when one broker is away"
    if replication >= REPLICATION:
        yield Rule("min.insync.replicas", str(least), lambda value: int(value) >= least, weak)
    if replication > 1:
        yield Rule("min.insync.replicas", str(least), lambda value: int(value) < replication, tight, Level.NOTE)
    else:
        yield Rule("min.insync.replicas", "1", lambda value: int(value) <= replication, "nothing can be written")
    yield Rule(
        "unclean.leader.election.enable",
        "false",
        lambda value: value == "false",
        "a broker that lags may become leader, and what the others have acknowledged vanishes",
    )
    yield Rule(
        "max.message.bytes",
        str(MAX_MESSAGE_BYTES),
        lambda value: int(value) >= largest,
        "large messages are refused, and what is behind them waits",
    )
    yield Rule(
        "compression.type",
        "producer",
        lambda value: value == "producer",
        "brokers compress again what comes compressed",
        Level.NOTE,
    )


def _raw(asked: Asked) -> Iterator[Rule]:
    yield Rule(
        "cleanup.policy",
        "delete",
        lambda value: value == "delete",
        "compaction keeps a host's last message only, and all others are lost",
    )
    yield Rule(
        "message.timestamp.type",
        "LogAppendTime",
        lambda value: value == "LogAppendTime",
        "a host whose clock is wrong decides how long its messages stay",
    )
    hours = asked.retention_hours or max(RETENTION_HOURS, asked.needed_hours)
    least = asked.retention_hours or asked.needed_hours
    short = f"messages go before {least} hours, read or not"
    if asked.retention_hours:
        yield _retention(hours, lambda ms: ms == hours * _HOUR_MS, f"{hours} hours are wanted")
    else:
        yield _retention(hours, lambda ms: ms < 0 or ms >= least * _HOUR_MS, short)
    yield Rule(
        "retention.bytes",
        "-1",
        lambda value: int(value) < 0,
        "where more comes, messages go before their time, read or not",
        Level.NOTE,
    )


def _retention(hours: int, fits: Callable[[int], bool], why: str, level: Level = Level.BAD) -> Rule:
    return Rule("retention.ms", str(hours * _HOUR_MS), lambda value: fits(int(value)), why, level)


def _state(_: Asked) -> Iterator[Rule]:
    yield Rule(
        "cleanup.policy",
        "compact",
        lambda value: value == "compact",
        "snapshots go with time, and sessions in progress are read again from their beginning, or forgotten",
    )
    slow = "a worker that takes over reads longer"
    yield Rule("segment.bytes", str(_SEGMENT_BYTES), lambda value: int(value) <= 4 * _SEGMENT_BYTES, slow, Level.NOTE)
    yield Rule("segment.ms", str(_SEGMENT_MS), lambda value: int(value) <= 6 * _SEGMENT_MS, slow, Level.NOTE)
    yield Rule("min.cleanable.dirty.ratio", "0.1", lambda value: float(value) <= 0.5, slow, Level.NOTE)


def _deadletter(_: Asked) -> Iterator[Rule]:
    yield Rule(
        "cleanup.policy",
        "compact,delete",
        lambda value: set(value.replace(" ", "").split(",")) == {"compact", "delete"},
        "it should be compacted, so that a letter that was replayed goes, and old ones should go with time",
        Level.NOTE,
    )
    short = "letters go before somebody has looked at them"
    yield _retention(LETTER_HOURS, lambda ms: ms < 0 or ms >= RETENTION_HOURS * _HOUR_MS, short, Level.NOTE)


def _shown(key: str, value: str) -> str:
    """A value for people: hours where it is milliseconds."""
    if key != "retention.ms":
        return value
    hours = int(value) / _HOUR_MS
    return "without end" if hours < 0 else f"{hours:,.4g} hours"
