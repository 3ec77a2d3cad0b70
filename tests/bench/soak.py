"""`make soak`: many containers come and go for a while, and nothing may grow, stay behind or be missing.

python -m tests.bench.soak [--seconds N] [--csv FILE]
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from enrich.stores.lucene import parse
from enrich.stores.sqlite import Cursor, SqliteStore
from tests.bench.lab import SPAWNER, Lab, lab, scratch_folder, settle
from tests.bench.report import machine
from tests.bench.samples import Samples
from tests.bench.verdict import HEAD, findings, returning
from tests.faults.live import Rig

LANES, RATE, LIVES = 4, 100, (3, 5, 8)
"""So many containers at a time, each with so many starts a second, for so many seconds in turn; the time that Docker
needs between two leaves about 300 a second."""
EVERY_SECONDS = 3.0
SPOOL_BYTES = 64 << 20
"""Retention and keyframes come every ten seconds: what two of them bring must fit above the mark of a crowded spool."""
STATE_BYTES = 8 << 20
"""SQLite empties its write-ahead log at four megabytes."""
SETTINGS = {
    "CGTRAIL_SPOOL_MAX_BYTES": str(SPOOL_BYTES),
    "CGTRAIL_SPOOL_KEYFRAME_SECONDS": "10",
    "CGTRAIL_ENRICH_SNAPSHOT_SECONDS": "5",
}
PATIENCE = 60.0
PACED = parse("event.action:exec AND process.args:nothing AND process.args:pace")


@dataclass
class Tenants:
    """Containers that come and go in lanes, and how many programs each has started."""

    lab: Lab
    reports: Path
    done: dict[str, int] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)

    def one(self, number: int) -> None:
        """A container's whole life."""
        report = self.reports / str(number)
        command = f"{SPAWNER} pace {RATE} {LIVES[number % len(LIVES)]} > /reports/{number}"
        volumes = {str(self.reports): {"bind": "/reports", "mode": "rw"}}
        with self.lab.container("sh", "-c", command, volumes=volumes) as made:
            made.handle.wait()
            self.done[made.id] = json.loads(report.read_text())["done"]

    def lane(self, number: int) -> None:
        """One after the other until it is over."""
        while not self.over.is_set():
            self.one(number)
            number += LANES

    @contextmanager
    def coming_and_going(self) -> Iterator[None]:
        """In this block; what lives at its end lives on to its own end."""
        with ThreadPoolExecutor(LANES) as pool:
            lanes = [pool.submit(self.lane, number) for number in range(1, LANES + 1)]
            try:
                yield
            finally:
                self.over.set()
            for lane in lanes:
                lane.result()


def stored(rig: Rig) -> Counter[str]:
    """Container → starts in the store."""
    store, found = SqliteStore(rig.data / "store"), Counter[str]()
    cursor: Cursor = {}
    while True:
        bodies, cursor = store.after(cursor, PACED)
        if not bodies:
            return found
        found.update(json.loads(body)["container"]["id"] for body in bodies)


def account(rig: Rig, tenants: Tenants) -> list[str]:
    """What is not even."""
    settle(rig)
    rows = rig.status()["ledger"]
    seen, received = (sum(row[name] for row in rows) for name in ("seen", "stored"))
    causes = rig.facts()["lost"]
    lost, refused = sum(sum(row["lost"].values()) for row in rows), sum(causes.values())
    found = stored(rig)
    done, kept = sum(tenants.done.values()), found.total()
    print(f"\n{len(tenants.done):,} containers started {done:,} programs; {kept:,} of them are stored")
    print(f"{seen:,} records seen = {received:,} stored + {lost:,} lost; the agent has counted {refused:,} as lost")
    print(*(f"lost, {cause}: {count:,}" for cause, count in causes.items()), sep="\n")
    wrong = [f"container {name[:12]}: {found[name]} of {count}" for name, count in tenants.done.items()
             if found[name] != count]  # fmt: skip
    if seen != received + lost:
        wrong.append(f"{seen - received - lost} records are on no account")
    return wrong + ([f"{lost or refused} records were lost"] if lost or refused else [])


def soak(place: Lab, seconds: float, file: Path) -> list[str]:
    """Everything; what did not hold."""
    reports = place.scratch / "reports"
    reports.mkdir()
    tenants = Tenants(place, reports)
    with place.recording(SETTINGS) as rig:
        tenants.one(0)
        settle(rig)
        samples = Samples(rig, file)
        start, began = samples.take(), time.monotonic()
        with tenants.coming_and_going():
            samples.each(EVERY_SECONDS, lambda: time.monotonic() - began > seconds)
        took = time.monotonic() - began
        during = samples.taken[1:]
        wrong = account(rig, tenants)
        end = samples.until_as(start, returning(start), PATIENCE)
    print(f"{sum(tenants.done.values()) / took:,.0f} starts a second over {took:,.0f} s\n\n{HEAD}")
    found = findings(start, during, end, {"spool MB": SPOOL_BYTES / 1e6, "state MB": STATE_BYTES / 1e6})
    for each in found:
        print(each.row())
    return wrong + [f"{each.name}: {each.wrong}" for each in found if each.wrong]


def main(arguments: list[str]) -> int:
    """Returns 0 when all held."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1200)
    parser.add_argument("--csv", type=Path, default=Path("soak.csv"), help="where the samples go")
    options = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    scratch = scratch_folder()
    print(machine(scratch))
    try:
        with lab(scratch) as place:
            wrong = soak(place, options.seconds, options.csv)
    finally:
        shutil.rmtree(scratch)
    print(f"\nsamples: {options.csv}", *wrong, "it did not hold" if wrong else "it held", sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
