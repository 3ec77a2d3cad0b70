"""What a soak watches: a row of numbers every few seconds, as a file, a table and a chart."""

from __future__ import annotations

import csv
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from enrich.statefile import own_file
from tests.bench import processes
from tests.bench.lab import pids
from tests.faults.live import Rig

Sample = dict[str, float]
MAPS = ("watched", "losses")
HOST = 0
"""The owner of what is nobody's."""
MEGABYTE = 1e6
_BLOCKS = "▁▂▃▄▅▆▇█"
_CHART_WIDTH = 48


@dataclass
class Samples:
    """The samples so far, each also in a file at once."""

    rig: Rig
    file: Path
    taken: list[Sample] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """The agent's maps are there now."""
        known = processes.maps_of(pids(self.rig)["agent"])
        self._maps = {name: known[name] for name in MAPS}

    def take(self) -> Sample:
        """One more."""
        sample: Sample = {"seconds": round(time.monotonic() - self._began, 1)}
        for name, pid in pids(self.rig).items():
            sample[f"{name}: private MB"] = processes.private_bytes(pid) / MEGABYTE
            sample[f"{name}: open files"] = processes.open_files(pid)
            sample[f"{name}: threads"] = processes.threads(pid)
        for name, number in self._maps.items():
            owners = processes.map_owners(number)
            sample[f"map {name}: entries"] = len(owners)
            sample[f"map {name}: left behind"] = len(set(owners) - processes.live_cgroups() - {HOST})
        sample["containers"] = self.rig.facts()["containers"]
        for name, files in self._files().items():
            sample[f"{name} MB"] = processes.size_of(files) / MEGABYTE
        self.taken.append(sample)
        with self.file.open("a", newline="") as opened:
            table = csv.DictWriter(opened, list(sample))
            if len(self.taken) == 1:
                opened.truncate(0)
                table.writeheader()
            table.writerow(sample)
        return sample

    def _files(self) -> dict[str, list[Path]]:
        data = self.rig.data
        state = own_file(data, "state.db")
        return {"spool": list((data / "spool").rglob("*")), "store": list((data / "store").rglob("*")),
                "state": list(state.parent.glob(f"{state.name}*"))}  # fmt: skip

    def until_as(self, start: Sample, names: Sequence[str], patience: float) -> Sample:
        """Sample until these numbers are not more than they were, or patience has ended; the last sample."""
        deadline = time.monotonic() + patience
        while True:
            sample = self.take()
            if all(sample[name] <= start[name] for name in names) or time.monotonic() > deadline:
                return sample
            time.sleep(1)

    def each(self, seconds: float, over: Callable[[], bool]) -> None:
        """Take one every so often until it is over."""
        while not over():
            with suppress(FileNotFoundError):  # a file went while it was looked at
                self.take()
            time.sleep(seconds)


def chart(values: Sequence[float]) -> str:
    """A line of blocks, from nothing to the most."""
    step = max(len(values) / _CHART_WIDTH, 1)
    starts = [round(index * step) for index in range(min(len(values), _CHART_WIDTH))]
    means = [statistics.fmean(values[start : max(round(start + step), start + 1)]) for start in starts]
    most = max(means) or 1
    return "".join(_BLOCKS[round(mean / most * (len(_BLOCKS) - 1))] for mean in means)
