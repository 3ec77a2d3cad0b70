"""What a worker tells of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from cgtrail.metrics.declare import Facts, Half, Metric, Value, by_label, count, counted, fact, since
from enrich.losses import COUNTED
from enrich.steps.registry import Attribution


def _each(facts: Facts) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from facts.get("partitions", {}).items()


def _backlog(facts: Facts) -> Value:
    return int(facts.get("backlog_frames") or sum((facts.get("lag") or {}).values()))


def behind(facts: Facts) -> dict[str, float]:
    """Partition → seconds from the newest frame that was taken of it to now; 0 where nothing waits."""
    lag, waits = facts.get("lag"), bool(facts.get("backlog_frames"))
    newest = {
        name: max((stream.get("frame_time", 0) for stream in partition.get("streams", {}).values()), default=0)
        for name, partition in _each(facts)
    }
    waiting = {name: waits if lag is None else bool(lag.get(name)) for name in newest}
    return {name: since(time) if waiting[name] else 0.0 for name, time in newest.items()}


def _sink(name: str) -> Callable[[Facts], Value]:
    """What a sink over the network tells of its requests; 0 of others."""
    return lambda facts: (facts.get("sink") or {}).get(name) or 0


def _checkpoint_age(facts: Facts) -> Value:
    return {name: partition.get("checkpoint_age_seconds", 0) for name, partition in _each(facts)}


def _streams(facts: Facts) -> Value:
    return sum(len(partition.get("streams", {})) for _, partition in _each(facts))


def _assigned(facts: Facts) -> Value:
    return len(facts["assigned"] if "assigned" in facts else facts.get("partitions", ()))


def _lost(facts: Facts) -> Value:
    counts = facts.get("counts", {})
    return {name.removeprefix(COUNTED): number for name, number in counts.items() if name.startswith(COUNTED)}


def _accounts(facts: Facts) -> Iterator[Mapping[str, Any]]:
    for owners in facts.get("accounts", {}).values():
        yield from owners.values()


def _ledger(facts: Facts) -> Value:
    return {state: sum(account[state] for account in _accounts(facts)) for state in ("seen", "received")}


def _ledger_lost(facts: Facts) -> Value:
    lost: Counter[str] = Counter()
    for account in _accounts(facts):
        lost.update(account["lost"])
    return lost


def _unready(facts: Facts) -> str | None:
    if facts.get("error"):
        return f"the log can't be read: {facts['error']}"
    if not facts.get("connected", True):
        return "no broker answers"
    if "assigned" in facts and not facts["assigned"] and not facts.get("rebalances"):
        return "the consumer group has given it no partitions yet"
    if facts.get("store_error"):
        return f"the store takes nothing: {facts['store_error']}"
    return None


METRICS = (
    Metric("cgtrail_worker_frames", CounterMetricFamily, "Frames taken", count("frames")),
    Metric("cgtrail_worker_records", CounterMetricFamily, "Records taken", count("records")),
    Metric("cgtrail_worker_documents", CounterMetricFamily, "Answers of the store, one for each document sent",
           counted("ok", "duplicate", "retry", "rejected"), "outcome"),
    Metric("cgtrail_worker_attributed_documents", CounterMetricFamily,
           "Documents made, by how sure it is whose they are (field cgtrail.attribution)",
           counted(*Attribution), "attribution"),
    Metric("cgtrail_worker_losses", CounterMetricFamily,
           "Documents about losses that this worker made (field cgtrail.loss.cause)", _lost, "cause"),
    Metric("cgtrail_worker_troubles", CounterMetricFamily,
           "Frames and records that could not be taken: damaged stretches, missing frames, records by trouble",
           counted("damaged", "missing_frames", "not_understood", "failed", "deadly"), "trouble"),
    Metric("cgtrail_worker_resent_frames", CounterMetricFamily,
           "Frames that came again, as after a publisher's restart; each was taken once", count("resent")),
    Metric("cgtrail_worker_refused_frames", CounterMetricFamily,
           "Frames of a stream whose host another one speaks for", count("refused_frames")),
    Metric("cgtrail_worker_refused_messages", CounterMetricFamily,
           "Messages that are no frames; they are among the dead letters", count("refused_messages")),
    Metric("cgtrail_worker_dead_letters", CounterMetricFamily, "Dead letters written", count("letters")),
    Metric("cgtrail_worker_dead_letters_dropped", CounterMetricFamily, "Dead letters that found no room",
           fact("letters_dropped")),
    Metric("cgtrail_worker_store_writable", GaugeMetricFamily, "1: the store took the last write; 0: it did not",
           lambda facts: 0 if facts.get("store_error") else 1),
    Metric("cgtrail_worker_store_write_seconds", CounterMetricFamily,
           "Time in which documents were being written to the store", fact("write_seconds")),
    Metric("cgtrail_worker_store_wait_seconds", CounterMetricFamily,
           "Time in which nothing was taken, as the store had not answered; its rate is the share of time that is spent"
           " waiting", fact("waited_seconds")),
    Metric("cgtrail_worker_store_requests", CounterMetricFamily, "Requests to the store; Elasticsearch only, as what "
           "follows about the store", _sink("requests")),
    Metric("cgtrail_worker_store_request_seconds", CounterMetricFamily,
           "Time that these requests took; several may be on their way at a time", _sink("seconds")),
    Metric("cgtrail_worker_store_request_bytes", CounterMetricFamily, "Bytes of these requests", _sink("bytes")),
    Metric("cgtrail_worker_store_refused_requests", CounterMetricFamily,
           "Requests that the store had no room for (429)", _sink("refused")),
    Metric("cgtrail_worker_store_retried_documents", CounterMetricFamily,
           "Documents that were sent again, as the store could not take them", _sink("retried")),
    Metric("cgtrail_worker_store_looked_up_documents", CounterMetricFamily,
           "Documents that were looked up before they were sent, as they may have been stored already",
           _sink("looked_up")),
    Metric("cgtrail_worker_store_left_out_documents", CounterMetricFamily,
           "Documents of what terminals showed that are not written, as elasticsearch.recordings is false",
           _sink("left_out")),
    Metric("cgtrail_worker_store_requests_in_flight", GaugeMetricFamily, "Requests that are on their way",
           _sink("in_flight")),
    Metric("cgtrail_worker_store_requests_in_flight_limit", GaugeMetricFamily,
           "So many may be on their way at a time, at the pace that the store allows now", _sink("in_flight_allowed")),
    Metric("cgtrail_worker_store_bulk_documents", GaugeMetricFamily,
           "Documents in the largest request of the last write", _sink("bulk_documents")),
    Metric("cgtrail_worker_partitions", GaugeMetricFamily, "Partitions that are this worker's", _assigned),
    Metric("cgtrail_worker_streams", GaugeMetricFamily, "Hosts' streams that stand in them", _streams),
    Metric("cgtrail_worker_rebalances", CounterMetricFamily, "Times that the group has shared out its partitions anew",
           fact("rebalances")),
    Metric("cgtrail_worker_backlog_frames", GaugeMetricFamily, "Frames that are written and not stored yet", _backlog),
    Metric("cgtrail_worker_lag_messages", GaugeMetricFamily, "Messages of a topic's partition that were not taken yet",
           by_label("lag"), "partition"),
    Metric("cgtrail_worker_lag_seconds", GaugeMetricFamily,
           "Age of the newest frame that was taken; 0: nothing waits", behind, "partition"),
    Metric("cgtrail_worker_queue_bytes", GaugeMetricFamily, "Bytes that were fetched and not taken yet", fact("queue")),
    Metric("cgtrail_worker_snapshots", CounterMetricFamily, "Snapshots of the state", count("snapshots")),
    Metric("cgtrail_worker_snapshot_bytes", GaugeMetricFamily, "Size of the last snapshot, not compressed",
           fact("snapshot_bytes")),
    Metric("cgtrail_worker_snapshot_seconds", GaugeMetricFamily, "Time that the last snapshot took",
           fact("snapshot_seconds")),
    Metric("cgtrail_worker_checkpoint_age_seconds", GaugeMetricFamily,
           "Since the last snapshot, or since the partition became this worker's", _checkpoint_age, "partition"),
    Metric("cgtrail_worker_ledger_records", GaugeMetricFamily,
           "The kernels' records since the agents began: seen by the kernel, received by this worker", _ledger,
           "state"),
    Metric("cgtrail_worker_ledger_lost_records", GaugeMetricFamily,
           "The kernels' records since the agents began that are known to be lost", _ledger_lost, "cause"),
)  # fmt: skip
WORKER = Half("worker", METRICS, _unready)
