"""Worker and spool writer are killed at random moments and started again: nothing is lost, doubled or changed."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Effort, Recorded
from tests.faults.kept import assert_same, kept
from tests.faults.processes import CGTRAIL, EAGER, Processes, kill, processes

pytestmark = pytest.mark.faults

BEGINNING = 0.2
"""So many of the kills come while a worker starts."""
STARTS, MOMENT, PAUSE = 0.8, 0.03, 0.002
"""Seconds, at the most: until a worker has started; from a place to a kill near it; between two frames written."""


def kill_somewhere(
    running: Processes, worker: subprocess.Popen[bytes], frame: int, rng: random.Random
) -> tuple[int, float]:
    """Kill a worker near a frame, or while it begins; returns where it was, and how long was waited."""
    if rng.random() < BEGINNING:
        moment = rng.uniform(0, STARTS)
    else:
        running.wait_frame(worker, frame)
        moment = rng.uniform(0, MOMENT)
    time.sleep(moment)
    at = running.frame()
    assert kill(worker) == -signal.SIGKILL, f"it had ended by itself:\n{running.tail()}"
    return at, moment


@pytest.mark.parametrize("module", [EAGER, CGTRAIL])
def test_worker_killed(recorded: Recorded, effort: Effort, rng: random.Random, tmp_path: Path, module: str) -> None:
    """A worker that is killed at random moments ends with what an undisturbed one stores."""
    moments = effort.moments if module == EAGER else effort.moments // 3
    places = sorted(rng.randrange(recorded.frames) for _ in range(moments))
    with processes(recorded.copy(tmp_path), module) as running:
        kills = [kill_somewhere(running, running.worker(), frame, rng) for frame in places]
        running.finish()
        assert_same(kept(running.data), recorded.wanted, f"seed {recorded.seed}, killed at {kills}")


def test_both_killed(recorded: Recorded, effort: Effort, rng: random.Random, tmp_path: Path) -> None:
    """The spool grows meanwhile, and its writer is killed too: what it had not committed it writes again."""
    data = tmp_path / "data"
    data.mkdir()
    kills: list[object] = []
    with processes(data) as running:
        writer, worker = running.writer(recorded.seed, recorded.ticks, PAUSE), running.worker()
        for frame in sorted(rng.randrange(recorded.frames) for _ in range(effort.moments)):
            kills.append(kill_somewhere(running, worker, frame, rng))
            if rng.random() < 0.7:
                kills.append(kill(writer))
                writer = running.writer(recorded.seed, recorded.ticks, PAUSE)
            worker = running.worker()
        assert writer.wait(600) == 0, running.tail()
        kill(worker)
        running.finish()
        assert_same(kept(data), recorded.wanted, f"seed {recorded.seed}, killed at {kills}")
