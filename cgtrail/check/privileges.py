"""Who this is, what it may do, and whether it stands where the host's processes are seen."""

from __future__ import annotations

import os
from collections.abc import Iterator

from cgtrail.check.finding import Finding, Level
from cgtrail.config import Config
from shipper.privileges import inner_namespaces, missing_capabilities

_INNER = {
    "user": (Level.BAD, "its capabilities do not count for BPF: run it outside, as the host's root"),
    "cgroup": (Level.OK, ""),
    "pid": (Level.OK, ""),
}


def look(_: Config) -> Iterator[Finding]:
    """Capabilities and namespaces."""
    missing = missing_capabilities()
    who = f"uid {os.geteuid()}"
    if missing:
        advice = "run it as root" if os.geteuid() else "give them back: docker run --cap-add, or CapabilityBoundingSet="
        yield Finding("privileges", Level.BAD, f"{who}, without {' and '.join(missing)}", advice)
    else:
        yield Finding("privileges", Level.OK, f"{who}, may load kernel programs")
    for kind in inner_namespaces():
        level, advice = _INNER[kind]
        yield Finding("namespace", level, f"in a {kind} namespace of its own", advice)
