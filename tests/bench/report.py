"""A subject's table with the conditions it was measured under: printed as it grows, and written into a page."""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

NO_TARGET = "-"
_HEAD = "| what | measured | target |\n|---|---|---|"


@dataclass
class Report:
    """What was measured of one subject. `scratch` is where its files were."""

    subject: str
    scratch: Path
    rows: list[str] = field(default_factory=list)
    _load: tuple[float, float, float] = field(default_factory=os.getloadavg)

    def __post_init__(self) -> None:
        """Show that it begins."""
        print(f"\n{self.subject}\n{_HEAD}", flush=True)

    def row(self, what: str, measured: str, target: str = NO_TARGET) -> None:
        """One line of the table; `target` is design's, where it has one."""
        self.rows.append(f"| {what} | {measured} | {target} |")
        print(self.rows[-1], flush=True)

    def finish(self) -> str:
        """The table below its conditions, as Markdown."""
        conditions = f"{machine(self.scratch)}; load {self._load[0]:.1f} at the start, {os.getloadavg()[0]:.1f} after"
        print(conditions, flush=True)
        return "\n".join([conditions + ".", "", _HEAD, *self.rows])


def machine(scratch: Path) -> str:
    """What it runs on, and when."""
    now = datetime.now(UTC)
    kernel, python = platform.release(), platform.python_version()
    return f"{now:%Y-%m-%d %H:%M} UTC, Linux {kernel}, {os.cpu_count()} CPUs, Python {python}, {_file_system(scratch)}"


def _file_system(folder: Path) -> str:
    """The type of the file system that holds a folder: of its mount with the longest path."""
    found = {"/": "?"}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        found[fields[4]] = fields[fields.index("-") + 1]
    return found[max((mount for mount in found if folder.is_relative_to(mount)), key=len)]


def spread(values: Sequence[float], form: str = "{:,.0f}") -> str:
    """The median of several rounds, with the least and the most of them."""
    middle, least, most = (form.format(each) for each in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({least} to {most})" if len(values) > 1 else middle


def write_into(page: Path, subject: str, text: str) -> None:
    """Replace what stands between a subject's marks, `<!-- bench:SUBJECT -->` and `<!-- /bench -->`."""
    marked = re.compile(rf"(?<=<!-- bench:{subject} -->\n).*?(?=<!-- /bench -->)", re.DOTALL)
    before = page.read_text()
    if not marked.search(before):
        raise ValueError(
            f"{page} has no place for {subject!r}: add the lines <!-- bench:{subject} --> and <!-- /bench -->"
        )
    page.write_text(marked.sub(lambda _: f"\n{text}\n\n", before, count=1))
