"""`cgtrail tenants`: whose containers are, shown and changed in the running agent."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click
import orjson
from click.shell_completion import CompletionItem

from cgtrail import config as configuration
from cgtrail.config import Config
from cgtrail.containers import DIGITS, named
from cgtrail.listing import table
from cgtrail.logs import notice
from enrich.printable import json_line, message, text
from shipper.control_client import ask

_COLUMNS = ("ID", "NAME", "POLICY", "CONTAINERS", "SAID BY")
_MEMBERS = ("CONTAINER", "ID", "BECAUSE OF")
_RULES = ("CHOOSES", "SAID BY")
_COMPLETION_SECONDS = 1.0


def ls(config: Config, *, as_json: bool) -> None:
    """Print every tenant, declared or only named by labels. Raises AgentError."""
    answer = ask(config.folder, {"request": "tenants.list"})
    if as_json:
        for tenant in answer["tenants"]:
            click.echo(json_line(orjson.dumps(tenant)))
    else:
        rows = [
            (tenant["id"], tenant["name"], _policy(tenant), f"{tenant['containers']:,}", tenant["source"])
            for tenant in answer["tenants"]
        ]
        table(_COLUMNS, [tuple(map(text, row)) for row in rows], places=True)
    _warn(answer)


def show(config: Config, tenant_id: str, *, as_json: bool) -> None:
    """Print all that is known of a tenant. Raises AgentError."""
    answer = ask(config.folder, {"request": "tenants.show", "id": tenant_id})
    tenant = answer["tenant"]
    if as_json:
        click.echo(json_line(orjson.dumps(tenant)))
    else:
        said = {"id": tenant["id"], "name": tenant["name"], "policy": _policy(tenant), "said by": tenant["source"]}
        for name, value in said.items():
            click.echo(f"{name:<9}{text(value)}")
        if tenant["rules"]:
            click.echo()
            rules = [(" and ".join(rule["conditions"]), rule["source"]) for rule in tenant["rules"]]
            table(_RULES, [tuple(map(text, row)) for row in rules], places=True)
        click.echo()
        members = sorted(tenant["containers"], key=lambda one: (one["name"], one["key"]))
        table(_MEMBERS, [(named(one), text(one["id"][:DIGITS]), text(one["why"])) for one in members], places=True)
    _warn(answer)


def add(config: Config, tenant_id: str, name: str, policy: str | None, rules: Sequence[tuple[str, str]]) -> None:
    """Declare a tenant; a container that any of the rules chooses belongs to it. Raises AgentError."""
    each = [[rule] for rule in rules]
    request = {"id": tenant_id, "name": name, "policy": _flags(policy), "rules": each}
    ask(config.folder, {"request": "tenants.add", **request})
    notice(f"cgtrail: there is a tenant {text(tenant_id)} now")


def change(config: Config, tenant_id: str, name: str | None, policy: str | None) -> None:
    """Change a tenant's name or policy. Raises AgentError."""
    ask(config.folder, {"request": "tenants.change", "id": tenant_id, "name": name, "policy": _flags(policy)})
    notice(f"cgtrail: tenant {text(tenant_id)} is changed")


def remove(config: Config, tenant_id: str) -> None:
    """Remove a tenant. Raises AgentError."""
    ask(config.folder, {"request": "tenants.remove", "id": tenant_id})
    notice(f"cgtrail: tenant {text(tenant_id)} is removed")


def attach(config: Config, tenant_id: str, containers: Sequence[str]) -> None:
    """Let containers belong to a tenant, all or none. Raises AgentError."""
    answer = ask(config.folder, {"request": "tenants.attach", "id": tenant_id, "containers": containers})
    for one in answer["containers"]:
        notice(f"cgtrail: {named(one)} belongs to tenant {text(tenant_id)} from now on")


def detach(config: Config, tenant_id: str, containers: Sequence[str]) -> None:
    """Undo that, for all or none. Raises AgentError."""
    answer = ask(config.folder, {"request": "tenants.detach", "id": tenant_id, "containers": containers})
    stay = {one["key"]: one["why"] for one in answer["stay"]}
    for one in answer["containers"]:
        if one["key"] in stay:
            why = text(stay[one["key"]])
            notice(f"cgtrail: {named(one)} is detached, and still belongs to tenant {text(tenant_id)} by {why}")
        else:
            notice(f"cgtrail: {named(one)} belongs to tenant {text(tenant_id)} no more")


def complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Tenants' ids for the shell; none where no agent answers at once."""
    given = context.find_object(dict) or {}
    with suppress(Exception):  # a shell that completes shows no errors
        config = configuration.load(given.get("config"), os.environ, {"data": given.get("data")})
        tenants = ask(config.folder, {"request": "tenants.list"}, _COMPLETION_SECONDS)["tenants"]
        return [CompletionItem(one["id"], help=one["name"]) for one in tenants if one["id"].startswith(incomplete)]
    return []


def _flags(policy: str | None) -> list[str] | None:
    return None if policy is None else [name.strip() for name in policy.split(",") if name.strip()]


def _policy(tenant: dict[str, Any]) -> str:
    return ",".join(tenant["policy"]) or "nothing"


def _warn(answer: dict[str, Any]) -> None:
    if answer["error_in_files"]:
        notice(f"cgtrail: files are not taken as they are now, those before hold: {message(answer['error_in_files'])}")
