"""What librdkafka tells of itself now and then (its STATISTICS.md), as far as workers tell it on."""

from __future__ import annotations

import msgspec


class _Broker(msgspec.Struct):
    nodeid: int = -1
    state: str = ""


class _Partition(msgspec.Struct):
    fetchq_size: int = 0


class _Topic(msgspec.Struct):
    partitions: dict[str, _Partition] = {}


class Statistics(msgspec.Struct):
    """Brokers and partitions as a client sees them."""

    brokers: dict[str, _Broker] = {}
    topics: dict[str, _Topic] = {}

    @property
    def connected(self) -> bool:
        """Whether there is a connection to any broker of the cluster."""
        return any(each.nodeid >= 0 and each.state == "UP" for each in self.brokers.values())

    @property
    def queue(self) -> int:
        """Bytes that were read ahead."""
        return sum(each.fetchq_size for topic in self.topics.values() for each in topic.partitions.values())


def decode(told: str) -> Statistics:
    """What the client's callback is given."""
    return msgspec.json.decode(told, type=Statistics)
