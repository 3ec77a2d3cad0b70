"""The power is cut, or the agent killed in the middle of a write: every committed frame's documents are there once."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from shipper.spool import Spool
from shipper.wire.frame import Frame
from shipper.wire.reader import Reader
from tests.faults.conftest import Effort, Recorded
from tests.faults.disk import cut_power, tear
from tests.faults.kept import assert_same, kept, undisturbed
from tests.faults.processes import Processes, halt, processes
from tests.faults.storm import HOST, Boot, drizzle
from tests.faults.writer import append, begun, write

pytestmark = pytest.mark.faults

PAUSE = 0.002
"""Seconds between two frames."""


def has_written(data: Path, number: int) -> bool:
    """Whether so many frames are committed."""
    return sum(stream.committed for stream in begun(data / "spool")) >= number


def assert_whole(data: Path, boots: list[Boot], committed: list[int]) -> None:
    """Every frame that had been committed is in the spool as it was written."""
    for stream, boot, number in zip(begun(data / "spool"), boots, committed, strict=False):
        assert stream.committed >= number
        frames = [piece for piece in Reader(stream).read() if isinstance(piece, Frame)][:number]
        assert [frame.payload for frame in frames] == [told.payload for told in boot.frames[:number]]


def after_power_cut(disk: Path, later: Boot, rng: random.Random) -> None:
    """The host boots again: worker and agent start, in one order or the other, and something more happens."""
    with processes(disk) as running:
        if rng.random() < 0.5:
            running.finish()
        with Spool(disk / "spool", HOST, later.id) as spool:
            for frame in later.frames:
                append(spool, frame)
        running.finish()


def moments(recorded: Recorded, running: Processes, number: int, rng: random.Random) -> Iterator[Path]:
    """A writer and its worker, stopped at random moments: a copy of the data folder each time."""
    writer, worker = running.writer(recorded.seed, recorded.ticks, PAUSE), running.worker()
    for at in sorted(rng.sample(range(1, recorded.frames), number)):
        running.wait(partial(has_written, running.data, at), f"frame {at}")
        for process in (writer, worker):
            halt(process)
        copy = running.data.with_name(f"disk{at}")
        shutil.copytree(running.data, copy)
        yield copy
        for process in (writer, worker):
            process.send_signal(signal.SIGCONT)


def test_power_cut(recorded: Recorded, effort: Effort, rng: random.Random, tmp_path: Path) -> None:
    """Whatever of the unsynced part is on disk, the host goes on with all that was committed, each document once."""
    (tmp_path / "data").mkdir()
    later = drizzle(recorded.seed)[1]
    earlier: Path | None = None
    with processes(tmp_path / "data") as running:
        for disk in moments(recorded, running, effort.moments // 2, rng):
            untouched = shutil.copytree(disk, disk.with_name(disk.name + "-before"))
            committed = [stream.committed for stream in begun(disk / "spool")]
            done = cut_power(disk, earlier, recorded.boots, rng)
            after_power_cut(disk, later, rng)
            assert_whole(disk, recorded.boots, committed)
            wanted = undisturbed(disk, tmp_path / "memory")
            assert_same(kept(disk), wanted, f"seed {recorded.seed}, {committed} committed, then {done}")
            shutil.rmtree(tmp_path / "memory")
            shutil.rmtree(disk)
            if earlier:
                shutil.rmtree(earlier)
            earlier = untouched


def test_torn_by_a_kill(recorded: Recorded, effort: Effort, rng: random.Random, tmp_path: Path) -> None:
    """An agent that was killed in the middle of a frame writes it again in the same boot; nothing is missed."""
    (tmp_path / "data").mkdir()
    with processes(tmp_path / "data") as running:
        for disk in moments(recorded, running, effort.moments // 3, rng):
            done = tear(disk, recorded.boots, rng, killed=True)
            write(disk / "spool", recorded.boots)
            with processes(disk) as after:
                after.finish()
            assert_same(kept(disk), recorded.wanted, f"seed {recorded.seed}, {done}")
            shutil.rmtree(disk)
