"""The templates: what all kinds share, what one kind has, and how an index template puts them together.

Names are as Elastic's own: `logs-cgtrail@mappings` is ours, `logs-cgtrail@custom` (all kinds) and
`logs-cgtrail.process@custom` (one) are a user's, come last and are never touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cgtrail.elasticsearch import lifecycle
from cgtrail.elasticsearch.features import NO_FAILURE_STORE
from cgtrail.elasticsearch.pieces import COMPONENT, INDEX, POLICY, VERSION, Piece
from enrich.documents import KINDS
from enrich.elasticsearch.mappings import Features, Lifecycle, constants, mappings

PRIORITY = 250
"""Above Elastic's own template for logs-*-* (100) and those of Fleet's packages (200)."""
MAPPINGS = "logs-cgtrail@mappings"
TENANTS = "logs-cgtrail@tenants"
CUSTOM = "logs-cgtrail@custom"
SETTINGS = {
    "index.mode": "standard",
    "index.codec": "best_compression",
    "index.number_of_shards": "1",
    "index.refresh_interval": "1s",
}
"""Said even where it is the default: clusters change defaults of logs-*-* (logsdb rewrites documents)."""


def name(kind: str) -> str:
    """Of a kind's index template and policy; its own component template has @package behind it."""
    return f"logs-cgtrail.{kind}"


def pieces(features: Features, days: Mapping[str, int], aliases: Mapping[str, Any]) -> list[Piece]:
    """All of them, in the order in which they must be written."""
    told: list[Piece] = []
    if features.lifecycle is Lifecycle.ILM:
        told += [Piece(POLICY, name(kind), lifecycle.policy(days[kind])) for kind in KINDS]
    mapped = {"_meta": {"cgtrail": {"version": VERSION}}} | mappings(features)
    told.append(Piece(COMPONENT, MAPPINGS, {"template": {"mappings": mapped}}))
    options = {"data_stream_options": NO_FAILURE_STORE} if features.failure_store else {}
    told.append(Piece(COMPONENT, "logs-cgtrail@settings", {"template": {"settings": SETTINGS} | options}))
    if aliases:
        told.append(Piece(COMPONENT, TENANTS, {"template": {"aliases": dict(aliases)}}))
    told += [Piece(COMPONENT, f"{name(kind)}@package", _package(kind, features, days[kind])) for kind in KINDS]
    return told + indices()


def indices() -> list[Piece]:
    """The index templates: the same on every server."""
    return [Piece(INDEX, name(kind), _index(kind)) for kind in KINDS]


def _package(kind: str, features: Features, days: int) -> dict[str, Any]:
    template = lifecycle.template(features.lifecycle, name(kind), days)
    if mapped := constants(f"cgtrail.{kind}", features):
        template["mappings"] = mapped
    return {"template": template}


def _index(kind: str) -> dict[str, Any]:
    own = name(kind)
    optional = [TENANTS, CUSTOM, f"{own}@custom"]
    return {
        "index_patterns": [f"{own}-*"],
        "composed_of": [MAPPINGS, "logs-cgtrail@settings", f"{own}@package", *optional],
        "ignore_missing_component_templates": optional,
        "priority": PRIORITY,
        "data_stream": {"hidden": False, "allow_custom_routing": False},
    }
