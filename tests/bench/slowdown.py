"""How much slower a container's spawn storm becomes: without us, recorded, and under strace, in turn."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from tests.bench.lab import SPAWNER, STRACE, TRUE, Done, Lab, start_worker
from tests.bench.report import NO_TARGET, Report, spread

if TYPE_CHECKING:
    from tests.bench.__main__ import Size

WITHOUT, AGENT, ALL, TRACED = "without cgtrail", "recorded, no worker", "recorded, with the worker", "strace -f -o file"
TARGETS = {ALL: "1.02x", TRACED: "12x to 17x (an estimate)"}
STORMS = {"a static program": SPAWNER, "true of coreutils": TRUE}
TRACED_SHARE = 10
"""Under strace so many times fewer programs are started."""


def run(report: Report, lab: Lab, size: Size) -> None:
    """Each round goes through all states; its ratios are of the same round."""
    took: dict[tuple[str, str], list[Done]] = defaultdict(list)
    with (
        lab.container() as made,
        lab.spawner(made) as plain,
        lab.spawner(made, STRACE, "-f", "-o", "/tmp/strace") as traced,
    ):

        def storm(state: str) -> None:
            actor, count = (traced, size.spawns // TRACED_SHARE) if state == TRACED else (plain, size.spawns)
            for name, started in STORMS.items():
                actor.do("spawn", count // 10, started)
                took[name, state].append(actor.do("spawn", count, started))

        for _ in range(size.rounds):
            storm(WITHOUT)
            storm(TRACED)
            with lab.recording(worker=False) as rig:
                storm(AGENT)
                start_worker(rig)
                storm(ALL)
    for name in STORMS:
        base = [each.ns_each / 1e3 for each in took[name, WITHOUT]]
        report.row(f"{name}, {WITHOUT}", f"{spread(base)} µs a start")
        for state in (AGENT, ALL, TRACED):
            measured = ratios(took[name, state], took[name, WITHOUT], cpu=state != TRACED)
            report.row(f"{name}, {state}", measured, TARGETS.get(state, NO_TARGET))


def ratios(rounds: list[Done], base: list[Done], *, cpu: bool) -> str:
    """Of the time that passed; with `cpu` also of the CPU time, which leaves out who else wants a CPU."""
    form = "{:.3f}x" if cpu else "{:.1f}x"
    passed = spread([now.ns_each / before.ns_each for now, before in zip(rounds, base, strict=True)], form)
    if not cpu:
        return passed
    used = [now.cpu / now.done / (before.cpu / before.done) for now, before in zip(rounds, base, strict=True)]
    return f"{passed}; {spread(used, form)} of its CPU time"
