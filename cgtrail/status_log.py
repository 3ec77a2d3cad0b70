"""What `cgtrail status` learns from Kafka: how all workers do, and how far all hosts' streams are."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from cgtrail.brokers import broker
from cgtrail.config import Config
from cgtrail.status_ledger import Stream
from enrich.kafka.heard import WINDOWS, Heard, heard
from enrich.sources import SourceError

PATIENCE_SECONDS = 5.0
"""How long to wait for a broker, all in all."""
SILENT_SECONDS = 30
"""Workers tell each 5 s: one that has not for so long is gone, hangs, or reaches no broker."""
GONE_SECONDS = 86400
"""Of who has told nothing for so long nothing is shown."""
_SECOND = 1_000_000_000


def ask(config: Config) -> tuple[dict[str, Any], list[dict[str, Stream]]]:
    """What is shown of the workers and hosts; and what each worker knows of its streams, for the ledger.

    `error` says why nothing could be read. Raises ConfigError.
    """
    shown: dict[str, Any] = {"servers": config.kafka.servers, "error": None, "looked_back_seconds": None}
    try:
        told, looked = heard(broker(config), PATIENCE_SECONDS)
    except SourceError as error:
        return shown | {"error": str(error), "workers": [], "hosts": []}, []
    shown["looked_back_seconds"] = None if looked >= WINDOWS[-1] else looked
    now = max([time.time_ns(), *(each.time for each in told)])
    told = [each for each in told if now - each.time < GONE_SECONDS * _SECOND]
    owners: dict[tuple[str, str], str] = {}
    for each in sorted(told, key=lambda each: -each.time):
        if each.told and not each.told.ended:
            for partition in each.told.partitions:
                owners.setdefault((each.told.group, partition), each.name)
    workers = [_worker(each, (now - each.time) / _SECOND, owners) for each in told]
    streams = [
        {
            name: Stream(stream.frame, each.told.accounts.get(name, {}))
            for partition in each.told.partitions.values()
            for name, stream in partition.streams.items()
        }
        for each in told
        if each.told
    ]
    return shown | {"workers": workers, "hosts": list(_hosts(told, now))}, streams


def _worker(each: Heard, ago: float, owners: dict[tuple[str, str], str]) -> dict[str, Any]:
    """`owners`: group and partition → the worker that told last that it has it: one that is silent may have lost it."""
    shown: dict[str, Any] = {"name": each.name, "last_told_seconds": round(ago, 1)}
    if each.told is None:
        return shown | {"state": "unclear", "partitions": {}, "lag": 0, "error": None, "counts": {}}
    told = each.told
    state = "ended" if told.ended else "silent" if ago > SILENT_SECONDS else "working"
    own = {name: known.lag for name, known in sorted(told.partitions.items())}
    partitions = {name: lag for name, lag in own.items() if owners.get((told.group, name)) == each.name}
    error = told.error or told.store_error
    shown |= {"state": state, "group": told.group, "partitions": partitions, "lag": sum(partitions.values())}
    return shown | {"error": error, "counts": told.counts, "streams_untold": told.untold}


def _hosts(told: Iterable[Heard], now: int) -> Iterator[dict[str, Any]]:
    """A row for each stream, as the worker tells that is furthest in it; by the host's name."""
    found: dict[str, dict[str, Any]] = {}
    for each in sorted(told, key=lambda each: each.time):
        for partition, known in each.told.partitions.items() if each.told else ():
            for name, stream in known.streams.items():
                if name in found and found[name]["frame"] > stream.frame:
                    continue
                age = round(max(now - stream.frame_time, 0) / _SECOND, 1) if stream.frame_time else None
                found[name] = {"host": stream.host, "name": stream.name, "stream": name, "partition": partition}
                found[name] |= {"worker": each.name, "frame": stream.frame, "age_seconds": age}
                found[name] |= {"holes": stream.holes, "refused": stream.refused}
    yield from sorted(found.values(), key=lambda row: (row["name"] or "", row["host"], row["stream"]))
