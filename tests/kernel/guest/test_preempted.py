"""Where the kernel can be preempted anywhere, no record is written over another's."""

from __future__ import annotations

import json
import sys

import pytest

from .conftest import Guests
from .machine import KERNELS, Job
from .preempted import ROUNDS

pytestmark = pytest.mark.guest
COMMAND = (sys.executable, "-m", "tests.kernel.guest.preempted")
JOB = Job(KERNELS[-1], COMMAND, 600, (("PYTHONPATH", "."),), boot="preempt=full")


@pytest.mark.parametrize("job", [JOB], ids=str)
def test_preempted(guests: Guests, job: Job) -> None:
    """Of failing execs that preempt each other each is recorded as it was, or counted."""
    done = guests(job)
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert "(full)" in told["preemption"]
    assert told["hooks"] == ["exec_failed__1_execve", "exec_failed__1_execveat"]
    assert told["found"].keys() == {"slow", "fast"}
    assert sum(told["found"].values()) + told["lost"] + told["missed"] == told["done"] == 3 * ROUNDS
    assert min(told["found"].values()) > ROUNDS // 2
