"""A broker whose disk is full: nothing is acknowledged that it could not keep, and all arrives once it has room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.processes import PATIENCE
from tests.servers.kafka import Kafka, kafka, topics
from tests.servers.publishers import assert_whole, publishing

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
SIZE = 256 << 20


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Kafka]:
    """A broker with a disk of its own."""
    disk = tmp_path / "kafka" / "data"
    disk.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(disk)], check=True)
    try:
        with kafka(tmp_path / "kafka") as own:
            yield own
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Leave no room; returns the file that takes it all."""
    file = disk.parent / "data" / "filler.tmp"
    with file.open("ab") as opened:
        for size in (1 << 20, 1 << 12):
            with suppress(OSError):
                while True:
                    os.posix_fallocate(opened.fileno(), opened.seek(0, os.SEEK_END), size)
    return file


def test_a_broker_whose_disk_is_full(broker: Kafka, tmp_path: Path) -> None:
    """It refuses, or ends; the publisher says so and waits. With room again, and started, it gets everything."""
    with publishing(tmp_path / "host", topics(broker)) as spool:
        spool.storm(1, 10)
        spool.finish()
        filler = fill(broker.data)
        spool.storm(1, 60)
        publisher = spool.start("--once")
        spool.says("Kafka takes nothing")
        assert publisher.poll() is None
        broker.kill()
        filler.unlink()
        broker.start()
        assert publisher.wait(PATIENCE) == 0, spool.log
        assert_whole(broker, spool)
        print(spool.log)
