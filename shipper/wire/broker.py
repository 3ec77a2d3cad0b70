"""How to reach Kafka: settings as librdkafka names them, the same for whoever writes and whoever reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Topics:
    """Names of the topics."""

    raw: str = "cgtrail.raw"
    """Pieces of streams (shipper.wire.message), by host."""
    state: str = "cgtrail.state"
    """Workers' snapshots, compacted."""
    deadletter: str = "cgtrail.deadletter"
    """What could not become a document."""


@dataclass(frozen=True, slots=True)
class Broker:
    """A cluster, and who we are there. `properties` may hold passwords: they are never shown."""

    servers: tuple[str, ...]
    """host:port of some of its brokers."""
    topics: Topics = field(default_factory=Topics)
    group: str = "cgtrail"
    """The workers' consumer group."""
    security: Mapping[str, str] = field(default_factory=dict, repr=False)
    """librdkafka properties: security.protocol, sasl.*, ssl.*, and what was passed through."""

    def properties(self, **own: str | int | bool) -> dict[str, str | int | bool]:
        """A client's configuration; keywords have underscores for dots, and win."""
        named = {name.replace("_", "."): value for name, value in own.items()}
        return {"bootstrap.servers": ",".join(self.servers), "client.id": "cgtrail"} | dict(self.security) | named
