"""Which tenants the stream was told of, and the records of what becomes of them and of their containers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bpf.schema import Record
from shipper import tell
from shipper.tenants.model import Membership, Tenant, Tenants
from shipper.wire.records import TenantChange


class Memberships:
    """Tells of each tenant before the first record that names it."""

    def __init__(self, tenants: Tenants) -> None:
        self.tenants = tenants
        self._told: dict[str, Tenant] = {}

    def all(self) -> Iterator[Record]:
        """Every declared tenant, for a keyframe; those that only a label names stand before their containers."""
        self._told.clear()
        return self.named(self.tenants.known)

    def named(self, ids: Iterable[str]) -> Iterator[Record]:
        """Those of these tenants that the stream does not know as they are now."""
        for tenant_id in ids:
            tenant = self.tenants.tenant(tenant_id)
            if self._told.get(tenant_id) != tenant:
                self._told[tenant_id] = tenant
                yield tell.tenant(tenant)

    def replace(self, tenants: Tenants) -> Iterator[Record]:
        """Others hold from now on: what became of each."""
        before, self.tenants = self.tenants, tenants
        for tenant_id, tenant in tenants.known.items():
            old = before.known.get(tenant_id)
            if old is None or (old.name, old.policy) != (tenant.name, tenant.policy):
                yield from self.named([tenant_id])
                yield tell.changed(tenant, TenantChange.CHANGED if old else TenantChange.CREATED)
        for tenant_id in before.known.keys() - tenants.known.keys():
            yield tell.changed(before.known[tenant_id], TenantChange.REMOVED)

    def moved(self, key: str, before: Membership, now: Membership) -> Iterator[Record]:
        """The tenants that a container has left, and those that it has come to."""
        for tenant_id, source in before.tenants.items():
            if tenant_id not in now.tenants:
                tenant = self._told.get(tenant_id) or self.tenants.tenant(tenant_id)
                yield tell.changed(tenant, TenantChange.DETACHED, key=key, source=source)
        for tenant_id, source in now.tenants.items():
            if tenant_id not in before.tenants:
                yield tell.changed(self.tenants.tenant(tenant_id), TenantChange.ATTACHED, key=key, source=source)
