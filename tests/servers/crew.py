"""Workers of a topic as processes of their own, the streams of several hosts, and what must come of them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import msgspec

from cgtrail.halves import worker_on
from enrich.letters import DeadLetters
from enrich.sinks.memory import MemorySink
from shipper.wire.message import Message
from tests.faults.kept import Documents, assert_documents, rows
from tests.faults.storm import Boot, storm
from tests.servers.kafka import Kafka
from tests.servers.published import Writer, messages, reached, recorded

ROOT = Path(__file__).parents[2]
PATIENCE = 180.0
"""Seconds that only a failure takes."""
SESSION = "session.timeout.ms=3000,heartbeat.interval.ms=300,topic.metadata.refresh.interval.ms=1000"


@dataclass(frozen=True, slots=True)
class Hosts:
    """Streams of several hosts as messages, and what a worker beside each spool makes of them."""

    told: list[list[Message]]
    """By host."""
    wanted: Documents
    letters: set[str]


def hosts(folder: Path, count: int, ticks: int, seed: int = 1) -> Hosts:
    """Storms of so many hosts, each recorded for a time of its own."""
    told: list[list[Message]] = []
    wanted: Documents = {}
    letters: set[str] = set()
    for number in range(count):
        ident = b"host %10d" % number + b"!"
        boots: list[Boot] = storm(seed * 1000 + number, max(ticks - number % 7, 3))
        data = recorded(folder / str(number), boots, ident)
        told.append([message for _, message in messages(data, ident)])
        sink = MemorySink()
        with worker_on(data, "memory", sink, threading.Event()) as worker:
            worker.run(follow=False)
            letters |= set(cast("DeadLetters", worker.letters).ids())
        wanted |= {name: document.encode().decode() for name, document in sink.documents.items()}
        shutil.rmtree(data)
    return Hosts(told, wanted, letters)


@dataclass
class Crew:
    """Workers that store into one data folder."""

    kafka: Kafka
    settings: dict[str, str]
    data: Path
    module: str = "tests.faults.eager"
    running: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    feed_as: dict[str, str] = field(default_factory=dict)
    """By which settings messages are sent, where not by the workers'."""

    @property
    def log(self) -> Path:
        """What all of them wrote to standard error."""
        return self.data.with_name(self.data.name + ".log")

    def start(self, number: int, *options: str, **settings: str) -> subprocess.Popen[bytes]:
        """Start the worker of a number."""
        process = self.run("--worker", str(number), *options, **settings)
        self.running[number] = process
        return process

    def run(self, *options: str, module: str = "", **settings: str) -> subprocess.Popen[bytes]:
        """Start `cgtrail enrich` with these options."""
        own = {
            "CGTRAIL_STORE_RETENTION_DAYS": "36500",
            "CGTRAIL_ENRICH_SNAPSHOT_SECONDS": "1",
            "CGTRAIL_KAFKA_INSTANCE": "test",
            "CGTRAIL_KAFKA_CLIENT": SESSION,
        }
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module or self.module, "-v", "--data", str(self.data), "enrich", *options],
                cwd=ROOT,
                env=os.environ | own | self.settings | settings,
                stderr=log,
            )

    def end(self, number: int, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a worker a signal and wait for its end; returns the exit code."""
        process = self.running.pop(number)
        process.send_signal(how)
        return process.wait(PATIENCE)

    def feed(self, told: Hosts, partitions: int, pause: float = 0, chunk: int = 20) -> None:
        """Send all, hosts side by side, host n's into partition n modulo `partitions`."""
        writers = [Writer(reached(self.feed_as or self.settings), number) for number in range(partitions)]
        longest = max(map(len, told.told))
        for start in range(0, longest, chunk):
            for number, each in enumerate(told.told):
                for message in each[start : start + chunk]:
                    writers[number % partitions].put(message)
            if pause:
                time.sleep(pause)
        for writer in writers:
            writer.done()

    def finish(self) -> None:
        """One worker takes what is left, and ends by itself."""
        process = self.run("--once")
        try:
            assert process.wait(PATIENCE) == 0, self.tail()
        finally:
            process.kill()

    def stored(self) -> Documents:
        """The documents in the store, each of which stands there once."""
        found: Documents = {}
        for file in sorted((self.data / "store").glob("*.db")):
            for name, body in rows(file):
                assert name not in found, f"{name} stands in two day files"
                found[name] = body
        return found

    def letters(self) -> set[str]:
        """The ids of dead letters."""
        topic = self.settings["CGTRAIL_KAFKA_DEADLETTER_TOPIC"]
        return {(each.key() or b"").decode() for each in self.kafka.messages(topic) if each.value() is not None}

    def assert_all(self, told: Hosts, how: object = "") -> None:
        """Exactly what workers beside the spools make."""
        assert_documents(self.stored(), told.wanted, how)
        assert self.letters() == told.letters, how

    def status(self, number: int) -> dict[str, object]:
        """What a worker tells of itself; nothing before it has."""
        name = f"sqlite.{number}" if number else "sqlite"
        file = self.data / f"enrich.{name}.status.json"
        found: dict[str, object] = msgspec.json.decode(file.read_bytes()) if file.exists() else {}
        mine = number in self.running and found.get("pid") == self.running[number].pid
        return found if mine else {}

    def until(self, reached: Callable[[], object], what: str) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + PATIENCE
        while not reached():
            assert time.monotonic() < deadline, f"waited in vain for {what}:\n{self.tail()}"
            time.sleep(0.05)

    def said(self, text: str) -> bool:
        """Whether a worker has logged this."""
        return self.log.exists() and text in self.log.read_text(errors="replace")

    def tail(self) -> str:
        """The last that was logged, without what is only for debugging."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(line for line in lines if "debug" not in line)[-6000:]


@contextmanager
def crew(kafka: Kafka, settings: dict[str, str], data: Path, module: str = "tests.faults.eager") -> Iterator[Crew]:
    """Workers of a data folder; none of them outlives the test."""
    data.mkdir(exist_ok=True)
    found = Crew(kafka, settings, data, module)
    try:
        yield found
    finally:
        for process in found.running.values():
            if process.poll() is None:
                process.kill()
                process.wait()
