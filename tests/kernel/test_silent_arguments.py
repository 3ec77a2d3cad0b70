"""A process whose arguments nobody can read to an end holds up neither the agent nor anybody else's documents."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.kernel.capture import TRIGGER
from tests.kernel.dockerd import Dockerd, wait_until
from tests.kernel.spine import Spine, spine
from tests.kernel.test_snapshot import children

pytestmark = pytest.mark.kernel

CONFIG = "[spool]\nkeyframe_seconds = 1\n"
LEFT_OUT = "the arguments of a running process are left out"
MOUNTER = {
    "devices": ["/dev/fuse"],
    "cap_add": ["SYS_ADMIN"],
    "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
}
SHELL = ("sh", "-c", "while :; do /triggers/trigger nothing beside; sleep 0.2; done")


def keyframe_time(running: Spine) -> int:
    """When the last keyframe began."""
    return int(running.status()["agent"]["keyframe_time"])


def keyframe(running: Spine) -> None:
    """Wait for a keyframe that is yet to begin."""
    before = keyframe_time(running)
    wait_until(lambda: keyframe_time(running) > before, "a keyframe")


def can_be_read(pid: int) -> bool:
    """Whether a read of a process's arguments ends."""
    reader = subprocess.Popen([sys.executable, "-c", f"open('/proc/{pid}/cmdline').read()"])
    with suppress(subprocess.TimeoutExpired):
        reader.wait(2)
    ended = reader.poll() is not None
    reader.kill()
    reader.wait()
    return ended


def test_silent(docker_daemon: Dockerd, tmp_path: Path) -> None:
    """The agent says whose arguments it leaves out, once, goes on with everybody else's, and can be ended."""
    config = tmp_path / "cgtrail.toml"
    config.write_text(CONFIG)
    with (
        docker_daemon.container("triggers", *SHELL, name="beside") as beside,
        docker_daemon.container("triggers", TRIGGER, "silent-arguments", name="silent", **MOUNTER) as hostile,
    ):
        wait_until(lambda: bool(hostile.handle.logs()), "the process has reported")
        assert b'"pid"' in hostile.handle.logs()
        (holder,) = children(hostile.pid)
        (silent,) = children(holder)
        assert not can_be_read(silent)
        with spine(docker_daemon, tmp_path / "data", "--quiet", "--config", str(config)) as running:
            wait_until(lambda: LEFT_OUT in running.log.read_text(), "the agent gives up")
            keyframe(running)
            keyframe(running)
            running.settle()
            found = running.until('process.args:"beside" AND process.parent.args:"-c" AND event.action:exec', 1)
            status, log = running.status()["agent"], running.log.read_text()
            os.kill(silent, 0)
    assert found[-1]["process"]["parent"]["args"] == list(SHELL)
    assert found[-1]["process"]["parent"]["pid"] == beside.pid
    assert log.count(LEFT_OUT) == 1, log
    assert f"pid={silent}" in log
    assert status["arguments_unread"] == 1
