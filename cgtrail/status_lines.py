"""What `cgtrail status` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cgtrail.status_ledger import name_of
from enrich.printable import text

_NARROWED = {"output": "what terminals show", "arguments": "arguments beyond 4,096 bytes"}
"""Words for what is left out while the spool is nearly full."""
SHOWN = 50
"""Hosts and workers that are printed; `--json` has all."""
_COLUMNS = f"{'CONTAINER':<24} {'SEEN':>12} {'STORED':>12} {'IN FLIGHT':>10} {'LOST':>10}"
_HOSTS = f"{'HOST':<24} {'STREAM':<12} {'PARTITION':<20} {'FRAME':>10} {'AGE':>9} {'MISSING':>8} {'REFUSED':>8}"
_WORKERS = f"{'WORKER':<24} {'STATE':<8} {'PARTITIONS':>10} {'LAG':>10} {'TOLD':>9}"


def lines(status: Mapping[str, Any]) -> list[str]:
    """Everything, a line each; not yet made safe for a terminal as a whole."""
    agent, spool, store, kafka = (status[name] for name in ("agent", "spool", "store", "kafka"))
    publisher, reader = status["publisher"], "stored" if kafka is None else "published"
    found = [
        f"data      {status['data']}",
        f"agent     {_running(agent)}",
        *([f"publisher {_running(publisher)}{_published(publisher)}"] if publisher else []),
        *(_worker(name, worker) for name, worker in status["workers"].items()),
        *(f"unclear   status of another version, or damaged: {file}" for file in status["not_understood"]),
        f"spool     {spool['frames']} frames, {spool['bytes']:,} bytes; {_backlog(spool, reader)}",
        f"store     {store['error'] or _stored(store)}",
    ]
    found += [
        f"spool     nothing waits for {name}: with spool.readers = {[*dict.fromkeys(['sqlite', name])]} it is named;"
        " unless it is, what its worker has not read may be removed"
        for name in status["not_waited_for"]
    ]
    if kafka is not None:
        found += _kafka(kafka)
    if agent.keys() >= {"records", "containers", "lost", "runtimes", "not_recorded"}:
        found.append(
            f"recorded  {agent['records']:,} records since the agent began; {agent['containers']} containers now"
        )
        found += _troubles(agent)
    found += _letters(status["workers"], kafka)
    if kafka is not None:
        found += [*_table(_WORKERS, map(_row_of_worker, kafka["workers"])), *_table(_HOSTS, map(_row, kafka["hosts"]))]
    return found + _ledger(status["ledger"], status["total"])


def _running(half: Mapping[str, Any]) -> str:
    if half["running"] and not half["answering"]:
        return f"not answering since {half['silent_since']} (pid {half['pid']})"
    return f"running, pid {half['pid']}" if half["running"] else "not running"


def _published(publisher: Mapping[str, Any]) -> str:
    """The publisher's way; nothing of one that does not run, or has not told yet."""
    if not publisher["running"] or "backlog_frames" not in publisher:
        return ""
    seconds = publisher.get("lag_seconds", 0)
    waiting = f"{publisher['backlog_frames']:,} frames wait" + (f", {seconds:,.1f} s behind" if seconds else "")
    return f"; {publisher.get('error') or 'the broker is reached'}; {waiting}"


def _worker(name: str, worker: Mapping[str, Any]) -> str:
    sink, _, number = name.partition(".")
    shown = f"{f'worker {number}'.rstrip():<9} {'' if sink == 'sqlite' else f'{sink}: '}{_running(worker)}"
    if not worker["running"]:
        return shown
    trouble = worker.get("error") or worker.get("store_error")
    waiting = worker.get("backlog_frames") or sum(worker.get("lag", {}).values())
    waits = f"; {waiting:,} frames are not stored yet" if waiting and sink != "sqlite" else ""
    return shown + waits + (f"; {trouble}" if trouble else "")


def _stored(store: Mapping[str, Any]) -> str:
    where = f"in {text(store['name'])}" if store["days"] is None else f"on {store['days']} day(s)"
    return f"{store['documents']:,} documents {where}"


def _letters(workers: Mapping[str, Any], kafka: Any) -> Iterator[str]:
    """Where workers read a spool, each sink has its own; in Kafka they lie together."""
    by_sink: Counter[str] = Counter()
    for name, worker in workers.items():
        sink = "sqlite" if kafka is not None else name.partition(".")[0]
        by_sink[sink] += worker.get("counts", {}).get("letters", 0)
    for sink, letters in by_sink.items():
        if letters:
            own = "" if sink == "sqlite" else f" --sink {sink}"
            yield f"letters   {letters:,} dead letters since the worker began: see `cgtrail deadletters list{own}`"


def _backlog(spool: Mapping[str, Any], reader: str) -> str:
    seconds = spool["backlog_seconds"]
    return f"{spool['backlog_frames']} not {reader} yet" + (f", {seconds:,.1f} s behind" if seconds else "")


def _kafka(kafka: Mapping[str, Any]) -> list[str]:
    if kafka["error"]:
        return [f"kafka     {kafka['error']}"]
    working = [worker for worker in kafka["workers"] if worker["state"] == "working"]
    hosts = {host["host"] for host in kafka["hosts"]}
    lag = sum(worker["lag"] for worker in kafka["workers"])
    found = [f"kafka     {len(working)} worker(s) at work, {len(hosts)} host(s); {lag:,} messages not taken yet"]
    if kafka["looked_back_seconds"] is not None:
        found.append(
            f"unclear   there was time to look back for {kafka['looked_back_seconds']:,.0f} s only: "
            "workers that are silent for longer are not shown"
        )
    frames, messages = (
        sum(worker["counts"].get(name, 0) for worker in kafka["workers"])
        for name in ("refused_frames", "refused_messages")
    )
    if frames or messages:
        found.append(
            f"refused   {frames:,} frames of hosts with another one's id, {messages:,} messages that are no frames:"
            " see --kind loss, `cgtrail deadletters list`"
        )
    names = {"silent": "has told nothing for {last_told_seconds:,.0f} s", "unclear": "is of another version"}
    found += [
        f"silent    worker {text(worker['name'])} {names[worker['state']].format_map(worker)}"
        for worker in kafka["workers"]
        if worker["state"] in names
    ]
    return found + [
        f"trouble   worker {text(worker['name'])}: {text(worker['error'])}" for worker in working if worker["error"]
    ]


def _table(head: str, rows: Iterable[str]) -> Iterator[str]:
    known = list(rows)
    if known:
        yield from ("", head, *known[:SHOWN])
    if len(known) > SHOWN:
        yield f"… and {len(known) - SHOWN} more: --json has all"


def _row_of_worker(worker: Mapping[str, Any]) -> str:
    shown = f"{text(worker['name'])[:24]:<24} {worker['state']:<8} {len(worker['partitions']):>10} {worker['lag']:>10,}"
    return f"{shown} {_ago(worker['last_told_seconds']):>9}"


def _row(host: Mapping[str, Any]) -> str:
    name = text(host["name"] or host["host"])[:24]
    shown = f"{name:<24} {text(host['stream'])[:12]:<12} {text(host['partition'])[-20:]:<20} {host['frame']:>10,}"
    return f"{shown} {_ago(host['age_seconds']):>9} {host['holes']:>8,} {host['refused']:>8,}"


def _ago(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:,.0f} s"


def _troubles(agent: Mapping[str, Any]) -> list[str]:
    lost = sum(agent["lost"].values())
    by_cause = ", ".join(f"{cause} {count:,}" for cause, count in agent["lost"].items())
    found = [f"lost      {lost:,} records" + (f" ({by_cause}): see --kind loss" if lost else "")]
    if agent.get("spool_error"):
        found.append(f"disk      the spool can't be written: {agent['spool_error']}")
    if agent.get("admission"):
        unread = ", ".join(agent.get("unread_by", ())) or "nobody"
        found.append(f"full      the spool is at {agent['admission']:.0%} of its bound; unread by {unread}")
        left_out = [_NARROWED.get(what, what) for what, holds in agent.get("narrowed", {}).items() if holds]
        found.append(f"narrowed  not recorded until it has room: {', '.join(left_out)}")
    found += [f"{told['name']:<9} {told['error']}" for told in agent["runtimes"] if told["error"] and told["expected"]]
    if agent.get("tenants_error"):
        found.append(f"tenants   those before stay in force: {agent['tenants_error']}")
    if agent.get("unwatched_containers"):
        found.append(
            f"no room   {agent['unwatched_containers']} containers were not recorded: raise capture.max_cgroups"
        )
    return found + [f"missing   {event}: not recorded on this kernel" for event in agent["not_recorded"]]


def _ledger(rows: list[dict[str, Any]], total: Mapping[str, Any]) -> list[str]:
    """The ten busiest containers, those that lost something, and all as one."""
    shown = [row for index, row in enumerate(rows) if row["seen"] and (index < 10 or row["lost"])]
    if not shown:
        return []
    several = len({row["host"] for row in rows}) > 1
    found = ["", _COLUMNS + ("  HOST" if several else "")]
    found += [_account(name_of(row), row, text(row["host"] or row["stream"])[:24] if several else "") for row in shown]
    return [*found, _account("(total)", total, "")] if len(rows) > 1 else found


def _account(name: str, row: Mapping[str, Any], host: str) -> str:
    lost = sum(row["lost"].values())
    counts = f"{row['seen']:>12,} {row['stored']:>12,} {row['in_flight']:>10,} {lost:>10,}"
    return (
        f"{text(name)[:24]:<24} {counts}  {f'{host:<24}' if host else ''} {', '.join(map(text, row['lost']))}".rstrip()
    )
