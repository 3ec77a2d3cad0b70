"""A member of a consumer group.

With a name of its own, so that one that is back within `session.timeout.ms` gets the same partitions, and the others
keep theirs (KIP-345); partitions are moved one by one (KIP-429).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from enrich.kafka import client
from enrich.kafka.client import Consumer
from shipper.wire.broker import Broker

_log = structlog.get_logger()

QUEUE_KIB = 16 << 10
"""What the client reads ahead; a fetch that is under way may go beyond it."""
SETTLE_SECONDS = 5.0
"""A named member that has come asks the group to look at its partitions again, when nothing has moved for so long."""
SHORT_MS = 10_000
"""Session of who has no name: one that ended while it joined is waited for by the others so long."""
FENCED_SECONDS = 300.0
"""Who has lost its name, and does so again before this, has met another one of that name."""
_DEFAULTS = {
    "queued.max.messages.kbytes": QUEUE_KIB,
    "fetch.max.bytes": 8 << 20,
    "max.partition.fetch.bytes": 1 << 20,
    "fetch.queue.backoff.ms": 20,  # of the 1000 by default, a queue this short would be empty most of the time
    "session.timeout.ms": 45_000,
    "topic.metadata.refresh.interval.ms": 60_000,
    "statistics.interval.ms": 2_000,
}


class FencedError(RuntimeError):
    """Another worker has this one's name in the group; the message says what to do."""


class Member:
    """Makes its consumer, and again when Kafka has taken it for dead. `instance`: its name; empty: none."""

    def __init__(
        self,
        broker: Broker,
        instance: str,
        health: client.Health,
        callbacks: Mapping[str, Callable[..., Any]],
        moving: Mapping[str, Callable[..., Any]],
    ) -> None:
        """`callbacks` and `moving`: the consumer's own, and its subscription's."""
        self._broker, self._instance, self._health = broker, instance, health
        self._callbacks, self._moving = callbacks, moving
        self._topic = broker.topics.raw
        self.joined = False
        """The group has told which partitions are ours."""
        self._settled = True
        self._moved = self._fenced = 0.0

    def connect(self) -> Consumer:
        """A new consumer, subscribed. Raises SourceError for settings that the client refuses."""
        self._consumer = client.consumer(
            self._broker,
            self._health,
            _DEFAULTS | ({} if self._instance else {"session.timeout.ms": SHORT_MS}),
            dict(self._callbacks),
            group_id=self._broker.group,
            partition_assignment_strategy="cooperative-sticky",
            enable_auto_commit=False,
            enable_partition_eof=True,
            auto_offset_reset="error",
            **({"group_instance_id": self._instance} if self._instance else {}),
        )
        self.lost()
        self._subscribe(self._topic)
        return self._consumer

    def came(self) -> None:
        """The group has told."""
        self.joined = True
        self.moves()

    def moves(self) -> None:
        """Partitions come or go."""
        self._moved = time.monotonic()

    def lost(self) -> None:
        """The group does not know it any more; it joins by itself."""
        self.joined, self._settled = False, not self._instance
        self.moves()

    def settle(self) -> None:
        """Have the group share its partitions once more, when it is time: a subscription that grows says so to brokers.

        They give a member that is back under its name what it had, in the middle of a move too: what it had given up by
        then would be nobody's until somebody else comes or goes.
        """
        if self.joined and not self._settled and time.monotonic() - self._moved >= SETTLE_SECONDS:
            self._settled = True
            self._subscribe(self._topic)
            self._subscribe(self._topic, f"^{re.escape(self._topic)}$")  # no other topic, by another name

    def fenced(self, reason: str) -> None:
        """Kafka takes it for another of its name, as brokers do that died in a rebalance.

        Raises FencedError if that comes soon again: then somebody has its name indeed.
        """
        if self._fenced and time.monotonic() - self._fenced < FENCED_SECONDS:
            raise FencedError(
                f"Kafka lets this worker go on no more ({reason}): where another one calls itself"
                f" {self._instance!r} too, give each machine a kafka.instance of its own; then start this one again"
            )
        _log.warning("Kafka takes this worker for another of its name; it begins anew", reason=reason,
                     instance=self._instance,
                     next="none, if it happens once; else give each machine a kafka.instance of its own")  # fmt: skip
        self._fenced = time.monotonic()

    def _subscribe(self, *topics: str) -> None:
        self._consumer.subscribe(list(topics), **self._moving)
