"""Who is watched is changed through the kernel, and logins and lack of memory are told, on every kernel."""

from __future__ import annotations

import json
import sys

import pytest

from bpf.enums import ExitFlag

from .administered import CONNECTION, ROOM
from .conftest import Guests
from .machine import KERNELS, Job

pytestmark = pytest.mark.guest
COMMAND = (sys.executable, "-m", "tests.kernel.guest.administered")
JOBS = [Job(kernel, COMMAND, 600, (("PYTHONPATH", "."),)) for kernel in KERNELS]


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_administered(guests: Guests, job: Job) -> None:
    """A policy takes effect, a full map is counted and emptied, a login has its connection, a victim its mark."""
    done = guests(job)
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout.splitlines()[-1])  # before it, debugging words of refused alternatives
    assert (told["refused"], told["settled"], told["complete"]) == ([], True, True)
    assert told["started"] == ["EXEC", "EXEC"]
    assert (told["logins"], told["behind_login"]) == ([CONNECTION["SSH_CONNECTION"]], "Exec")
    assert told["flags"] == [ExitFlag.OOM]
    reserved = ROOM - ROOM // 4
    assert (told["reserved"], told["crowded"]) == (reserved, ROOM - reserved + 1)
    assert (told["full"], told["unwatched"], told["after"]) == (ROOM, reserved, 1)
