"""Prometheus metrics of both halves: each is declared once, with where its value stands among a half's facts.

`python -m cgtrail.metrics` writes docs/metrics.md (`--check`: only say if it is stale).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from enrich.reference import page
from enrich.steps.registry import Attribution

Facts = Mapping[str, Any]
Value = float | Mapping[str, float]


class MetricsError(RuntimeError):
    """The metrics can't be served at an address; the message names it and says what to do."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. With a label, `read` gives a value for each of the label's; without, one number."""

    name: str
    kind: type[CounterMetricFamily | GaugeMetricFamily]
    meaning: str
    read: Callable[[Facts], Value]
    label: str = ""

    def family(self, facts: Facts) -> Family:
        """The metric with its values, as Prometheus reads it."""
        value = self.read(facts)
        if isinstance(value, Mapping):
            family = self.kind(self.name, self.meaning, labels=[self.label])
            for label, number in value.items():
                family.add_metric([label], number)
            return family
        return self.kind(self.name, self.meaning, value=value)

    @property
    def shown(self) -> str:
        """Its name as Prometheus shows it."""
        return f"{self.name}_total" if self.kind is CounterMetricFamily else self.name


def _fact(name: str) -> Callable[[Facts], Value]:
    return lambda facts: facts.get(name) or 0


def _counted(*names: str) -> Callable[[Facts], Value]:
    return lambda facts: {name: facts.get("counts", {}).get(name, 0) for name in names}


def _count(name: str) -> Callable[[Facts], Value]:
    return lambda facts: facts.get("counts", {}).get(name, 0)


def _age(name: str) -> Callable[[Facts], Value]:
    return lambda facts: max(time.time() - facts[name] / 1e9, 0) if facts.get(name) else 0


def _connected(facts: Facts) -> Value:
    told = facts.get("runtimes", ())
    silent = {runtime["name"] for runtime in told if runtime["error"]}
    return {runtime["name"]: int(runtime["name"] not in silent) for runtime in told}


def _accounts(facts: Facts) -> list[Mapping[str, Any]]:
    return list(facts.get("accounts", {}).values())


def _ledger(facts: Facts) -> Value:
    return {state: sum(account[state] for account in _accounts(facts)) for state in ("seen", "received")}


def _ledger_lost(facts: Facts) -> Value:
    lost: dict[str, float] = {}
    for account in _accounts(facts):
        for cause, count in account["lost"].items():
            lost[cause] = lost.get(cause, 0) + count
    return lost


AGENT = (
    Metric("cgtrail_agent_records", CounterMetricFamily, "Records in committed frames", _fact("records")),
    Metric("cgtrail_agent_bytes", CounterMetricFamily, "Bytes of records in committed frames", _fact("bytes")),
    Metric("cgtrail_agent_frame", GaugeMetricFamily, "Number of the stream's next frame", _fact("frames")),
    Metric("cgtrail_agent_lost_records", CounterMetricFamily, "Records that were counted instead of recorded",
           _fact("lost"), "cause"),
    Metric("cgtrail_agent_kernel_records", GaugeMetricFamily,
           "Records that the kernel made or dropped for what is watched now",
           lambda facts: sum(facts.get("seen", {}).values())),
    Metric("cgtrail_agent_ring_waiting_bytes", GaugeMetricFamily, "Bytes in the kernel's ring, not drained yet",
           _fact("ring_bytes_waiting")),
    Metric("cgtrail_agent_spool_bytes", GaugeMetricFamily, "Bytes of the spool's segments", _fact("spool_bytes")),
    Metric("cgtrail_agent_spool_max_bytes", GaugeMetricFamily, "Bytes at which the spool is full",
           _fact("spool_max_bytes")),
    Metric("cgtrail_agent_spool_writable", GaugeMetricFamily, "1: the last commit reached the disk; 0: it was refused",
           lambda facts: 0 if facts.get("spool_error") else 1),
    Metric("cgtrail_agent_admission", GaugeMetricFamily,
           "The step of a filling spool that holds: 0, or the fraction of the bound at which it was taken",
           _fact("admission")),
    Metric("cgtrail_agent_narrowed", GaugeMetricFamily,
           "1: left out of everybody's records while the spool is nearly full: what terminals show (output), arguments "
           "beyond 4,096 bytes (arguments), forks", lambda facts: facts.get("narrowed") or {}, "what"),
    Metric("cgtrail_agent_commits", CounterMetricFamily, "Group commits", _fact("commits")),
    Metric("cgtrail_agent_commit_seconds", CounterMetricFamily, "Time spent in group commits", _fact("commit_seconds")),
    Metric("cgtrail_agent_keyframe_age_seconds", GaugeMetricFamily, "Since the last keyframe began",
           _age("keyframe_time")),
    Metric("cgtrail_agent_unread_arguments", CounterMetricFamily, "Running processes whose arguments were left out",
           _fact("arguments_unread")),
    Metric("cgtrail_agent_containers", GaugeMetricFamily, "Containers that live", _fact("containers")),
    Metric("cgtrail_agent_runtime_connected", GaugeMetricFamily,
           "1: the container runtime answers, wherever it is listened to",
           _connected, "runtime"),
    Metric("cgtrail_agent_tenants", GaugeMetricFamily, "Tenants that files and commands declare", _fact("tenants")),
    Metric("cgtrail_agent_tenants_valid", GaugeMetricFamily,
           "1: what the tenants' files say is in force; 0: they have a mistake, and those before are",
           lambda facts: 0 if facts.get("tenants_error") else 1),
    Metric("cgtrail_agent_tenants_ignored", CounterMetricFamily,
           "Containers whose label has what is no tenant's id (no_id), or with more tenants than are named (too_many)",
           lambda facts: facts.get("tenants_ignored") or {}, "cause"),
    Metric("cgtrail_agent_watched_cgroups", GaugeMetricFamily, "Cgroups in the kernel's map", _fact("watched_cgroups")),
    Metric("cgtrail_agent_unwatched_containers", CounterMetricFamily,
           "Containers that the kernel's map had no room for", _fact("unwatched_containers")),
    Metric("cgtrail_agent_sweeps", CounterMetricFamily, "Walks over all cgroups, for what nobody told of",
           _fact("sweeps")),
    Metric("cgtrail_agent_unread_users", CounterMetricFamily, "Reads of containers' users that were given up",
           _fact("users_unread")),
    Metric("cgtrail_agent_cut_users", GaugeMetricFamily,
           "Containers with names of users that have no room beside all others'", _fact("users_cut")),
    Metric("cgtrail_agent_not_recorded_events", GaugeMetricFamily, "Kinds of events not recorded on this kernel",
           lambda facts: len(facts.get("not_recorded", ()))),
)  # fmt: skip
WORKER = (
    Metric("cgtrail_worker_frames", CounterMetricFamily, "Frames taken", _count("frames")),
    Metric("cgtrail_worker_records", CounterMetricFamily, "Records taken", _count("records")),
    Metric("cgtrail_worker_documents", CounterMetricFamily, "Answers of the store, one for each document sent",
           _counted("ok", "duplicate", "retry", "rejected"), "outcome"),
    Metric("cgtrail_worker_attributed_documents", CounterMetricFamily,
           "Documents made, by how sure it is whose they are (field cgtrail.attribution)",
           _counted(*Attribution), "attribution"),
    Metric("cgtrail_worker_troubles", CounterMetricFamily,
           "Frames and records that could not be taken: damaged stretches, missing frames, records by trouble",
           _counted("damaged", "missing_frames", "not_understood", "failed", "deadly"), "trouble"),
    Metric("cgtrail_worker_dead_letters", CounterMetricFamily, "Dead letters written", _count("letters")),
    Metric("cgtrail_worker_dead_letters_dropped", CounterMetricFamily, "Dead letters that found no room",
           _fact("letters_dropped")),
    Metric("cgtrail_worker_frame", GaugeMetricFamily, "Number of the next frame to take", _fact("frame")),
    Metric("cgtrail_worker_backlog_frames", GaugeMetricFamily, "Frames that are written and not stored yet",
           _fact("backlog_frames")),
    Metric("cgtrail_worker_lag_seconds", GaugeMetricFamily, "Age of the newest frame that was taken",
           _age("frame_time")),
    Metric("cgtrail_worker_snapshots", CounterMetricFamily, "Snapshots of the state", _count("snapshots")),
    Metric("cgtrail_worker_snapshot_bytes", GaugeMetricFamily, "Size of the last snapshot, not compressed",
           _fact("snapshot_bytes")),
    Metric("cgtrail_worker_snapshot_seconds", GaugeMetricFamily, "Time that the last snapshot took",
           _fact("snapshot_seconds")),
    Metric("cgtrail_worker_snapshot_age_seconds", GaugeMetricFamily, "Since the last snapshot, or the start",
           _fact("snapshot_age_seconds")),
    Metric("cgtrail_worker_ledger_records", GaugeMetricFamily,
           "The kernel's records since the agent began: seen by the kernel, received by this worker", _ledger, "state"),
    Metric("cgtrail_worker_ledger_lost_records", GaugeMetricFamily,
           "The kernel's records since the agent began that are known to be lost", _ledger_lost, "cause"),
)  # fmt: skip


class _Collector(Collector):
    def __init__(self, metrics: Iterable[Metric], facts: Callable[[], Facts]) -> None:
        self._metrics, self._facts = metrics, facts

    def collect(self) -> Iterator[Family]:
        facts = self._facts()
        if facts:  # a half that is still starting has nothing to say
            yield from (metric.family(facts) for metric in self._metrics)


@contextmanager
def serving(address: str, metrics: Iterable[Metric], facts: Callable[[], Facts]) -> Iterator[int | None]:
    """Serve metrics over HTTP at host:port while the block runs, and give the port; an empty address serves nothing.

    `facts` is asked in another thread at each scrape. Raises MetricsError when the address can't be listened on.
    """
    if not address:
        yield None
        return
    host, _, port = address.rpartition(":")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(metrics, facts))
    try:
        server, thread = start_http_server(int(port), host.strip("[]") or "127.0.0.1", registry)
    except OSError as error:
        message = f"metrics can't be served at {address}: {error.strerror}; choose another address, or an empty one"
        raise MetricsError(message) from error
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


FILE = Path(__file__).resolve().parent.parent / "docs" / "metrics.md"
_HEAD = """\
# Metrics

<!-- Generated from cgtrail/metrics.py, by python -m cgtrail.metrics. -->

In Prometheus's text format, at the addresses that `metrics.agent` and `metrics.worker` name (see
[configuration.md](configuration.md)), for example `http://127.0.0.1:9464/metrics`. Both are off unless set. No metric
names a container: `cgtrail status` has the ledger by container.

"""


def reference() -> str:
    """The page."""
    rows = [("## Agent\n\n", AGENT), ("\n## Worker\n\n", WORKER)]
    return _HEAD + "".join(title + _table(metrics) for title, metrics in rows)


def _table(metrics: Iterable[Metric]) -> str:
    lines = ["| metric | type | label | meaning |\n|---|---|---|---|\n"]
    for metric in metrics:
        kind = "counter" if metric.kind is CounterMetricFamily else "gauge"
        lines.append(f"| `{metric.shown}` | {kind} | {metric.label} | {metric.meaning} |\n")
    return "".join(lines)


def main(arguments: list[str]) -> int:
    """Write the page, or with --check say whether it is out of date. Returns the exit code."""
    return page(FILE, reference(), "python -m cgtrail.metrics", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
