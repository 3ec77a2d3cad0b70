"""The worker and the spool's writer as processes of their own: started, watched from outside, killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from enrich.statefile import own_file
from shipper.wire.position import position_file
from tests.faults.writer import begun

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0
"""Seconds that only a failure takes."""
CGTRAIL, EAGER = "cgtrail", "tests.faults.eager"
"""The worker as it is installed, and one that commits and keeps snapshots all the time."""
_MARK = struct.Struct("<16sQIi")


@dataclass
class Processes:
    """A data folder and the processes that work on it; what they log goes to a file beside it."""

    data: Path
    module: str = EAGER
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def log(self) -> Path:
        """What all of them wrote to standard error."""
        return self.data.with_name(self.data.name + ".log")

    def worker(self, *options: str, **settings: str) -> subprocess.Popen[bytes]:
        """Start a worker. `settings`: environment variables."""
        kept = {"CGTRAIL_STORE_RETENTION_DAYS": "36500", "CGTRAIL_ENRICH_SNAPSHOT_SECONDS": "1"}
        return self._start(self.module, "--data", str(self.data), "enrich", *options, **kept | settings)

    def finish(self, **settings: str) -> None:
        """A worker takes all there is and ends by itself."""
        worker = self.worker("--once", **settings)
        code = worker.wait(PATIENCE)
        assert code == 0, f"exit code {code}:\n{self.tail()}"

    def replay(self) -> None:
        """Send everything again that the spool holds."""
        assert self.worker("--from", "2020-01-01").wait(PATIENCE) == 0, self.tail()

    def writer(self, seed: int, ticks: int, pause: float) -> subprocess.Popen[bytes]:
        """Start a writer of a storm."""
        spool = self.data / "spool"
        return self._start("tests.faults.writer", str(spool), str(seed), str(ticks), str(pause))

    def frame(self) -> int:
        """The frame that the worker is at or has stored, counted over all streams; as far as it shows."""
        at = 0
        told = position_file(self.data / "spool", "sqlite").load()
        stream, number, _, _ = _MARK.unpack(self._mark())
        before = 0
        for each in begun(self.data / "spool"):
            if position := told.get(each.id.hex()):
                at = max(at, before + min(position.next, each.committed))
            if each.id == stream:
                at = max(at, before + int(number))
            before += each.committed
        return at

    def wait_frame(self, worker: subprocess.Popen[bytes], number: int) -> None:
        """Wait until the worker has come to a frame, or has ended."""
        self.wait(lambda: worker.poll() is not None or self.frame() >= number, f"frame {number}", 0.0005)

    def wait_snapshot(self, worker: subprocess.Popen[bytes], number: int) -> None:
        """Wait until the worker has come to a frame and keeps a snapshot, or has ended."""
        self.wait_frame(worker, number)
        self.wait(lambda: worker.poll() is not None or self._snapshots() > 0, "a snapshot")

    def _snapshots(self) -> int:
        file = own_file(self.data, "state.db")
        if not file.exists():
            return 0
        with closing(sqlite3.connect(file)) as db:
            try:
                return int(db.execute("SELECT count(*) FROM snapshots").fetchone()[0])
            except sqlite3.Error:  # its worker is about to make it
                return 0

    def wait(self, reached: Callable[[], bool], what: str, poll: float = 0.02) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + PATIENCE
        while not reached():
            assert time.monotonic() < deadline, f"waited in vain for {what}:\n{self.tail()}"
            time.sleep(poll)

    def tail(self) -> str:
        """The last that was logged."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    def _mark(self) -> bytes:
        file = own_file(self.data, "mark")
        found = file.read_bytes() if file.exists() else b""
        return found if len(found) == _MARK.size else bytes(_MARK.size)

    def _start(self, module: str, *arguments: str, **settings: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            started = subprocess.Popen(
                [sys.executable, "-m", module, *arguments], cwd=ROOT, env=os.environ | settings, stderr=log
            )
        self.running.append(started)
        return started


def kill(process: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> int:
    """Send a signal and wait for the end; returns the exit code."""
    process.send_signal(number)
    return process.wait(PATIENCE)


def halt(process: subprocess.Popen[bytes]) -> None:
    """Stop a process where it is; returns once each of its threads stands still, which may end a system call first."""
    process.send_signal(signal.SIGSTOP)
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and any(
        _state(task) not in "TZX" for task in Path(f"/proc/{process.pid}/task").iterdir()
    ):
        assert time.monotonic() < deadline, f"process {process.pid} does not stop"


def _state(task: Path) -> str:
    """The state of a thread (man 5 proc); X of one that is gone."""
    try:
        return (task / "stat").read_text().rpartition(") ")[2][:1]
    except OSError:
        return "X"


@contextmanager
def processes(data: Path, module: str = EAGER) -> Iterator[Processes]:
    """A data folder's processes; none of them outlives the test."""
    found = Processes(data, module)
    try:
        yield found
    finally:
        for process in found.running:
            if process.poll() is None:
                kill(process)
