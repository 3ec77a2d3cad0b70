"""A terminal is recorded alike on every kernel: what it shows, what is consumed, and no secret."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

from .conftest import Guests
from .machine import KERNELS, Job
from .terminals import FSYNC, SECRET

pytestmark = pytest.mark.guest
COMMAND = (sys.executable, "-m", "tests.kernel.guest.terminals")
JOBS = [Job(kernel, COMMAND, 600, (("PYTHONPATH", "."),)) for kernel in KERNELS]


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_terminals(guests: Guests, job: Job) -> None:
    """Each byte of the screen, each line but the secret one, where it was typed, size, ctrl-c, end, and io_uring."""
    done = guests(job)
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout.splitlines()[-1])  # before it, debugging words of refused alternatives
    assert told == {
        "refused": [],
        "identical": True,
        "skipped": 0,
        "typed": True,
        "directories": [str(Path.cwd())] * 3 + ["/tmp"] * 2,
        "secrets": len(SECRET) + 1,
        "leaks": 0,
        "open": [[30, 90, True]],
        "changes": ["HANGUP", "TERMIOS"],
        "signals": [signal.SIGHUP, signal.SIGINT],
        "uring": [FSYNC],
        "complete": True,
        "losses": {},
    }
