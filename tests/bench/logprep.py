"""Logprep on the same events as JSON: Kafka → a few processors → nowhere, in an environment of its own.

https://logprep.readthedocs.io: a log pipeline in Python whose processors apply rules to one event at a time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from bpf.events import Exec, Exit, Fork, Image, Task
from bpf.schema import decode
from shipper.wire.frame import Frame
from shipper.wire.reader import Reader
from shipper.wire.segment import streams
from tests.bench.day import SECOND, UNIX
from tests.bench.passing import PATIENCE, free_port
from tests.servers.group import Group
from tests.servers.kafka import Kafka

VERSION = "21.1.0"
DIFFERENCES = (
    "Logprep gets each event whole, with its container's name in it, and looks at it by itself: it renames fields,"
    " reads the time, splits the command, adds fields and a label, drops forks, and encodes nothing. cgtrail's worker"
    " gets binary records that name a cgroup: it keeps processes, containers, terminals and typed lines, joins them"
    " into documents, masks secrets, keeps a ledger of losses and snapshots of all this, and encodes each document."
)
"""What the two do not have in common."""
_RULES: dict[str, list[dict[str, Any]]] = {
    "dropper": [{"filter": "kind: Fork", "dropper": {"drop": ["kind", "process", "container", "time", "host"]}}],
    "timestamper": [{"filter": "time", "timestamper": {"source_fields": ["time"], "source_format": ["ISO8601"]}}],
    "field_manager": [
        {
            "filter": "kind",
            "field_manager": {
                "mapping": {
                    "kind": "event.action",
                    "process.tgid": "process.pid",
                    "process.ppid": "process.parent.pid",
                    "process.parent_comm": "process.parent.name",
                    "process.exe": "process.executable",
                    "process.cwd": "process.working_directory",
                },
                "delete_source_fields": True,
                "ignore_missing_fields": True,
            },
        }
    ],
    "dissector": [
        {"filter": "process.command", "dissector": {"mapping": {"process.command": "%{process.name} %{process.rest}"}}}
    ],
    "generic_adder": [
        {"filter": "event.action", "generic_adder": {"add": {"event.kind": "event", "ecs.version": "9.4.0"}}}
    ],
    "labeler": [{"filter": r'process.command: "*ls*"', "labeler": {"label": {"kind": ["listing"]}}}],
}
_SCHEMA = {"kind": {"category": "what it is", "listing": {"description": "lists files"}}}


def installed(folder: Path) -> Path:
    """Install it; returns its program. Raises CalledProcessError with what pip said."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True, timeout=120)
    pip = [str(folder / "bin" / "pip"), "--disable-pip-version-check", "install", "--quiet", f"logprep=={VERSION}"]
    subprocess.run(pip, check=True, capture_output=True, text=True, timeout=600)
    return folder / "bin" / "logprep"


def events(spool: Path) -> Iterator[bytes]:
    """The starts, forks and ends of processes in a spool, each as JSON."""
    for stream in streams(spool):
        for piece in Reader(stream).read():
            assert isinstance(piece, Frame)
            for _, offset, length in piece.records():
                record = decode(piece.payload, offset, length)
                if isinstance(record, (Exec, Exit, Fork)):
                    yield json.dumps(_event(record)).encode()


def _event(record: Task) -> dict[str, Any]:
    at = datetime.fromtimestamp((UNIX + record.time) / SECOND, UTC)
    process: dict[str, Any] = {name: getattr(record, name) for name in ("tgid", "ppid", "pgid", "sid", "vpid")}
    process |= {"comm": record.comm.decode(), "parent_comm": record.parent_comm.decode(), "start": record.start}
    if isinstance(record, Image):
        args = record.args.rstrip(b"\0").split(b"\0")
        process |= {"exe": record.exe.decode(), "cwd": record.cwd.decode(), "args": [arg.decode() for arg in args]}
        process["command"] = b" ".join(args).decode()
    container = {"id": "c" * 64, "name": "lab", "image": {"name": "debian:12"}, "cgroup": record.cgroup_id}
    told = {"time": at.isoformat(), "kind": type(record).__name__, "host": {"name": "bench"}}
    return told | {"container": container, "process": process}


def configuration(folder: Path, servers: str, topic: str, processes: int, port: int) -> Path:
    """Its configuration: at least once, commits every second, metrics on, the output does nothing."""
    (folder / "schema.json").write_text(json.dumps(_SCHEMA))
    pipeline = []
    for name, rules in _RULES.items():
        file = folder / f"{name}.yml"
        file.write_text(yaml.safe_dump_all(rules))
        own = {"schema": str(folder / "schema.json")} if name == "labeler" else {}
        pipeline.append({f"the_{name}": {"type": name, "rules": [str(file)], **own}})
    kafka = {"bootstrap.servers": servers, "group.id": topic, "auto.commit.interval.ms": "1000"}
    told = {
        "version": "1",
        "process_count": processes,
        "timeout": 0.5,
        "logger": {"level": "WARNING"},
        "metrics": {"enabled": True, "port": port},
        "input": {"kafka": {"type": "confluentkafka_input", "topic": topic, "kafka_config": kafka}},
        "output": {"nowhere": {"type": "dummy_output", "do_nothing": True}},
        "pipeline": pipeline,
    }
    written = folder / "pipeline.yml"
    written.write_text(yaml.safe_dump(told, sort_keys=False))
    return written


@dataclass
class Running:
    """It at work: a process that supervises, and those that do the work."""

    process: subprocess.Popen[bytes]
    group: Group
    log: Path

    def pipelines(self) -> list[int]:
        """The processes that do the work."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def until_taken(self, count: int) -> None:
        """Wait until so many messages are committed."""
        self.until(lambda: self.group.committed() >= count)

    def until(self, reached: Callable[[], bool]) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + PATIENCE
        while not reached():
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.2)


@contextmanager
def running(program: Path, kafka: Kafka, topic: str, folder: Path, processes: int) -> Iterator[Running]:
    """It runs in this block, with so many processes that wait for messages of a topic.

    The one that supervises them never sleeps (21.1.0), and is halted meanwhile: its CPU is nobody's here.
    """
    folder.mkdir()
    told = configuration(folder, kafka.servers, topic, processes, free_port())
    environment, log = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder)}, folder / "log"
    with log.open("wb") as opened:
        process = subprocess.Popen(
            [program, "run", told], env=environment, stdout=opened, stderr=opened, start_new_session=True
        )
    made = Running(process, Group(kafka, topic, topic), log)
    try:
        made.until(lambda: made.group.members() == processes)
        process.send_signal(signal.SIGSTOP)
        yield made
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
