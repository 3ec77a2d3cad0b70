"""Tenants: whether files can be taken, and what commands made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cgtrail.check.finding import Finding, Level
from cgtrail.config import Config
from shipper.tenants import files, saved
from shipper.tenants.declare import TenantsError


def look(config: Config) -> Iterator[Finding]:
    """One finding: how many there are, or the first thing that keeps them from being taken."""
    refused = "the agent does not start with it; one that runs keeps the tenants it has"
    try:
        own = saved.load(config.folder / saved.FILE)
        found = files.read([Path(file) for file in config.tenants.files])
        found.check(own.tenants)
    except TenantsError as error:
        yield Finding("tenants", Level.BAD, str(error), refused)
        return
    told = f"{len(found.declared.tenants):,} in files, {len(own.tenants):,} by commands"
    yield Finding("tenants", Level.OK, f"{told}; label {config.tenants.label or '(none)'}")
