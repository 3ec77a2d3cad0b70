"""How a metric is declared: once, with where its value stands among the facts of who serves it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family

Facts = Mapping[str, Any]
Value = float | Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. With a label, `read` gives a value for each of the label's; without, one number."""

    name: str
    kind: type[CounterMetricFamily | GaugeMetricFamily]
    meaning: str
    read: Callable[[Facts], Value]
    label: str = ""

    def family(self, facts: Facts) -> Family:
        """The metric with its values, as Prometheus reads it."""
        value = self.read(facts)
        if isinstance(value, Mapping):
            family = self.kind(self.name, self.meaning, labels=[self.label])
            for label, number in value.items():
                family.add_metric([label], number)
            return family
        return self.kind(self.name, self.meaning, value=value)

    @property
    def shown(self) -> str:
        """Its name as Prometheus shows it."""
        return f"{self.name}_total" if self.kind is CounterMetricFamily else self.name


@dataclass(frozen=True, slots=True)
class Half:
    """What one process of cgtrail tells of itself."""

    name: str
    metrics: tuple[Metric, ...]
    unready: Callable[[Facts], str | None]
    """Why it does not do its work now, in words; None: it does. Asked with facts only."""

    def families(self, facts: Facts) -> Iterator[Family]:
        """All its metrics. Of no facts, none: a half that is still starting has nothing to say."""
        if facts:
            yield from (metric.family(facts) for metric in self.metrics)


def fact(name: str) -> Callable[[Facts], Value]:
    """A number, or numbers by label, as it stands among the facts; 0 where it does not."""
    return lambda facts: facts.get(name) or 0


def by_label(name: str) -> Callable[[Facts], Value]:
    """Numbers by label; none where the fact is missing."""
    return lambda facts: facts.get(name) or {}


def counted(*names: str) -> Callable[[Facts], Value]:
    """Of what is counted, these, each a value of the label."""
    return lambda facts: {name: facts.get("counts", {}).get(name, 0) for name in names}


def count(name: str) -> Callable[[Facts], Value]:
    """Of what is counted, this."""
    return lambda facts: facts.get("counts", {}).get(name, 0)


def age(name: str) -> Callable[[Facts], Value]:
    """Seconds since a time in ns since 1970; 0 where it is not known."""
    return lambda facts: since(facts.get(name))


def since(unix: int | None) -> float:
    """Seconds since a time in ns since 1970; 0 where it is not known, or lies in the future."""
    return max(time.time() - unix / 1e9, 0) if unix else 0
