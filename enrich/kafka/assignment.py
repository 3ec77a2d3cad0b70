"""The partitions that a group gives one of its members: they come, are begun somewhere, and go."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from enrich.kafka.client import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, TopicPartition
from enrich.sources import Taker

_log = structlog.get_logger()
ANSWER_SECONDS = 10.0
PLACE_SECONDS = 2.0
BEGIN_SECONDS = 1.0
"""So long partitions are begun, then what is begun has its turn."""


@dataclass(slots=True)
class Partition:
    """One that is read. Places are offsets."""

    name: str
    number: int
    next: int
    committed: int
    low: int
    """The oldest place, as far as is known."""
    high: int
    """Behind the newest message, as far as is known."""
    goal: int
    """Behind the newest message when it was begun."""
    ended: bool = False
    """Whether everything was given when the client last looked."""
    astray: bool = False
    """`next` is no place in the log any more."""


class Assignment:
    """What this member has. All of it happens in the thread that polls."""

    def __init__(self, consumer: Consumer, topic: str) -> None:
        self._consumer, self._topic = consumer, topic
        self.partitions: dict[int, Partition] = {}
        """Those that are read."""
        self._new: list[int] = []

    def come(self, partitions: list[TopicPartition]) -> None:
        """They are ours and wait, paused, until `begin`."""
        try:
            told = self._asked([each.partition for each in partitions], OFFSET_END, PLACE_SECONDS) if partitions else []
            ends = {each.partition: each.offset for each in _sound(told)}
        except KafkaException:
            ends = {}
        for each in partitions:  # one that is told is not looked up; one that is not there would be an error
            each.offset = max(ends.get(each.partition, 0), 0)
        self._consumer.incremental_assign(partitions)
        if partitions:
            self._consumer.pause(partitions)
        self._new += [each.partition for each in partitions]

    def go(self, numbers: Iterable[int]) -> None:
        """They are others' now."""
        for number in numbers:
            self.partitions.pop(number, None)
            if number in self._new:
                self._new.remove(number)

    def named(self, numbers: Iterable[int]) -> list[str]:
        """The names of those that are read."""
        return [self.partitions[number].name for number in numbers if number in self.partitions]

    def pause(self) -> None:
        """Nothing is read until `resume`."""
        self._consumer.pause([self.at(number) for number in self.partitions])

    def resume(self) -> None:
        """All are read."""
        self._consumer.resume([self.at(number) for number in self.partitions])

    @property
    def begun(self) -> bool:
        """Whether none waits to be begun, or found again."""
        return not self._new and not any(each.astray for each in self.partitions.values())

    def begin(self, taker: Taker) -> None:
        """Begin some that came, and find those that went astray. Raises KafkaException, and what the taker raises."""
        astray = [each for each in self.partitions.values() if each.astray]
        ends = self._ends([*self._new, *(each.number for each in astray)])
        for each in astray:
            self._find(taker, each, *ends[each.number])
        until = time.monotonic() + BEGIN_SECONDS
        for found in self._committed(self._new):
            self._begin(taker, found.partition, found.offset, *ends[found.partition])
            if time.monotonic() >= until:
                return

    def _committed(self, numbers: list[int]) -> list[TopicPartition]:
        if not numbers:
            return []
        return _sound(self._consumer.committed([self.at(number) for number in numbers], timeout=ANSWER_SECONDS))

    def _begin(self, taker: Taker, number: int, committed: int, low: int, high: int) -> None:
        name = f"{self._topic}-{number}"
        if committed > high:
            _log.error("the log ends before what was read of it: brokers lost messages; reading from the oldest",
                       partition=name, committed=committed, end=high,
                       next="see what happened to the brokers")  # fmt: skip
        stored = committed if 0 <= committed <= high else 0  # of what stood before the oldest nothing was: that is told
        place = max(taker.begin(name, stored, low), low)
        begun = self.partitions[number] = Partition(name, number, place, max(stored, low), low, high, high, astray=True)
        self._new.remove(number)
        self._go_on(begun)

    def _find(self, taker: Taker, partition: Partition, low: int, high: int) -> None:
        """Go on with the oldest message where the next one is gone: numbers tell what is missing."""
        if partition.next < low:
            _log.error("messages are gone before they were read; going on with the oldest", partition=partition.name,
                       wanted=partition.next, oldest=low, next="more workers, or a longer retention")  # fmt: skip
            partition.next = low
        elif partition.next > high:
            _log.error("the log ends before what was read of it: brokers lost messages; reading from the oldest",
                       partition=partition.name, wanted=partition.next, end=high,
                       next="see what happened to the brokers")  # fmt: skip
            partition.next, partition.committed = max(taker.begin(partition.name, 0, low), low), low
        partition.low, partition.high, partition.goal = low, high, min(partition.goal, high)
        self._go_on(partition)

    def _go_on(self, partition: Partition) -> None:
        """Read from `next`. Raises KafkaException: it stays astray then."""
        self._consumer.seek(self.at(partition.number, partition.next))
        self._consumer.resume([self.at(partition.number)])
        partition.astray = False

    def _ends(self, numbers: list[int]) -> dict[int, tuple[int, int]]:
        """The oldest place, and the one behind the newest. Raises KafkaException.

        All are asked for at once: an answer may come behind one of the broker's that waits for news.
        """
        low, high = (
            {each.partition: each.offset for each in _sound(self._asked(numbers, moment))}
            for moment in (OFFSET_BEGINNING, OFFSET_END)
        )
        return {number: (low[number], high[number]) for number in numbers}

    def _asked(self, numbers: list[int], moment: int, seconds: float = ANSWER_SECONDS) -> list[TopicPartition]:
        """ListOffsets of the protocol takes these two for times."""
        return self._consumer.offsets_for_times([self.at(each, moment) for each in numbers], timeout=seconds)

    def measure(self, seconds: float) -> None:
        """Ask where partitions end. Raises KafkaException."""
        for each in _sound(self._asked(list(self.partitions), OFFSET_END, seconds)) if self.partitions else ():
            self.partitions[each.partition].high = each.offset

    def look(self, taker: Taker, *, reads: bool) -> None:
        """Learn where partitions begin and end, as far as the client knows without asking.

        It knows nothing new of the end of one that is not read: what was asked is newer then.
        """
        for each in self.partitions.values():
            known = self._consumer.get_watermark_offsets(self.at(each.number), cached=True)
            low, high = (int(known[0]), int(known[1])) if known else (0, 0)
            each.high = max(high if reads else each.high, each.next)
            if each.low < low <= each.next and not each.astray:
                each.low = low
                taker.expire(each.name, low)

    def at(self, number: int, place: int = -1001) -> TopicPartition:
        """A place in a partition; by default none in particular."""
        return TopicPartition(self._topic, number, place)


def _sound(found: list[TopicPartition]) -> list[TopicPartition]:
    """Raises KafkaException where one of them is an error."""
    for each in found:
        if each.error is not None:
            raise KafkaException(each.error)
    return found
