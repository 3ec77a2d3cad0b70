"""Where the kernel can be preempted anywhere, no record is written over another's."""

from __future__ import annotations

import json
import sys

import pytest

from .machine import KERNELS, run
from .preempted import ROUNDS

pytestmark = pytest.mark.guest


def test_preempted() -> None:
    """Of failing execs that preempt each other each is recorded as it was, or counted."""
    command = [sys.executable, "-m", "tests.kernel.guest.preempted"]
    done = run(KERNELS[-1], command, timeout=300, env={"PYTHONPATH": "."}, boot="preempt=full")
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert "(full)" in told["preemption"]
    assert told["hooks"] == ["exec_failed__1_execve", "exec_failed__1_execveat"]
    assert told["found"].keys() == {"slow", "fast"}
    assert sum(told["found"].values()) + told["lost"] + told["missed"] == told["done"] == 3 * ROUNDS
    assert min(told["found"].values()) > ROUNDS // 2
