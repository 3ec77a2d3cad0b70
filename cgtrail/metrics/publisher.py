"""What the publisher tells of itself."""

from __future__ import annotations

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from cgtrail.metrics.declare import Facts, Half, Metric, Value, by_label, fact

PATIENCE_SECONDS = 30.0
"""How long the broker may take to acknowledge a frame before the publisher counts as not ready."""


def _connected(facts: Facts) -> Value:
    return int(facts.get("connected", not facts.get("error")))


def _unready(facts: Facts) -> str | None:
    if facts.get("error"):
        return f"the broker takes nothing: {facts['error']}"
    waited = facts.get("in_flight_age_seconds") or 0
    if facts.get("in_flight") and waited > PATIENCE_SECONDS:
        return f"the broker has acknowledged nothing for {waited:.0f} s"
    return None


METRICS = (
    Metric("cgtrail_publisher_frames", CounterMetricFamily, "Frames that the broker has acknowledged",
           fact("sent_frames")),
    Metric("cgtrail_publisher_bytes", CounterMetricFamily, "Bytes of these frames, before compression",
           fact("sent_bytes")),
    Metric("cgtrail_publisher_acknowledged_frame", GaugeMetricFamily,
           "Number of the stream's first frame that the broker has not acknowledged", fact("acknowledged")),
    Metric("cgtrail_publisher_frame", GaugeMetricFamily, "Number of the stream's next frame to send", fact("number")),
    Metric("cgtrail_publisher_in_flight", GaugeMetricFamily, "Messages that were sent and are not acknowledged",
           fact("in_flight")),
    Metric("cgtrail_publisher_queue_age_seconds", GaugeMetricFamily,
           "How long the oldest message waits to be acknowledged", fact("in_flight_age_seconds")),
    Metric("cgtrail_publisher_backlog_frames", GaugeMetricFamily,
           "Frames that are written to the spool and not acknowledged", fact("backlog_frames")),
    Metric("cgtrail_publisher_lag_seconds", GaugeMetricFamily,
           "Age of the newest frame that is acknowledged; 0: nothing waits", fact("lag_seconds")),
    Metric("cgtrail_publisher_errors", CounterMetricFamily,
           "Refusals of the broker and failures to reach it, by librdkafka's name", by_label("errors"), "error"),
    Metric("cgtrail_publisher_connected", GaugeMetricFamily, "1: the broker takes what is sent; 0: it does not",
           _connected),
)  # fmt: skip
PUBLISHER = Half("publisher", METRICS, _unready)
