"""Who may do what: a host may only write, a worker reads, keeps its state and puts dead letters aside."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from shipper.wire.broker import Topics

EVERYBODY = "User:*"
_TYPED = re.compile(r"[A-Za-z]+:")


@dataclass(frozen=True, slots=True, order=True)
class Acl:
    """A right of a principal's."""

    kind: str
    """topic, group, cluster, …"""
    name: str
    operation: str
    """READ, WRITE, DESCRIBE, …"""
    principal: str
    """As in User:alice."""
    prefixed: bool = False
    """For all names that begin so."""

    @property
    def names(self) -> str:
        """What it is for, for people."""
        return f"{self.kind} {self.name}*" if self.prefixed else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Granted:
    """A right as it stands in the cluster, also for `*`."""

    acl: Acl
    allowed: bool
    host: str

    def about(self, kind: str, name: str) -> bool:
        """Whether it decides on this topic or group."""
        if self.acl.kind != kind:
            return False
        return name.startswith(self.acl.name) if self.acl.prefixed else self.acl.name in {"*", name}

    def __str__(self) -> str:
        """For people."""
        who = ", as everybody may" if self.acl.principal == EVERYBODY else ""
        hosts = "" if self.host == "*" else f" from {self.host}"
        return f"{_verb(self.acl.operation)} {self.acl.names}{hosts}{who}"


def principal(given: str) -> str:
    """A name as Kafka writes it: `alice` is User:alice, and `CN=host-1` User:CN=host-1."""
    return given if _TYPED.match(given) else f"User:{given}"


def writer(who: str, topics: Topics) -> frozenset[Acl]:
    """What an agent's host needs: not to read, so that whoever takes it learns nothing of others."""
    return frozenset(Acl("topic", topics.raw, operation, who) for operation in ("WRITE", "DESCRIBE"))


def reader(who: str, topics: Topics, group: str) -> frozenset[Acl]:
    """What a worker needs. Those of other sinks than the local store have groups of their own, `<group>.<sink>`."""
    rights = (
        ("topic", topics.raw, False, ("READ", "DESCRIBE")),
        ("topic", topics.state, False, ("READ", "WRITE", "DESCRIBE")),
        ("topic", topics.deadletter, False, ("READ", "WRITE", "DESCRIBE")),
        ("group", group, False, ("READ", "DESCRIBE")),
        ("group", f"{group}.", True, ("READ", "DESCRIBE")),
    )
    return frozenset(
        Acl(kind, name, each, who, prefixed) for kind, name, prefixed, operations in rights for each in operations
    )


def told(rights: Iterable[Acl]) -> str:
    """Rights for people: what may be done with each thing."""
    by: dict[str, list[str]] = {}
    for each in sorted(rights):
        by.setdefault(each.names, []).append(_verb(each.operation))
    return "; ".join(f"{', '.join(verbs)} {thing}" for thing, verbs in by.items())


def missing(wanted: Iterable[Acl], granted: Iterable[Granted]) -> list[Acl]:
    """What is not granted by name, from every host."""
    there = {each.acl for each in granted if each.allowed and each.host == "*"}
    return sorted(set(wanted) - there)


def beyond(wanted: frozenset[Acl], granted: Iterable[Granted], topics: Topics, group: str) -> Iterator[Granted]:
    """What is granted on our topics and group and is not wanted, and what is denied of them."""
    ours = [("topic", topics.raw), ("topic", topics.state), ("topic", topics.deadletter), ("group", group)]
    for each in granted:
        about = [(kind, name) for kind, name in ours if each.about(kind, name)]
        told = {(acl.kind, acl.name, acl.operation) for acl in wanted}
        if any((*one, each.acl.operation) not in told for one in about) if each.allowed else about:
            yield each


def _verb(operation: str) -> str:
    return operation.lower().replace("_", " ")
