"""A tenants file in YAML: `tenants:`, a list of id, name, policy and members."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from shipper.tenants.declare import POLICIES, TenantsError, nearest, policy, shown, tenant_id, tenant_name
from shipper.tenants.declared import Declared, placed
from shipper.tenants.model import EVERYTHING, Tenant
from shipper.tenants.selectors import Condition, Rule, Selector, condition
from shipper.tenants.yaml_tree import Items, Mapping, Node, Scalar, YamlError, parse

_KEYS = ("id", "name", "policy", "members")
_EXAMPLE = "tenants: [{id: team-a, members: [{label: team=a}]}]"


def tenants(file: Path, text: str, into: Declared) -> None:
    """Add what a file says. Raises TenantsError with file and line."""
    try:
        tree = parse(text)
    except YamlError as error:
        raise TenantsError(f"{file}, line {error.line}: {error}") from error
    if tree is None:
        raise TenantsError(f"{file}, line 1: nothing is in it: write `tenants: []` if there shall be none")
    top = _mapping(file, tree, "the file", ("tenants",))
    if "tenants" not in top:
        raise TenantsError(f"{file}, line {tree.line}: it has no `tenants`: write as in {_EXAMPLE}")
    for node in _items(file, top["tenants"], "tenants"):
        _tenant(file, node, into)


def _tenant(file: Path, node: Node, into: Declared) -> None:
    told = _mapping(file, node, "a tenant", _KEYS)
    if "id" not in told:
        raise TenantsError(
            f"{file}, line {node.line}: this tenant has no id: write id: and a name of letters and digits"
        )
    with placed(file, told["id"].line):
        name = tenant_id(_text(told["id"]))
    source = f"{file}, line {node.line}"
    shown_name = name
    if "name" in told:
        with placed(file, told["name"].line):
            shown_name = tenant_name(_text(told["name"]))
    asked = EVERYTHING
    if "policy" in told:
        nodes = _items(file, told["policy"], "policy", f"a list, as in [{', '.join(POLICIES)}]")
        with placed(file, told["policy"].line):
            asked = policy(map(_text, nodes))
    with placed(file, node.line):
        into.add(Tenant(name, shown_name, asked, source))
    if "members" in told:
        for member in _items(file, told["members"], "members"):
            conditions = tuple(_conditions(file, member))
            into.rules.append(Rule(name, conditions, f"{file}, line {member.line}"))


def _conditions(file: Path, node: Node) -> Iterator[Condition]:
    told = _mapping(file, node, "a member", tuple(Selector))
    if not told:
        wanted = f"write one of {', '.join(Selector)}"
        raise TenantsError(f"{file}, line {node.line}: this member says nothing, and would be everybody: {wanted}")
    for key, value in told.items():
        several = isinstance(value, Items) and key == Selector.LABEL and value.nodes
        for text in value.nodes if isinstance(value, Items) and several else [value]:
            with placed(file, text.line):
                yield condition(Selector(key), _text(text))


def _mapping(file: Path, node: Node, what: str, known: Collection[str]) -> dict[str, Node]:
    if not isinstance(node, Mapping):
        raise TenantsError(f"{file}, line {node.line}: {what} must be keys with values, as in {_EXAMPLE}")
    for key, (line, _) in node.nodes.items():
        if key not in known:
            wanted = f"{nearest(key, known)}write {'one of ' if len(known) > 1 else ''}{', '.join(known)}"
            raise TenantsError(f"{file}, line {line}: unknown key {shown(key)} of {what}: {wanted}")
    return {key: value for key, (_, value) in node.nodes.items()}


def _items(file: Path, node: Node, what: str, wanted: str = "a list, each item with a '-' before it") -> list[Node]:
    if not isinstance(node, Items):
        raise TenantsError(f"{file}, line {node.line}: {what} must be {wanted}")
    return node.nodes


def _text(node: Node) -> str:
    if not isinstance(node, Scalar):
        raise TenantsError("a list or keys stand where one text must: write the text alone")
    return node.text
