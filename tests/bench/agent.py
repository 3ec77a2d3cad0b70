"""The agent's CPU: what an event costs from the ring to the spool, and what it takes when nothing happens."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.bench.lab import Lab, Spawner, pids
from tests.bench.processes import cpu_seconds
from tests.bench.report import Report, spread
from tests.faults.live import Rig

if TYPE_CHECKING:
    from tests.bench.__main__ import Size

RATES = (100, 1000, 5000)
STORM_SECONDS = 5


def used(rig: Rig, seconds: float) -> float:
    """CPU seconds a second of the agent while nothing is told to happen."""
    pid, before, began = pids(rig)["agent"], cpu_seconds(pids(rig)["agent"]), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(pid) - before) / (time.monotonic() - began)


def committed(rig: Rig) -> int:
    """Records in committed frames, once the status file tells of now."""
    rig.written()
    since = time.time_ns()
    while rig.facts()["time"] < since:
        time.sleep(0.01)
    return int(rig.facts()["records"])


def storm(rig: Rig, actor: Spawner, rate: int, idle: float) -> tuple[float, float]:
    """(CPU microseconds a record, beyond what it takes idle; records a second) of a storm."""
    pid, records = pids(rig)["agent"], committed(rig)
    before, began = cpu_seconds(pid), time.monotonic()
    done = actor.do("pace", rate, STORM_SECONDS)
    records = committed(rig) - records
    cpu = cpu_seconds(pid) - before - idle * (time.monotonic() - began)
    return cpu / records * 1e6, records / done.ns * 1e9


def run(report: Report, lab: Lab, size: Size) -> None:
    """Idle without and with a container, then storms of several rates in turn."""
    with lab.recording(worker=False) as rig:
        report.row("idle, 0 containers", f"{used(rig, size.idle_seconds) * 100:.2f} % of a CPU")
        with lab.container() as made, lab.spawner(made) as actor:
            idle = used(rig, size.idle_seconds)
            report.row("idle, 1 container", f"{idle * 100:.2f} % of a CPU")
            found: dict[int, list[tuple[float, float]]] = {rate: [] for rate in RATES}
            for _ in range(size.rounds):
                for rate in RATES:
                    found[rate].append(storm(rig, actor, rate, idle))
    for rate, rounds in found.items():
        cost, records = ([each[index] for each in rounds] for index in range(2))
        per_second = spread([1e6 / each for each in cost])
        what = f"ring → spool, {rate:,} exec/s ({spread(records)} records/s reached)"
        report.row(what, f"{spread(cost, '{:.1f}')} µs CPU an event; {per_second} events/CPU-s", "1 µs; 1,000,000")
