"""A consumer group as the broker knows it: how far it has come, and who is in it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from tests.servers.kafka import Kafka

SECONDS = 30
"""So long a broker may take for an answer."""


class Group:
    """A group that reads one topic. It asks by one client: one made for each question can crash at its end."""

    def __init__(self, broker: Kafka, topic: str, group: str) -> None:
        self._admin, self._topic, self._group = broker.admin(), topic, group

    @classmethod
    def of(cls, broker: Kafka, settings: Mapping[str, str]) -> Group:
        """The workers' group by cgtrail's environment."""
        return cls(broker, settings["CGTRAIL_KAFKA_TOPIC"], settings["CGTRAIL_KAFKA_GROUP"])

    def lag(self) -> int:
        """Messages that are not committed."""
        parts = self._admin.list_topics(self._topic, timeout=SECONDS).topics[self._topic].partitions
        asked = {TopicPartition(self._topic, part): OffsetSpec.latest() for part in parts}  # type: ignore[no-untyped-call]
        ends = self._admin.list_offsets(asked).values()
        return sum(int(end.result(SECONDS).offset) for end in ends) - self.committed()

    def committed(self) -> int:
        """Places that are committed, all partitions together."""
        with suppress(KafkaException, TimeoutError):  # its coordinator is not there yet
            (told,) = self._admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(self._group)]).values()
            return int(sum(max(each.offset, 0) for each in told.result(SECONDS).topic_partitions or []))
        return 0

    def members(self) -> int:
        """How many members have partitions."""
        with suppress(KafkaException, TimeoutError):
            (told,) = self._admin.describe_consumer_groups([self._group]).values()
            return sum(bool(each.assignment.topic_partitions) for each in told.result(SECONDS).members)
        return 0
