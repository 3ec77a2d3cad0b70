"""What durability costs: the spool's commits, the worker's snapshots, a restart on a day's spool."""

from __future__ import annotations

import tempfile
import threading
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from cgtrail.halves import worker_on
from enrich.statefile import own_file
from shipper.spool import Spool
from shipper.wire.frame import wrap
from tests.bench.day import Day, day
from tests.bench.lab import Lab
from tests.bench.report import Report, spread
from tests.bench.worker import Encoded, work

if TYPE_CHECKING:
    from tests.bench.__main__ import Size

ROUNDS = 3


def spool_speed(report: Report, scratch: Path) -> None:
    """MB/s of records into committed frames, and what the commits of it cost."""
    record = wrap(bytes(400))
    block = record * 600

    def write(folder: Path, blocks_per_commit: int) -> tuple[float, float]:
        with Spool(folder, b"h" * 16, b"b" * 16) as spool:
            began = time.perf_counter()
            for number in range(256):
                spool.add(block, 600)
                if number % blocks_per_commit == 0:
                    spool.commit()
            spool.commit()
            seconds = time.perf_counter() - began
            return spool.bytes / seconds / 1e6, spool.commit_seconds / spool.commits * 1e3

    for blocks in (1, 4, 64):
        found = [write(Path(tempfile.mkdtemp(dir=scratch)), blocks) for _ in range(ROUNDS)]
        fast, commit = (
            spread([each[index] for each in found], form) for index, form in ((0, "{:,.0f}"), (1, "{:.1f}"))
        )
        report.row(f"spool, commits of {blocks * len(block) / 1e6:.1f} MB", f"{fast} MB/s, {commit} ms a commit")

    def tiny() -> float:
        with Spool(Path(tempfile.mkdtemp(dir=scratch)), b"h" * 16, b"b" * 16) as spool:
            for _ in range(200):
                spool.add(record, 1)
                spool.commit()
            return spool.commit_seconds / spool.commits

    report.row("a commit of one record", f"{spread([tiny() * 1e3 for _ in range(ROUNDS)], '{:.2f}')} ms")


def snapshots(report: Report, scratch: Path) -> None:
    """Size and time of a snapshot by how many processes live."""
    for standing in (100, 1_000, 10_000):
        data = scratch / f"standing-{standing}"
        data.mkdir()
        with day(data) as made:
            made.standing = standing
            made.run(1, 1)
        with worker_on(data, "bench", Encoded(), threading.Event(), snapshot_seconds=1e9) as worker:
            worker.run(follow=False)
            (partition,) = worker.partitions.values()
            body = partition.save()
            size, stored = len(body), len(zlib.compress(body, level=1))

            def once() -> float:
                began = time.perf_counter()
                worker._progress.snapshot(*worker.partitions.values())
                return time.perf_counter() - began

            took = [once() * 1e3 for _ in range(ROUNDS)]
        report.row(
            f"snapshot, {standing:,} live processes",
            f"{size / 1e3:,.0f} KB, {stored / 1e3:,.0f} KB stored; {spread(took)} ms",
        )


def restart(report: Report, scratch: Path, hours: float, commands_per_second: float) -> None:
    """A worker's restart on a day's spool: with its snapshot, without, and with all of it still to be done."""
    data = scratch / "day"
    data.mkdir()
    with day(data) as made:
        made.run(hours * 3600, commands_per_second)
        records, size = made.spool.records, made.spool.used
    report.row(
        f"{hours:g} h of {commands_per_second:g} commands a second", f"{records:,} records, {size / 1e6:,.0f} MB"
    )
    _, backlog, _ = work(data, "bench", snapshot_seconds=60, sink=Encoded())
    report.row("all of it a backlog", f"{backlog:.0f} s, {records / backlog:,.0f} records/s")
    _more(data, made)
    _, fast, _ = work(data, "bench", snapshot_seconds=60, sink=Encoded())
    report.row("restart with a snapshot", f"{fast * 1e3:.0f} ms")
    own_file(data, "state.db", "bench").unlink()
    _, slow, _ = work(data, "bench", snapshot_seconds=60, sink=Encoded())
    report.row(
        "restart without (state rebuilt from the oldest keyframe)", f"{slow:.1f} s, {records / slow:,.0f} records/s"
    )


def _more(data: Path, before: Day) -> None:
    with day(data) as made:
        made.now, made.sequence = before.now, before.sequence
        made._keyframed = before.now
        made.run(1, 1)


def run(report: Report, _lab: Lab, size: Size) -> None:
    """All of it."""
    spool_speed(report, report.scratch)
    snapshots(report, report.scratch)
    restart(report, report.scratch, size.hours, 10)
