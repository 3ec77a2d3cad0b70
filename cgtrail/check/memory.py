"""Whether the kernel's ring and the programs fit below the memory limits."""

from __future__ import annotations

import os
from collections.abc import Iterator

from cgtrail.check.finding import Finding, Level
from cgtrail.config import Config
from shipper.memory import LOADING_BYTES, tightest

SMALL_RING_BYTES = 65536


def look(config: Config) -> Iterator[Finding]:
    """The limit of this cgroup, and the host's memory beside the ring."""
    ring, limit = config.capture.ring_bytes, tightest()
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    needed = f"ring and programs take {ring + LOADING_BYTES >> 20:,} MiB"
    if limit is None:
        found = f"no limit, {total >> 20:,} MiB on this host; {needed}"
    else:
        found = f"{limit.file} leaves {limit.room >> 20:,} of {limit.limit >> 20:,} MiB; {needed}"
    if not fits(ring):
        advice = "raise the limit (docker run --memory, MemoryMax=), or lower capture.ring_bytes"
        yield Finding("memory", Level.BAD, found, advice)
    elif ring > total // 4:
        yield Finding(
            "memory", Level.NOTE, found, "that is more than a quarter of this host's: lower capture.ring_bytes"
        )
    else:
        yield Finding("memory", Level.OK, found)


def fits(ring: int) -> bool:
    """Whether the programs can be loaded with a ring of so many bytes without being killed for it."""
    limit = tightest()
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return ring + LOADING_BYTES < (limit.room if limit else total)
