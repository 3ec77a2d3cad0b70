"""`cgtrail status`: whether agent and worker run, how far they are, and what was lost."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

import click
import msgspec

from cgtrail.config import Config
from enrich.printable import message, text
from enrich.source import SpoolSource
from enrich.statefile import own_file
from enrich.stores.dayfile import StoreError
from enrich.stores.sqlite import SqliteStore
from shipper.lock import holder
from shipper.status import LOCK, STATUS, read_status
from shipper.wire.position import position_file
from shipper.wire.segment import streams

SILENT_SECONDS = 10
"""Both halves write their status each second: one that has not for so long hangs."""
LOOKS, LOOK_SECONDS = 10, 0.2
"""How often, and with which pauses, a status that looks old is looked at again."""
_NARROWED = {"output": "what terminals show", "arguments": "arguments beyond 4,096 bytes"}
"""Words for what is left out while the spool is nearly full."""
_SECOND = 1_000_000_000
_COLUMNS = f"{'CONTAINER':<24} {'SEEN':>12} {'STORED':>12} {'IN FLIGHT':>10} {'LOST':>10}"


class _Account(TypedDict):
    container: NotRequired[str | None]
    seen: int
    received: int
    lost: dict[str, int]


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


class _Counts(TypedDict, total=False):
    letters: int


class _Worker(TypedDict, total=False):
    """What is used of a worker's status file."""

    frame_time: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
    stream: str | None
    counts: _Counts
    accounts: dict[int, _Account]


def run(config: Config, *, as_json: bool) -> int:
    """Print it; returns 0 when both run and answer and the store can be read, 1 otherwise."""
    status = collect(config)
    if as_json:
        click.echo(json.dumps(status))  # a path may hold any bytes, which orjson refuses
    else:
        for line in _lines(status):
            click.echo(message(line))
    well = status["agent"]["answering"] and status["worker"]["answering"] and status["store"]["error"] is None
    return 0 if well else 1


def collect(config: Config) -> dict[str, Any]:
    """Everything that status knows, as one object."""
    folder = config.folder
    spool = streams(config.spool_folder)
    source = SpoolSource(config.spool_folder, position_file(config.spool_folder, "sqlite"))
    files = folder / STATUS, own_file(folder, "status.json")
    told = _told(files[0], _Agent), _told(files[1], _Worker)
    agent = (told[0] or {}) | _process(folder / LOCK, files[0])
    worker = (told[1] or {}) | _process(own_file(folder, "lock"), files[1])
    backlog = source.backlog()
    return {
        "data": str(folder),
        "agent": agent,
        "worker": worker,
        "not_understood": [str(file) for file, known in zip(files, told, strict=True) if known is None],
        "spool": {
            "streams": len(spool),
            "frames": sum(stream.committed for stream in spool),
            "bytes": sum(stream.size for stream in spool),
            "backlog_frames": backlog,
            "backlog_seconds": _behind(worker) if backlog else 0.0,
        },
        "store": _store(SqliteStore(config.store_folder)),
        "ledger": ledger(agent, worker),
    }


def ledger(agent: dict[str, Any], worker: dict[str, Any]) -> list[dict[str, Any]]:
    """What the kernel saw since the agent began, by container: stored, lost by cause, and the rest on its way.

    Whose container is gone is in the row without a name.
    """
    rows = []
    now = agent.get("seen", {}) if agent.get("running") and agent.get("stream") == worker.get("stream") else {}
    for owner, account in worker.get("accounts", {}).items():
        seen = max(now.get(owner, 0), account["seen"])
        lost = sum(account["lost"].values())
        row = {"cgroup": int(owner), "container": account.get("container"), "seen": seen}
        row |= {"stored": account["received"], "lost": account["lost"]}
        rows.append(row | {"in_flight": max(seen - account["received"] - lost, 0)})
    return sorted(rows, key=lambda row: -row["seen"])


def _told(file: Path, form: type[_Agent | _Worker]) -> dict[str, Any] | None:
    """A status file; {} where there is none, None for one that is damaged or of another version."""
    known = read_status(file)
    if not known:
        return None if file.exists() else {}
    try:
        msgspec.convert(known, form, str_keys=True)
    except msgspec.ValidationError:
        return None
    return known


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
    taken = worker.get("frame_time")
    return round(max(time.time() - taken / _SECOND, 0.0), 1) if taken else None


def _lines(status: dict[str, Any]) -> list[str]:
    agent, worker, spool, store = (status[name] for name in ("agent", "worker", "spool", "store"))
    lines = [
        f"data      {status['data']}",
        f"agent     {_running(agent)}",
        f"worker    {_running(worker)}",
        *(f"unclear   status of another version, or damaged: {file}" for file in status["not_understood"]),
        f"spool     {spool['frames']} frames, {spool['bytes']:,} bytes; {_backlog(spool)}",
        f"store     {store['error'] or '{documents:,} documents on {days} day(s)'.format_map(store)}",
    ]
    if agent.keys() >= {"records", "containers", "lost", "runtimes", "not_recorded"}:
        lines.append(
            f"recorded  {agent['records']:,} records since the agent began; {agent['containers']} containers now"
        )
        lines += _troubles(agent)
    letters = worker.get("counts", {}).get("letters", 0)
    if letters:
        lines.append(f"letters   {letters:,} dead letters since the worker began: see `cgtrail deadletters list`")
    return lines + _ledger(status["ledger"])


def _troubles(agent: dict[str, Any]) -> list[str]:
    lost = sum(agent["lost"].values())
    by_cause = ", ".join(f"{cause} {count:,}" for cause, count in agent["lost"].items())
    lines = [f"lost      {lost:,} records" + (f" ({by_cause}): see --kind loss" if lost else "")]
    if agent.get("spool_error"):
        lines.append(f"disk      the spool can't be written: {agent['spool_error']}")
    if agent.get("admission"):
        unread = ", ".join(agent.get("unread_by", ())) or "nobody"
        lines.append(f"full      the spool is at {agent['admission']:.0%} of its bound; unread by {unread}")
        left_out = [_NARROWED.get(what, what) for what, holds in agent.get("narrowed", {}).items() if holds]
        lines.append(f"narrowed  not recorded until it has room: {', '.join(left_out)}")
    lines += [f"{told['name']:<9} {told['error']}" for told in agent["runtimes"] if told["error"] and told["expected"]]
    if agent.get("tenants_error"):
        lines.append(f"tenants   those before stay in force: {agent['tenants_error']}")
    if agent.get("unwatched_containers"):
        lines.append(
            f"no room   {agent['unwatched_containers']} containers were not recorded: raise capture.max_cgroups"
        )
    return lines + [f"missing   {event}: not recorded on this kernel" for event in agent["not_recorded"]]


def _ledger(rows: list[dict[str, Any]]) -> list[str]:
    """The ten busiest containers, and those that lost something."""
    shown = [row for index, row in enumerate(rows) if row["seen"] and (index < 10 or row["lost"])]
    if not shown:
        return []
    lines = ["", _COLUMNS]
    for row in shown:
        name = {-1: "(ended)", 0: "(host)"}.get(row["cgroup"]) or text(row["container"] or f"cgroup {row['cgroup']}")
        lost = sum(row["lost"].values())
        counts = f"{row['seen']:>12,} {row['stored']:>12,} {row['in_flight']:>10,} {lost:>10,}"
        lines.append(f"{name[:24]:<24} {counts}  {', '.join(row['lost'])}".rstrip())
    return lines


def _running(half: dict[str, Any]) -> str:
    if half["running"] and not half["answering"]:
        return f"not answering since {half['silent_since']} (pid {half['pid']})"
    return f"running, pid {half['pid']}" if half["running"] else "not running"


def _backlog(spool: dict[str, Any]) -> str:
    seconds = spool["backlog_seconds"]
    return f"{spool['backlog_frames']} not stored yet" + (f", {seconds:,} s behind" if seconds else "")
