"""Names of data streams: one a kind of document, in one namespace."""

from __future__ import annotations

from enrich.documents import KINDS


def stream(kind: str, namespace: str) -> str:
    """The data stream of a kind, as logs-cgtrail.process-default."""
    return f"logs-cgtrail.{kind}-{namespace}"


def pattern(namespace: str) -> str:
    """All kinds of a namespace."""
    return stream("*", namespace)


def streams(namespace: str) -> dict[str, str]:
    """Kind → its data stream."""
    return {kind: stream(kind, namespace) for kind in KINDS}
