"""The one place that speaks to Elasticsearch through its official client."""

from __future__ import annotations


class ElasticsearchError(Exception):
    """A request was not answered, or refused; the message says why and what to do."""
