"""What the files of agent, publisher and workers tell `cgtrail status`: what each says of itself, and if it runs."""

from __future__ import annotations

import re
import time
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypedDict

import msgspec

from cgtrail.config import SINKS
from cgtrail.status_ledger import streams_of
from enrich.statefile import own_file
from shipper.lock import holder
from shipper.status import read_status

SILENT_SECONDS = 10
"""All write their status each second: one that has not for so long hangs."""
LOOKS, LOOK_SECONDS = 10, 0.2
"""How often, and with which pauses, a status that looks old is looked at again."""
GONE_SECONDS = 86400
"""Of a further worker that does not run, and has not for so long, nothing is shown."""
_WORKER = re.compile(rf"enrich\.(({'|'.join(SINKS)})(?:\.([1-9]\d{{0,3}}))?)\.status\.json")
Unix = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class _Runtime(TypedDict):
    name: str
    error: str | None
    expected: bool


class Agent(TypedDict, total=False):
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


class Publisher(TypedDict, total=False):
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


class Worker(TypedDict, total=False):
    """What is used of a worker's status file."""

    frame: int
    frame_time: Unix
    stream: str | None
    counts: _Counts
    accounts: dict[str, Any]
    partitions: dict[str, _Partition]
    lag: dict[str, int]
    backlog_frames: int
    error: str | None
    store_error: str | None


def half(lock: Path, file: Path, form: type[Any], unclear: list[str]) -> dict[str, Any]:
    """What a status file tells, and whether who writes it runs. A file that makes no sense is `unclear`."""
    known = read_status(file)
    try:
        if not known and file.exists():
            raise msgspec.ValidationError
        msgspec.convert(known, form, str_keys=True)
        if form is Worker:
            streams_of(known)
    except msgspec.ValidationError:
        unclear.append(str(file))
        known = {}
    return known | _process(lock, file)


def workers_of(folder: Path, unclear: list[str], expected: Collection[str]) -> dict[str, dict[str, Any]]:
    """The workers of this machine: the first one of each sink that is `expected`, and who runs or did not long ago."""
    matches = [match for path in folder.glob("enrich.*.status.json") if (match := _WORKER.fullmatch(path.name))]
    names = {match[1]: (SINKS.index(match[2]), int(match[3] or 0)) for match in matches}
    names |= {sink: (SINKS.index(sink), 0) for sink in expected}
    found = {}
    for name in sorted(names, key=names.__getitem__):
        file = own_file(folder, "status.json", name)
        worker = half(own_file(folder, "lock", name), file, Worker, unclear)
        if name in expected or worker["running"] or time.time() - _written(file) < GONE_SECONDS:
            found[name] = worker
    return found


def sink(worker: str) -> str:
    """The sink of a worker of this name."""
    return worker.partition(".")[0]


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
