"""8,192 programs a second for 20 seconds in one container: nothing may be lost, and the ledger must be even."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING

from enrich.stores.lucene import parse
from enrich.stores.sqlite import SqliteStore
from tests.bench.lab import Lab, settle, start_worker, together
from tests.bench.report import Report
from tests.faults.live import ALL, Rig

if TYPE_CHECKING:
    from tests.bench.__main__ import Size

RATE, ACTORS = 8192, 2
PACED = parse("event.action:exec AND process.args:nothing AND process.args:pace")


def stored(rig: Rig, container: str) -> int:
    """How many starts of a pace are in the store."""
    found = SqliteStore(rig.data / "store").search(PACED, container=container, limit=ALL)
    return sum(1 for _ in found)


def storm(lab: Lab, size: Size, *, worker: bool) -> str:
    """What a storm came to, in words."""
    with lab.recording(worker=worker) as rig, lab.container() as made, lab.spawners(made, ACTORS) as actors:
        done = together(actors, "pace", RATE // ACTORS, size.loss_seconds)
        count, rate = sum(each.done for each in done), sum(each.rate for each in done)
        lost = sum(rig.facts()["lost"].values())
        if worker:
            settle(rig)
        else:
            start_worker(rig)
        with redirect_stdout(StringIO()):
            account = rig.account(made.cgroup_id)
        found = stored(rig, made.id)
    losses = sum(account["lost"].values()) + lost
    even = "even" if account["seen"] == account["stored"] + sum(account["lost"].values()) else "NOT EVEN"
    return (
        f"{rate:,.0f} exec/s reached; lost {losses:,} of {account['seen']:,} records, ledger {even};"
        f" {found:,} of {count:,} starts stored"
    )


def run(report: Report, lab: Lab, size: Size) -> None:
    """With a worker beside it, and with one that comes when it is over."""
    for worker, name in ((True, "the worker running"), (False, "the worker started afterwards")):
        what = f"{RATE:,} exec/s for {size.loss_seconds} s, {name}"
        report.row(what, storm(lab, size, worker=worker), "0 lost, each counted")
