"""Roles with what is needed and nothing else: for workers that write, for people who read, for one tenant.

https://www.elastic.co/docs/reference/elasticsearch/security-privileges
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cgtrail.elasticsearch.pieces import ROLE, Piece
from cgtrail.elasticsearch.tenants import alias, prefix, shown
from enrich.elasticsearch.streams import pattern

CREATE = ("auto_configure", "create_doc")
"""Documents are created and never changed; a data stream is made by its first document."""
READ = ("read", "view_index_metadata")
"""To search, and to ask which backing indices there are and how they are mapped."""


def writer(namespace: str, *, reads: bool) -> Piece:
    """For workers; with `reads` they also look up, after a rollover, whether a document is there already."""
    return _role(f"{prefix(namespace)}-writer", namespace, sorted({*CREATE, *(READ if reads else ())}))


def reader(namespace: str) -> Piece:
    """For `cgtrail search` and the other commands that read, and for Kibana."""
    return _role(f"{prefix(namespace)}-reader", namespace, READ)


def tenant(name: str, namespace: str) -> Piece:
    """For a tenant, which sees its documents only, by document-level security. Raises TenantError."""
    role = _role(f"{prefix(namespace)}-tenant-{name}", namespace, READ)
    assert alias(name, namespace)
    role.body["indices"][0]["query"] = json.dumps(shown(name, namespace), separators=(",", ":"))
    return role


def reads(found: Mapping[str, Any]) -> bool:
    """Whether a writer's role lets it read, too."""
    return any("read" in each.get("privileges", ()) for each in found.get("indices", ()))


def _role(name: str, namespace: str, privileges: Sequence[str]) -> Piece:
    on = {"names": [pattern(namespace)], "privileges": list(privileges), "allow_restricted_indices": False}
    return Piece(ROLE, name, {"cluster": [], "indices": [on], "applications": [], "run_as": []})
