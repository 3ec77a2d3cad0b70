"""Documents read back from Elasticsearch's data streams.

Pages are asked for with search_after over (time, sequence, id), which is an order of its own: no point in time is held
on the cluster, so a pager that is left open costs nothing there, and an index that is rolled over or deleted meanwhile
is no error. One that a rollover stored twice comes once, since both stand side by side.
https://www.elastic.co/docs/reference/elasticsearch/rest-apis/paginate-search-results#search-after
"""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any
from urllib.parse import quote

from enrich.documents import KINDS
from enrich.elasticsearch.client import Client, ElasticsearchError
from enrich.elasticsearch.cluster import Cluster
from enrich.elasticsearch.streams import pattern, stream, streams
from enrich.stores import StoreError, follower
from enrich.stores.dsl import EVERY, Clause, compiled, every
from enrich.stores.follower import Cursor
from enrich.stores.hits import Hit, in_order, read
from enrich.stores.narrow import narrowed, within
from enrich.stores.query import Query

FIRST_PAGE = 200
"""Documents in the first page."""
LARGEST_PAGE = 1_000
PAGE_BYTES = 4 << 20
"""About how much a page after the first has, as far as documents are as large as those of the page before."""
PATIENCE_SECONDS = 5.0
"""So long a question is asked again that a server can't answer now: behind a rollover a shard is not there yet."""
_FIRST_PAUSE = 0.05
_PASSING = frozenset({429, 502, 503, 504})
_GROWTH = 4
_MORE = 8
"""Documents beyond the last one that is wanted: those at its time, which may come before it."""


class ElasticsearchStore:
    """Documents in a namespace's data streams. Every method may raise StoreError, with the client's words."""

    def __init__(self, cluster: Cluster) -> None:
        try:
            self._client = Client(cluster)
        except ElasticsearchError as error:
            raise StoreError(str(error)) from error
        self._namespace = cluster.namespace
        self._where = cluster.name
        # The same copy of each shard every time: what one copy shows another may not show yet.
        self._preference = f"cgtrail-{secrets.token_hex(8)}"
        self._there = False

    @property
    def exists(self) -> bool:
        """Whether there is any of the data streams."""
        if not self._there:
            self._there = self._ask({"size": 0, "terminate_after": 1})["_shards"]["total"] > 0
        return self._there

    @property
    def name(self) -> str:
        """Its data streams, and where."""
        return f"{pattern(self._namespace)} at {self._where}"

    def unreadable(self) -> list[str]:
        """Kinds whose data streams we may not read: they are left out of every answer. Raises StoreError: all are."""
        names = streams(self._namespace)
        wanted = {"index": [{"names": list(names.values()), "privileges": ["read"]}]}
        try:
            answer = self._client.ask("POST", "/_security/user/_has_privileges", wanted)
        except ElasticsearchError as error:
            if error.status is not None and error.status not in (401, 403):
                return []  # it has no security
            raise StoreError(str(error)) from error
        allowed = answer.get("index", {})
        refused = [kind for kind, name in names.items() if not allowed.get(name, {}).get("read")]
        if len(refused) == len(names):
            message = f"{self.name}: we may not read it; `cgtrail setup elasticsearch` makes a role for readers"
            raise StoreError(message)
        return refused

    def count(self) -> int:
        """How many documents there are."""
        return self._number(EVERY)

    def oldest(self, kind: str) -> int | None:
        """When the oldest document of a kind was."""
        answer = self._ask({"size": 1, "_source": False, "sort": [{"@timestamp": "asc"}]}, kind)
        return next((int(hit["sort"][0]) for hit in answer["hits"]["hits"]), None)

    def search(
        self,
        query: Query,
        *,
        since: int | None = None,
        until: int | None = None,
        container: str | None = None,
        tenant: str | None = None,
        kind: str | None = None,
        limit: int,
        ascending: bool = False,
        upto: Cursor | None = None,
    ) -> Iterator[bytes]:
        """As Store."""
        wanted = narrowed(query, container, tenant, within(since), within(until))
        clauses = [compiled(wanted).clause]
        if upto is not None:
            clauses.append(follower.before(upto))
        if limit > 0:
            hits = in_order(self._hits(wanted, every(clauses), kind, limit, ascending=ascending), ascending=ascending)
            yield from (hit.body for hit in islice(hits, min(limit, sys.maxsize)))

    def end(self) -> Cursor:
        """Where a follower starts who wants only what is stored from now on."""
        return follower.end(self._ask)

    def after(
        self,
        cursor: Cursor,
        query: Query,
        *,
        container: str | None = None,
        tenant: str | None = None,
        kind: str | None = None,
        limit: int = 1000,
    ) -> tuple[list[bytes], Cursor]:
        """Documents stored since the cursor, about `limit` at most, and the cursor to ask with next.

        Each comes once, also one whose time lies before what was seen; those that are found together come in order of
        time. An empty cursor is the beginning of the store. When the answer is empty, the follower has come to the end.
        """
        wanted = narrowed(query, container, tenant)
        among = {"term": {"_index": {"value": stream(kind, self._namespace)}}} if kind else EVERY
        return follower.after(self._ask, cursor, wanted, among, min(limit, LARGEST_PAGE))

    def behind(self, cursor: Cursor) -> int:
        """How many documents lie behind a cursor and can be searched."""
        return self._number(follower.behind(cursor))

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def _number(self, clause: Clause) -> int:
        return int(self._asked("_count", {"query": clause}, None)["count"])

    def _ask(self, body: dict[str, Any], kind: str | None = None, *, preference: str | None = None) -> Any:
        # An answer that lacks shards would look complete.
        told = {"preference": preference or self._preference, "allow_partial_search_results": "false"}
        return self._asked("_search", {"track_total_hits": False} | body, kind, **told)

    def _asked(self, what: str, body: dict[str, Any], kind: str | None, **options: str) -> Any:
        # Patterns: of those that are not there, or not for us, they find none, but an index that is closed is an error.
        names = [stream(f"{each[:-1]}*", self._namespace) for each in (KINDS if kind is None else [kind])]
        path = f"/{','.join(quote(name, safe='*') for name in names)}/{what}"
        until, pause = time.monotonic() + PATIENCE_SECONDS, _FIRST_PAUSE
        while True:
            try:
                return self._client.ask("POST", path, body, timeout=None, **options)
            except ElasticsearchError as error:
                if error.status not in _PASSING or time.monotonic() + pause > until:
                    raise StoreError(str(error)) from error
            time.sleep(pause)
            pause *= 2

    def _hits(self, query: Query, clause: Clause, kind: str | None, limit: int, *, ascending: bool) -> Iterator[Hit]:
        order, missing = ("asc", "_first") if ascending else ("desc", "_last")
        body: dict[str, Any] = {
            "query": every([clause]),
            "sort": [
                {"@timestamp": {"order": order, "numeric_type": "date_nanos"}},
                {"event.sequence": {"order": order, "missing": missing, "unmapped_type": "long"}},
                {"event.id": {"order": order, "missing": missing, "unmapped_type": "keyword"}},
            ],
        }
        exact = compiled(query).exact
        size, last = FIRST_PAGE, None
        while True:
            body["size"] = min(max(limit, 0) + _MORE, size) if exact else size
            hits = read(self._ask(body, kind), query, exact=exact)
            for hit in hits:
                if hit.wanted and hit.id != last:
                    limit -= 1
                    yield hit
                last = hit.id
            if len(hits) < body["size"]:
                return
            body["search_after"] = hits[-1].place
            size = _next_size(size, hits)


def _next_size(size: int, hits: list[Hit]) -> int:
    """How many documents make a page, by those of the last one."""
    mean = max(sum(len(hit.body) for hit in hits) // len(hits), 1)
    return max(min(PAGE_BYTES // mean, size * _GROWTH, LARGEST_PAGE), 1)
