"""Metrics are what they are documented to be, at a real endpoint, of real halves."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from cgtrail.halves import worker_on
from cgtrail.metrics import AGENT, PUBLISHER, WORKER, Half
from cgtrail.metrics.__main__ import FILE, main, reference
from cgtrail.serving import serving
from enrich.document import Document
from enrich.sinks import Outcome
from enrich.sinks.memory import MemorySink
from shipper.status import STATUS, read_status
from tests.kernel.dockerd import wait_until
from tests.unit.spooled import Spooled
from tests.unit.stream import container, exec_

ANY = "127.0.0.1:0"
HALVES = (AGENT, PUBLISHER, WORKER)
SECOND = 1_000_000_000


def scrape(half: Half, facts: Callable[[], Any]) -> dict[str, Family]:
    """What Prometheus reads, by name."""
    with serving(ANY, half, facts) as port:
        return scraped(f"127.0.0.1:{port}")


def scraped(address: str) -> dict[str, Family]:
    """What Prometheus reads at an address, by name."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def values(families: dict[str, Family], name: str) -> dict[str, float]:
    """Label (or nothing) → value."""
    return {"".join(sample.labels.values()): sample.value for sample in families[name].samples}


def documented() -> set[str]:
    """The names in docs/metrics.md."""
    return {line.split("`")[1] for line in FILE.read_text().splitlines() if line.startswith("| `cgtrail_")}


def test_the_page_is_fresh() -> None:
    """docs/metrics.md says what is declared; otherwise run `python -m cgtrail.metrics`."""
    assert FILE.read_text() == reference()
    assert main(["--check"]) == 0


@pytest.mark.parametrize("half", HALVES, ids=lambda half: half.name)
def test_each_is_served_and_documented(half: Half) -> None:
    """What an endpoint shows has the documented names, types and meanings, and nothing else is there."""
    families = scrape(half, lambda: {"pid": 1})
    assert set(families) == {metric.name for metric in half.metrics}
    for metric in half.metrics:
        family = families[metric.name]
        assert (family.documentation, metric.shown in documented()) == (metric.meaning, True)
        assert family.type == ("counter" if metric.shown.endswith("_total") else "gauge")
    assert documented() == {metric.shown for each in HALVES for metric in each.metrics}


def test_names_follow_the_conventions() -> None:
    """One prefix a half, base units, and no name twice."""
    names = [metric.name for half in HALVES for metric in half.metrics]
    assert len(set(names)) == len(names)
    for half in HALVES:
        assert all(metric.name.startswith(f"cgtrail_{half.name}_") for metric in half.metrics)


def test_a_half_that_starts_says_nothing() -> None:
    """Before its first facts there are no values to be mistaken for zeros."""
    assert scrape(AGENT, dict) == {}


def test_a_worker(tmp_path: Path) -> None:
    """Every fact that the worker's metrics read is one that a worker tells."""
    with worker_on(tmp_path, "memory", MemorySink(), threading.Event()) as worker:
        worker.run(follow=False)
        worker.counts.update(ok=3, duplicate=2, damaged=1, letters=4)
        of_a_group = {"lag", "rebalances", "queue", "assigned", "connected", "error"}
        assert asked(WORKER) - of_a_group <= worker.facts().keys()
        families = scrape(WORKER, worker.facts)
    assert values(families, "cgtrail_worker_documents")["ok"] == 3
    assert values(families, "cgtrail_worker_troubles")["damaged"] == 1
    assert values(families, "cgtrail_worker_dead_letters") == {"": 4}


def test_ledger() -> None:
    """The ledger is summed over hosts and containers, losses by cause."""
    accounts = {
        "a0": {7: {"seen": 10, "received": 7, "lost": {"ring_full": 2, "disk": 1}}},
        "b0": {7: {"seen": 5, "received": 4, "lost": {"disk": 1}}},
    }
    families = scrape(WORKER, lambda: {"accounts": accounts})
    assert values(families, "cgtrail_worker_ledger_records") == {"seen": 15, "received": 11}
    assert values(families, "cgtrail_worker_ledger_lost_records") == {"ring_full": 2, "disk": 2}


def test_lag_is_told_by_partition() -> None:
    """Of a partition in which something waits: how old the newest frame is that was taken. Of others: 0."""
    old = time.time_ns() - 3600 * SECOND
    streams = {"a0": {"frame_time": old - 9000 * SECOND}, "b0": {"frame_time": old}}
    partitions = {name: {"streams": streams, "checkpoint_age_seconds": 7} for name in ("raw-0", "raw-1")}
    partitions["raw-2"] = {"streams": {}, "checkpoint_age_seconds": 1}
    facts = {"partitions": partitions, "lag": {"raw-0": 12, "raw-1": 0, "raw-2": 5}, "assigned": list(partitions)}
    families = scrape(WORKER, lambda: facts)
    lag = values(families, "cgtrail_worker_lag_seconds")
    assert 3600 <= lag.pop("raw-0") < 7200
    assert lag == {"raw-1": 0, "raw-2": 0}
    assert values(families, "cgtrail_worker_lag_messages") == {"raw-0": 12, "raw-1": 0, "raw-2": 5}
    assert values(families, "cgtrail_worker_checkpoint_age_seconds") == {"raw-0": 7, "raw-1": 7, "raw-2": 1}
    assert values(families, "cgtrail_worker_partitions") == {"": 3}
    assert values(families, "cgtrail_worker_backlog_frames") == {"": 17}


def test_lag_beside_a_spool() -> None:
    """A worker beside the spool is behind when frames wait there."""
    streams = {"a0": {"frame_time": time.time_ns() - 60 * SECOND}}
    facts = {"partitions": {"a0": {"streams": streams}}, "backlog_frames": 3}
    assert values(scrape(WORKER, lambda: facts), "cgtrail_worker_lag_seconds")["a0"] >= 60
    facts["backlog_frames"] = 0
    assert values(scrape(WORKER, lambda: facts), "cgtrail_worker_lag_seconds") == {"a0": 0}


def test_losses_by_cause() -> None:
    """Each cause of which a document was made has its own counter, whichever it is."""
    counts = {"loss.frame_missing": 2, "loss.host_claimed": 1, "resent": 5, "refused_frames": 7}
    families = scrape(WORKER, lambda: {"counts": counts})
    assert values(families, "cgtrail_worker_losses") == {"frame_missing": 2, "host_claimed": 1}
    assert values(families, "cgtrail_worker_resent_frames") == {"": 5}
    assert values(families, "cgtrail_worker_refused_frames") == {"": 7}


def test_a_publisher() -> None:
    """How far it is, how old its queue is, and what refused it, by name."""
    facts = {"sent_frames": 9, "acknowledged": 7, "in_flight": 2, "in_flight_age_seconds": 1.5, "backlog_frames": 30,
             "error": "no room", "errors": {"MSG_SIZE_TOO_LARGE": 1, "_TRANSPORT": 4}}  # fmt: skip
    families = scrape(PUBLISHER, lambda: facts)
    assert values(families, "cgtrail_publisher_errors") == {"MSG_SIZE_TOO_LARGE": 1, "_TRANSPORT": 4}
    assert values(families, "cgtrail_publisher_queue_age_seconds") == {"": 1.5}
    assert values(families, "cgtrail_publisher_connected") == {"": 0}
    assert values(families, "cgtrail_publisher_backlog_frames") == {"": 30}


def test_a_runtime_of_which_one_daemon_is_silent() -> None:
    """Two daemons of one runtime are one value, and it hides neither."""
    told = [("docker", None), ("podman", None), ("docker", "refused"), ("docker", None)]
    families = scrape(AGENT, lambda: {"runtimes": [{"name": name, "error": error} for name, error in told]})
    assert values(families, "cgtrail_agent_runtime_connected") == {"docker": 0, "podman": 1}


def test_what_tenants_were_not_given() -> None:
    """A label that names no tenant, and a tenant too many, are counted where somebody looks."""
    families = scrape(AGENT, lambda: {"tenants_ignored": {"no_id": 2, "too_many": 1}})
    assert values(families, "cgtrail_agent_tenants_ignored") == {"no_id": 2, "too_many": 1}


def asked(half: Half) -> set[str]:
    """The facts that metrics read."""
    names: set[str] = set()

    class Spy(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            names.add(key)
            return default

    for metric in half.metrics:
        metric.family(Spy())
    return names


@pytest.mark.kernel
def test_an_agent(tmp_path: Path) -> None:
    """An agent serves its metrics where it is told, and tells every fact that they read."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    runtimes = {f"CGTRAIL_RUNTIMES_{name}": f"unix://{tmp_path}/{name}" for name in ("DOCKER", "PODMAN", "CONTAINERD")}
    environment = os.environ | {"CGTRAIL_METRICS_AGENT": address} | runtimes
    argv = [sys.executable, "-m", "cgtrail", "ship", "--data", str(tmp_path)]
    with subprocess.Popen(argv, env=environment, stderr=subprocess.DEVNULL) as agent:
        try:
            wait_until(lambda: agent.poll() is not None or bool(read_status(tmp_path / STATUS)), "the agent's facts")
            families = scraped(address)
            for path in ("live", "ready"):
                with urllib.request.urlopen(f"http://{address}/{path}", timeout=10) as answer:
                    assert json.loads(answer.read()) == {path: True, "why": None}
        finally:
            agent.terminate()
    assert asked(AGENT) <= read_status(tmp_path / STATUS).keys()
    assert set(families) == {metric.name for metric in AGENT.metrics}
    assert values(families, "cgtrail_agent_spool_writable") == {"": 1}
    assert values(families, "cgtrail_agent_runtime_connected") == {"docker": 0, "podman": 0, "containerd": 0}
    assert values(families, "cgtrail_agent_records")[""] > 3
    assert 0 <= values(families, "cgtrail_agent_keyframe_age_seconds")[""] < 3600


def test_what_a_sink_tells_of_its_requests(tmp_path: Path) -> None:
    """What it has sent, how long it took, and what the store had no room for; a sink without requests has none."""

    class Far(MemorySink):
        """One over the network."""

        def facts(self) -> dict[str, Any]:
            """How it goes."""
            told = {"requests": 7, "retried": 2, "refused": 1, "bytes": 900, "looked_up": 4, "seconds": 1.5}
            return told | {"in_flight": 1, "in_flight_allowed": 2, "bulk_documents": 500, "left_out": 3}

    with worker_on(tmp_path, "memory", Far(), threading.Event()) as worker:
        families = scrape(WORKER, worker.facts)
        assert values(families, "cgtrail_worker_store_requests") == {"": 7}
        assert values(families, "cgtrail_worker_store_request_seconds") == {"": 1.5}
        assert values(families, "cgtrail_worker_store_refused_requests") == {"": 1}
        assert values(families, "cgtrail_worker_store_retried_documents") == {"": 2}
        assert values(families, "cgtrail_worker_store_requests_in_flight_limit") == {"": 2}
        assert values(families, "cgtrail_worker_store_left_out_documents") == {"": 3}
    with worker_on(tmp_path, "memory", MemorySink(), threading.Event()) as worker:
        assert values(scrape(WORKER, worker.facts), "cgtrail_worker_store_requests") == {"": 0}


class Held(MemorySink):
    """A store that takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def write(self, batch: Sequence[Document]) -> list[Outcome]:
        """Once it may."""
        assert self.go.wait(60)
        return super().write(batch)


def test_waiting_for_the_store_is_measured(tmp_path: Path) -> None:
    """As time in which a write went on, and in which nothing was taken meanwhile."""
    spooled, sink = Spooled(tmp_path), Held()
    spooled.keyframe(*container())
    spooled.add(exec_(2, 1, b"/bin/p2"))
    with worker_on(tmp_path, "memory", sink, threading.Event()) as worker:
        thread = threading.Thread(target=worker.run, kwargs={"follow": False})
        thread.start()
        wait_until(lambda: worker.facts()["write_seconds"] > 0.3, "a write that goes on", 60)
        sink.go.set()
        thread.join(60)
        facts = worker.facts()
    assert facts["waited_seconds"] > 0.2
    assert facts["write_seconds"] > 0.3
