"""Tenants and who belongs to them, as everything that was configured says at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from bpf.events import Policy

EVERYTHING = Policy.EXEC | Policy.TERMINAL | Policy.OUTPUT


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant."""

    id: str
    name: str
    policy: Policy = EVERYTHING
    source: str = ""
    """Where it was said: a file and its line, a label, a command and whose."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A container as tenants are chosen by: what its runtime told, and its cgroups."""

    key: str
    container_id: str
    name: str
    image: str
    labels: Mapping[str, str]
    namespace: str
    """Of Kubernetes."""
    cgroups: frozenset[int]
    """Ids of the cgroups it has now."""


class Membership(NamedTuple):
    """The tenants of one container, sorted, and what is recorded of it: the sum of what they ask for."""

    tenants: Mapping[str, str]
    """Tenant id → why: the source of the rule that says so. Sorted by id."""
    policy: Policy


class Tenants:
    """The tenants at one moment. Immutable: a change makes another."""

    def __init__(self, unassigned: Policy = EVERYTHING) -> None:
        self.unassigned = unassigned
        """What is recorded of a container that has no tenant."""
        self.known: Mapping[str, Tenant] = {}
        """By id, sorted; those that only a label names are not among them."""

    def tenant(self, tenant_id: str) -> Tenant:
        """The tenant of this id; one that only a container's label names asks for everything."""
        return self.known.get(tenant_id) or Tenant(tenant_id, tenant_id, source="label")

    def of(self, subject: Subject) -> Membership:
        """Whose a container is."""
        return Membership({}, self.unassigned)
