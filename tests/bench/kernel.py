"""What the kernel programs cost: nanoseconds a run by who is acting, and what every system call pays."""

from __future__ import annotations

import ctypes
import os
import statistics
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from shipper.probes import Probes
from shipper.wire.frame import MAX_PAYLOAD
from tests.bench.lab import Lab, Spawner, spawner
from tests.bench.report import NO_TARGET, Report, spread
from tests.kernel.capture import capturing

if TYPE_CHECKING:
    from tests.bench.__main__ import Size

Runs = dict[str, tuple[int, int]]
"""Program → nanoseconds and runs since it was loaded."""
SHOWN = ("exec", "fork", "exit", "ssh_login", "terminal")
TARGETS = {("exec", "watched"): "3,000 ns", ("exec", "not watched"): "300 ns", ("exec", "host"): "300 ns"}


@contextmanager
def statistics_on() -> Iterator[None]:
    """The kernel takes the time of every run of a BPF program in this block (bpf_enable_stats)."""
    file = ctypes.CDLL("libbpf.so.1", use_errno=True).bpf_enable_stats(0)
    assert file >= 0, os.strerror(ctypes.get_errno())
    try:
        yield
    finally:
        os.close(file)


def runs(probes: Probes) -> Runs:
    """What the kernel has counted of each program (proc(5), fdinfo)."""
    found = {}
    for name, link in probes._links.items():
        lines = Path(f"/proc/self/fdinfo/{link._program_fd}").read_text().splitlines()
        told = dict(line.split(":\t") for line in lines)
        found[name] = int(told["run_time_ns"]), int(told["run_cnt"])
    return found


def discard(probes: Probes) -> None:
    """Empty the ring."""
    for _ in probes.ring.drain(frozenset(), MAX_PAYLOAD):
        pass


def each_run(
    probes: Probes, groups: dict[str, Spawner], size: Size, words: tuple[object, ...] = ()
) -> dict[tuple[str, str], list[float]]:
    """(Program, who acts) → nanoseconds a run in each round, of a spawn storm or what else spawners are told."""
    words = words or ("spawn", size.spawns)
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(size.rounds):
        for group, actor in groups.items():
            before = runs(probes)
            actor.do(*words)
            for name, (ns, count) in runs(probes).items():
                if count > before[name][1]:
                    found[name, group].append((ns - before[name][0]) / (count - before[name][1]))
            discard(probes)
    return found


def programs(report: Report, lab: Lab, size: Size) -> None:
    """Nanoseconds a run; what the statistics' own two looks at the clock add is part of it."""
    with (
        capturing() as capture,
        lab.container() as inside,
        lab.container() as outside,
        lab.spawner(inside) as watched,
        lab.spawner(outside) as other,
        spawner(str(lab.program)) as host,
        statistics_on(),
    ):
        capture.probes.unwatch(outside.cgroup_id)
        found = each_run(capture.probes, {"watched": watched, "not watched": other, "host": host}, size)
    for (name, group), values in found.items():
        if name in SHOWN:
            report.row(f"{name}, {group}", f"{spread(values)} ns", TARGETS.get((name, group), NO_TARGET))


def calls(report: Report, lab: Lab, size: Size) -> None:
    """What a system call takes without the programs, with them, and with statistics on, in turn."""
    found: dict[str, list[float]] = defaultdict(list)
    with spawner(str(lab.program)) as host:
        for _ in range(size.rounds):
            found["without"].append(host.do("call", size.calls).ns_each)
            with capturing():
                found["with"].append(host.do("call", size.calls).ns_each)
                with statistics_on():
                    found["with statistics"].append(host.do("call", size.calls).ns_each)
    report.row("a getppid() of the host, without cgtrail", f"{spread(found['without'])} ns")
    for state in ("with", "with statistics"):
        added = [now - before for now, before in zip(found[state], found["without"], strict=True)]
        report.row(f"added by the programs, {state}".removesuffix(", with"), f"{spread(added)} ns")
    statistic = [now - before for now, before in zip(found["with statistics"], found["with"], strict=True)]
    report.row("added by the statistics alone", f"{statistics.median(statistic):,.0f} ns a run")


def run(report: Report, lab: Lab, size: Size) -> None:
    """All of it."""
    programs(report, lab, size)
    calls(report, lab, size)
