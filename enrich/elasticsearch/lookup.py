"""Which documents a data stream holds already: ids are unique within a backing index, not within the stream."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import structlog

from enrich.elasticsearch.client import Client, ElasticsearchError

_log = structlog.get_logger()

REALTIME = 4
"""The newest backing indices are asked one by one, as they were a moment ago."""
_IDS = 1000
"""In one search: its answer has room for each of them in ten backing indices."""
_WINDOW = 10_000
"""index.max_result_window, as it is where nobody changed it."""
_DENIED_SECONDS = 300.0
"""After so long a key that might not read is tried again: somebody may have given it more."""


class Lookup:
    """Looks for documents by id, in all backing indices of a stream, before they are created again.

    The newest REALTIME backing indices, the one that is written to among them, are asked by realtime multi-get: it sees
    also what no search does, as it was not refreshed yet. Older ones are searched, and what was stored in one and not
    refreshed in the time of REALTIME rollovers would not be found. The write index is asked too, although creating
    there answers 409: a rollover may come between the look-up and the creation. What can't be seen is a request that
    got no answer and is carried out after the look-up: the index drops it as a repeat, unless a rollover came between
    the two as well. It needs the index privileges read and view_index_metadata; without them nothing is looked up,
    which is said once.
    """

    def __init__(self, client: Client) -> None:
        """Nothing is asked yet."""
        self._client = client
        self._denied = 0.0
        """Of time.monotonic: when it was last not allowed; 0: it is allowed, as far as is known."""
        self.looked_up = 0
        """Documents."""

    def stored(self, stream: str, ids: list[str]) -> set[str]:
        """Which of these documents there are; none where we may not look.

        Raises ElasticsearchError where it can't be told now.
        """
        if not ids or (self._denied and time.monotonic() - self._denied < _DENIED_SECONDS):
            return set()
        try:
            found = self._found(stream, ids)
        except ElasticsearchError as error:
            if error.status != 403:
                raise
            if not self._denied:
                _log.warning(
                    "this key may not look up what is stored: where a backing index was rolled over just before"
                    " documents are sent again, they are in the store twice, at most those that were sent and not"
                    " answered for",
                    stream=stream,
                    next="give it read and view_index_metadata (`cgtrail setup elasticsearch --writer-reads`)",
                )
            self._denied = time.monotonic()
            return set()
        self._denied = 0.0
        self.looked_up += len(ids)
        return found

    def _found(self, stream: str, ids: list[str]) -> set[str]:
        backing = self._backing(stream)
        found: set[str] = set()
        for index in reversed(backing[-REALTIME:]):
            if left := [identity for identity in ids if identity not in found]:
                found.update(self._got(index, left))
        if backing[:-REALTIME]:
            left = [identity for identity in ids if identity not in found]
            for first in range(0, len(left), _IDS):
                found.update(self._searched(stream, left[first : first + _IDS]))
        return found

    def _backing(self, stream: str) -> list[str]:
        """Names of its backing indices, the one that is written to last; none where there is no stream yet."""
        try:
            answer = self._client.ask("GET", f"/_resolve/index/{quote(stream)}")
        except ElasticsearchError as error:
            if error.status == 404:
                return []
            raise
        return [name for found in answer.get("data_streams", ()) for name in found["backing_indices"]]

    def _got(self, index: str, ids: list[str]) -> Iterable[str]:
        try:
            answer = self._client.ask(
                "POST",
                f"/{quote(index)}/_mget",
                {"ids": ids},
                _source="false",
                filter_path="docs._id,docs.found,docs.error",
            )
        except ElasticsearchError as error:
            if error.status == 404:  # its time was over
                return []
            raise
        docs = answer.get("docs", ())
        if len(docs) != len(ids):
            raise _unclear(index, f"{len(docs)} answers for {len(ids)} documents")
        for each in docs:
            wrong = each.get("error") or {}
            if wrong.get("type") == "index_not_found_exception":
                return []
            if wrong.get("type") == "index_closed_exception":
                raise _unclear(index, "it is closed: open it, or delete it")
            if wrong or not isinstance(each.get("found"), bool):
                raise _unclear(index, f"{wrong.get('type', 'no answer')}: {wrong.get('reason', '')}"[:300])
        return [each["_id"] for each in docs if each["found"]]

    def _searched(self, stream: str, ids: list[str]) -> Iterable[str]:
        asked = {"query": {"ids": {"values": ids}}, "size": _WINDOW, "_source": False, "sort": ["_doc"]}
        answer = self._client.ask(
            "POST",
            f"/{quote(stream)}/_search",
            asked,
            allow_partial_search_results="false",
            filter_path="timed_out,_shards.failed,hits.hits._id",
        )
        if answer.get("timed_out") is not False or answer["_shards"]["failed"]:
            raise _unclear(stream, "not every shard answered")
        hits: list[dict[str, Any]] = answer.get("hits", {}).get("hits", [])
        if len(hits) >= _WINDOW:
            raise _unclear(stream, f"{len(hits)} documents with {len(ids)} ids")
        return [hit["_id"] for hit in hits]


def _unclear(where: str, why: str) -> ElasticsearchError:
    return ElasticsearchError(f"{where}: it can't be told which documents are stored already ({why})")
