"""Publisher and workers as processes around a broker, for a benchmark: started, scraped, looked at, ended."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.servers.fleet import published
from tests.servers.group import Group
from tests.servers.kafka import Kafka

PATIENCE = 600.0
"""Seconds that only a failure takes."""
_ENDED = os.WEXITED | os.WNOHANG | os.WNOWAIT
"""Has a process ended? What it cost is asked for later."""


@dataclass
class Running:
    """A process of cgtrail's, and what it costs."""

    process: subprocess.Popen[bytes]
    log: Path
    usage: Any = None
    """What the kernel counted, once it has ended."""

    def end(self, number: int = signal.SIGTERM) -> None:
        """Ask it to end and wait."""
        self.process.send_signal(number)
        self.wait()

    def wait(self) -> None:
        """Wait for its end, which must be a good one."""
        _, status, self.usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        assert not self.process.returncode, self.log.read_text()[-3000:]

    @property
    def ended(self) -> bool:
        """Whether it has ended without having been asked to."""
        return self.usage is None and os.waitid(os.P_PID, self.process.pid, _ENDED) is not None

    @property
    def cpu(self) -> float:
        """Seconds of CPU time over its life."""
        return float(self.usage.ru_utime + self.usage.ru_stime)

    @property
    def most_bytes(self) -> int:
        """Resident, at the most."""
        return int(self.usage.ru_maxrss) * 1024


@dataclass
class Passing:
    """A broker, a folder, and the processes of one measurement."""

    group: Group
    folder: Path
    settings: Mapping[str, str]
    made: list[Running] = field(default_factory=list)

    @classmethod
    @contextmanager
    def of(cls, broker: Kafka, scratch: Path, settings: Mapping[str, str], sink: str = "") -> Iterator[Passing]:
        """One whose folder goes behind the block. `sink`: workers of another than the local store are a group apart."""
        name = settings["CGTRAIL_KAFKA_GROUP"] + (f".{sink}" if sink else "")
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            yield cls(Group(broker, settings["CGTRAIL_KAFKA_TOPIC"], name), Path(folder), settings)

    @contextmanager
    def running(self, module: str, data: Path, *arguments: str, **settings: str) -> Iterator[Running]:
        """A process of cgtrail's, whose metrics are scraped; it is gone behind the block."""
        port = free_port()
        metrics = {f"CGTRAIL_METRICS_{half}": f"127.0.0.1:{port}" for half in ("PUBLISHER", "WORKER")}
        known = {key: value for key, value in os.environ.items() if not key.startswith("CGTRAIL_")}
        argv = [sys.executable, "-m", module, "--data", str(data), *arguments]
        log = self.folder / "log"
        with log.open("ab") as opened:
            process = subprocess.Popen(
                argv, env=known | {**self.settings, **metrics, **settings}, stdout=opened, stderr=opened
            )
        made, over = Running(process, log), threading.Event()
        self.made.append(made)
        watching = threading.Thread(target=scrape, args=(port, over))
        watching.start()
        try:
            yield made
        finally:
            over.set()
            watching.join()
            if made.usage is None:
                process.kill()
                process.wait()

    def until(self, reached: Callable[[], bool], what: str) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + PATIENCE
        while not reached():
            said = (self.folder / "log").read_text()[-3000:]
            assert not any(each.ended for each in self.made), said
            assert time.monotonic() < deadline, f"waited in vain for {what}: {said}"
            time.sleep(0.1)

    def copied(self, data: Path) -> Path:
        """A data folder with the same spool, that nobody has read."""
        to = self.folder / data.name
        shutil.copytree(data / "spool", to / "spool", ignore=shutil.ignore_patterns("readers"))
        return to

    def publish(self, data: Path, *, whole: bool = True) -> Running:
        """Publish all that a spool holds; `whole`: which is something."""
        with self.running("cgtrail", data, "publish", "--once") as made:
            made.wait()
        assert published(data / "spool") or not whole
        return made

    def workers(self, count: int, *options: str, **settings: str) -> tuple[list[dict[str, Any]], list[Running]]:
        """So many workers take all that is in the topic: what each tells, and its process."""
        with ExitStack() as stack:
            made = [stack.enter_context(self.worker(number, *options, **settings)) for number in range(count)]
            self.until(lambda: self.group.lag() == 0, "all to be taken")
            for each in made:
                each.end()
        return [self.report(number) for number in range(count)], made

    def report(self, number: int) -> dict[str, Any]:
        """What a worker has told at its end."""
        return dict(json.loads((self.folder / f"report{number}").read_text()))

    @contextmanager
    def worker(self, number: int, *options: str, **settings: str) -> Iterator[Running]:
        """A worker on the topic; its report is in the folder."""
        own = {"CGTRAIL_KAFKA_INSTANCE": f"w{number}", "BENCH_REPORT": str(self.folder / f"report{number}")}
        data = self.folder / f"worker{number}"
        with self.running("tests.bench.encoding", data, "enrich", *options, **own, **settings) as made:
            yield made


def scrape(port: int, over: threading.Event) -> None:
    """Ask for a process's metrics, each second."""
    while not over.wait(1):
        with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/metrics", timeout=1) as answer:
            answer.read()


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])
