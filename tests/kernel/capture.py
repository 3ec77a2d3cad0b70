"""The loaded kernel programs and what they recorded, decoded; and a trigger's run beside its own report."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bpf.events import Exit, Header, Running, Task
from bpf.schema import decode
from shipper.cmdlines import Cmdlines
from shipper.probes import MAX_CGROUPS, RING_BYTES, Probes
from shipper.wire.frame import MAX_PAYLOAD, walk
from shipper.wire.records import Arguments
from tests.kernel.dockerd import DEADLINE, Container

Report = dict[str, Any]
"""What a process printed about itself; bytes are in hexadecimal."""
R = TypeVar("R", bound=Header)
T = TypeVar("T", bound=Task)
TRIGGER = "/triggers/trigger"


def of(records: list[Header], kind: type[R]) -> list[R]:
    """The records of one kind, in the order of the ring."""
    return [record for record in records if isinstance(record, kind)]


def arguments_of(found: list[Running]) -> dict[int, Arguments]:
    """Process id → what an agent finds out of the arguments of processes that run."""
    asked, told, end = Cmdlines(), list[Arguments](), time.monotonic() + DEADLINE
    for process in found:
        asked.ask(process)
    try:
        while asked.open:
            assert time.monotonic() < end, f"no answer: {asked}"
            told += asked.answers(time.clock_gettime_ns(time.CLOCK_BOOTTIME))
            time.sleep(0.005)
    finally:
        asked.close()
    assert asked.unread == 0
    return {record.tgid: record for record in told}


@dataclass(frozen=True)
class Seen:
    """A trigger and its descendants: what they reported, and the records of the same processes."""

    reports: list[Report]
    records: list[Task]
    root: int
    """The trigger's process id in the container."""

    @property
    def report(self) -> Report:
        """The report, when there is one."""
        (report,) = self.reports
        return report

    def of(self, kind: type[T]) -> list[T]:
        """The records of one kind."""
        return [record for record in self.records if isinstance(record, kind)]

    def started(self, kind: type[T]) -> list[T]:
        """The records of one kind but those of the trigger's own process."""
        return [record for record in self.of(kind) if record.vpid != self.root]

    def host_pid(self, pid: int) -> int:
        """The host's number of a process of the container."""
        (found,) = {record.tgid for record in self.records if record.vpid == pid}
        return found


@dataclass
class Capture:
    """Kernel programs at work. `records` grows with every drain and is never cleared."""

    probes: Probes
    records: list[Header] = field(default_factory=list)

    def drain(self) -> None:
        """Take what is in the ring."""
        for span, _, _ in self.probes.ring.drain(frozenset(), MAX_PAYLOAD):
            for offset, length in walk(span):
                decoded = decode(span, offset, length)
                assert isinstance(decoded, Header)
                self.records.append(decoded)

    def until(self, condition: Callable[[], bool], what: str, deadline: float = DEADLINE) -> None:
        """Drain until a condition on the records holds; fail at the deadline, showing the last records."""
        end = time.monotonic() + deadline
        while True:
            self.drain()
            if condition():
                return
            tail = "\n".join(f"{record!r:.300}" for record in self.records[-10:])
            assert time.monotonic() < end, f"not recorded within {deadline:.0f} s: {what}; the last records:\n{tail}"
            time.sleep(0.005)

    def watch(self, container: Container) -> None:
        """Watch a container that is older than the programs."""
        assert self.probes.watch(container.cgroup_id, container.cgroup_id)

    def losses(self, owner: int) -> dict[int, int]:
        """Record type → records lost of one container since loading."""
        lost: Counter[int] = Counter()
        for (whose, _, kind), count in self.probes.losses().items():
            if whose == owner:
                lost[kind] += count
        return dict(lost)

    def run(self, container: Container, *argv: str, user: str = "") -> Seen:
        """Run a program that reports in the container, and wait until its end is recorded."""
        begin = len(self.records)
        # a busy Docker 20.10 lost all output of a program once in a thousand times
        output = container.run(*argv, user=user) or container.run(*argv, user=user)
        reports = [json.loads(line) for line in output.splitlines()]
        root = min(report["pid"] for report in reports)
        self.until(lambda: root in self._ended(container, begin), f"the end of {argv[:3]}, process {root}")
        inside = [r for r in self._tasks(container, begin) if r.vpid >= root]
        return Seen(reports, inside, root)

    def trigger(self, container: Container, *argv: str, user: str = "") -> Seen:
        """Run the trigger program with this subcommand."""
        return self.run(container, TRIGGER, *argv, user=user)

    def _tasks(self, container: Container, begin: int) -> Iterator[Task]:
        for record in self.records[begin:]:
            if isinstance(record, Task) and record.pid_ns == container.pid_ns:
                yield record

    def _ended(self, container: Container, begin: int) -> set[int]:
        return {record.vpid for record in self._tasks(container, begin) if isinstance(record, Exit)}


@contextmanager
def capturing(
    ring_bytes: int = RING_BYTES, *, capture_host: bool = False, max_cgroups: int = MAX_CGROUPS
) -> Iterator[Capture]:
    """Load the kernel programs and record until the end of the block."""
    with Probes(ring_bytes, capture_host, max_cgroups) as probes:
        yield Capture(probes)


@contextmanager
def cgroup(path: Path) -> Iterator[int]:
    """A cgroup of the test's own, removed at the end; its id."""
    path.mkdir()
    try:
        yield path.stat().st_ino
    finally:
        path.rmdir()
