"""A real agent, people who type and programs that start, while publisher, worker, broker and agent are killed.

What reached the spool is in the store exactly once, as a worker beside the spool would have it; the rest is counted,
or its time is told.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from shipper.publish import STATUS
from shipper.status import read_status
from tests.faults.conftest import Effort, effort, rng, seed
from tests.faults.kept import assert_same, kept, undisturbed
from tests.faults.live import Rig, blind, counts, documents, rig
from tests.faults.livestorm import storm
from tests.faults.test_live_kills import assert_accounted
from tests.faults.typed import HIDDEN, NAME, session
from tests.kernel.conftest import docker_daemon, trigger_programs
from tests.kernel.dockerd import Dockerd, wait_until
from tests.kernel.furnished import furnished
from tests.servers.fleet import PATIENCE, published
from tests.servers.group import Group
from tests.servers.kafka import Kafka, topics

__all__ = ["docker_daemon", "effort", "rng", "seed", "trigger_programs"]  # fixtures

pytestmark = [pytest.mark.kernel, pytest.mark.faults, pytest.mark.kafka]

SHORT, LONG = 5, 25
"""Kills."""
MOMENT, PAUSE_US = 4.0, 10_000
"""Seconds between two kills, at the most; microseconds from one round of the storm to the next."""
BLIND = {"agent_killed", "ring_full"}
"""Why records may be missing: neighbours on this machine may lose something in the ring."""


@dataclass
class Live:
    """An agent, the publisher that it starts, a worker and a broker."""

    rig: Rig
    broker: Kafka
    group: Group
    rng: random.Random
    killed: list[str] = field(default_factory=list)

    def moment(self) -> None:
        """Some time passes."""
        time.sleep(self.rng.uniform(0, MOMENT))

    def kill(self, name: str) -> None:
        """A moment passes, then one is killed and begins again."""
        self.moment()
        self.killed.append(name)
        print(f"killing: {name}", flush=True)
        match name:
            case "publisher":
                os.kill(self._publisher(), signal.SIGKILL)
            case "worker":
                self.rig.kill(self.rig.worker)
                self.rig.start_worker()
            case "agent":
                self.rig.kill(self.rig.agent)
                self.rig.start_agent()
            case "broker":
                self.broker.kill()
                self.broker.start()

    def _publisher(self) -> int:
        """The process that the agent runs now, once it has one: it waits before it starts the next."""
        file, found = self.rig.data / STATUS, [0]

        def runs() -> bool:
            found[0] = int(read_status(file).get("pid", 0))
            return found[0] > 0 and _alive(found[0])

        wait_until(runs, f"a publisher; {self.rig.said()}", PATIENCE)
        return found[0]

    def drained(self) -> None:
        """Wait until all that the spool holds is published and stored."""
        wait_until(lambda: published(self.rig.data / "spool"), f"all to be published; {self.rig.said()}", PATIENCE)
        wait_until(lambda: self.group.lag() == 0, f"all to be stored; {self.rig.said()}", PATIENCE)


def _alive(pid: int) -> bool:
    """Whether a process runs: one that has ended and was not waited for does not."""
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@contextmanager
def live(daemon: Dockerd, broker: Kafka, folder: Path, rng: random.Random) -> Iterator[Live]:
    """All of them at work."""
    settings = topics(broker, 2)
    own = {name.removeprefix("CGTRAIL_"): value for name, value in settings.items()}
    with rig(daemon, folder, spool_keyframe_seconds=2, enrich_snapshot_seconds=1, **own) as made:
        made.start_agent()
        made.start_worker()
        yield Live(made, broker, Group.of(broker, settings), rng)


@pytest.mark.parametrize("agent", [False, True])
def test_live(
    docker_daemon: Dockerd, own_broker: Kafka, effort: Effort, rng: random.Random, tmp_path: Path, agent: bool
) -> None:
    """The store is what the spool says; without kills of the agent, every line and every program is there."""
    names = ["publisher", "worker", "broker"] + ["agent"] * agent
    names += [rng.choice(names) for _ in range((LONG if effort.long else SHORT) - len(names))]
    with (
        live(docker_daemon, own_broker, tmp_path, rng) as running,
        storm(docker_daemon, tmp_path / "storm") as box,
        furnished(docker_daemon, {}, name=NAME) as desk,
        ThreadPoolExecutor(1) as somebody,
    ):
        typing = somebody.submit(session, docker_daemon, desk)
        box.begin(pause=PAUSE_US)
        for name in names:
            running.kill(name)
        lines = typing.result(PATIENCE)
        box.end()
        box.rest()
        made = running.rig
        made.written()
        made.stop(made.agent)
        made.command("publish", "--once")  # the agent's own may have been killed last
        running.drained()
        made.stop(made.worker)
        wanted = undisturbed(made.data, tmp_path / "beside", forks=True)
        assert_same(kept(made.data), wanted, f"--faults-seed, killed {running.killed}")
        everything = documents(made.data)
        assert {cause for cause, _ in counts(everything)} <= {"stored"} | (BLIND if agent else {"ring_full"})
        found = documents(made.data, container=box.container.id)
        assert_accounted(box.rounds(), found, [span for _, span in blind(everything)])
        assert_typed(documents(made.data, "event.action:command_started", desk.id), lines, whole=not agent)


def assert_typed(found: list[dict[str, object]], lines: list[str], *, whole: bool) -> None:
    """The lines that were typed are there once; all of them, if what was typed is `whole`."""
    told = [json.loads(json.dumps(each))["cgtrail"]["command"] for each in found]
    sure = Counter(each["line"] for each in told if whole or not each.get("reasons"))
    assert sure <= Counter(lines)
    assert sure == Counter(lines) or not whole
    assert HIDDEN not in json.dumps(found)
