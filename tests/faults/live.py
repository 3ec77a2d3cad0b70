"""Agent and worker as processes of their own, which can be killed, stopped and started; what they keep, read back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bpf.schema import Record, decode
from enrich.statefile import own_file
from enrich.stores.lucene import parse
from enrich.stores.sqlite import SqliteStore
from shipper.status import STATUS, read_status
from shipper.tell import boot_ns
from shipper.wire.frame import Frame
from shipper.wire.position import Position, position_file
from shipper.wire.reader import Reader
from shipper.wire.records import Tick
from shipper.wire.segment import Stream, streams
from tests.kernel.dockerd import Container, Dockerd, wait_until

Document = dict[str, Any]
Counts = Counter[tuple[str, str]]
"""(cause of a loss, or "stored"; name of the record) → how many."""
Span = tuple[int, int]
"""Two times in nanoseconds since 1970, both included."""
ALL = 1 << 40
PATIENCE = 60.0
"""Seconds that only a failure takes."""


@dataclass
class Rig:
    """A data folder, and the processes that work on it."""

    data: Path
    environment: dict[str, str]
    log: Path
    agent: subprocess.Popen[bytes] | None = None
    worker: subprocess.Popen[bytes] | None = None
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_agent(self, *before: str, ready: bool = True) -> None:
        """Start the agent, with `before` as a command that starts it; wait until its first keyframe is on disk."""
        self.agent = self._start(*before, sys.executable, "-m", "cgtrail", "ship", "--data", str(self.data))
        if ready:
            self.wait_ready()

    def start_worker(self) -> None:
        """Start the worker."""
        self.worker = self._start(sys.executable, "-m", "cgtrail", "enrich", "--data", str(self.data))

    def wait_ready(self) -> None:
        """Wait until the agent that was started last has written its first keyframe."""
        agent = self.agent
        assert agent is not None
        wait_until(lambda: self.facts().get("pid") == agent.pid or agent.poll() is not None, self.said(), PATIENCE)
        assert agent.poll() is None, self.said()

    def kill(self, process: subprocess.Popen[bytes] | None) -> None:
        """Let a process die on the spot."""
        assert process is not None
        assert process.poll() is None, self.said()
        process.kill()
        process.wait()

    def stop(self, process: subprocess.Popen[bytes] | None) -> None:
        """Ask a process to end, which it does well."""
        assert process is not None
        process.terminate()
        assert process.wait(PATIENCE) == 0, self.said()

    def _start(self, *argv: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as opened:
            process = subprocess.Popen(argv, env=self.environment, stdout=opened, stderr=opened)
        self.started.append(process)
        return process

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The agent does nothing in this block: what the ring does not hold is lost."""
        assert self.agent is not None
        os.kill(self.agent.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.agent.pid, signal.SIGCONT)

    def said(self) -> str:
        """The end of what the processes have printed."""
        return self.log.read_text()[-4000:]

    def facts(self) -> Document:
        """What the agent says of itself."""
        return read_status(self.data / STATUS)

    def command(self, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """What `cgtrail ARGUMENTS --data DIR` does."""
        argv = [sys.executable, "-m", "cgtrail", *arguments, "--data", str(self.data)]
        done = subprocess.run(argv, env=self.environment, capture_output=True, text=True, check=False, timeout=PATIENCE)
        assert done.returncode == expect, f"{argv} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done

    def status(self) -> Document:
        """What `cgtrail status --json` prints while both run."""
        return dict(json.loads(self.command("status", "--json").stdout))

    def account(self, owner: int) -> Document:
        """A container's row of the ledger, once it is even: what the kernel has numbered is stored or lost."""
        since, found = time.time_ns(), list[Document]()
        files = [self.data / STATUS, own_file(self.data, "status.json")]

        def even() -> bool:
            status = self.status()
            found[:] = [row for row in status["ledger"] if row["cgroup"] == owner]
            seen = status["agent"]["seen"].get(str(owner))
            print(f"the kernel has numbered {seen} records; {found}")
            return any(
                row["in_flight"] == 0 and seen == row["seen"] == row["stored"] + sum(row["lost"].values())
                for row in found
            )

        wait_until(lambda: all(read_status(file).get("time", 0) > since for file in files), "both to tell", PATIENCE)
        wait_until(even, f"an even account of {owner}", PATIENCE)
        return found[0]

    @property
    def stream(self) -> Stream:
        """The newest stream."""
        return streams(self.data / "spool")[-1]

    def position(self) -> Position:
        """How far the worker is in the newest stream."""
        return position_file(self.data / "spool", "sqlite").load().get(self.stream.id.hex(), Position(0))

    def frames(self) -> Iterator[Frame]:
        """Every frame that can be read, of all streams."""
        for stream in streams(self.data / "spool"):
            yield from (piece for piece in Reader(stream).read() if isinstance(piece, Frame))

    def written(self) -> int:
        """Wait until all that had happened on this host when it was called is on disk; the frames that hold it.

        It is once a tick is that began later: losses are told at ticks.
        """
        now, reader = boot_ns(), Reader(self.stream, self.stream.committed)

        def ticked() -> bool:
            found = (r for frame in reader.read() if isinstance(frame, Frame) for r in records(frame))
            return any(isinstance(record, Tick) and record.time > now for record in found)

        wait_until(ticked, f"a tick after {now}; the log ends with {self.said()}", PATIENCE)
        return reader.number

    def records(self) -> Iterator[Record]:
        """Every record that can be read, of all streams."""
        for frame in self.frames():
            yield from records(frame)

    def settle(self) -> None:
        """Wait until all that had happened on this host when it was called is stored."""
        running = self.agent is not None and self.agent.poll() is None
        number = self.written() if running else self.stream.committed
        wait_until(lambda: self.position().next >= number, f"the worker to come to frame {number}", PATIENCE)

    def documents(self, container: str, query: str = "*") -> list[Document]:
        """A container's documents in the store, oldest first."""
        return documents(self.data, query, container)

    def assert_healed(self, container: Container, name: str) -> None:
        """What a program in a container starts now has a document that names its parent and its container."""
        shell = ("sh", "-c", f"/bin/busybox true {name}; true")
        container.run(*shell)
        self.settle()
        query = f'process.args:"{name}" AND event.action:exec AND process.name:busybox'
        (document,) = self.documents(container.id, query)
        assert document["process"]["parent"]["args"] == list(shell)
        assert document["container"]["name"] == name
        assert document["cgtrail"]["attribution"] == "exact"

    def losses(self, container: str) -> list[Document]:
        """What was lost of a container, and what was lost of nobody in particular."""
        return self.documents(container, "event.action:loss")


def records(frame: Frame) -> Iterator[Record]:
    """A frame's records."""
    for _, offset, length in frame.records():
        yield decode(frame.payload, offset, length)


def documents(data: Path, query: str = "*", container: str | None = None) -> list[Document]:
    """Documents of a data folder's store, oldest first."""
    found = SqliteStore(data / "store").search(parse(query), container=container, limit=ALL, ascending=True)
    return [json.loads(body) for body in found]


@contextmanager
def rig(daemon: Dockerd, folder: Path, *, log: str = "log", **settings: object) -> Iterator[Rig]:
    """A folder for `data` without processes yet, which end with the block; `settings` are keys of the configuration."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CGTRAIL_")}
    environment |= {f"CGTRAIL_{key.upper()}": str(value) for key, value in settings.items()}
    environment |= {"DOCKER_HOST": daemon.host, "CGTRAIL_DOCUMENTS_FORKS": "true"}
    made = Rig(folder / "data", environment, folder / log)
    made.log.touch()
    try:
        yield made
    finally:
        for process in made.started:
            if process.poll() is None:
                process.kill()
                process.wait()


def blind(found: Sequence[Document]) -> list[tuple[str, Span]]:
    """When nothing was recorded, and why, as documents tell."""
    told = []
    for document in found:
        event, loss = document["event"], document.get("cgtrail", {}).get("loss", {})
        if loss.get("cause") in {"agent_killed", "agent_stopped"}:
            told.append((loss["cause"], (nanoseconds(event["start"]), nanoseconds(event["end"]))))
    return told


def nanoseconds(shown: str) -> int:
    """A document's time, in nanoseconds since 1970."""
    seconds, _, fraction = shown.removesuffix("Z").partition(".")
    whole = datetime.fromisoformat(seconds).replace(tzinfo=UTC)
    return int(whole.timestamp()) * 1_000_000_000 + int(fraction.ljust(9, "0"))


def record_of(document: Document) -> str:
    """The name of the kernel's record that a document of a process was made of."""
    if document["event"]["action"] == "exec":
        return "ExecFailed" if document["event"]["outcome"] == "failure" else "Exec"
    return {"fork": "Fork", "end": "Exit"}.get(document["event"]["action"], "")


def counts(found: Sequence[Document]) -> Counts:
    """What documents tell: records that are stored, and records that are counted as lost."""
    told: Counts = Counter()
    for document in found:
        if document["event"]["action"] == "loss":
            loss = document["cgtrail"]["loss"]
            told[loss["cause"], loss.get("record", "")] += loss.get("count", 0)
        else:
            told["stored", record_of(document)] += 1
    return told


def by_record(told: Counts) -> Counter[str]:
    """How many records of each kind that a storm makes: stored and lost together."""
    whole: Counter[str] = Counter()
    for (_, record), count in told.items():
        if record in {"Exec", "ExecFailed", "Fork", "Exit"}:
            whole[record] += count
    return whole


def by_cause(told: Counts) -> Counter[str]:
    """How many records, by cause of their loss; those that are stored are left out."""
    lost: Counter[str] = Counter()
    for (cause, _), count in told.items():
        if cause != "stored" and count:
            lost[cause] += count
    return lost


def made_again(live: Rig, folder: Path) -> list[Document]:
    """What a fresh worker makes of the whole spool in another place."""
    shutil.copytree(live.data / "spool", folder / "spool", ignore=shutil.ignore_patterns("readers"))
    again = Rig(folder, live.environment, live.log)
    again.command("enrich", "--once")
    return documents(folder)
