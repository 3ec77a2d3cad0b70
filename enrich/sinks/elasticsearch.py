"""Documents in Elasticsearch's data streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from enrich.document import Document
from enrich.elasticsearch.cluster import Cluster
from enrich.sinks import Outcome


class ElasticsearchSink:
    """Not written yet."""

    def __init__(self, cluster: Cluster, *, bulk_bytes: int, in_flight: int, recordings: bool) -> None:
        """Connect to nothing yet."""

    def write(self, batch: Sequence[Document]) -> list[Outcome]:
        """Not written yet."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """Not written yet."""
        return {}

    def close(self) -> None:
        """Not written yet."""
