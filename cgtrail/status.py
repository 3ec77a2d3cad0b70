"""`cgtrail status`: whether agent, publisher and workers run, how far they are, and what was lost."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypedDict

import click
import msgspec

from cgtrail.config import Config
from cgtrail.status_ledger import Stream, ledger, newest, streams_of, total
from cgtrail.status_lines import lines
from enrich.printable import message
from enrich.statefile import own_file
from enrich.stores import StoreError
from enrich.stores.sqlite import SqliteStore
from shipper import publish
from shipper.lock import holder
from shipper.status import LOCK, STATUS, read_status
from shipper.wire.position import Position, position_file
from shipper.wire.segment import streams

SILENT_SECONDS = 10
"""All write their status each second: one that has not for so long hangs."""
LOOKS, LOOK_SECONDS = 10, 0.2
"""How often, and with which pauses, a status that looks old is looked at again."""
GONE_SECONDS = 86400
"""Of a further worker that does not run, and has not for so long, nothing is shown."""
_SECOND = 1_000_000_000
_FURTHER = re.compile(r"enrich\.(sqlite\.[1-9]\d{0,3})\.status\.json")
Unix = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class _Runtime(TypedDict):
    name: str
    error: str | None
    expected: bool


class _Agent(TypedDict, total=False):
    """What is used of an agent's status file."""

    stream: str
    seen: dict[int, int]
    records: int
    containers: int
    lost: dict[str, int]
    runtimes: list[_Runtime]
    not_recorded: list[str]
    spool_error: str | None
    tenants_error: str | None
    unwatched_containers: int
    admission: float
    narrowed: dict[str, bool]
    unread_by: list[str]


class _Publisher(TypedDict, total=False):
    """What is used of a publisher's status file."""

    stream: str | None
    acknowledged: int
    backlog_frames: int
    lag_seconds: float
    error: str | None
    partition: int | None


class _Counts(TypedDict, total=False):
    letters: int


class _Stream(TypedDict, total=False):
    host: str
    name: str | None
    frame: int
    frame_time: Unix


class _Partition(TypedDict, total=False):
    streams: dict[str, _Stream]


class _Worker(TypedDict, total=False):
    """What is used of a worker's status file."""

    frame: int
    frame_time: Unix
    stream: str | None
    counts: _Counts
    accounts: dict[str, Any]
    partitions: dict[str, _Partition]
    lag: dict[str, int]
    error: str | None
    store_error: str | None


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
    agent = _half(config.folder / LOCK, config.folder / STATUS, _Agent, unclear)
    workers = _workers(config.folder, unclear)
    kafka: dict[str, Any] | None = None
    told: list[dict[str, Stream]] = []
    if config.kafka.servers and config.reads_kafka:
        from cgtrail import status_log

        kafka, told = status_log.ask(config)
    here = [streams_of(worker) for worker in workers.values()]
    rows = ledger(newest([*here, *told]), agent, _hosts(workers, kafka))
    publisher = None
    if config.kafka.servers:
        publisher = _half(config.folder / publish.LOCK, config.folder / publish.STATUS, _Publisher, unclear)
    return {
        "data": str(config.folder),
        "agent": agent,
        "publisher": publisher,
        "worker": workers["sqlite"],
        "workers": workers,
        "not_understood": unclear,
        "spool": _spool(config, workers, publisher),
        "store": _store(SqliteStore(config.store_folder)),
        "kafka": kafka,
        "ledger": rows,
        "total": total(rows),
    }


def _well(config: Config, status: dict[str, Any]) -> bool:
    """Where Kafka is between them, a machine may have an agent alone or workers alone: who never ran is not missed."""
    agent, publisher, workers, kafka = (status[name] for name in ("agent", "publisher", "workers", "kafka"))
    first, *further = workers.values()
    if status["store"]["error"] is not None:
        return False
    if publisher is None:
        return all(half["answering"] for half in (agent, first, *further))
    ships = agent["running"] or (config.folder / STATUS).exists()
    enriches = first["running"] or own_file(config.folder, "status.json").exists()
    halves = [agent, publisher] * ships + [first, *further] * enriches
    if not all(half["answering"] and not half.get("error") for half in halves):
        return False
    return ships if kafka is None or not enriches else kafka["error"] is None


def _half(lock: Path, file: Path, form: type[Any], unclear: list[str]) -> dict[str, Any]:
    """What a status file tells, and whether who writes it runs. A file that makes no sense is `unclear`."""
    known = read_status(file)
    try:
        if not known and file.exists():
            raise msgspec.ValidationError
        msgspec.convert(known, form, str_keys=True)
        if form is _Worker:
            streams_of(known)
    except msgspec.ValidationError:
        unclear.append(str(file))
        known = {}
    return known | _process(lock, file)


def _workers(folder: Path, unclear: list[str]) -> dict[str, dict[str, Any]]:
    """The workers that write to the local store: the first one, and those that run beside it or did not long ago."""
    matches = (_FURTHER.fullmatch(path.name) for path in sorted(folder.glob("enrich.sqlite.*.status.json")))
    names = sorted((match[1] for match in matches if match), key=lambda name: int(name.rpartition(".")[2]))
    found = {}
    for name in ["sqlite", *names]:
        file = own_file(folder, "status.json", name)
        worker = _half(own_file(folder, "lock", name), file, _Worker, unclear)
        if name == "sqlite" or worker["running"] or time.time() - _written(file) < GONE_SECONDS:
            found[name] = worker
    return found


def _spool(config: Config, workers: dict[str, Any], publisher: dict[str, Any] | None) -> dict[str, Any]:
    """How much it holds, and how much of it its reader has not read: the publisher, or the first worker."""
    reader = "kafka" if config.reads_kafka else "sqlite"
    known, positions = streams(config.spool_folder), position_file(config.spool_folder, reader).load()
    backlog = sum(max(each.committed - positions.get(each.id.hex(), Position(0)).next, 0) for each in known)
    behind = publisher.get("lag_seconds") if publisher and config.reads_kafka else _behind(workers["sqlite"])
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


def _store(store: SqliteStore) -> dict[str, Any]:
    """How much is stored; `documents` is None where that can't be told, and `error` says why."""
    days = None
    try:
        days = len(store.days())
        return {"days": days, "documents": store.count(), "error": None}
    except StoreError as error:
        return {"days": days, "documents": None, "error": str(error)}


def _process(lock: Path, told: Path) -> dict[str, Any]:
    """Who holds a lock, and since when it has not written its status although it should have."""
    pid = holder(lock)
    since = max(_written(lock), _written(told))
    silent = pid is not None and abs(time.time() - since) > SILENT_SECONDS and not _writes(told)
    at = datetime.fromtimestamp(since, UTC).isoformat(timespec="seconds") if silent else None
    return {"running": pid is not None, "answering": pid is not None and not silent, "silent_since": at, "pid": pid}


def _writes(told: Path) -> bool:
    """Whether a status is written just now: when the clock was set, a file's age says nothing."""
    before = _written(told)
    for _ in range(LOOKS):
        time.sleep(LOOK_SECONDS)
        if _written(told) != before:
            return True
    return False


def _written(file: Path) -> float:
    """When a file was written, a lock when it was taken; 0 where there is none."""
    try:
        return file.stat().st_mtime
    except OSError:
        return 0


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
