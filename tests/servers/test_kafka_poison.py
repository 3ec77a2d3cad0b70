"""A record that kills whoever takes it, in a log that workers of two machines read: it is passed over in the end."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from shipper.wire.frame import Frame
from shipper.wire.message import encode
from shipper.wire.reader import Reader
from tests.faults.kept import rows
from tests.servers.kafka import Kafka, topics
from tests.servers.poisoned import DEATH, POISON
from tests.servers.published import Writer, letters, reached
from tests.unit.spooled import Spooled
from tests.unit.stream import container, exec_

pytestmark = pytest.mark.kafka

HOST = b"h" * 16
PATIENCE = 120
SETTINGS = {"CGTRAIL_STORE_RETENTION_DAYS": "36500", "CGTRAIL_KAFKA_CLIENT": "session.timeout.ms=6000"}


def worker(data: Path, settings: dict[str, str], *options: str) -> int:
    """Run a worker of a machine of its own to its end; returns the exit code."""
    own = os.environ | settings | SETTINGS | {"CGTRAIL_KAFKA_INSTANCE": data.name}
    command = [sys.executable, "-m", "tests.servers.poisoned", "--data", str(data), "enrich", *options]
    return subprocess.run(command, env=own, timeout=PATIENCE, check=False).returncode


def test_passed_over_by_whoever_inherits_it(broker: Kafka, tmp_path: Path) -> None:
    """One machine's worker dies three times, of which it can tell two; the next one's once. Then all else is stored."""
    settings = topics(broker)
    spool = Spooled(tmp_path / "host")
    spool.keyframe(*container(), first=True)
    for pid in (2, 3, POISON, 4):
        spool.add(exec_(pid, 1, b"/bin/p%d" % pid))
    spool.tick(8)
    writer = Writer(reached(settings))
    for piece in Reader(spool.stream).read():
        assert isinstance(piece, Frame)
        writer.put(encode(HOST, spool.id, 1, replace(piece, host=HOST)))
    writer.done()
    one, two = tmp_path / "one", tmp_path / "two"
    assert [worker(data, settings) for data in (one, one, one, two)] == [DEATH] * 4
    assert worker(two, settings, "--once") == 0
    (file,) = (two / "store").glob("*.db")
    stored = [orjson.loads(body) for _, body in rows(file)]
    assert sorted(each["process"]["name"] for each in stored if each["event"]["dataset"] == "cgtrail.process") == [
        "p2", "p3", "p4"
    ]  # fmt: skip
    (letter,) = letters(reached(settings))
    assert letter.deadly
    assert worker(one, settings, "--once") == 0
    assert letters(reached(settings)) == [letter]
