"""A cluster as `cgtrail setup elasticsearch` leaves it."""

from __future__ import annotations

from cgtrail.elasticsearch import lifecycle, templates
from enrich.documents import KINDS
from enrich.elasticsearch.mappings import Features, Lifecycle
from tests.servers.elastic import Elastic

BUILD = Features(frozenset(), Lifecycle.NONE)
"""What the server that is published for tests can do."""


def prepare(es: Elastic, namespace: str) -> None:
    """Give the data streams of a namespace what they need."""
    assert namespace
    days = {kind: lifecycle.default(kind) for kind in KINDS}
    for piece in templates.pieces(BUILD, days, {}):
        es.ask("PUT", piece.path, piece.request())
