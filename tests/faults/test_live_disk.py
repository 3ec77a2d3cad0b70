"""A disk that is full for a while: the agent lives on, counts what it can't write, and recovers by itself."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from shipper.wire.records import AgentStart, KeyframeBegin
from tests.faults.live import Rig, blind, by_cause, by_record, counts, documents, rig
from tests.faults.livestorm import done, programs, storm
from tests.kernel.capture import TRIGGER
from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Dockerd, wait_until

pytestmark = [pytest.mark.kernel, pytest.mark.faults]

DISK = "128m"
"""More than all documents take, also those of other containers."""
ROUNDS = 100
FULL, AGAIN = "the spool can't be written: records are counted", "the spool can be written again"


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "cgtrail-test", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(file: Path) -> None:
    """Take all room that is left for a file, to the byte."""
    with file.open("ab", buffering=0) as opened:
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while opened.write(b"\n" * size):
                    pass


def keyframes(live: Rig) -> int:
    """How many keyframes stand in the spool."""
    return sum(isinstance(record, KeyframeBegin) for record in live.records())


def test_full_disk(docker_daemon: Dockerd, tmp_path: Path) -> None:
    """A full disk costs what is told, to the record; with room again, a keyframe makes all as it was."""
    with small_disk(tmp_path / "data") as disk, rig(docker_daemon, tmp_path) as live:
        live.start_agent()
        live.start_worker()
        with storm(docker_daemon, tmp_path / "storm", name="stormy") as box:
            live.settle()
            before = by_record(counts(live.documents(box.container.id)))
            box.batch(ROUNDS)
            agent, frames = live.facts()["pid"], keyframes(live)
            fill(disk / "filler")
            box.batch(ROUNDS)
            wait_until(lambda: FULL in live.log.read_text(), "the agent notices")
            fill(disk / "filler")
            with docker_daemon.container("busybox", *FOREVER, name="while-full") as meanwhile:
                box.batch(ROUNDS)
                wait_until(lambda: bool(live.facts()["spool_error"]), "status knows it")
                assert "disk      the spool can't be written" in live.command("status").stdout
                (disk / "filler").unlink()
                wait_until(lambda: AGAIN in live.log.read_text(), "the agent recovers")
                last = box.batch(ROUNDS)
                live.settle()
                live.assert_healed(meanwhile, "while-full")
            found = live.documents(box.container.id)
            assert by_cause(counts(found)).keys() == {"disk"}
            assert by_record(counts(found)) - before == done(box.rounds())
            assert live.account(box.container.cgroup_id)["lost"] == dict(by_cause(counts(found)))
        assert live.facts()["pid"] == agent
        assert keyframes(live) > frames
        said = [line for line in live.log.read_text().splitlines() if FULL in line or AGAIN in line]
        assert [FULL in line for line in said] == [True, False], said
        assert dict(programs(found))[last[0].argument]["process"]["parent"]["args"] == [TRIGGER, "storm", "/storm"]


def test_full_from_the_start(docker_daemon: Dockerd, tmp_path: Path) -> None:
    """An agent that starts on a full disk, its log on it too, tells of the blind time once there is room."""
    with small_disk(tmp_path / "data") as disk, rig(docker_daemon, tmp_path, log="data/log") as live:
        live.start_agent()
        live.start_worker()
        with storm(docker_daemon, tmp_path / "storm", name="stormy") as box:
            live.settle()
            before = by_record(counts(live.documents(box.container.id)))
            live.kill(live.agent)
            unseen = box.batch(ROUNDS)
            fill(disk / "filler")
            fill(live.log)
            live.start_agent()
            began = time.time_ns()
            fill(disk / "filler")
            seen = box.batch(ROUNDS)
            assert sum(isinstance(record, AgentStart) for record in live.records()) == 1
            (disk / "filler").unlink()
            wait_until(lambda: live.facts()["spool_error"] is None, "the agent recovers")
            live.settle()
            found = live.documents(box.container.id)
            assert by_record(counts(found)) - before == done(seen)
            assert {d["cgtrail"]["attribution"] for _, d in programs(found)} == {"exact"}
        ((cause, (start, end)),) = blind(documents(live.data))
        assert cause == "agent_killed"
        assert start <= unseen[0].before
        assert unseen[-1].after <= end <= began <= seen[0].before


@pytest.mark.parametrize("kill", [True, False], ids=["killed", "stopped"])
def test_the_end_on_a_full_disk(docker_daemon: Dockerd, tmp_path: Path, kill: bool) -> None:
    """What an agent refused and could not tell before it ended lies in the blind time that the next one tells."""
    with small_disk(tmp_path / "data") as disk, rig(docker_daemon, tmp_path, spool_keyframe_seconds=1) as live:
        live.start_agent()
        live.start_worker()
        with storm(docker_daemon, tmp_path / "storm", name="stormy") as box:
            live.settle()
            fill(disk / "filler")
            unseen = box.batch(ROUNDS)
            wait_until(lambda: FULL in live.log.read_text(), "the agent notices")
            keyframed = live.facts()["keyframe_time"]
            fill(disk / "filler")
            wait_until(lambda: live.facts()["keyframe_time"] > keyframed + 2 * 10**9, "keyframes tried on a full disk")
            (live.kill if kill else live.stop)(live.agent)
            (disk / "filler").unlink()
            live.start_agent()
            seen = box.batch(ROUNDS)
            live.settle()
            found = live.documents(box.container.id)
        spans = [span for _, span in blind(documents(live.data))]
        stored = dict(programs(found))
        covered = [one for one in unseen if any(start <= one.before and one.after <= end for start, end in spans)]
        left = [one for one in unseen if one not in covered and one.argument not in stored]
        lost = counts(found)["disk", "Exec"] + counts(found)["disk", "ExecFailed"]
        assert len(left) in {0, lost}, (left, counts(found), spans)
        assert sum(one.argument in stored for one in seen) >= done(seen)["Exec"]
