"""The one place that speaks to Elasticsearch through its official client."""

from __future__ import annotations

import binascii
import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import orjson

from enrich.elasticsearch import refused
from enrich.elasticsearch.cluster import Cluster
from enrich.elasticsearch.refused import Words

if TYPE_CHECKING:
    from elastic_transport import ApiResponseMeta, Transport

_JSON = "application/vnd.elasticsearch+json; compatible-with={}"
_NDJSON = "application/vnd.elasticsearch+x-ndjson; compatible-with={}"
_UNKNOWN = {408, 500, 502, 503, 504}
"""Statuses after which some of it may have been done."""
_BULK_ANSWER = "errors,items.*.status,items.*.error"


class ElasticsearchError(Exception):
    """A request was not answered, or refused; the message says why and what to do."""

    def __init__(
        self,
        message: str | Words,
        *,
        place: str = "",
        status: int | None = None,
        kind: str = "",
        reason: str = "",
        unknown: bool = False,
    ) -> None:
        super().__init__(f"{place}: {message}" if place else str(message))
        self.place = place
        """Where the cluster or the node is."""
        self.words = message if isinstance(message, Words) else Words(message, "")
        """What happened, and what to do."""
        self.status = status
        """Of HTTP; None: there was no answer."""
        self.type = kind
        """error.type of the answer, "" without one."""
        self.reason = reason
        """The server's own words."""
        self.unknown = unknown
        """The request may have been carried out."""


def place(cluster: Cluster) -> str:
    """Where it is, for messages; without what a URL holds of secrets."""
    return re.sub(r"(?<=://)[^/@\s]*@", "", cluster.name)


class Client:
    """A cluster, asked by any number of threads; nothing is asked twice but where nothing was sent.

    It connects to nothing yet. Raises ElasticsearchError: files or the cloud id can't be used.
    """

    def __init__(self, cluster: Cluster, *, connections: int = 4) -> None:
        self._cluster = cluster
        self._connections = connections
        self._lock = threading.Lock()
        self._transport, self._major = self._connect()
        self._doubted: Transport | None = None
        """Its certificates did not do: files may hold others now."""

    def ask(self, method: str, path: str, body: Any = None, *, timeout: float | None = None, **query: str) -> Any:
        """What is answered, parsed; {} for nothing, text where it is no JSON. `timeout` in seconds.

        Raises ElasticsearchError.
        """
        encoded = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
        return self._asked(method, path, encoded, _JSON, query, timeout)

    def bulk(self, lines: bytes, **query: str) -> Any:
        """POST /_bulk of NDJSON; answered are `errors` and of each item `status` and `error`. Raises as `ask`."""
        return self._asked("POST", "/_bulk", lines, _NDJSON, {"filter_path": _BULK_ANSWER} | query, None)

    def version(self) -> tuple[int, ...] | None:
        """The server's, as (9, 5, 3); None where we may not see it. Raises ElasticsearchError: it is not reached."""
        try:
            number = str(self.ask("GET", "/")["version"]["number"])
        except ElasticsearchError as error:
            if error.status in {403, 404, 405}:
                return None
            raise
        return tuple(int(part) for part in number.partition("-")[0].split(".") if part.isdecimal())

    def close(self) -> None:
        """Connections are closed."""
        self._transport.close()

    def _asked(
        self, method: str, path: str, body: bytes | None, kind: str, query: Mapping[str, str], timeout: float | None
    ) -> Any:
        transport = self._current()
        headers = self._headers() | ({"content-type": kind.format(self._major)} if body is not None else {})
        target = "/" + path.lstrip("/") + (f"?{urlencode(query, safe=',*', quote_via=quote)}" if query else "")
        meta, data = self._sent(transport, method, target, body, headers, timeout or self._cluster.timeout_seconds)
        return self._understood(meta, data, method)

    def _sent(
        self,
        transport: Transport,
        method: str,
        target: str,
        body: bytes | None,
        headers: dict[str, str],
        timeout: float,
    ) -> tuple[ApiResponseMeta, bytes]:
        from elastic_transport import TlsError, TransportError

        from enrich.elasticsearch import unreached

        for left in reversed(range(len(transport.node_pool))):
            try:
                answer = transport.perform_request(
                    method, target, body=body, headers=headers, max_retries=0, request_timeout=timeout
                )
            except TransportError as error:
                if isinstance(error, TlsError):
                    self._doubted = transport
                unsent = unreached.is_unsent(error)
                if not (unsent and left):
                    words = unreached.words(error, self._cluster, timeout)
                    reason, where = unreached.cause(error), place(self._cluster)
                    raise ElasticsearchError(words, place=where, reason=reason, unknown=not unsent) from error
            else:
                return answer.meta, answer.body or b""
        raise AssertionError

    def _understood(self, meta: ApiResponseMeta, data: bytes, method: str) -> Any:
        try:
            answer = orjson.loads(data) if data else {}
        except orjson.JSONDecodeError:
            answer = None
        where = f"{meta.node.scheme}://{meta.node.host}:{meta.node.port}{meta.node.path_prefix}"
        if not 200 <= meta.status < 300:
            kind, reason = refused.error(answer, data)
            # Of a server 8; what another one has against our headers is no question of versions.
            is_older = kind == "media_type_header_exception" and b"compatible-with" in data
            words = refused.older(self._major) if is_older else refused.words(kind, reason, meta.status)
            unknown = meta.status in _UNKNOWN
            raise ElasticsearchError(words, place=where, status=meta.status, kind=kind, reason=reason, unknown=unknown)
        if meta.headers.get("x-elastic-product") != "Elasticsearch":
            words = refused.stranger(meta.status, data)
            raise ElasticsearchError(
                words, place=where, status=meta.status, kind="not_elasticsearch", unknown=method != "GET"
            )
        return data.decode(errors="replace") if answer is None else answer

    def _headers(self) -> dict[str, str]:
        own = self._cluster
        headers = {"accept": _JSON.format(self._major)}
        if own.api_key:
            headers["authorization"] = f"ApiKey {own.api_key}"
        elif own.username:
            pair = f"{own.username}:{own.password}".encode()
            headers["authorization"] = f"Basic {binascii.b2a_base64(pair, newline=False).decode()}"
        return headers

    def _current(self) -> Transport:
        """The transport; another one where the certificates of the last did not do."""
        with self._lock:
            if self._doubted is self._transport:
                before = self._transport
                self._transport, self._major = self._connect()
                before.close()
            return self._transport

    def _connect(self) -> tuple[Transport, int]:
        import elasticsearch
        from elastic_transport import Serializer

        from enrich.elasticsearch.node import Way, node

        class AsItIs(Serializer):
            mimetype = "*/*"

            def dumps(self, data: Any) -> bytes:
                return bytes(data)

            def loads(self, data: bytes) -> Any:
                return data

        own = self._cluster
        raw = AsItIs()
        kinds = ("application/json", "application/vnd.elasticsearch+json", "application/vnd.elasticsearch+x-ndjson")
        try:
            way = Way(own, self._connections)
            made = elasticsearch.Elasticsearch(
                hosts=None if own.cloud_id else list(own.hosts),
                cloud_id=own.cloud_id or None,
                node_class=node(way),
                serializers=dict.fromkeys((*kinds, "application/*", "text/*"), raw),
                request_timeout=own.timeout_seconds,
            )
        except (OSError, ValueError) as error:
            from enrich.elasticsearch.unreached import unusable

            raise ElasticsearchError(unusable(error, own), place=place(own), reason=str(error)) from error
        return made.transport, elasticsearch.__version__[0]
