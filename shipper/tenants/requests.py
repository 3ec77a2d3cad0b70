"""What `cgtrail tenants` and `cgtrail containers` ask of the agent, and the answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import msgspec

from shipper.tenants.book import TenantBook
from shipper.tenants.declare import TenantsError, nearest, policy, policy_names, shown
from shipper.tenants.model import EVERYTHING, Tenant
from shipper.tenants.selectors import Rule, Selector, condition

Container: TypeAlias = dict[str, Any]
"""A container as the agent tells of it: key, id, name, runtime, image, tenants (id → why), policy (names), cgroups
(their number), cgroup (id of the topmost), state ("complete" or "pending"), recorded (False: no room in the kernel's
map), started (nanoseconds since 1970, or 0)."""
Answer: TypeAlias = dict[str, Any]
MIN_DIGITS = 4
"""So many digits of an id name a container, if it is the only one."""
_LISTED = 8


class _Request(msgspec.Struct, forbid_unknown_fields=True, tag_field="request"):
    pass


class _Containers(_Request, tag="containers"):
    tenant: str | None = None


class _List(_Request, tag="tenants.list"):
    pass


class _Show(_Request, tag="tenants.show"):
    id: str


class _Add(_Request, tag="tenants.add"):
    id: str
    name: str = ""
    policy: list[str] | None = None
    rules: list[list[tuple[str, str]]] = []
    """Any of which may hold; each is conditions that all must."""


class _Change(_Request, tag="tenants.change"):
    id: str
    name: str | None = None
    policy: list[str] | None = None


class _Remove(_Request, tag="tenants.remove"):
    id: str


class _Attach(_Request, tag="tenants.attach"):
    id: str
    containers: list[str]


class _Detach(_Request, tag="tenants.detach"):
    id: str
    containers: list[str]


_Changes: TypeAlias = _Add | _Change | _Remove | _Attach | _Detach
_Known: TypeAlias = _Containers | _List | _Show | _Changes


class Requests:
    """Answers them: `shipper.control.Handler`."""

    def __init__(
        self, book: TenantBook, regroup: Callable[[], None], containers: Callable[[], list[Container]]
    ) -> None:
        """`regroup` puts what changed into the stream and the kernel; only then is a change answered."""
        self._book, self._regroup, self._containers = book, regroup, containers

    def __call__(self, request: dict[str, Any], uid: int) -> Answer:
        """Raises TenantsError or SelectorError for what can't be done; the message says whether anything changed."""
        try:
            known = msgspec.convert(request, type=_Known)
        except msgspec.ValidationError as error:
            raise TenantsError(f"the request is not understood: {error}") from error
        match known:
            case _Containers():
                return {"containers": self._of(known.tenant)}
            case _List():
                return {"error_in_files": self._book.error, "tenants": self._list()}
            case _Show():
                return {"error_in_files": self._book.error, "tenant": self._show(known.id)}
            case _:
                return self._change(known, f"command, uid {uid}")

    def _change(self, known: _Changes, by: str) -> Answer:
        try:
            touched = self._apply(known, by)
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            advice = "nothing was changed; see that the data folder has room and can be written"
            raise TenantsError(f"{place}{error.strerror or error}: {advice}") from error
        try:
            self._regroup()
        except (ValueError, OSError, RuntimeError) as error:
            advice = "it was kept, and holds from the next change or start of the agent"
            raise TenantsError(f"the change is not in force: {error}: {advice}") from error
        told: Answer = {"ok": True, "containers": [_brief(one) for one in touched]}
        if isinstance(known, _Detach):
            keys = {one["key"] for one in touched}
            told["stay"] = [
                _brief(one) | {"why": one["tenants"][known.id]}
                for one in self._containers()
                if one["key"] in keys and known.id in one["tenants"]
            ]
        return told

    def _apply(self, known: _Changes, by: str) -> list[Container]:
        """Make a change in the book; returns the containers that it names."""
        touched: list[Container] = []
        match known:
            case _Add():
                rules = [[condition(_selector(name), value) for name, value in rule] for rule in known.rules if rule]
                asked = EVERYTHING if known.policy is None else policy(known.policy)
                self._book.add(known.id, by, known.name, asked, rules)
            case _Change():
                if known.name is None and known.policy is None:
                    raise TenantsError("nothing is to be changed: give --name or --policy")
                self._book.change(known.id, by, known.name, None if known.policy is None else policy(known.policy))
            case _Remove():
                self._book.remove(known.id)
            case _Attach():
                live = self._containers()
                touched = [_one(name, live, " that runs") for name in known.containers]
                self._book.attach(known.id, {one["key"]: one["id"] for one in touched}, by)
            case _Detach():
                touched = [self._attached(known.id, name) for name in known.containers]
                self._book.detach(known.id, [one["key"] for one in touched])
        return touched

    def _of(self, tenant: str | None) -> list[Container]:
        live = self._containers()
        if tenant is None:
            return live
        self._tenant(tenant, live)
        return [one for one in live if tenant in one["tenants"]]

    def _list(self) -> list[dict[str, Any]]:
        current, counts = self._book.current, dict.fromkeys(self._book.current.known, 0)
        for one in self._containers():
            for tenant in one["tenants"]:
                counts[tenant] = counts.get(tenant, 0) + 1
        return [_tenant(current.tenant(tenant)) | {"containers": counts[tenant]} for tenant in sorted(counts)]

    def _show(self, tenant: str) -> dict[str, Any]:
        live = self._containers()
        rules = [_rule(rule) for rule in self._book.current.rules if rule.tenant == tenant]
        members = [_brief(one) | {"why": one["tenants"][tenant]} for one in live if tenant in one["tenants"]]
        return _tenant(self._tenant(tenant, live)) | {"rules": rules, "containers": members}

    def _tenant(self, name: str, live: Sequence[Container]) -> Tenant:
        """A tenant that is declared, or that a container's label names. Raises TenantsError."""
        known = {*self._book.current.known, *(tenant for one in live for tenant in one["tenants"])}
        if name not in known:
            raise TenantsError(f"there is no tenant {shown(name)}: {nearest(name, known)}see `cgtrail tenants list`")
        return self._book.current.tenant(name)

    def _attached(self, tenant: str, name: str) -> Container:
        """A container that a command attached, also one that does not run. Raises TenantsError."""
        live = self._containers()
        attached = self._book.attached(tenant)
        if not attached:  # a file may have declared the tenant, and does so no more
            self._tenant(tenant, live)
        there = {one["key"] for one in live}
        ended = [
            {"key": key, "id": number, "name": "", "tenants": {}}
            for key, number in attached.items()
            if key not in there
        ]
        one = _one(name, [*live, *ended])
        if one["key"] in attached:
            return one
        why = one["tenants"].get(tenant)
        if why is None:
            raise TenantsError(f"container {_called(one)} does not belong to tenant {tenant!r}: nothing to detach")
        advice = "remove the label" if why.startswith("label ") else "change that"
        raise TenantsError(
            f"container {_called(one)} belongs to tenant {tenant!r} by {why}, not by attaching: {advice}"
        )


def _selector(name: str) -> Selector:
    if name == Selector.CGROUP:
        raise TenantsError("a cgroup's id holds for one boot only, and what commands say stays: attach its container")
    if name not in list(Selector):
        raise TenantsError(
            f"unknown selector {shown(name)}: {nearest(name, Selector)}write one of {', '.join(Selector)}"
        )
    return Selector(name)


def _one(name: str, among: Sequence[Container], which: str = "") -> Container:
    """The container of this key, id or name, or of an id that begins so. Raises TenantsError for none or several."""
    fitting = [one for one in among if one["key"] == name] or [
        one
        for one in among
        if name and (name in {one["id"], one["name"]} or (len(name) >= MIN_DIGITS and one["id"].startswith(name)))
    ]
    if not fitting:
        near = nearest(name, [one["name"] for one in among if one["name"]])
        raise TenantsError(f"there is no container {shown(name)}{which}: {near}see `cgtrail containers`")
    if len(fitting) > 1:
        names = ", ".join(_called(one) for one in fitting[:_LISTED]) + (", …" if len(fitting) > _LISTED else "")
        raise TenantsError(
            f"{shown(name)} may be any of {len(fitting)} containers: {names}: write more of its id, or its key"
        )
    return fitting[0]


def _called(one: Container) -> str:
    return f"{shown(one['key'])} ({shown(one['name'])})" if one["name"] else shown(one["key"])


def _brief(one: Container) -> dict[str, Any]:
    return {name: one[name] for name in ("key", "id", "name")}


def _tenant(tenant: Tenant) -> dict[str, Any]:
    names = policy_names(tenant.policy)
    return {"id": tenant.id, "name": tenant.name, "policy": names, "source": tenant.source}


def _rule(rule: Rule) -> dict[str, Any]:
    return {"conditions": [str(one) for one in rule.conditions], "source": rule.source}
