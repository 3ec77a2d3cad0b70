"""What a tenant can be given: an alias that shows its documents only, and a role where the licence has one.

A filter of an alias is no wall: who may ask for a data stream by its own name sees all of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from shipper.tenants.model import ID

FIELD = "cgtrail.tenant.id"


class TenantError(ValueError):
    """This can't be a tenant's id; the message says how one is written."""


def prefix(namespace: str) -> str:
    """How names of ours begin that are a namespace's: cgtrail, or cgtrail.production."""
    return "cgtrail" if namespace == "default" else f"cgtrail.{namespace}"


def alias(tenant: str, namespace: str) -> str:
    """Its alias, as cgtrail-alice: ids are legal in it as they are. Raises TenantError."""
    if not ID.fullmatch(tenant):
        raise TenantError(
            f"{tenant!r} can't be a tenant's id: write a small letter or a digit, then up to 62 of these and . _ -"
        )
    return f"{prefix(namespace)}-{tenant}"


def shown(tenant: str, namespace: str) -> dict[str, Any]:
    """The query for what a tenant sees: templates reach the streams of all namespaces, so it names its own."""
    terms = {FIELD: tenant, "data_stream.namespace": namespace}
    return {"bool": {"filter": [{"term": {field: {"value": value}}} for field, value in terms.items()]}}


def aliases(tenants: Iterable[str], namespace: str) -> dict[str, Any]:
    """Aliases as a template has them."""
    return {alias(tenant, namespace): {"filter": shown(tenant, namespace)} for tenant in sorted(set(tenants))}
