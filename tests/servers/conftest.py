"""Real servers: one broker for the session, or one of a test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.servers.clusters import Cluster
from tests.servers.elastic import Elastic, elastic
from tests.servers.kafka import Kafka, kafka


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A broker that all tests share: topics and groups are a test's own, and it is never stopped."""
    with kafka(tmp_path_factory.mktemp("kafka")) as shared:
        yield shared


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Kafka]:
    """A broker of this test's own, to be stopped, killed and emptied."""
    with kafka(tmp_path / "kafka") as own:
        yield own


@pytest.fixture
def cluster(broker: Kafka) -> Cluster:
    """The shared broker, with names for topics that nobody has made yet."""
    return Cluster(broker, f"named.{uuid4().hex[:8]}")


@pytest.fixture(scope="session")
def es(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elastic]:
    """An Elasticsearch that all tests share: a namespace is a test's own, and it is never stopped."""
    with elastic(tmp_path_factory.mktemp("elastic")) as shared:
        yield shared


@pytest.fixture
def own_es(tmp_path: Path) -> Iterator[Elastic]:
    """An Elasticsearch of this test's own, to be stopped, killed and stalled."""
    with elastic(tmp_path / "elastic") as own:
        yield own
