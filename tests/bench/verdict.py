"""Whether a soak held: what must stay flat, what must come back to where it began, what has a bound."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.samples import Sample, chart

GROWTH, GROWTH_MB = 1.05, 1.0
"""The median of the last third may be so many times that of the middle third, and so many megabytes more."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Of one number: from start to end, and what is wrong with it, if anything."""

    name: str
    start: float
    middle: float
    last: float
    end: float
    wrong: str
    chart: str

    def row(self) -> str:
        """A line of the table."""
        numbers = (f"{number:,.1f}".removesuffix(".0") for number in (self.start, self.middle, self.last, self.end))
        return f"| {self.name} | {' | '.join(numbers)} | {self.wrong or 'held'} | {self.chart} |"


HEAD = "| what | start | middle third | last third | end | verdict | course |\n|---|---|---|---|---|---|---|"


def returning(sample: Sample) -> list[str]:
    """The numbers that must be no more than they were once our containers are gone; others' may go on."""
    return [name for name in sample if name.endswith(("open files", "threads", "left behind"))]


def findings(start: Sample, during: Sequence[Sample], end: Sample, bounds: dict[str, float]) -> list[Finding]:
    """Every number that was watched. `bounds`: the most that some of them may be."""
    third = len(during) // 3
    found = []
    for name in start:
        if name == "seconds":
            continue
        values = [sample[name] for sample in during]
        middle, last = statistics.median(values[third : 2 * third]), statistics.median(values[2 * third :])
        wrong = _wrong(name, start[name], middle, last, end[name], max(values), bounds.get(name))
        found.append(Finding(name, start[name], middle, last, end[name], wrong, chart(values)))
    return found


def _wrong(name: str, start: float, middle: float, last: float, end: float, most: float, bound: float | None) -> str:
    if bound is not None:
        return f"{most:,.1f} is more than {bound:,.1f}" if most > bound else ""
    if name in returning({name: 0}):
        return f"{end:,.0f} at the end, {start:,.0f} at the start" if end > start else ""
    if name.endswith("private MB") and last > middle * GROWTH + GROWTH_MB:
        return f"grew by {last - middle:,.1f} from the middle third to the last"
    return ""
