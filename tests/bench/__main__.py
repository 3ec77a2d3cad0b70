"""`make bench`: what cgtrail costs, each subject beside its target. Ratios are of runs in turn on one machine.

python -m tests.bench [SUBJECT …] [--quick] [--hours N] [--write PAGE]
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import structlog

from tests.bench import (
    agent,
    durability,
    elasticsearch,
    kafka,
    kernel,
    latency,
    lines,
    loss,
    memory,
    registry,
    slowdown,
    terminal,
    worker,
)
from tests.bench.lab import Lab, lab, scratch_folder
from tests.bench.report import Report, write_into


@dataclass
class Size:
    """How much is done."""

    hours: float = 24
    """Of the day that a restart meets."""
    rounds: int = 5
    spawns: int = 5000
    calls: int = 2_000_000
    shown_bytes: int = 40_000_000
    keys: int = 100_000
    idle_seconds: float = 20
    stream_seconds: float = 60
    """Of the stream that the worker is measured on."""
    latency_seconds: float = 40
    """How long events come through Kafka."""
    events: int = 60_000
    """That Logprep gets."""
    loss_seconds: int = 20
    containers: int = 200
    samples: int = 300
    sessions: int = 1000
    """At once."""


QUICK = Size(
    hours=1,
    rounds=2,
    spawns=1000,
    calls=200_000,
    shown_bytes=4_000_000,
    keys=5_000,
    idle_seconds=3,
    stream_seconds=20,
    latency_seconds=8,
    events=10_000,
    loss_seconds=3,
    containers=10,
    samples=20,
    sessions=50,
)
SUBJECTS: dict[str, Callable[[Report, Lab, Size], None]] = {
    "kernel": kernel.run,
    "slowdown": slowdown.run,
    "terminal": terminal.run,
    "lines": lines.run,
    "agent": agent.run,
    "worker": worker.run,
    "kafka": kafka.run,
    "elasticsearch": elasticsearch.run,
    "loss": loss.run,
    "memory": memory.run,
    "latency": latency.run,
    "registry": registry.run,
    "durability": durability.run,
}


def chosen(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"of {', '.join(SUBJECTS)}; all without")
    parser.add_argument("--quick", action="store_true", help="to see that it works; the figures mean little")
    parser.add_argument("--hours", type=float, help="how long the day of `durability` is")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the tables into a page, between its marks")
    found = parser.parse_args(arguments)
    if unknown := set(found.subjects) - SUBJECTS.keys():
        parser.error(f"no such subject: {', '.join(sorted(unknown))}")
    return found


def main(arguments: list[str]) -> int:
    """Measure what was asked for."""
    options = chosen(arguments)
    size = QUICK if options.quick else Size()
    size.hours = options.hours or size.hours
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with ExitStack() as stack:
        scratch = scratch_folder()
        stack.callback(shutil.rmtree, scratch)
        place = stack.enter_context(lab(scratch))
        for subject in options.subjects or SUBJECTS:
            report = Report(subject, scratch)
            SUBJECTS[subject](report, place, size)
            text = report.finish()
            if options.write:
                write_into(options.write, subject, text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
