"""Commits of a member of a group, waited for so long and no longer.

librdkafka's own wait has no end: when partitions move meanwhile, it waits for who commits to be told of it, who waits.
So another thread waits for it; but while the client tells of partitions that move, no other thread gets through.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future

from enrich.kafka import client
from enrich.kafka.client import Consumer, KafkaException, TopicPartition
from enrich.sources import SourceError

ANSWER_SECONDS = 5.0
Answer = Future[list[TopicPartition]]


class Commits:
    """Of one consumer, one at a time."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._pending: Answer | None = None

    def later(self, offsets: list[TopicPartition]) -> None:
        """The consumer's `on_commit` is told what becomes of it. Raises SourceError."""
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            raise client.failed("the place can't be committed", error) from error

    def surely(self, offsets: list[TopicPartition]) -> list[TopicPartition]:
        """What is committed when this returns. Raises SourceError; it may be committed later then."""
        try:
            if not self.idle(ANSWER_SECONDS):
                raise client.silent()
            answer = self._pending = Future()
            threading.Thread(target=self._commit, args=[offsets, answer], name="commit", daemon=True).start()
            done = answer.result(ANSWER_SECONDS)
            for each in done:
                if each.error is not None:
                    raise KafkaException(each.error)
        except TimeoutError as error:
            raise client.failed("the place can't be committed", client.silent()) from error
        except KafkaException as error:
            raise client.failed("the place can't be committed", error) from error
        return done

    def moving(self, offsets: list[TopicPartition]) -> None:
        """As `surely`, where the client tells of partitions that move: what other threads ask of it waits until then.

        Brokers answer in the order in which they are asked, so that they tell of this commit. Raises SourceError.
        """
        self.later(offsets)
        try:
            told = self._consumer.committed(offsets, timeout=ANSWER_SECONDS)
        except KafkaException as error:
            raise client.failed("the place can't be committed", error) from error
        if [each.offset for each in told] != [each.offset for each in offsets]:
            message = "brokers did not take the place of partitions that move: what was stored last is made again"
            raise SourceError(message)

    def idle(self, seconds: float) -> bool:
        """Whether nothing is under way, after so long at the most."""
        if self._pending is not None:
            try:
                self._pending.exception(seconds)
            except TimeoutError:
                return False
        self._pending = None
        return True

    def _commit(self, offsets: list[TopicPartition], answer: Answer) -> None:
        try:
            answer.set_result(self._consumer.commit(offsets=offsets, asynchronous=False) or [])
        except BaseException as error:  # noqa: BLE001  it is raised where the answer is asked for
            answer.set_exception(error)
