"""ECS's related.*: all users, hosts and addresses of a document in one place, to be searched without their roles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def related(host: str, *users: Mapping[str, str] | None) -> dict[str, list[str]]:
    """Each user's name, or its id where the name is not known; and the host's name."""
    named = sorted({user.get("name") or user["id"] for user in users if user})
    return ({"user": named} if named else {}) | ({"hosts": [host]} if host else {})


def relate(source: dict[str, Any], host: str) -> None:
    """Add what a document says that no record of a process makes."""
    if "related" not in source and (told := related(host, source.get("user"))):
        source["related"] = told
    leader = source.get("process", {}).get("entry_leader")
    if leader is not None and (came := leader["entry_meta"].get("source")):
        source["related"] = {**source.get("related", {}), "ip": [came["ip"]]}
