"""The disk of the store and of the worker's own files is full: the worker waits, and goes on when there is room."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from tests.faults.conftest import Effort, Recorded
from tests.faults.kept import assert_same, kept
from tests.faults.processes import Processes, kill, processes
from tests.faults.writer import write

pytestmark = [pytest.mark.faults, pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")]

SIZE = 512 << 20
PAUSE = 0.002
"""Seconds between two frames."""
WAITS = ("can't take documents now; trying again", "can't be noted down; trying again")


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data folder on a disk of its own; the spool is elsewhere, but what the worker writes there is not."""
    folder, spool = tmp_path / "data", tmp_path / "spool"
    folder.mkdir()
    spool.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(folder)], check=True)
    try:
        (folder / "readers").mkdir()
        (spool / "readers").symlink_to(folder / "readers")
        (folder / "spool").symlink_to(spool)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Leave no room on a disk; returns the file that takes it all."""
    file = folder / "filler"
    with file.open("ab") as opened:
        for size in (1 << 20, 1 << 12):
            with suppress(OSError):
                while True:
                    os.posix_fallocate(opened.fileno(), opened.seek(0, os.SEEK_END), size)
    return file


def waits(running: Processes, since: int) -> bool:
    """Whether the worker has said that it waits: which file finds no room first is chance."""
    told = running.log.read_text()[since:]
    return any(text in told for text in WAITS)


def test_filled(recorded: Recorded, effort: Effort, rng: random.Random, data: Path) -> None:
    """A worker lives through a full disk: it says so, waits, and stores everything once there is room."""
    with processes(data) as running:
        writer, worker = running.writer(recorded.seed, recorded.ticks, PAUSE), running.worker()
        for frame in sorted(rng.randrange(recorded.frames // 2) for _ in range(effort.moments // 4)):
            running.wait_frame(worker, frame)
            since = len(running.log.read_text())
            filler = fill(data)
            running.wait(partial(waits, running, since), "a word about the full disk")
            assert worker.poll() is None, running.tail()
            filler.unlink()
        assert writer.wait(600) == 0
        kill(worker)
        running.finish()
        assert_same(kept(data), recorded.wanted, f"seed {recorded.seed}")


@pytest.mark.parametrize("begun", [True, False], ids=["again", "first"])
def test_started_on_a_full_disk(recorded: Recorded, rng: random.Random, data: Path, *, begun: bool) -> None:
    """A worker that can't begin says so or waits, and nothing of it stands in the way of the next one."""
    write(data / "spool", recorded.boots)
    with processes(data) as running:
        if begun:
            worker = running.worker()
            running.wait_frame(worker, rng.randrange(recorded.frames // 2))
            kill(worker)
        since = len(running.log.read_text()) if begun else 0
        filler = fill(data)
        worker = running.worker()
        running.wait(lambda: worker.poll() is not None or waits(running, since), "a word about the full disk")
        assert worker.poll() in {None, 1}, running.tail()
        assert "Traceback" not in running.tail()
        filler.unlink()
        if worker.poll() is None:
            kill(worker)
        running.finish()
        assert_same(kept(data), recorded.wanted, f"seed {recorded.seed}")
