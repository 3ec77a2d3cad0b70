"""The ledger of `cgtrail status`: by container, what the kernels saw, what is stored, on its way, and lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from enrich.kafka.told import REST, Account

ENDED, HOST = -1, 0
"""Cgroups under which the ledger has containers that are gone, as one, and the host itself."""


class Stream(NamedTuple):
    """What one worker knows of a stream."""

    frame: int
    """The next one to take: of two workers that tell of a stream, one has it from the other."""
    accounts: Mapping[int, Account]


def streams_of(worker: Mapping[str, Any]) -> dict[str, Stream]:
    """Stream → what a worker's status file tells of it. Raises ValidationError for what no worker writes."""
    told = worker.get("accounts", {})
    if any(isinstance(account, dict) and isinstance(account.get("seen"), int) for account in told.values()):
        told = {worker.get("stream") or "": told}  # an older version's: of one stream alone
    accounts = msgspec.convert(told, dict[str, dict[int, Account]], str_keys=True)
    frames = {worker.get("stream"): worker.get("frame", 0)}
    for partition in worker.get("partitions", {}).values():
        frames |= {stream: known.get("frame", 0) for stream, known in partition.get("streams", {}).items()}
    return {stream: Stream(frames.get(stream, 0), owners) for stream, owners in accounts.items()}


def newest(told: Iterable[Mapping[str, Stream]]) -> dict[str, Stream]:
    """Of each stream what the worker knows that is furthest."""
    found: dict[str, Stream] = {}
    for streams in told:
        for name, stream in streams.items():
            if name not in found or found[name].frame <= stream.frame:
                found[name] = stream
    return found


def ledger(
    streams: Mapping[str, Stream], agent: Mapping[str, Any], hosts: Mapping[str, str | None]
) -> list[dict[str, Any]]:
    """A row for each container: seen = stored + in flight + lost. The busiest is first.

    `agent`: the one that runs here, if one does: it knows best what its kernel has seen by now. `hosts`: stream → the
    host's name, or its id.
    """
    rows = []
    for name, stream in streams.items():
        now = agent.get("seen", {}) if agent.get("running") and agent.get("stream") == name else {}
        for owner, account in stream.accounts.items():
            lost = sum(account.lost.values())
            seen = max(now.get(str(owner), 0), account.seen, account.received + lost)
            row: dict[str, Any] = {
                "cgroup": owner,
                "container": account.container,
                "stream": name,
                "host": hosts.get(name),
            }
            row |= {"seen": seen, "stored": account.received, "lost": account.lost}
            rows.append(row | {"in_flight": seen - account.received - lost})
    return sorted(rows, key=lambda row: -row["seen"])


def total(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """All rows as one."""
    lost: Counter[str] = Counter()
    sums: Counter[str] = Counter(seen=0, stored=0, in_flight=0)
    for row in rows:
        sums.update({name: row[name] for name in ("seen", "stored", "in_flight")})
        lost.update(row["lost"])
    return dict(sums) | {"lost": dict(lost)}


def name_of(row: Mapping[str, Any]) -> str:
    """The container's name, or what stands for it; not made safe for a terminal."""
    known = {ENDED: "(ended)", HOST: "(host)", REST: "(others)"}.get(row["cgroup"])
    return known or row["container"] or f"cgroup {row['cgroup']}"
