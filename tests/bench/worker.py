"""The worker's speed over a spool that is there: into encoded documents, and into the local store."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cgtrail.halves import worker_on
from enrich.document import Document
from enrich.sinks import OK, Outcome
from enrich.sinks.sqlite import SqliteSink
from tests.bench.day import day
from tests.bench.lab import Lab
from tests.bench.report import NO_TARGET, Report, spread

if TYPE_CHECKING:
    from tests.bench.__main__ import Size

WITHOUT, EACH_SECOND, EACH_MINUTE = "without snapshots", "a snapshot each second", "a snapshot each minute"
TARGETS = {EACH_MINUTE: "50,000 with 500 signatures (there are none yet), then 100,000"}


class Encoded:
    """A sink that makes each document's bytes and forgets them."""

    def write(self, batch: Sequence[Document]) -> list[Outcome]:
        """Everything is taken."""
        for document in batch:
            document.encode()
        return [OK] * len(batch)

    def close(self) -> None:
        """Nothing is open."""


def work(data: Path, name: str, *, snapshot_seconds: float, sink: Encoded | SqliteSink) -> tuple[float, float, int]:
    """(CPU seconds, seconds, records) of a worker over all that a spool holds."""
    with worker_on(data, name, sink, threading.Event(), snapshot_seconds=snapshot_seconds) as worker:
        cpu, wall = time.process_time(), time.perf_counter()
        worker.run(follow=False)
        return time.process_time() - cpu, time.perf_counter() - wall, worker.counts["records"]


def run(report: Report, _lab: Lab, size: Size) -> None:
    """Records per CPU-second with and without checkpoints, in turn."""
    scratch = report.scratch
    data = scratch / "busy"
    data.mkdir()
    with day(data) as made:
        made.run(size.stream_seconds, 500)
    rates: dict[str, list[float]] = {WITHOUT: [], EACH_SECOND: [], EACH_MINUTE: []}
    for turn in range(size.rounds):
        for number, (name, seconds) in enumerate(zip(rates, (1e9, 1.0, 60.0), strict=True)):
            cpu, _, records = work(data, f"encoded-{turn}-{number}", snapshot_seconds=seconds, sink=Encoded())
            rates[name].append(records / cpu)
    for name, found in rates.items():
        ratios = [rate / before for rate, before in zip(found, rates[WITHOUT], strict=True)]
        beside = "" if name == WITHOUT else f"; {spread(ratios, '{:.2f}')} of without"
        what = f"frames → encoded documents, {name}"
        report.row(what, f"{spread(found)} records/CPU-s{beside}", TARGETS.get(name, NO_TARGET))
    into_store(report, data, size)


def into_store(report: Report, data: Path, size: Size) -> None:
    """The same into SQLite, a new store each round."""
    by_cpu, by_clock = [], []
    for turn in range(size.rounds):
        sink = SqliteSink(report.scratch / f"store-{turn}", 36500)
        cpu, wall, records = work(data, f"sqlite-{turn}", snapshot_seconds=60, sink=sink)
        sink.close()
        by_cpu.append(records / cpu)
        by_clock.append(records / wall)
    report.row("frames → SQLite", f"{spread(by_cpu)} records/CPU-s, {spread(by_clock)} records/s")
