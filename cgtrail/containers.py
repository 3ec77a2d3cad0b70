"""`cgtrail containers`: the containers that the running agent knows, and whose they are."""

from __future__ import annotations

import time
from typing import Any

import click
import orjson

from cgtrail.config import Config
from cgtrail.listing import table
from cgtrail.logs import notice
from enrich.printable import json_line, text
from shipper.control_client import ask

_COLUMNS = ("NAME", "ID", "RUNTIME", "IMAGE", "SINCE", "CGROUPS", "RECORDED", "TENANTS")
DIGITS = 12
"""Of an id, as Docker shows them."""


def run(config: Config, tenant: str | None, *, as_json: bool) -> None:
    """Print them, by name. Raises AgentError."""
    found = ask(config.folder, {"request": "containers", "tenant": tenant})["containers"]
    found.sort(key=lambda one: (one["name"], one["key"]))
    if as_json:
        for one in found:
            click.echo(json_line(orjson.dumps(one)))
        return
    table(_COLUMNS, [_cells(one) for one in found], marked=[not one["recorded"] for one in found])
    if any(not one["recorded"] for one in found):
        notice("cgtrail: what is not recorded found no room in the kernel's map: raise capture.max_cgroups")


def named(one: dict[str, Any]) -> str:
    """A container's name, or what there is instead, safe for a terminal."""
    return text(one["name"] or one["id"][:DIGITS] or one["key"])


def _cells(one: dict[str, Any]) -> tuple[str, ...]:
    started = one["started"]
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(started // 10**9)) if started else "-"
    recorded = ",".join(one["policy"]) or "nothing"
    if not one["recorded"]:
        recorded = "NOT: no room"
    elif one["state"] == "pending":
        recorded += " (its runtime has not told of it yet)"
    tenants = ", ".join(one["tenants"]) or "-"
    cells = (one["name"] or "-", one["id"][:DIGITS], one["runtime"] or "-", one["image"] or "-", since)
    return tuple(map(text, (*cells, f"{one['cgroups']:,}", recorded, tenants)))
