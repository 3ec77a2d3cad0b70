"""Writes docs/metrics.md from what is declared: `python -m cgtrail.metrics` (`--check`: only say if it is stale)."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from prometheus_client.core import CounterMetricFamily

from cgtrail.metrics import AGENT, PUBLISHER, WORKER, Metric
from enrich.reference import page

FILE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
_HEAD = """\
# Metrics and probes

<!-- Generated from cgtrail/metrics/, by python -m cgtrail.metrics. -->

At the addresses that `metrics.agent`, `metrics.publisher` and `metrics.worker` name (see
[configuration.md](configuration.md)), for example `127.0.0.1:9464`. Of several workers the first one has that port, and
the next ones the ports that follow. All are off unless set. Who can reach an address may ask there: no metric names a
container (`cgtrail status` has the ledger by container), and nothing can be changed.

| path | what it answers |
|---|---|
| `/metrics` | what is below, in Prometheus's text format |
| `/live` | 200 while the main loop turns; 503 when it has stood still for a minute, or a start took five |
| `/ready` | 200 while the work is done; 503 while it is not |

`/live` and `/ready` answer with a line of JSON that says why: `{"ready":false,"why":"the spool can't be written: [Errno
28] No space left on device"}`. Ready is

- an agent that records and whose spool takes what it records;
- a publisher that has nothing to send, or whose broker acknowledges what it sends within 30 seconds;
- a worker that reads its spool, or is a member of its group and reaches a broker, and whose store took the last write.

What is not ready mends itself once its disk, its broker or its store does: starting it anew does not help, and an agent
that is started anew is blind meanwhile. So `/live` is for restarts, and `/ready` for alerts and rollouts. In
Kubernetes, with `CGTRAIL_METRICS_WORKER` set to `0.0.0.0:9465`:

```yaml
ports:
  - {name: metrics, containerPort: 9465}
livenessProbe:
  httpGet: {path: /live, port: metrics}
  periodSeconds: 20
  timeoutSeconds: 10
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /ready, port: metrics}
  periodSeconds: 10
  timeoutSeconds: 10
```

Rates are made of counters, as in `rate(cgtrail_worker_records_total[5m])`. Worth an alert:

- `cgtrail_agent_lost_records_total` or `cgtrail_worker_losses_total` rises: something is not recorded, or was lost;
- `cgtrail_agent_spool_bytes / cgtrail_agent_spool_max_bytes > 0.7`: soon less is recorded;
- `cgtrail_publisher_connected == 0` or `cgtrail_publisher_queue_age_seconds > 60`: the spool fills meanwhile;
- `max by (partition) (cgtrail_worker_lag_seconds) > 300`: alerts that are made of documents come late;
- `rate(cgtrail_worker_store_wait_seconds_total[5m]) > 0.8`: the store is what workers wait for;
- `sum(cgtrail_worker_partitions)` is less than the topic has: nobody reads some of them.
"""


def reference() -> str:
    """The page."""
    halves = (AGENT, PUBLISHER, WORKER)
    return _HEAD + "".join(f"\n## {half.name.capitalize()}\n\n{_table(half.metrics)}" for half in halves)


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
