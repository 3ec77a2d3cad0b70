"""What containers and tenants cost the agent, and how soon a container's first program is found under its name."""

from __future__ import annotations

import hashlib
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from enrich.stores.lucene import parse
from enrich.stores.sqlite import SqliteStore
from tests.bench.agent import used
from tests.bench.lab import TRUE, Lab, pids
from tests.bench.latency import DEADLINE_SECONDS, POLL_SECONDS
from tests.bench.processes import private_bytes
from tests.bench.report import Report
from tests.faults.live import Rig
from tests.kernel.capture import cgroup
from tests.kernel.dockerd import cgroup2_mount, program, wait_until
from tests.unit.docker_daemon import FakeDaemon, container

if TYPE_CHECKING:
    from tests.bench.__main__ import Size

COUNTS = (1, 200, 1000)
TENANTS = 300
SHARED = 3
"""Tenants of each container."""
MEMBERSHIP = 'echo $$ >"$0/cgroup.procs"; exec sleep 3600'


@contextmanager
def containers(count: int) -> Iterator[list[str]]:
    """Cgroups as Docker names them, with a process each; their ids. Docker itself would take many minutes."""
    ids = [hashlib.sha256(b"bench %d" % number).hexdigest() for number in range(count)]
    with ExitStack() as stack:
        for container_id in ids:
            folder = cgroup2_mount() / "docker" / container_id
            stack.enter_context(cgroup(folder))
            process = stack.enter_context(subprocess.Popen(["sh", "-c", MEMBERSHIP, str(folder)]))
            stack.callback(process.kill)
        yield ids


@contextmanager
def daemon(ids: list[str]) -> Iterator[FakeDaemon]:
    """What Docker would tell of them: each shared by some of the tenants."""
    with tempfile.TemporaryDirectory() as folder:
        made = FakeDaemon(Path(folder))
        for number, container_id in enumerate(ids):
            tenants = ",".join(f"t{(number + more) % TENANTS}" for more in range(SHARED))
            made.containers.append(container(container_id, f"bench-{number}", **{"cgtrail.tenant": tenants}))
        made.start()
        try:
            yield made
        finally:
            made.stop()


def tenants(folder: Path) -> Path:
    """A file of tenants, each with a rule that has to be tried on every container."""
    rows = "".join(f'  - {{id: t{n}, members: [{{name: "customer-{n}-*"}}]}}\n' for n in range(TENANTS))
    file = folder / "tenants.yaml"
    file.write_text(f"tenants:\n{rows}")
    return file


def many(report: Report, lab: Lab, size: Size, count: int) -> None:
    """The agent beside so many containers that do nothing."""
    with tempfile.TemporaryDirectory() as folder, containers(count) as ids, daemon(ids) as told:
        settings = {"CGTRAIL_RUNTIMES_DOCKER": told.url, "CGTRAIL_TENANTS_FILES": str(tenants(Path(folder)))}
        began = time.monotonic()
        with lab.recording(settings, worker=False) as rig:
            ready = time.monotonic() - began
            time.sleep(size.idle_seconds / 4)  # whatever has to be looked at only once
            cpu, memory = used(rig, size.idle_seconds), private_bytes(pids(rig)["agent"])
            assert rig.facts()["containers"] >= count
    what = f"{count:,} containers, {TENANTS} tenants"
    report.row(
        f"agent, {what}",
        f"{cpu * 100:.2f} % of a CPU idle; {memory / 1e6:.1f} MB private; ready in {ready:.1f} s",
        "80 MB and a stated cost per container",
    )


def first_document(rig: Rig, lab: Lab, name: str) -> tuple[float, float]:
    """Seconds that `docker start` takes, and from its beginning until a search finds the first program by name."""
    made = lab.daemon.client.containers.create("bench", [TRUE, name], name=name, network_mode="none")
    try:
        store, query = SqliteStore(rig.data / "store"), parse(f"event.action:exec AND container.name:{name}")
        since, began = time.time_ns(), time.monotonic()
        starting = subprocess.Popen(
            [program("docker"), "start", name], env=lab.daemon.environment, stdout=subprocess.DEVNULL
        )
        while not list(store.search(query, since=since, limit=1)):
            assert time.monotonic() - began < DEADLINE_SECONDS, f"{name} was never found"
            time.sleep(POLL_SECONDS)
        found = time.monotonic() - began
        starting.wait()
        return time.monotonic() - began, found
    finally:
        made.remove(force=True)


def run(report: Report, lab: Lab, size: Size) -> None:
    """Idle beside many, then the first documents of real containers."""
    for count in COUNTS:
        many(report, lab, size, min(count, size.containers * 5))
    with lab.recording() as rig:
        wait_until(lambda: bool(rig.facts()), "the agent's facts")
        taken = [first_document(rig, lab, f"first-{number}") for number in range(max(size.samples // 10, 5))]
    started, found = ([each[index] * 1e3 for each in taken] for index in range(2))
    report.row(
        f"docker start → first attributed document searchable, {len(taken)} samples",
        f"p50 {statistics.median(found):.0f} ms, most {max(found):.0f} ms "
        f"(docker start alone: p50 {statistics.median(started):.0f} ms)",
    )
