"""`make bench`: what durability costs. Ratios come from one run on one machine; absolute figures are for orientation.

Results with their conditions stand in docs/benchmarks.md.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from cgtrail.halves import worker_on
from enrich.document import Document
from enrich.sinks import OK, Outcome
from enrich.sinks.sqlite import SqliteSink
from enrich.statefile import own_file
from shipper.spool import Spool
from shipper.wire.frame import wrap
from tests.bench.day import Day, day

ROUNDS = 3


class Encoded:
    """A sink that makes each document's bytes and forgets them."""

    def write(self, batch: Sequence[Document]) -> list[Outcome]:
        """Everything is taken."""
        for document in batch:
            document.encode()
        return [OK] * len(batch)

    def close(self) -> None:
        """Nothing is open."""


def show(what: str, figure: str) -> None:
    """One line of the table."""
    print(f"| {what} | {figure} |", flush=True)


def best(run: Callable[[], float], rounds: int = ROUNDS) -> float:
    """The least of several runs: what disturbs only makes it slower."""
    return min(run() for _ in range(rounds))


def spool_speed(scratch: Path) -> None:
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
        fast, commit = max(write(Path(tempfile.mkdtemp(dir=scratch)), blocks) for _ in range(ROUNDS))
        show(f"spool, commits of {blocks * len(block) / 1e6:.1f} MB", f"{fast:.0f} MB/s, {commit:.1f} ms a commit")

    def tiny() -> float:
        with Spool(Path(tempfile.mkdtemp(dir=scratch)), b"h" * 16, b"b" * 16) as spool:
            for _ in range(200):
                spool.add(record, 1)
                spool.commit()
            return spool.commit_seconds / spool.commits

    show("a commit of one record", f"{best(tiny) * 1e3:.2f} ms")


def work(data: Path, name: str, *, snapshot_seconds: float, sink: Encoded | SqliteSink) -> tuple[float, float, int]:
    """(CPU seconds, seconds, records) of a worker over all that a spool holds."""
    with worker_on(data, name, sink, threading.Event(), snapshot_seconds=snapshot_seconds) as worker:
        cpu, wall = time.process_time(), time.perf_counter()
        worker.run(follow=False)
        return time.process_time() - cpu, time.perf_counter() - wall, worker.counts["records"]


def worker_speed(scratch: Path) -> None:
    """Records per CPU-second with and without checkpoints, in turn."""
    data = scratch / "busy"
    data.mkdir()
    with day(data) as made:
        made.run(120, 500)
    rates: dict[str, float] = {}
    for turn in range(ROUNDS):
        for name, seconds in (("off", 1e9), ("each second", 1.0), ("each minute", 60.0)):
            cpu, _, records = work(data, f"{name}-{turn}".replace(" ", "-"), snapshot_seconds=seconds, sink=Encoded())
            rates[name] = max(rates.get(name, 0), records / cpu)
    for name, rate in rates.items():
        show(f"worker, snapshots {name}", f"{rate:,.0f} records/CPU-s, {rate / rates['off']:.2f} of without")
    sink = SqliteSink(scratch / "store", 36500)
    cpu, wall, records = work(data, "sqlite", snapshot_seconds=60, sink=sink)
    sink.close()
    show("worker into SQLite", f"{records / cpu:,.0f} records/CPU-s, {records / wall:,.0f} records/s")


def snapshots(scratch: Path) -> None:
    """Size and time of a snapshot by how many processes live."""
    for standing in (100, 1_000, 10_000):
        data = scratch / f"standing-{standing}"
        data.mkdir()
        with day(data) as made:
            made.standing = standing
            made.run(1, 1)
        with worker_on(data, "bench", Encoded(), threading.Event(), snapshot_seconds=1e9) as worker:
            worker.run(follow=False)
            assert worker.enricher is not None
            enricher = worker.enricher
            body = enricher.save()
            size, stored = len(body), len(zlib.compress(body, level=1))

            def once() -> float:
                began = time.perf_counter()
                worker._snapshot()
                return time.perf_counter() - began

            took = best(once)
        show(
            f"snapshot, {standing:,} processes",
            f"{size / 1e3:,.0f} KB ({stored / 1e3:,.0f} KB stored), {took * 1e3:.0f} ms",
        )


def restart(scratch: Path, hours: float, commands_per_second: float) -> None:
    """A worker's restart on a day's spool: with its snapshot, without, and with all of it still to be done."""
    data = scratch / "day"
    data.mkdir()
    with day(data) as made:
        made.run(hours * 3600, commands_per_second)
        records, size = made.spool.records, made.spool.used
    show(f"{hours:g} h of {commands_per_second:g} commands a second", f"{records:,} records, {size / 1e6:,.0f} MB")
    _, backlog, _ = work(data, "bench", snapshot_seconds=60, sink=Encoded())
    show("all of it a backlog", f"{backlog:.0f} s, {records / backlog:,.0f} records/s")
    _more(data, made)
    _, fast, _ = work(data, "bench", snapshot_seconds=60, sink=Encoded())
    show("restart with a snapshot", f"{fast * 1e3:.0f} ms")
    own_file(data, "state.db", "bench").unlink()
    _, slow, _ = work(data, "bench", snapshot_seconds=60, sink=Encoded())
    show("restart without (state rebuilt from the oldest keyframe)", f"{slow:.1f} s, {records / slow:,.0f} records/s")


def _more(data: Path, before: Day) -> None:
    with day(data) as made:
        made.now, made.sequence = before.now, before.sequence
        made._keyframed = before.now
        made.run(1, 1)


def main(arguments: list[str]) -> int:
    """Run all; `--hours N` says how long the day is (default 24)."""
    hours = float(arguments[arguments.index("--hours") + 1]) if "--hours" in arguments else 24.0
    scratch = Path(tempfile.mkdtemp(prefix="cgtrail-bench-", dir=os.environ.get("CGTRAIL_BENCH_DIR", "/var/tmp")))
    print(f"Linux {platform.release()}, {os.cpu_count()} CPUs, Python {platform.python_version()}\n")
    print("| what | measured |\n|---|---|")
    try:
        spool_speed(scratch)
        worker_speed(scratch)
        snapshots(scratch)
        restart(scratch, hours, 10)
    finally:
        shutil.rmtree(scratch)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
