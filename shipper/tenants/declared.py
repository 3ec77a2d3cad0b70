"""What several places have said of tenants, gathered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from shipper.tenants.declare import TenantsError
from shipper.tenants.model import Tenant
from shipper.tenants.selectors import Rule, SelectorError

MAX_RULES = 100_000
"""Of all files, or of all commands; tenants are at most as many."""


@dataclass
class Declared:
    """Tenants, and who belongs to them."""

    tenants: dict[str, Tenant] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    rows: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """Of CSV files: cgroup, scope and tenant → where they stand."""

    def add(self, tenant: Tenant) -> None:
        """Raises TenantsError when there is such a tenant."""
        known = self.tenants.get(tenant.id)
        if known is not None:
            raise TenantsError(f"tenant {tenant.id!r} stands in {known.source} already: keep one of them")
        self.tenants[tenant.id] = tenant


@contextmanager
def placed(file: Path, line: int) -> Iterator[None]:
    """What is wrong within is said with its place."""
    try:
        yield
    except (TenantsError, SelectorError) as error:
        raise TenantsError(f"{file}, line {line}: {error}") from error
