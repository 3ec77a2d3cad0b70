"""Agent and worker are killed in the middle of a storm: nothing that was recorded is lost, doubled or changed."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shipper.clock import MOVE_NS
from tests.faults.conftest import Effort
from tests.faults.live import Document, Rig, Span, blind, counts, documents, made_again, nanoseconds, rig
from tests.faults.livestorm import EXEC, FAIL, KINDS, Round, programs, storm
from tests.kernel.dockerd import Dockerd

pytestmark = [pytest.mark.kernel, pytest.mark.faults]

PAUSE_US = 2000
"""Between two rounds, so that the storm leaves a processor to those who restart."""


@dataclass
class Killer:
    """Kills agent and worker at random moments, and remembers when the agent ran undisturbed."""

    live: Rig
    chance: random.Random
    undisturbed: list[Span] = field(default_factory=list)
    ready: int = 0

    def start(self) -> None:
        """Start both."""
        self.live.start_agent()
        self.ready = time.time_ns()
        self.live.start_worker()

    def turn(self) -> None:
        """Wait a moment, kill one or both, and start them again."""
        time.sleep(self.chance.uniform(0, 1))
        whom = self.chance.choice(["agent", "worker", "both"])
        print(f"{datetime.now(UTC)} killing: {whom}")
        if whom != "agent":
            self.live.kill(self.live.worker)
        if whom != "worker":
            self._kill_agent()
        if whom != "agent":
            self.live.start_worker()

    def _kill_agent(self) -> None:
        if self.chance.random() < 0.5:  # else no moment is known up to which all is on disk
            now = time.time_ns()
            self.live.written()
            self.undisturbed.append((self.ready, now))
            time.sleep(self.chance.uniform(0, 0.3))
        self.live.kill(self.live.agent)
        while self.chance.random() < 0.3:
            self.live.start_agent(ready=False)
            time.sleep(self.chance.uniform(0, 1.2))
            self.live.kill(self.live.agent)
        self.live.start_agent()
        self.ready = time.time_ns()


def meet(one: Span, other: Span, margin: int = 0) -> bool:
    """Whether two spans of time have a moment in common."""
    return one[0] <= other[1] + margin and other[0] <= one[1] + margin


def clock_error(rounds: list[Round], found: list[Document]) -> int:
    """By how much a document's time lies outside of what the storm knows, at most."""
    by_argument = {each.argument: each for each in rounds}
    outside = [0]
    for argument, document in programs(found):
        at, known = nanoseconds(document["@timestamp"]), by_argument[argument]
        outside += [known.before - at, at - known.after]
    return max(outside)


def assert_accounted(rounds: list[Round], found: list[Document], spans: list[Span]) -> None:
    """Each program of the storm is one document, or was started while nothing was recorded."""
    started = Counter((argument, d["event"]["outcome"]) for argument, d in programs(found))
    wanted = {(r.argument, "success"): r for r in rounds if r.number % len(KINDS) in {EXEC, FAIL}}
    wanted |= {(r.argument, "failure"): r for r in rounds if r.number % len(KINDS) == FAIL}
    assert not started.keys() - wanted.keys()
    assert [what for what, count in started.items() if count > 1] == []
    missing = [r for what, r in wanted.items() if not started[what]]
    error = clock_error(rounds, found)
    print(f"{len(wanted)} programs, {len(missing)} of them while nothing was recorded; clocks differ by {error} ns")
    assert error <= MOVE_NS
    unaccounted = [r for r in missing if not any(meet((r.before, r.after), span, error) for span in spans)]
    assert unaccounted == [], spans


def test_kills(docker_daemon: Dockerd, tmp_path: Path, effort: Effort, rng: random.Random) -> None:
    """After all kills the store is what the spool says, and each program is stored once or fell into blind time."""
    with (
        rig(docker_daemon, tmp_path, spool_keyframe_seconds=2, enrich_snapshot_seconds=1) as live,
        storm(docker_daemon, tmp_path / "storm") as box,
    ):
        killer = Killer(live, rng)
        killer.start()
        box.begin(pause=PAUSE_US)
        for _ in range(effort.moments):
            killer.turn()
        box.end()
        box.rest()
        live.settle()
        assert live.account(box.container.cgroup_id)["lost"] == {}
        live.stop(live.agent)
        live.settle()
        live.stop(live.worker)
        everything = documents(live.data)
        assert made_again(live, tmp_path / "again") == everything
        spans = [span for _, span in blind(everything)]
        found = live.documents(box.container.id)
        assert not [cause for cause, _ in counts(found) if cause != "stored"]
        causes = {cause for cause, _ in counts(everything)}
        assert causes <= {"stored", "agent_killed", "ring_full"}, "others' containers may lose something in the ring"
        assert_accounted(box.rounds(), found, spans)
        assert not [(span, calm) for span in spans for calm in killer.undisturbed if meet(span, calm)]
