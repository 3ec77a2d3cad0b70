"""Publishers of several hosts and several workers, as processes of their own around one broker: started and killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from enrich.kafka.letters import KafkaLetters
from shipper.wire.broker import Broker, Topics
from shipper.wire.position import position_file
from tests.faults.kept import Kept, called_so, stored
from tests.faults.processes import CGTRAIL, EAGER, ROOT, kill
from tests.faults.writer import begun
from tests.servers.group import Group
from tests.servers.kafka import Kafka
from tests.servers.recorded import Recorded

HOSTS, WORKERS = ("host0", "host1", "host2"), ("worker0", "worker1", "worker2")
SESSION = "session.timeout.ms=6000"
"""Partitions of a worker that was killed go to others after so long, unless it is back by then."""
STORE = "workers"
"""The workers' data folder."""
PATIENCE = 180.0
"""Seconds that only a failure takes."""


@dataclass
class Fleet:
    """A folder with the hosts' data folders, and one for all workers."""

    broker: Kafka
    folder: Path
    settings: dict[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Their group is there from the beginning."""
        self.group = Group.of(self.broker, self.settings)

    @property
    def log(self) -> Path:
        """What all of them wrote to standard error."""
        return self.folder / "log"

    def publisher(self, name: str) -> None:
        """Start the publisher of a host."""
        self._start(name, CGTRAIL, name, "publish")

    def worker(self, name: str, *options: str) -> None:
        """Start a worker: every second one commits and keeps snapshots all the time."""
        number = name.removeprefix("worker")
        module = EAGER if int(number) % 2 else CGTRAIL
        self._start(
            name, module, STORE, "enrich", "--worker", number, *options,
            CGTRAIL_KAFKA_INSTANCE="fleet", CGTRAIL_KAFKA_CLIENT=SESSION,
        )  # fmt: skip

    def start(self, name: str) -> None:
        """Start one by its name."""
        (self.publisher if name in HOSTS else self.worker)(name)

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Send one a signal and wait for its end; returns the exit code."""
        process = self.running[name]
        if number == signal.SIGTERM:  # who has only begun does not listen yet
            self.wait(lambda: _listens(process.pid), f"{name} to listen")
        assert process.poll() is None, f"{name} had ended by itself with {process.returncode}:\n{self.tail()}"
        del self.running[name]
        return kill(process, number)

    def stop(self) -> None:
        """All end well, as SIGTERM asks them to."""
        for name in list(self.running):
            assert self.kill(name, signal.SIGTERM) == 0, f"{name}: {self.tail()}"

    def published(self) -> bool:
        """Whether the broker has acknowledged all that the hosts' spools hold, the ends of streams included."""
        return all(published(data / "spool") for data in sorted(self.folder.glob("host*")))

    def drained(self) -> None:
        """Wait until all is published, taken and committed."""
        self.wait(self.published, "all to be published")
        self.wait(lambda: self.group.lag() == 0, "all to be taken")

    def wait(self, reached: Callable[[], bool], what: str) -> None:
        """Wait until something is so; nobody may end meanwhile."""
        deadline = time.monotonic() + PATIENCE
        while not reached():
            for name, process in self.running.items():
                assert process.poll() is None, f"{name} has ended with {process.returncode}:\n{self.tail()}"
            assert time.monotonic() < deadline, f"waited in vain for {what}:\n{self.tail()}"
            time.sleep(0.2)

    def kept(self, recorded: Recorded) -> Kept:
        """What stands in the store and among the dead letters, under the names of the streams."""
        with closing(KafkaLetters(self.cluster)) as letters:
            return called_so(recorded.names, stored(self.folder / STORE), letters.all())

    @property
    def cluster(self) -> Broker:
        """As clients of a test's own reach it."""
        told = {name.removeprefix("CGTRAIL_KAFKA_").lower(): value for name, value in self.settings.items()}
        names = Topics(told["topic"], told["state_topic"], told["deadletter_topic"])
        return Broker((told["servers"],), names, told["group"])

    def tail(self) -> str:
        """The last that was logged."""
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""

    def _start(self, name: str, module: str, *arguments: str, **settings: str) -> None:
        data, *options = arguments
        environment = {key: value for key, value in os.environ.items() if not key.startswith("CGTRAIL_")}
        environment |= {"CGTRAIL_STORE_RETENTION_DAYS": "36500", "CGTRAIL_ENRICH_SNAPSHOT_SECONDS": "1"}
        argv = [sys.executable, "-m", module, "--data", str(self.folder / data), *options]
        with self.log.open("ab") as log:
            self.running[name] = subprocess.Popen(
                argv, cwd=ROOT, env=environment | self.settings | settings, stdout=log, stderr=log
            )


def _listens(pid: int) -> bool:
    """Whether a process catches SIGTERM (proc_pid_status(5))."""
    (caught,) = re.findall(r"^SigCgt:\s*([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return bool(int(caught, 16) & 1 << signal.SIGTERM - 1)


def published(spool: Path) -> bool:
    """Whether the broker has acknowledged all that a spool holds, the ends of streams included."""
    told, streams = position_file(spool, "kafka").load(), begun(spool)
    for stream in streams:
        position = told.get(stream.id.hex())
        if position is None or position.next < stream.committed + (stream is not streams[-1]):
            return False
    return bool(streams)


@contextmanager
def fleet(broker: Kafka, folder: Path, settings: dict[str, str]) -> Iterator[Fleet]:
    """Processes around a broker; none of them outlives the test."""
    folder.mkdir()
    found = Fleet(broker, folder, settings)
    try:
        yield found
    finally:
        for process in found.running.values():
            if process.poll() is None:
                kill(process)
