"""Private memory of agent and worker, by how many containers run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from tests.bench.lab import Lab, pids, settle
from tests.bench.processes import private_bytes
from tests.bench.report import NO_TARGET, Report
from tests.faults.live import Rig

if TYPE_CHECKING:
    from tests.bench.__main__ import Size

LANES = 4
TARGETS = {"agent": "80 MB and a stated cost per container"}
QUIET_SECONDS = 3


def measure(rig: Rig) -> tuple[int, dict[str, int]]:
    """How many containers are known, those of others included, and private bytes by process."""
    settle(rig)
    time.sleep(QUIET_SECONDS)
    return rig.facts()["containers"], {name: private_bytes(pid) for name, pid in pids(rig).items()}


@contextmanager
def containers(lab: Lab, count: int) -> Iterator[None]:
    """So many containers, started and removed a few at a time."""
    lanes = [ExitStack() for _ in range(LANES)]
    with ThreadPoolExecutor(LANES) as pool:
        try:
            list(pool.map(lambda number: lanes[number % LANES].enter_context(lab.container()), range(count)))
            yield
        finally:
            list(pool.map(ExitStack.close, lanes))


def run(report: Report, lab: Lab, size: Size) -> None:
    """Docker's own containers, each with one process."""
    with lab.recording() as rig:
        with lab.container():
            few, small = measure(rig)
        with containers(lab, size.containers):
            many, large = measure(rig)
    for name, before in small.items():
        added = (large[name] - before) / (many - few)
        measured = f"{before / 1e6:.1f} MB; {large[name] / 1e6:.1f} MB; {added / 1e3:,.1f} KB a container"
        report.row(f"{name}, {few} and {many} containers", measured, TARGETS.get(name, NO_TARGET))
