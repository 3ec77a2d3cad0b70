"""A tenants file in CSV (RFC 4180): a row a container, by cgroup id or scope (its id); or a row a tenant."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from shipper.tenants.declare import TenantsError, nearest, policy, shown, tenant_id, tenant_name
from shipper.tenants.declared import Declared, placed
from shipper.tenants.model import EVERYTHING, Tenant
from shipper.tenants.selectors import Rule, Selector, condition

COLUMNS = ("cgroup", "scope", "tenant", "name", "policy")
_SCOPE = re.compile(r"[0-9a-f]{64}")
_BETWEEN = re.compile(r"[\s,;+]+")


def rows(file: Path, text: str, into: Declared) -> None:
    """Add what a file says. Raises TenantsError with file and line."""
    header: list[str] | None = None
    for line, cells in _lines(file, text):
        with placed(file, line):
            if header is None:
                header = _header(cells)
            elif len(cells) != len(header):
                wanted = f"the header has {len(header)}: quote a value that has a comma in it"
                raise TenantsError(f"this row has {len(cells)} values, and {wanted}")
            else:
                _row(f"{file}, line {line}", dict(zip(header, cells, strict=True)), into)
    if header is None:
        raise TenantsError(f"{file}, line 1: nothing is in it: write a header, as in cgroup,scope,tenant")


def _lines(file: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, and the line that it begins in."""
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for cells in reader:
            if any(map(str.strip, cells)):
                yield line, [cell.strip() for cell in cells]
            line = reader.line_num + 1
    except csv.Error as error:
        raise TenantsError(f"{file}, line {line}: {error}: is a quote missing, or one too many?") from error


def _header(cells: list[str]) -> list[str]:
    names = [cell.lower() for cell in cells]
    for name in names:
        if name not in COLUMNS:
            raise TenantsError(
                f"unknown column {shown(name)}: {nearest(name, COLUMNS)}write some of {', '.join(COLUMNS)}"
            )
        if names.count(name) > 1:
            raise TenantsError(f"column {name!r} is there twice: keep one")
    if "tenant" not in names:
        raise TenantsError("there is no column 'tenant': add it to the header, and to each row")
    return names


def _row(place: str, row: dict[str, str], into: Declared) -> None:
    tenant = tenant_id(row["tenant"])
    cgroup, scope = row.get("cgroup", ""), row.get("scope", "")
    name, asked = row.get("name", ""), row.get("policy", "")
    if not cgroup and not scope:
        flags = policy(part for part in _BETWEEN.split(asked) if part) if asked else EVERYTHING
        into.add(Tenant(tenant, tenant_name(name) if name else tenant, flags, place))
        return
    if name or asked:
        raise TenantsError(
            f"{shown(name or asked)} is said of tenant {tenant!r} in a container's row: "
            "write it in a row without cgroup and scope"
        )
    if scope and not _SCOPE.fullmatch(scope):
        raise TenantsError(f"{shown(scope)} is no scope: write the container's id, 64 of 0-9 and a-f")
    before = into.rows.setdefault((cgroup, scope, tenant), place)
    if before != place:
        raise TenantsError(f"the same container and tenant stand in {before} already: keep one of them")
    told = ((Selector.CGROUP, cgroup), (Selector.CONTAINER, scope))
    into.rules.append(Rule(tenant, tuple(condition(selector, value) for selector, value in told if value), place))
