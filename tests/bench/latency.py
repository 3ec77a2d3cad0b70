"""How long after a program's start in a container a search finds it."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from enrich.stores.lucene import parse
from enrich.stores.sqlite import SqliteStore
from tests.bench.lab import Lab, Spawner
from tests.bench.report import Report
from tests.faults.live import Rig

if TYPE_CHECKING:
    from tests.bench.__main__ import Size

STORM_RATE = 1000
POLL_SECONDS, DEADLINE_SECONDS = 0.005, 60.0
PAUSE_SECONDS, ODD = 0.1, 0.618
"""Samples are taken after pauses of up to so long that meet every phase of whatever recurs."""
LOOK_BACK_NS = 1_000_000_000
TARGET = "p99 ≤ 500 ms"


def searchable(store: SqliteStore, actor: Spawner, mark: str) -> float:
    """Seconds from the start of a marked program until a search has found it."""
    since = actor.do("mark", mark).since
    return found_after(store, f'event.action:exec AND process.args:"{mark}"', since)


def found_after(store: SqliteStore, query: str, since: int) -> float:
    """Seconds from a moment (ns since 1970) until a search has found what happened then."""
    parsed = parse(query)
    while not list(store.search(parsed, since=since - LOOK_BACK_NS, limit=1)):
        assert time.time_ns() - since < DEADLINE_SECONDS * 1e9, f"{query} never found anything"
        time.sleep(POLL_SECONDS)
    return (time.time_ns() - since) / 1e9


def sample(rig: Rig, actor: Spawner, name: str, count: int) -> str:
    """p50 and p99 of a program's starts."""
    store = SqliteStore(rig.data / "store")
    return sampled(lambda number: searchable(store, actor, f"{name}-{number}"), count)


def sampled(once: Callable[[int], float], count: int) -> str:
    """p50 and p99 of something that takes seconds, at odd moments; `once` gets the number of the sample."""
    found = []
    for number in range(count):
        time.sleep(number * ODD % 1 * PAUSE_SECONDS)
        found.append(once(number) * 1e3)
    p99 = statistics.quantiles(found, n=100, method="inclusive")[98]
    return f"p50 {statistics.median(found):.0f} ms, p99 {p99:.0f} ms, most {max(found):.0f} ms"


@contextmanager
def storm(actor: Spawner) -> Iterator[None]:
    """Programs start all the while."""
    over = threading.Event()

    def go() -> None:
        while not over.is_set():
            actor.do("pace", STORM_RATE, 1)

    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def run(report: Report, lab: Lab, size: Size) -> None:
    """On an idle host, and under a storm in another container."""
    with (
        lab.recording() as rig,
        lab.container() as made,
        lab.container() as noisy,
        lab.spawner(made) as actor,
        lab.spawner(noisy) as stormy,
    ):
        samples = f"{size.samples} samples"
        report.row(f"exec → searchable, idle, {samples}", sample(rig, actor, "idle", size.samples), TARGET)
        with storm(stormy):
            measured = sample(rig, actor, "storm", size.samples)
        what = f"exec → searchable, {STORM_RATE:,} exec/s in another container, {samples}"
        report.row(what, measured, TARGET)
