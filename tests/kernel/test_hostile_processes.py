"""Processes that lie about themselves, use a number again or multiply are documented as what they are."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.capture import TRIGGER
from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Container, Dockerd, wait_until
from tests.kernel.spine import Spine, spine

pytestmark = pytest.mark.kernel

BOMB = 5000
CONFIG = "[spool]\nkeyframe_seconds = 1\n[documents]\nforks = true\n"


@pytest.fixture(scope="module")
def running(docker_daemon: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spine]:
    """cgtrail at work for the module, with a keyframe a second and documents of forks."""
    folder = tmp_path_factory.mktemp("spine")
    config = folder / "cgtrail.toml"
    config.write_text(CONFIG)
    with spine(docker_daemon, folder / "data", "--quiet", "--config", str(config)) as started:
        yield started


@pytest.fixture(scope="module")
def box(docker_daemon: Dockerd, running: Spine) -> Iterator[Container]:
    """A container made while cgtrail runs, whose process ids are the host's and may be chosen."""
    options = {"pid_mode": "host", "cap_add": ["SYS_ADMIN"], "security_opt": ["seccomp=unconfined"]}
    with docker_daemon.container("triggers", *FOREVER, name="hostile-box", **options) as made:
        yield made


def keyframe(running: Spine) -> None:
    """Wait for a keyframe that is yet to begin."""
    before = running.status()["agent"]["keyframe_time"]
    wait_until(lambda: running.status()["agent"]["keyframe_time"] > before, "a keyframe")


@pytest.mark.parametrize("how", ["lie-memory", "lie-map"])
def test_lie(running: Spine, box: Container, how: str) -> None:
    """What a process was started with stays in its documents and its children's, through keyframes, to its end."""
    started, mark = [TRIGGER, how, f"of-{how}"], f"of-{how}"
    box.handle.exec_run(started, detach=True)
    running.until(f'process.args:"nothing" AND process.args:"{mark}" AND event.action:exec', 1)
    (begin,) = running.search(f'process.args:"{how}" AND event.action:exec')
    shown = Path(f"/proc/{begin['process']['pid']}/cmdline").read_bytes()
    keyframe(running)
    keyframe(running)
    before = len(running.search(f'process.args:"nothing" AND process.args:"{mark}" AND event.action:exec'))
    running.until(f'process.args:"nothing" AND process.args:"{mark}" AND event.action:exec', before + 2)
    os.kill(begin["process"]["pid"], signal.SIGKILL)
    (end,) = running.until(f'process.args:"{how}" AND event.action:end', 1)
    children = running.search(f'process.args:"nothing" AND process.args:"{mark}"')
    assert how.encode() not in shown, "it did not lie"
    assert begin["process"]["args"] == end["process"]["args"] == started
    assert {document["process"]["name"] for document in (begin, end)} == {"trigger"}
    assert end["cgtrail"]["process"]["comm"] == "innocent"
    assert "partial" not in end["cgtrail"]
    assert {tuple(child["process"]["parent"]["args"]) for child in children} == {tuple(started)}
    assert {child["process"]["parent"]["entity_id"] for child in children} == {begin["process"]["entity_id"]}


def test_pid_again(running: Spine, box: Container) -> None:
    """Two lives of one process id are two, and the children of each are its own."""
    box.run(TRIGGER, "pid-again", "life")
    lives = [running.until(f'process.args:"life-{number}" AND event.action:end', 1)[0] for number in (1, 2)]
    running.until('process.parent.args:"life-2" AND event.action:end', 1)
    assert lives[0]["process"]["pid"] == lives[1]["process"]["pid"]
    assert lives[0]["process"]["entity_id"] != lives[1]["process"]["entity_id"]
    assert lives[0]["process"]["start"] < lives[0]["process"]["end"] < lives[1]["process"]["start"]
    for number, life in enumerate(lives, 1):
        children = running.search(f'process.parent.args:"life-{number}"')
        assert [child["event"]["action"] for child in children] == ["fork", "exec", "end"]
        assert {child["process"]["parent"]["entity_id"] for child in children} == {life["process"]["entity_id"]}


def test_fork_bomb(running: Spine, docker_daemon: Dockerd, box: Container) -> None:
    """Of five thousand processes at once each is stored or counted as lost, and another container loses nothing."""
    with docker_daemon.container("triggers", *FOREVER, name="bomb", pids_limit=-1) as bomb:
        box.run(TRIGGER, "nothing", "beside-bomb-1")
        bomb.run(TRIGGER, "fork-bomb", str(BOMB))
        box.run(TRIGGER, "nothing", "beside-bomb-2")
        running.until('process.args:"beside-bomb-2" AND event.action:end', 1)
        running.settle()
        (accounts,) = running.status()["worker"]["accounts"].values()  # of the one stream
        account, other = accounts[str(bomb.cgroup_id)], accounts[str(box.cgroup_id)]
        forks, ends = (running.search(f'process.args:"fork-bomb" AND event.action:{kind}') for kind in ("fork", "end"))
    lost = account["lost"]
    assert account["seen"] == account["received"] + sum(lost.values())
    assert account["seen"] > 2 * BOMB
    assert BOMB - sum(lost.values()) <= len(forks) <= BOMB
    assert len(forks) + len(ends) + sum(lost.values()) >= 2 * BOMB + 1
    assert other["lost"] == {}
