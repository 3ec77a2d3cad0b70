"""`cgtrail status`: whether agent, publisher and workers run, how far they are, and what was lost."""

from __future__ import annotations

import json
import time
from contextlib import closing
from typing import Any

import click

from cgtrail.config import SINKS, Config, ConfigError
from cgtrail.status_halves import Agent, Publisher, half, sink, workers_of
from cgtrail.status_ledger import Stream, ledger, newest, streams_of, total
from cgtrail.status_lines import lines
from cgtrail.store import quiet
from enrich.printable import message
from enrich.statefile import own_file
from enrich.stores import StoreError
from enrich.stores.sqlite import SqliteStore
from shipper import publish
from shipper.status import LOCK, STATUS
from shipper.wire.position import Position, position_file
from shipper.wire.segment import streams

_SECOND = 1_000_000_000


def run(config: Config, *, as_json: bool) -> int:
    """Print it; returns 0 when all that works here runs, answers, and reaches what it needs, 1 otherwise."""
    status = collect(config)
    if as_json:
        click.echo(json.dumps(status))  # a path may hold any bytes, which orjson refuses
    else:
        for line in lines(status):
            click.echo(message(line))
    return 0 if _well(config, status) else 1


def collect(config: Config) -> dict[str, Any]:
    """Everything that status knows, as one object."""
    unclear: list[str] = []
    agent = half(config.folder / LOCK, config.folder / STATUS, Agent, unclear)
    workers = workers_of(config.folder, unclear, _expected(config))
    kafka: dict[str, Any] | None = None
    told: list[dict[str, Stream]] = []
    if config.kafka.servers and config.reads_kafka:
        from cgtrail import status_log

        kafka, told = status_log.ask(config)
    here = [streams_of(worker) for worker in workers.values()]
    rows = ledger(newest([*here, *told]), agent, _hosts(workers, kafka))
    publisher = None
    if config.kafka.servers:
        publisher = half(config.folder / publish.LOCK, config.folder / publish.STATUS, Publisher, unclear)
    return {
        "data": str(config.folder),
        "agent": agent,
        "publisher": publisher,
        "worker": next(iter(workers.values())),
        "workers": workers,
        "not_understood": unclear,
        "not_waited_for": _not_waited_for(config, workers),
        "spool": _spool(config, workers, publisher),
        "store": _store(config),
        "kafka": kafka,
        "ledger": rows,
        "total": total(rows),
    }


def _expected(config: Config) -> list[str]:
    """The sinks whose workers are missed: those that the spool waits for. Of Kafka's, those that ever ran here."""
    if not config.reads_kafka:
        return [name for name in SINKS if name in config.readers] or ["sqlite"]
    ran = (name for name in ("sqlite", "elasticsearch") if own_file(config.folder, "status.json", name).exists())
    return list(ran) or ["sqlite"]


def _not_waited_for(config: Config, workers: dict[str, Any]) -> list[str]:
    """Sinks whose workers read the spool, and what they have not read may be removed nevertheless."""
    running = {sink(name) for name, worker in workers.items() if worker["running"]}
    return [] if config.reads_kafka else sorted(running & {"elasticsearch"} - set(config.readers))


def _well(config: Config, status: dict[str, Any]) -> bool:
    """Where Kafka is between them, a machine may have an agent alone or workers alone: who never ran is not missed."""
    agent, publisher, kafka = (status[name] for name in ("agent", "publisher", "kafka"))
    expected = _expected(config)
    workers = {name: each for name, each in status["workers"].items() if sink(name) in {*expected, *SINKS} - {"stdout"}}
    if status["store"]["error"] is not None:
        return False
    if publisher is None:
        return all(half["answering"] for half in (agent, *workers.values()))
    ships = agent["running"] or (config.folder / STATUS).exists()
    enriches = any(
        each["running"] or own_file(config.folder, "status.json", name).exists() for name, each in workers.items()
    )
    halves = [agent, publisher] * ships + list(workers.values()) * enriches
    if not all(half["answering"] and not half.get("error") for half in halves):
        return False
    return ships if kafka is None or not enriches else kafka["error"] is None


def _spool(config: Config, workers: dict[str, Any], publisher: dict[str, Any] | None) -> dict[str, Any]:
    """How much it holds, and how much of it its readers have not read: the publisher, or the worker that is last."""
    known = streams(config.spool_folder)
    readers = ["kafka"] if config.reads_kafka else _expected(config)
    positions = [position_file(config.spool_folder, reader).load() for reader in readers]
    backlog = max(
        sum(max(each.committed - own.get(each.id.hex(), Position(0)).next, 0) for each in known) for own in positions
    )
    by_reader = [_behind(workers[reader]) for reader in readers if reader in workers]
    behind = max((seconds for seconds in by_reader if seconds is not None), default=None)
    if publisher and config.reads_kafka:
        behind = publisher.get("lag_seconds")
    return {
        "streams": len(known),
        "frames": sum(stream.committed for stream in known),
        "bytes": sum(stream.size for stream in known),
        "backlog_frames": backlog,
        "backlog_seconds": behind if backlog else 0.0,
    }


def _hosts(workers: dict[str, Any], kafka: dict[str, Any] | None) -> dict[str, str | None]:
    """Stream → name or id of its host."""
    found: dict[str, str | None] = {}
    for worker in workers.values():
        for partition in worker.get("partitions", {}).values():
            for name, stream in partition.get("streams", {}).items():
                found[name] = stream.get("name") or stream.get("host")
    return found | {row["stream"]: row["name"] or row["host"] for row in (kafka["hosts"] if kafka else ())}


def _store(config: Config) -> dict[str, Any]:
    """How much is stored where it is read; `documents` is None where that can't be told, and `error` says why."""
    name, days = "", None
    try:
        with closing(quiet(config)) as store:
            name = store.name
            days = len(store.days()) if isinstance(store, SqliteStore) else None
            return {"name": name, "days": days, "documents": store.count(), "error": None}
    except (StoreError, ConfigError) as error:
        return {"name": name, "days": days, "documents": None, "error": str(error)}


def _behind(worker: dict[str, Any]) -> float | None:
    """Seconds from the last frame that the worker has taken to now; None where it has taken none."""
    taken = worker.get("frame_time") or max(
        (
            stream.get("frame_time", 0)
            for partition in worker.get("partitions", {}).values()
            for stream in partition.get("streams", {}).values()
        ),
        default=0,
    )
    return round(max(time.time() - taken / _SECOND, 0.0), 1) if taken else None
