"""Why Elasticsearch does not do what it is asked, and what to do about it, in words."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from enrich.elasticsearch.cluster import Cluster
from enrich.printable import message as printable

if TYPE_CHECKING:
    from elastic_transport import ApiResponseMeta, TransportError

_MAX_REASON = 1000


def is_unsent(error: TransportError) -> bool:
    """No connection was there yet, so that nothing can have been done."""
    import urllib3.exceptions as net

    # The client keeps what the network said as its error's cause.
    first = error.__cause__
    if isinstance(first, (net.NewConnectionError, net.ConnectTimeoutError, net.ProxyError)):
        return True
    return _verification(first) is not None


def error(answer: Any, data: bytes) -> tuple[str, str]:
    """Type and reason of an answer that is an error; of one that is no JSON what can be seen of it."""
    found = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(found, dict):
        return str(found.get("type", "")), printable(str(found.get("reason", "")))[:_MAX_REASON]
    if isinstance(found, str):
        return "", printable(found)[:_MAX_REASON]
    return "", printable(data.decode(errors="replace").strip())[:_MAX_REASON]


def cause(error: TransportError) -> str:
    """What the network said."""
    return printable(str(error.__cause__ or error))[:_MAX_REASON]


def unanswered(error: TransportError, cluster: Cluster) -> str:
    """Nobody answered, or not to be trusted."""
    return f"{cluster.name}: {cause(error)}"


def answered(meta: ApiResponseMeta, kind: str, reason: str, asked: str, cluster: Cluster, client: int) -> str:
    """An answer that is an error."""
    if kind == "media_type_header_exception" or "compatible-with" in reason:
        return (
            f"{cluster.name}: the server is older than the Python client {client} that is installed: it refuses what"
            f" that sends. For a server {client - 1} install its own: pip install 'elasticsearch<{client}'"
        )
    return f"{cluster.name}: {meta.status} {kind}: {reason} ({asked})"


def stranger(cluster: Cluster, data: bytes) -> str:
    """Something answered that is not Elasticsearch."""
    del data
    return f"{cluster.name}: what answers is not Elasticsearch"


def unusable(error: Exception, cluster: Cluster) -> str:
    """The configuration can't be used."""
    return f"{cluster.name}: {error}"


def _verification(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    seen = 0
    while error is not None and seen < 10:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error
        first = error.args[0] if error.args and isinstance(error.args[0], BaseException) else None
        error = error.__cause__ or first or error.__context__
        seen += 1
    return None
