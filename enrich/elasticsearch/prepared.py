"""Whether data streams are made as cgtrail needs them, before the first document makes one."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from enrich.elasticsearch.client import Client, ElasticsearchError
from enrich.elasticsearch.verdict import SETUP

_OURS = "logs-cgtrail"
"""What the patterns of templates for our streams begin with: Elasticsearch's own template for logs-*-* has others, and
would guess a mapping from the first documents."""


class Prepared:
    """Index templates as far as they are known. Each stream is asked for until its template was seen once."""

    def __init__(self, client: Client) -> None:
        """Nothing is asked yet."""
        self._client = client
        self._known: set[str] = set()

    def missing(self, streams: Iterable[str]) -> str:
        """What has to be done before documents are sent to these; empty where nothing is, or where we may not look.

        Raises ElasticsearchError where it can't be told now.
        """
        unknown = set(streams) - self._known
        if not unknown:
            return ""
        try:
            answer = self._client.ask(
                "GET", "/_index_template", filter_path="index_templates.index_template.index_patterns"
            )
        except ElasticsearchError as error:
            if error.status not in (403, 405):  # no right to see templates: documents are refused where none is
                raise
            self._known |= unknown
            return ""
        patterns = [
            pattern
            for each in answer.get("index_templates", ())
            for pattern in each["index_template"]["index_patterns"]
            if pattern.startswith(_OURS)
        ]
        self._known |= {stream for stream in unknown if any(fnmatchcase(stream, pattern) for pattern in patterns)}
        if left := sorted(unknown - self._known):
            return f"there is no index template for {left[0]}: {SETUP}"
        return ""

    def forget(self) -> None:
        """Ask again: something is not as it was."""
        self._known.clear()
