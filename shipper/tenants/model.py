"""Tenants and who belongs to them, as everything that was configured says at one moment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import and_
from typing import NamedTuple

import structlog

from bpf.enums import EVERYTHING, Policy
from shipper.tenants.index import Index
from shipper.tenants.selectors import Rule, Subject

__all__ = ["EVERYTHING", "LABEL", "MAX_TENANTS", "Ignored", "Membership", "Subject", "Tenant", "Tenants"]

_log = structlog.get_logger()
LABEL = "cgtrail.tenant"
"""The label whose value names a container's tenants, if nothing else is configured."""
MAX_TENANTS = 256
"""So many tenants of one container are named; what the others ask for is recorded all the same."""
ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
"""How a tenant's id is written."""
_EVERYTHING = int(EVERYTHING)
_MAX_LABEL = 32 * 1024
"""Characters of a label that are looked at: more than 256 ids have."""
_MAX_REMEMBERED = 65536


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant."""

    id: str
    name: str
    policy: Policy = EVERYTHING
    source: str = ""
    """Where it was said: a file and its line, a label, a command and whose."""


class Membership(NamedTuple):
    """The tenants of one container, sorted, and what is recorded of it: the sum of what they ask for."""

    tenants: Mapping[str, str]
    """Tenant id → why: the source of the rule that says so. Sorted by id."""
    policy: Policy


@dataclass
class Ignored:
    """What containers were not given, each container counted and logged once for each cause."""

    ids: int = 0
    """Containers whose label has something that is no tenant's id."""
    beyond: int = 0
    """Containers of more tenants than are named."""
    _seen: set[tuple[str, str]] = field(default_factory=set)

    def id(self, subject: Subject, label: str, value: str) -> None:
        """A label has what is no tenant's id."""
        if self._first(subject, "id"):
            self.ids += 1
            _log.warning("a label names no tenant", container=subject.name or subject.key, label=label,
                         value=value[:100], next="ids are made of a-z, 0-9, '.', '_', '-', up to 63")  # fmt: skip

    def too_many(self, subject: Subject, count: int) -> None:
        """A container has so many tenants."""
        if self._first(subject, "many"):
            self.beyond += 1
            _log.warning("a container has more tenants than are named", container=subject.name or subject.key,
                         tenants=count, named=MAX_TENANTS, next="give it to fewer")  # fmt: skip

    def _first(self, subject: Subject, cause: str) -> bool:
        seen = (subject.key, cause)
        if seen in self._seen:
            return False
        if len(self._seen) >= _MAX_REMEMBERED:
            self._seen.clear()
        self._seen.add(seen)
        return True


class Tenants:
    """The tenants at one moment. Immutable: a change makes another."""

    def __init__(
        self,
        unassigned: Policy = EVERYTHING,
        known: Iterable[Tenant] = (),
        rules: Iterable[Rule] = (),
        label: str = LABEL,
        ignored: Ignored | None = None,
    ) -> None:
        """`rules` of tenants that are not `known` say nothing. An empty `label`: none names tenants."""
        self.unassigned = unassigned
        """What is recorded of a container that has no tenant."""
        self.known: Mapping[str, Tenant] = {tenant.id: tenant for tenant in sorted(known, key=lambda known: known.id)}
        """By id, sorted; those that only a label names are not among them."""
        self._policies = {tenant.id: int(tenant.policy) for tenant in self.known.values()}
        self.at_first = Policy(Policy.EXEC | reduce(and_, self._policies.values(), int(unassigned)))
        """What is recorded of a container until it is known whose it is: its programs, and what everybody asks for."""
        self.rules = tuple(rule for rule in rules if rule.tenant in self.known)
        self.label = label
        self.ignored = ignored or Ignored()
        self._index = Index(self.rules)

    def tenant(self, tenant_id: str) -> Tenant:
        """The tenant of this id; one that only a container's label names asks for everything."""
        return self.known.get(tenant_id) or Tenant(tenant_id, tenant_id, source="label")

    def of(self, subject: Subject) -> Membership:
        """Whose a container is. The first rule that holds says why; a label only what no rule says."""
        why = self._by_rule(subject)
        if self.label and (value := subject.labels.get(self.label)) is not None:
            source = f"label {self.label}"
            for tenant in self._labelled(subject, value):
                why.setdefault(tenant, source)
        if not why:
            return Membership({}, self.unassigned)
        policy = 0
        for tenant in why:
            policy |= self._policies.get(tenant, _EVERYTHING)
        named = list(why)
        if len(named) > MAX_TENANTS:  # those of rules come first: whoever labels a container can't push them out
            self.ignored.too_many(subject, len(named))
            del named[MAX_TENANTS:]
        named.sort()
        return Membership({tenant: why[tenant] for tenant in named}, Policy(policy))

    def _by_rule(self, subject: Subject) -> dict[str, str]:
        """Tenant → the source of the first rule that holds."""
        found: dict[str, tuple[int, str]] = {}
        for rules in self._index.candidates(subject):
            for order, rule in rules:
                before = found.get(rule.tenant)
                if (before is None or order < before[0]) and rule.holds(subject):
                    found[rule.tenant] = order, rule.source
        return {tenant: source for tenant, (_, source) in found.items()}

    def _labelled(self, subject: Subject, value: str) -> list[str]:
        names = [name.strip() for name in value[:_MAX_LABEL].split(",")]
        good = [name for name in names if ID.fullmatch(name)]
        if len(value) > _MAX_LABEL or any(name and not ID.fullmatch(name) for name in names):
            self.ignored.id(subject, self.label, value)
        return good
