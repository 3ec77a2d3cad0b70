"""The topic of all hosts' streams as a worker sees it.

What the client does by itself, such as moving partitions, it does in this thread, while it is polled: in `read` and
`wait`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import structlog

from enrich.kafka import client, statistics
from enrich.kafka.assignment import Assignment
from enrich.kafka.client import ASTRAY, END, MOVING, KafkaError, KafkaException, Message, TopicPartition
from enrich.kafka.commits import Commits
from enrich.kafka.member import Member
from enrich.kafka.pieces import taken
from enrich.sources import SourceError, Taker
from shipper.wire.broker import Broker

_log = structlog.get_logger()

BATCH = 32
"""Messages that are taken out of the client's queue at a time: 16 MiB at the most."""
PATIENCE = 1.0
"""Seconds that a wait may last before partitions are paused: reading ahead has its bound anyway, and to pause drops
what was read ahead."""
RETRY_SECONDS = 1.0
LOOK_SECONDS = 1.0
ASK_SECONDS = 10.0
"""Where partitions end is asked so often while nothing is read: what comes then is not told otherwise."""
CLOSE_SECONDS = 5.0


class KafkaSource:
    """The partitions that the group gives this member. Bounded memory: what is not taken stays with the brokers."""

    def __init__(self, broker: Broker, instance: str, stop: threading.Event, *, once: bool = False) -> None:
        """`instance`: this member's name; empty: it has none. `once`: it is to end when all was read.

        Raises SourceError for settings that the client refuses.
        """
        self._topic, self._stop, self._once = broker.topics.raw, stop, once
        self._health = client.Health("reading Kafka")
        self._member = Member(
            broker,
            "" if once else instance,
            self._health,
            {"on_commit": self._on_commit, "stats_cb": self._on_stats},
            {"on_assign": self._on_assign, "on_revoke": self._on_revoke, "on_lost": self._on_lost},
        )
        self._held: list[Message] = []
        self._taker: Taker | None = None
        self._paused = self._moving = False
        self._polled = self._looked = self._measured = time.monotonic()
        self._again = 0.0
        self._rebalances = 0
        self._statistics = statistics.Statistics()
        self._connect()
        self._told = self._facts()

    def _connect(self) -> None:
        """With a consumer that is new."""
        self._consumer = self._member.connect()
        self._assignment = Assignment(self._consumer, self._topic)
        self._commits = Commits(self._consumer)

    def read(self, taker: Taker, seconds: float) -> bool:
        """As Source. With `once`, False when all was read that stood there at the beginning. Raises FencedError."""
        self._taker = taker
        seconds = max(seconds, LOOK_SECONDS) if self._once else seconds
        while True:
            given = self._read(taker, seconds)
            if self._once and self._drained():
                return False
            if given or not self._once or self._stop.is_set():
                return given

    def wait(self, taker: Taker, seconds: float) -> None:
        """As Source. Raises FencedError."""
        self._taker = taker
        if not self._moving and time.monotonic() - self._polled >= PATIENCE:
            if not self._paused:
                self._paused = True
                self._assignment.pause()
            self._held += [message for message in self._poll(0) if not self._failed(message)]
            self._look(taker)
        if self._stop.is_set():
            time.sleep(min(seconds, RETRY_SECONDS / 20))  # who still waits does so for its last documents
        else:
            self._stop.wait(seconds)

    def commit(self, places: dict[str, int], needs: dict[str, int], *, surely: bool) -> None:  # noqa: ARG002
        """As Source; what is read again is the topic's retention to keep. Partitions that are not ours are left out."""
        ours = [each for each in self._assignment.partitions.values() if each.name in places]
        offsets = [self._assignment.at(each.number, places[each.name]) for each in ours]
        if not offsets:
            return
        if surely and self._moving:
            self._commits.moving(offsets)
            self._have_committed(offsets)
        elif surely:
            self._have_committed(self._commits.surely(offsets))
        else:
            self._commits.later(offsets)

    def backlog(self) -> int:
        """Messages that are not committed, in this member's partitions."""
        return sum(max(each.high - each.committed, 0) for each in list(self._assignment.partitions.values()))

    def facts(self) -> dict[str, Any]:
        """How it goes, as of the last second; may be asked from another thread."""
        return self._told

    def close(self) -> None:
        """Leave. A member with a name keeps its partitions until its session times out: it may be back by then."""
        self._taker = None
        until = time.monotonic() + CLOSE_SECONDS
        while not self._commits.idle(0):  # it may wait for us to be told of partitions that move
            self._consumer.consume(BATCH, RETRY_SECONDS / 10)
            if time.monotonic() > until:
                return  # brokers that are away will miss us by themselves
        self._consumer.close()

    def _read(self, taker: Taker, seconds: float) -> bool:
        if self._paused:
            self._paused = False
            self._assignment.resume()
        self._begin(taker)
        messages, self._held = self._held, []
        given = False
        for message in messages or self._poll(seconds if self._assignment.begun else min(seconds, 0.1)):
            if self._stop.is_set():
                break
            given |= not self._failed(message) and self._give(taker, message)
        if given and self._assignment.begun:
            self._health.works()
        self._look(taker)
        return given

    def _begin(self, taker: Taker) -> None:
        if self._assignment.begun or time.monotonic() < self._again:
            return
        try:
            self._assignment.begin(taker)
        except (KafkaException, SourceError) as error:
            self._again = time.monotonic() + RETRY_SECONDS
            self._health.met(error)

    def _poll(self, seconds: float) -> list[Message]:
        """What the client has read; it moves partitions meanwhile. Raises FencedError."""
        messages = self._consumer.consume(BATCH, seconds)
        self._polled = time.monotonic()
        if self._health.fatal is None:
            return messages
        self._begin_anew(self._health.fatal)
        return []

    def _begin_anew(self, reason: str) -> None:
        """As a new member; what is not stored is made again. Raises FencedError."""
        self._member.fenced(reason)
        taker = self._taker
        self._on_lost(None, [self._assignment.at(number) for number in self._assignment.partitions])
        self.close()
        self._taker, self._health.fatal = taker, None
        self._connect()

    def _give(self, taker: Taker, message: Message) -> bool:
        partition = self._assignment.partitions.get(_number(message))
        place = message.offset()
        if partition is None or place is None or place < partition.next:
            return False  # of a partition that went, or of before a seek
        partition.next, partition.ended = place + 1, False
        taker.take(partition.name, taken(partition.name, place, message))
        return True

    def _failed(self, message: Message) -> bool:
        """Whether it is no message but an error of the client's."""
        error = message.error()
        if error is None:
            return False
        partition = self._assignment.partitions.get(_number(message))
        if error.code() == END:
            if partition is not None:
                partition.ended = message.offset() == partition.next
        elif error.code() in ASTRAY and partition is not None:
            partition.astray = True
        else:
            self._health.heard(error)
        return True

    def _drained(self) -> bool:
        ended = all(each.ended or each.next >= each.goal for each in self._assignment.partitions.values())
        return self._member.joined and self._assignment.begun and ended

    # Called by the client while it is polled

    def _on_assign(self, _: Any, partitions: list[TopicPartition]) -> None:
        self._member.came()
        self._rebalances += 1
        self._assignment.come(partitions)

    def _on_revoke(self, _: Any, partitions: list[TopicPartition]) -> None:
        self._leave([each.partition for each in partitions], lost=False)

    def _on_lost(self, _: Any, partitions: list[TopicPartition]) -> None:
        _log.warning("nobody heard of this worker for too long: its partitions may be others' now, and it begins anew",
                     partitions=len(partitions),
                     next="none; where it happens often: are brokers away, or the machine slow?")  # fmt: skip
        self._member.lost()
        self._leave([each.partition for each in partitions], lost=True)

    def _leave(self, gone: list[int], *, lost: bool) -> None:
        self._member.moves()
        self._rebalances += 1
        names = self._assignment.named(gone)
        self._moving = True  # nobody may poll now
        try:
            if names and self._taker is not None:
                self._taker.leave(names, lost=lost)
        finally:
            self._moving = False
            self._assignment.go(gone)
            self._held = [message for message in self._held if message.partition() not in gone]

    def _on_commit(self, error: KafkaError | None, offsets: list[TopicPartition]) -> None:
        """What became of a commit that nobody waited for; where it failed a later one makes up for it."""
        if error is not None:
            if error.code() not in MOVING:
                self._health.complain(error)
            return
        self._have_committed([each for each in offsets if each.error is None])

    def _on_stats(self, told: str) -> None:
        self._statistics = statistics.decode(told)

    # How it goes

    def _have_committed(self, offsets: Sequence[TopicPartition]) -> None:
        for each in offsets:
            if each.partition in self._assignment.partitions:
                self._assignment.partitions[each.partition].committed = each.offset

    def _look(self, taker: Taker) -> None:
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            if self._health.error is not None:
                self._ask()
            if self._paused and now - self._measured >= ASK_SECONDS:
                self._measured = now
                with suppress(KafkaException):  # who can't be asked is told by others
                    self._assignment.measure(LOOK_SECONDS)
            self._assignment.look(taker, reads=not self._paused)
            self._told = self._facts()
            self._member.settle()

    def _ask(self) -> None:
        """Does it work again? What stands in the way is asked for as long as something does."""
        try:
            found = self._consumer.list_topics(self._topic, timeout=LOOK_SECONDS).topics[self._topic]
            if found.error is not None:
                raise KafkaException(found.error)
            self._consumer.committed([self._assignment.at(0)], timeout=LOOK_SECONDS)
        except KafkaException as error:
            self._health.met(error)
        else:
            if self._member.joined and self._assignment.begun:
                self._health.works()

    def _facts(self) -> dict[str, Any]:
        partitions = self._assignment.partitions.values()
        return {
            "assigned": sorted(each.name for each in partitions),
            "lag": {each.name: each.high - each.next for each in partitions},
            "rebalances": self._rebalances,
            "error": self._health.error,
            "queue": self._statistics.queue,
            "connected": self._statistics.connected,
        }


def _number(message: Message) -> int:
    number = message.partition()
    return -1 if number is None else number
