"""How a tenant is written, by whoever: in files, by commands. What is wrong is said with what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from bpf.enums import Policy
from shipper.tenants.model import ID

MAX_NAME = 200
"""Characters."""
POLICIES = {str(flag.name).lower(): flag for flag in Policy}


class TenantsError(ValueError):
    """What was said of tenants is wrong; the message says where, what and what to do."""


def tenant_id(value: str) -> str:
    """The id, if it is one. Raises TenantsError."""
    if not ID.fullmatch(value):
        wanted = "write up to 63 of a-z, 0-9, '.', '_' and '-', the first of them a letter or digit"
        raise TenantsError(f"{shown(value)} can't be a tenant's id: {wanted}")
    return value


def tenant_name(value: str) -> str:
    """The name, if it is one. Raises TenantsError."""
    if not value or len(value) > MAX_NAME or not value.isprintable():
        raise TenantsError(f"{shown(value)} can't be a tenant's name: write 1 to {MAX_NAME} printable characters")
    return value


def policy(names: Iterable[str]) -> Policy:
    """What names of flags ask for; none: nothing. Raises TenantsError."""
    asked = Policy(0)
    for name in names:
        if name not in POLICIES:
            near = nearest(name, POLICIES)
            raise TenantsError(f"{shown(name)} is no policy: {near}write some of {', '.join(POLICIES)}")
        asked |= POLICIES[name]
    return asked


def policy_names(asked: Policy) -> list[str]:
    """The names of flags, as they are written."""
    return [name for name, flag in POLICIES.items() if asked & flag]


def nearest(name: str, known: Iterable[str]) -> str:
    """A question for whoever may have misspelt it, with what follows; nothing when there is none like it."""
    near = difflib.get_close_matches(name[:MAX_NAME], list(map(str, known)), n=1)
    return f"did you mean {near[0]!r}? Otherwise " if near else ""


def shown(value: str) -> str:
    """A value quoted in a message, cut to what a line takes."""
    return repr(value) if len(value) <= 80 else f"{value[:80]!r}…"
