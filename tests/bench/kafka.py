"""Kafka between agents and workers: what publisher and workers cost, how long it takes, and Logprep beside them.

Publisher and workers are processes as they are installed, with checkpoints, and with metrics that are scraped each
second; the workers' documents are encoded and forgotten.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from confluent_kafka import Producer

from shipper.wire.frame import Frame
from shipper.wire.reader import Reader
from shipper.wire.records import Tick
from shipper.wire.segment import streams
from tests.bench import logprep
from tests.bench.day import SECOND, TICK_NS, Day, day
from tests.bench.lab import Lab
from tests.bench.passing import Passing
from tests.bench.processes import cpu_seconds
from tests.bench.report import Report, spread
from tests.bench.worker import Encoded, work
from tests.servers.fleet import published
from tests.servers.kafka import Kafka, kafka, topics
from tests.servers.recorded import HOSTS

if TYPE_CHECKING:
    from tests.bench.__main__ import Size

COMMANDS = 500
"""A second of the stream, three records each."""
FRAME_NS = 25_000_000
"""An agent drains the ring so often."""
RATE = 1000
"""Events a second while latency is measured."""
PARTITIONS = 2
MEGABYTE = 1e6
PUBLISHER, BESIDE = "spool → Kafka", "spool → encoded documents, without Kafka"
WORKERS = {1: "Kafka → encoded documents, one worker", 2: "Kafka → encoded documents, two workers"}
_LOGPREP = {
    1: "Logprep, JSON from Kafka → nowhere, one process",
    2: "Logprep, JSON from Kafka → nowhere, two processes",
}


@dataclass
class Found:
    """What rounds have measured, by what it is of: records per CPU-second, and megabytes of memory."""

    rates: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    memory: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, name: str, done: int, cpu: float, most: Sequence[int] = ()) -> None:
        """One round of something."""
        self.rates[name].append(done / cpu)
        self.memory[name] += [each / MEGABYTE for each in most]


def records(data: Path) -> int:
    """How many records a spool holds."""
    pieces = (piece for stream in streams(data / "spool") for piece in Reader(stream).read())
    return sum(piece.count for piece in pieces if isinstance(piece, Frame))


def throughput(report: Report, broker: Kafka, size: Size, data: list[Path]) -> None:
    """Publishers and workers over the backlog of some hosts, beside the worker that reads a spool, in turn."""
    found, total = Found(), sum(map(records, data))
    for turn in range(size.rounds):
        for count, name in WORKERS.items():
            with Passing.of(broker, report.scratch, topics(broker, PARTITIONS)) as passing:
                idle = passing.publish(passing.folder / "idle", whole=False).cpu
                sent = [passing.publish(passing.copied(each)) for each in data]
                cpu = sum(each.cpu - idle for each in sent)
                found.add(PUBLISHER, total, cpu, [each.most_bytes for each in sent])
                told, made = passing.workers(count)
                done = sum(each["counts"]["records"] for each in told)
                found.add(name, done, sum(each["cpu"] for each in told), [each.most_bytes for each in made])
        cpu, _, done = work(data[0], f"beside-{turn}", snapshot_seconds=60, sink=Encoded())
        found.add(BESIDE, done, cpu)
    for name, rates in found.rates.items():
        beside = statistics.median(rates) / statistics.median(found.rates[BESIDE])
        ratio = "" if name in {BESIDE, PUBLISHER} else f"; {beside:.2f} of without Kafka"
        memory = f"; {spread(found.memory[name], '{:,.1f}')} MB resident at the most" if found.memory[name] else ""
        report.row(name, f"{spread(rates)} records/CPU-s{ratio}{memory}")


def latency(report: Report, broker: Kafka, size: Size) -> None:
    """From a frame's commit in the spool until its documents are in the sink."""
    with Passing.of(broker, report.scratch, topics(broker, PARTITIONS)) as passing:
        data = passing.folder / "host"
        data.mkdir()
        with (
            passing.worker(0) as worker,
            day(data, durable=True) as made,
            passing.running("cgtrail", data, "publish") as publisher,
        ):
            made.keyframe()
            made.spool.commit()
            passing.until(lambda: published(data / "spool"), "the first frame to be published")
            passing.until(lambda: passing.group.lag() == 0, "the first frame to be taken")
            committed = paced(made, size.latency_seconds)
            passing.until(lambda: passing.group.lag() == 0, "all to be taken")
            publisher.end()
            worker.end()
        arrivals = passing.report(0)["arrivals"]
    frames = [(int(ident.split("-")[1]), at) for ident, at in arrivals]
    took = sorted((at - committed[frame]) / 1e6 for frame, at in frames if frame in committed)
    p99 = statistics.quantiles(took, n=100, method="inclusive")[98]
    what = f"frame committed → document in the sink, {RATE:,} events/s, {len(took):,} documents"
    report.row(what, f"p50 {statistics.median(took):.0f} ms, p99 {p99:.0f} ms, most {took[-1]:.0f} ms", "p99 ≤ 500 ms")


def paced(made: Day, seconds: float) -> dict[int, int]:
    """Write a stream as it happens; frame → when it was committed, in ns since 1970, but of the first quarter."""
    committed, began, pid, moved = dict[int, int](), time.monotonic_ns(), 5000, made.now
    ticked, commands = 0, RATE * FRAME_NS // SECOND // 3
    while (passed := time.monotonic_ns() - began) < seconds * SECOND:
        made.now = moved + passed
        for _ in range(commands):
            made.command(pid := 5000 + (pid + 1) % 20_000)
        if made.now - ticked >= TICK_NS:
            ticked = made.now
            made.put(Tick())
        made.spool.time = time.time_ns()
        number = made.spool.number
        made.spool.commit()
        if passed > seconds * SECOND / 4:
            committed[number] = time.time_ns()
        time.sleep(max(FRAME_NS - (time.monotonic_ns() - began - passed), 0) / SECOND)
    return committed


def beside(report: Report, broker: Kafka, size: Size, data: list[Path]) -> None:
    """Logprep on the same events; where it can't be installed, that is said."""
    try:
        program = logprep.installed(report.scratch / "logprep")
    except (subprocess.SubprocessError, OSError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1:]
        report.row("Logprep", f"could not be installed: {reason}")
        return
    found = Found()
    events = list(islice(logprep.events(data[0] / "spool"), size.events))
    for turn in range(size.rounds):
        for count, name in _LOGPREP.items():
            topic = f"events-{turn}-{count}"
            broker.create(topic, PARTITIONS)
            with logprep.running(program, broker, topic, report.scratch / topic, count) as made:
                idle = sum(cpu_seconds(pid) for pid in made.pipelines())
                produce(broker, topic, events)
                made.until_taken(len(events))
                found.add(name, len(events), sum(cpu_seconds(pid) for pid in made.pipelines()) - idle)
    for name, rates in found.rates.items():
        report.row(name, f"{spread(rates)} events/CPU-s")
    print(logprep.DIFFERENCES, flush=True)


def produce(broker: Kafka, topic: str, events: Sequence[bytes]) -> None:
    """Put events into a topic, each a message."""
    producer = Producer({"bootstrap.servers": broker.servers, "linger.ms": 20, "compression.type": "lz4"})
    for event in events:
        while True:
            with suppress(BufferError):
                producer.produce(topic, event)
                break
            producer.poll(0.1)
    assert producer.flush(60) == 0


def run(report: Report, _lab: Lab, size: Size) -> None:
    """All of it, with a broker on this machine."""
    data = []
    for number, host in enumerate(HOSTS[:PARTITIONS]):  # their streams are in different ones
        folder = report.scratch / f"kafka-host{number}"
        folder.mkdir()
        with day(folder, host=host) as made:
            made.run(size.stream_seconds * 2, COMMANDS, FRAME_NS)
        data.append(folder)
    with kafka(report.scratch / "kafka") as broker:
        throughput(report, broker, size, data)
        latency(report, broker, size)
        beside(report, broker, size, data)
