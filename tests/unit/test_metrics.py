"""Metrics are what they are documented to be, at a real endpoint, of real halves."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from cgtrail.halves import worker_on
from cgtrail.metrics import AGENT, FILE, WORKER, Metric, MetricsError, main, reference, serving
from enrich.sinks.memory import MemorySink
from shipper.status import STATUS, read_status
from tests.kernel.dockerd import wait_until

ANY = "127.0.0.1:0"


def scrape(metrics: Iterable[Metric], facts: Callable[[], Any]) -> dict[str, Family]:
    """What Prometheus reads, by name."""
    with serving(ANY, metrics, facts) as port:
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
    return {line.split("`")[1] for line in FILE.read_text().splitlines() if line.startswith("| `")}


def test_the_page_is_fresh() -> None:
    """docs/metrics.md says what is declared; otherwise run `python -m cgtrail.metrics`."""
    assert FILE.read_text() == reference()
    assert main(["--check"]) == 0


@pytest.mark.parametrize("metrics", [AGENT, WORKER], ids=["agent", "worker"])
def test_each_is_served_and_documented(metrics: tuple[Metric, ...]) -> None:
    """What an endpoint shows has the documented names, types and meanings, and nothing else is there."""
    families = scrape(metrics, lambda: {"pid": 1})
    assert set(families) == {metric.name for metric in metrics}
    for metric in metrics:
        family = families[metric.name]
        assert (family.documentation, metric.shown in documented()) == (metric.meaning, True)
        assert family.type == ("counter" if metric.shown.endswith("_total") else "gauge")
    assert documented() == {metric.shown for metric in (*AGENT, *WORKER)}


def test_names_follow_the_conventions() -> None:
    """One prefix a half, base units, and no name twice."""
    names = [metric.name for metric in (*AGENT, *WORKER)]
    assert len(set(names)) == len(names)
    assert all(metric.name.startswith("cgtrail_agent_") for metric in AGENT)
    assert all(metric.name.startswith("cgtrail_worker_") for metric in WORKER)


def test_a_half_that_starts_says_nothing() -> None:
    """Before its first facts there are no values to be mistaken for zeros."""
    assert scrape(AGENT, dict) == {}


def test_a_worker(tmp_path: Path) -> None:
    """Every fact that the worker's metrics read is one that a worker tells."""
    with worker_on(tmp_path, "memory", MemorySink(), threading.Event()) as worker:
        worker.run(follow=False)
        worker.counts.update(ok=3, duplicate=2, damaged=1, letters=4)
        assert asked(WORKER) <= worker.facts().keys()
        families = scrape(WORKER, worker.facts)
    assert values(families, "cgtrail_worker_documents")["ok"] == 3
    assert values(families, "cgtrail_worker_troubles")["damaged"] == 1
    assert values(families, "cgtrail_worker_dead_letters") == {"": 4}


def test_ledger() -> None:
    """The ledger is summed over containers, losses by cause."""
    accounts = {
        "7": {"seen": 10, "received": 7, "lost": {"ring_full": 2, "disk": 1}},
        "8": {"seen": 5, "received": 4, "lost": {"disk": 1}},
    }
    families = scrape(WORKER, lambda: {"accounts": accounts})
    assert values(families, "cgtrail_worker_ledger_records") == {"seen": 15, "received": 11}
    assert values(families, "cgtrail_worker_ledger_lost_records") == {"ring_full": 2, "disk": 2}


def test_a_runtime_of_which_one_daemon_is_silent() -> None:
    """Two daemons of one runtime are one value, and it hides neither."""
    told = [("docker", None), ("podman", None), ("docker", "refused"), ("docker", None)]
    families = scrape(AGENT, lambda: {"runtimes": [{"name": name, "error": error} for name, error in told]})
    assert values(families, "cgtrail_agent_runtime_connected") == {"docker": 0, "podman": 1}


def test_what_tenants_were_not_given() -> None:
    """A label that names no tenant, and a tenant too many, are counted where somebody looks."""
    families = scrape(AGENT, lambda: {"tenants_ignored": {"no_id": 2, "too_many": 1}})
    assert values(families, "cgtrail_agent_tenants_ignored") == {"no_id": 2, "too_many": 1}


def asked(metrics: Iterable[Metric]) -> set[str]:
    """The facts that metrics read."""
    names: set[str] = set()

    class Spy(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            names.add(key)
            return default

    for metric in metrics:
        metric.family(Spy())
    return names


def test_an_address_that_is_taken_is_named() -> None:
    """Whoever runs two agents learns which address is taken."""
    with serving(ANY, AGENT, dict) as port:
        again = serving(f"127.0.0.1:{port}", AGENT, dict)
        with pytest.raises(MetricsError, match=f"127.0.0.1:{port}"):
            again.__enter__()


def test_no_address_serves_nothing() -> None:
    """Metrics are off unless an address is set."""
    with serving("", AGENT, dict) as port:
        assert port is None


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
        finally:
            agent.terminate()
    assert asked(AGENT) <= read_status(tmp_path / STATUS).keys()
    assert set(families) == {metric.name for metric in AGENT}
    assert values(families, "cgtrail_agent_spool_writable") == {"": 1}
    assert values(families, "cgtrail_agent_runtime_connected") == {"docker": 0, "podman": 0, "containerd": 0}
    assert values(families, "cgtrail_agent_records")[""] > 3
    assert 0 <= values(families, "cgtrail_agent_keyframe_age_seconds")[""] < 3600
