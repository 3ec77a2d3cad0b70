"""Asked to end at any moment, the agent ends, and what it leaves behind is whole."""

from __future__ import annotations

import random
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.conftest import Effort
from tests.faults.live import PATIENCE, rig
from tests.kernel.dockerd import Dockerd

pytestmark = [pytest.mark.kernel, pytest.mark.faults]

BUSY = ("sh", "-c", "while :; do /bin/busybox true; /bin/busybox usleep 2000; done")
START_SECONDS = 2.5
"""About what an agent takes to its first keyframe: some ends come before it, some after."""


def test_asked_to_end(docker_daemon: Dockerd, tmp_path: Path, effort: Effort, rng: random.Random) -> None:
    """In the middle of its start, of a frame or of a commit: no damage, no error, and the next one goes on."""
    with rig(docker_daemon, tmp_path) as live, docker_daemon.container("busybox", *BUSY, name="busy"):
        live.start_agent()
        live.stop(live.agent)
        for number in range(effort.moments // 2):
            live.start_agent(ready=False)
            agent = live.agent
            assert agent is not None
            with suppress(subprocess.TimeoutExpired):
                agent.wait(rng.uniform(0, 2 * START_SECONDS))
            assert agent.poll() is None, live.said()
            agent.send_signal(rng.choice([signal.SIGTERM, signal.SIGINT]))
            # Before Python has started nobody listens to a signal yet.
            assert agent.wait(PATIENCE) in {0, -signal.SIGTERM, -signal.SIGINT, 130}, live.said()
            live.command("spool", "verify")
            assert "Traceback" not in live.log.read_text(), number
        live.start_agent()
        live.written()
        live.stop(live.agent)
        live.command("spool", "verify")
