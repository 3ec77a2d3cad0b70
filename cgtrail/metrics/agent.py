"""What the agent tells of itself."""

from __future__ import annotations

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from cgtrail.metrics.declare import Facts, Half, Metric, Value, age, by_label, fact
from shipper.admission import REFUSE


def _connected(facts: Facts) -> Value:
    told = facts.get("runtimes", ())
    silent = {runtime["name"] for runtime in told if runtime["error"]}
    return {runtime["name"]: int(runtime["name"] not in silent) for runtime in told}


def _unready(facts: Facts) -> str | None:
    if facts.get("spool_error"):
        return f"the spool can't be written: {facts['spool_error']}"
    if (facts.get("admission") or 0) >= REFUSE:
        unread = ", ".join(facts.get("unread_by") or ()) or "nobody"
        return f"the spool is full, and records are refused; unread by {unread}"
    return None


METRICS = (
    Metric("cgtrail_agent_records", CounterMetricFamily, "Records in committed frames", fact("records")),
    Metric("cgtrail_agent_bytes", CounterMetricFamily, "Bytes of records in committed frames", fact("bytes")),
    Metric("cgtrail_agent_frame", GaugeMetricFamily, "Number of the stream's next frame", fact("frames")),
    Metric("cgtrail_agent_lost_records", CounterMetricFamily, "Records that were counted instead of recorded",
           fact("lost"), "cause"),
    Metric("cgtrail_agent_kernel_records", GaugeMetricFamily,
           "Records that the kernel made or dropped for what is watched now",
           lambda facts: sum(facts.get("seen", {}).values())),
    Metric("cgtrail_agent_ring_waiting_bytes", GaugeMetricFamily, "Bytes in the kernel's ring, not drained yet",
           fact("ring_bytes_waiting")),
    Metric("cgtrail_agent_spool_bytes", GaugeMetricFamily, "Bytes of the spool's segments", fact("spool_bytes")),
    Metric("cgtrail_agent_spool_max_bytes", GaugeMetricFamily, "Bytes at which the spool is full",
           fact("spool_max_bytes")),
    Metric("cgtrail_agent_spool_writable", GaugeMetricFamily, "1: the last commit reached the disk; 0: it was refused",
           lambda facts: 0 if facts.get("spool_error") else 1),
    Metric("cgtrail_agent_admission", GaugeMetricFamily,
           "The step of a filling spool that holds: 0, or the fraction of the bound at which it was taken",
           fact("admission")),
    Metric("cgtrail_agent_narrowed", GaugeMetricFamily,
           "1: left out of everybody's records while the spool is nearly full: what terminals show (output), arguments "
           "beyond 4,096 bytes (arguments), forks", by_label("narrowed"), "what"),
    Metric("cgtrail_agent_commits", CounterMetricFamily, "Group commits", fact("commits")),
    Metric("cgtrail_agent_commit_seconds", CounterMetricFamily, "Time spent in group commits", fact("commit_seconds")),
    Metric("cgtrail_agent_keyframe_age_seconds", GaugeMetricFamily, "Since the last keyframe began",
           age("keyframe_time")),
    Metric("cgtrail_agent_unread_arguments", CounterMetricFamily, "Running processes whose arguments were left out",
           fact("arguments_unread")),
    Metric("cgtrail_agent_containers", GaugeMetricFamily, "Containers that live", fact("containers")),
    Metric("cgtrail_agent_runtime_connected", GaugeMetricFamily,
           "1: the container runtime answers, wherever it is listened to",
           _connected, "runtime"),
    Metric("cgtrail_agent_tenants", GaugeMetricFamily, "Tenants that files and commands declare", fact("tenants")),
    Metric("cgtrail_agent_tenants_valid", GaugeMetricFamily,
           "1: what the tenants' files say is in force; 0: they have a mistake, and those before are",
           lambda facts: 0 if facts.get("tenants_error") else 1),
    Metric("cgtrail_agent_tenants_ignored", CounterMetricFamily,
           "Containers whose label has what is no tenant's id (no_id), or with more tenants than are named (too_many)",
           by_label("tenants_ignored"), "cause"),
    Metric("cgtrail_agent_watched_cgroups", GaugeMetricFamily, "Cgroups in the kernel's map", fact("watched_cgroups")),
    Metric("cgtrail_agent_unwatched_containers", CounterMetricFamily,
           "Containers that the kernel's map had no room for", fact("unwatched_containers")),
    Metric("cgtrail_agent_sweeps", CounterMetricFamily, "Walks over all cgroups, for what nobody told of",
           fact("sweeps")),
    Metric("cgtrail_agent_unread_users", CounterMetricFamily, "Reads of containers' users that were given up",
           fact("users_unread")),
    Metric("cgtrail_agent_cut_users", GaugeMetricFamily,
           "Containers with names of users that have no room beside all others'", fact("users_cut")),
    Metric("cgtrail_agent_not_recorded_events", GaugeMetricFamily, "Kinds of events not recorded on this kernel",
           lambda facts: len(facts.get("not_recorded", ()))),
)  # fmt: skip
AGENT = Half("agent", METRICS, _unready)
