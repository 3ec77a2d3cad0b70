"""A container that makes many short programs on demand, and says of each when it was."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.live import PATIENCE, Document
from tests.kernel.capture import TRIGGER
from tests.kernel.dockerd import Container, Dockerd, wait_until

KINDS = EXEC, FAIL, FORK = range(3)
"""What round `number % 3` does: it starts a program; fails to start one, then starts one; only forks."""
LINE = 200
"""Bytes that no line of the report has."""


@dataclass(frozen=True, slots=True)
class Round:
    """One process of the storm. Times are nanoseconds since 1970, before it was made and after it was waited for."""

    number: int
    before: int
    after: int

    @property
    def argument(self) -> str:
        """What its programs were given."""
        return f"storm-{self.number}"


@dataclass(frozen=True)
class Storm:
    """A container whose only process is the trigger `storm`."""

    container: Container
    folder: Path

    def begin(self, rounds: int = 0, *, pause: int = 0, padding: int = 0) -> None:
        """Begin a batch: so many rounds, 0 for as many as it can until `end`; `pause` is in microseconds."""
        (self.folder / "batch").write_text(f"{rounds} {pause} {padding}")
        os.kill(self.container.pid, signal.SIGUSR1)

    def end(self) -> None:
        """End a batch that has no end of its own."""
        os.kill(self.container.pid, signal.SIGUSR2)

    def batch(self, rounds: int, *, padding: int = 0) -> list[Round]:
        """Do so many rounds; what they were."""
        done = len(self.rounds())
        self.begin(rounds, padding=padding)
        self.rest(done + rounds)
        return self.rounds()[done:]

    def rest(self, at_least: int = 0) -> None:
        """Wait until a batch is over."""
        wait_until(lambda: self._rested() >= at_least, "the end of a batch", PATIENCE)

    def rounds(self) -> list[Round]:
        """All rounds that have ended, in order."""
        return [Round(**line) for line in self._lines() if "rested" not in line]

    def _rested(self) -> int:
        """How many rounds there were when it came to rest; -1 while it is at work."""
        lines = self._lines(last=LINE)
        return int(lines[-1].get("rested", -1)) if lines else -1

    def _lines(self, last: int = 0) -> list[dict[str, int]]:
        """The whole lines of the report, or of its last so many bytes."""
        try:
            with (self.folder / "report").open("rb") as opened:
                opened.seek(max(opened.seek(0, os.SEEK_END) - last, 0) if last else 0)
                whole = opened.read().rpartition(b"\n")[0]
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in whole.splitlines() if line.startswith(b"{")]


@contextmanager
def storm(daemon: Dockerd, folder: Path, **options: object) -> Iterator[Storm]:
    """A container that waits for its first batch; it reports into a folder of the host."""
    folder.mkdir()
    volumes = {str(folder): {"bind": "/storm", "mode": "rw"}}
    with daemon.container("triggers", TRIGGER, "storm", "/storm", volumes=volumes, **options) as made:
        ready = Storm(made, folder)
        ready.rest()
        yield ready


def programs(found: Sequence[Document]) -> list[tuple[str, Document]]:
    """The starts of a storm's programs, also those that failed: what each was given, and its document."""
    starts = [d for d in found if d["event"]["action"] == "exec" and d["process"]["args"][1:2] == ["nothing"]]
    return [(document["process"]["args"][2], document) for document in starts]


def done(rounds: Sequence[Round]) -> Counter[str]:
    """How many records of each kind the kernel makes of these rounds."""
    kinds = Counter(each.number % len(KINDS) for each in rounds)
    execs = {"Exec": kinds[EXEC] + kinds[FAIL], "ExecFailed": kinds[FAIL]}
    return Counter({"Fork": len(rounds), "Exit": len(rounds), **execs})
