"""A cluster as `cgtrail setup elasticsearch` leaves it."""

from __future__ import annotations

from cgtrail.check.finding import Level
from cgtrail.elasticsearch.settle import Manner
from cgtrail.elasticsearch.setup import Asked, Setup
from enrich.elasticsearch.client import Client
from tests.servers.elastic import Elastic


def prepare(
    es: Elastic, namespace: str, *, apply: bool = False, writer_reads: bool = False, tenants: tuple[str, ...] = ()
) -> None:
    """Give the data streams of a namespace what they need."""
    client = Client(es.cluster(namespace))
    try:
        asked = Asked(Manner(apply, dry=False), writer_reads=writer_reads, tenants=tenants)
        bad = [each for each in Setup(client, namespace, asked).run() if each.level is Level.BAD]
    finally:
        client.close()
    assert not bad, bad
