"""Private memory of agent and worker, by how many containers run."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

from tests.bench.lab import Lab, pids, settle
from tests.bench.processes import private_bytes
from tests.bench.report import NO_TARGET, Report
from tests.faults.live import Rig
from tests.kernel.dockerd import wait_until

if TYPE_CHECKING:
    from tests.bench.__main__ import Size

STARTERS = 4
TARGETS = {"agent": "80 MB and a stated cost per container"}
QUIET_SECONDS = 3


def measure(rig: Rig, containers: int) -> dict[str, int]:
    """Private bytes by process, once at least so many containers are known and stored."""
    wait_until(lambda: rig.facts()["containers"] >= containers, f"{containers} containers to be known", 120)
    settle(rig)
    time.sleep(QUIET_SECONDS)
    return {name: private_bytes(pid) for name, pid in pids(rig).items()}


def run(report: Report, lab: Lab, size: Size) -> None:
    """Docker's own containers, each with one process."""
    with lab.recording() as rig, ExitStack() as stack, ThreadPoolExecutor(STARTERS) as pool:
        stack.enter_context(lab.container())
        few = measure(rig, 1)
        made = [lab.container() for _ in range(size.containers - 1)]
        for each in made:
            stack.push(each)
        list(pool.map(lambda each: each.__enter__(), made))
        many = measure(rig, size.containers)
    for name, before in few.items():
        added = (many[name] - before) / (size.containers - 1)
        measured = f"{before / 1e6:.1f} MB; {many[name] / 1e6:.1f} MB; {added / 1e3:,.1f} KB a container"
        report.row(f"{name}, 1 and {size.containers} containers", measured, TARGETS.get(name, NO_TARGET))
