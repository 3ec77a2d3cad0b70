"""`cgtrail status`: whether agent and worker run, how far they are, and what was lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import orjson

from cgtrail.config import Config
from cgtrail.supervise import read_status
from enrich.source import SpoolSource
from enrich.stores.sqlite import SqliteStore
from enrich.worker import own_file
from shipper.agent import LOCK, STATUS
from shipper.lock import holder
from shipper.wire.segment import streams


def run(config: Config, *, as_json: bool) -> int:
    """Print it; returns 0 when both run, 1 otherwise."""
    status = collect(config)
    if as_json:
        click.echo(orjson.dumps(status))
    else:
        for line in _lines(status):
            click.echo(line)
    return 0 if status["agent"]["running"] and status["worker"]["running"] else 1


def collect(config: Config) -> dict[str, Any]:
    """Everything that status knows, as one object."""
    folder = config.folder
    spool = streams(config.spool_folder)
    store = SqliteStore(config.store_folder)
    source = SpoolSource(config.spool_folder, own_file(folder, "position.json"))
    return {
        "data": str(folder),
        "agent": read_status(folder / STATUS) | _process(folder / LOCK),
        "worker": read_status(own_file(folder, "status.json")) | _process(own_file(folder, "lock")),
        "spool": {
            "streams": len(spool),
            "frames": sum(stream.committed for stream in spool),
            "bytes": sum(stream.size for stream in spool),
            "backlog_frames": source.backlog(),
        },
        "store": {"days": len(store.days()), "documents": store.count()},
    }


def _process(lock: Path) -> dict[str, Any]:
    pid = holder(lock)
    return {"running": pid is not None, "pid": pid}


def _lines(status: dict[str, Any]) -> list[str]:
    agent, worker, spool, store = (status[name] for name in ("agent", "worker", "spool", "store"))
    lines = [
        f"data      {status['data']}",
        f"agent     {_running(agent)}",
        f"worker    {_running(worker)}",
        f"spool     {spool['frames']} frames, {spool['bytes']:,} bytes; {spool['backlog_frames']} not stored yet",
        f"store     {store['documents']:,} documents on {store['days']} day(s)",
    ]
    if agent.keys() >= {"records", "containers", "lost", "docker", "not_recorded"}:
        lines.append(
            f"recorded  {agent['records']:,} records since the agent began; {agent['containers']} containers now"
        )
        lines.append(
            f"lost      {agent['lost']:,} records in the kernel" + (" (see --kind loss)" if agent["lost"] else "")
        )
        if agent["docker"]:
            lines.append(f"docker    {agent['docker']}")
        lines += [f"missing   {event}: not recorded on this kernel" for event in agent["not_recorded"]]
    return lines


def _running(half: dict[str, Any]) -> str:
    return f"running, pid {half['pid']}" if half["running"] else "not running"
