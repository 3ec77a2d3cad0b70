"""The cgroup2 hierarchy, by which containers are told apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cgtrail.check.finding import Finding, Level
from cgtrail.config import Config
from shipper import cgroups

_USUAL = {Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")}


def look(_: Config) -> Iterator[Finding]:
    """Version 2 alone, beside version 1, elsewhere, or missing."""
    first = cgroups.mounted("cgroup")
    try:
        root = cgroups.mount_point()
    except cgroups.Cgroup2MissingError as error:
        found = "version 1 alone: it has no ids by which the kernel tells containers apart" if first else "none mounted"
        yield Finding("cgroups", Level.BAD, found, str(error))
        return
    found = f"cgroup2 at {root}{', beside version 1 (hybrid)' if first else ''}"
    if root in _USUAL:
        yield Finding("cgroups", Level.OK, found)
    else:
        advice = "recorded all the same; runtimes expect it at /sys/fs/cgroup"
        yield Finding("cgroups", Level.NOTE, found, advice)
    if not (root / "cgroup.procs").exists():
        yield Finding("cgroups", Level.BAD, f"no cgroups in {root}", "something is mounted over it: unmount that")
    elif (root / "cgroup.events").exists():  # every cgroup has it, but for the host's topmost
        advice = "mount the host's: in a container, --cgroupns=host and -v /sys/fs/cgroup:/sys/fs/cgroup:ro"
        yield Finding("cgroups", Level.BAD, f"only a part of the hierarchy is at {root}: others can't be named", advice)
