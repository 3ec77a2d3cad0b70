"""Publishers, workers and the broker are killed at random moments: documents and dead letters are what they would be.

Three hosts' spools, recorded before, are written again while publishers send them and three workers store what comes of
them, in one store. What a worker beside each spool makes undisturbed is the truth.
"""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.conftest import Effort, effort, rng, seed
from tests.faults.kept import assert_same
from tests.servers.fleet import HOSTS, WORKERS, Fleet, fleet
from tests.servers.kafka import Kafka, topics
from tests.servers.recorded import Agent, Recorded, agents, record

__all__ = ["effort", "rng", "seed"]  # fixtures

pytestmark = [pytest.mark.faults, pytest.mark.kafka]

SHORT, LONG = (9, 90), (30, 1050)
"""Turns, and ticks of each host's storm."""
LEAST = 200_000
"""Records, of the long form."""
PARTITIONS = 4
BROKER = "broker"
MOMENT, AWAY = 1.5, 0.5
"""Seconds, at the most: from one turn's end to the next, and until who was killed begins again."""
STALLS = (1, 7, 20)
"""Seconds for which a broker stands still: briefly, as long as a session lives, and longer."""


@dataclass
class Trial:
    """All of them at work, and what was done to them."""

    fleet: Fleet
    agents: list[Agent]
    rng: random.Random
    turns: int
    turned: int = 0
    told: list[str] = field(default_factory=list)

    def turn(self, what: str) -> None:
        """The hosts record some more, a moment passes, and something is done, which is remembered."""
        moment = self.rng.uniform(0, MOMENT)
        self.turned += 1
        for agent in self.agents:
            agent.share = self.turned / (self.turns + 1)
        time.sleep(moment)
        self.told.append(f"{what} {moment:.3f}")
        print(f"{moment:.3f} s later: {what}", flush=True)

    def away(self) -> None:
        """Some time passes until who was ended begins again."""
        time.sleep(self.rng.uniform(0, AWAY))

    def kill(self, name: str) -> None:
        """Kill the broker or another by its name, and start it again; others are killed while the broker is away."""
        if name == BROKER:
            self.fleet.broker.kill()
            for other in (self.rng.choice(HOSTS), self.rng.choice(WORKERS))[: self.rng.randint(1, 2)]:
                self.away()
                self.told.append(f"{other} meanwhile")
                self.kill(other)
            self.away()
            self.fleet.broker.start()
        else:
            self.fleet.kill(name)
            self.away()
            self.fleet.start(name)

    def end(self, name: str) -> None:
        """Ask one to end, and start it again."""
        assert self.fleet.kill(name, signal.SIGTERM) == 0, self.fleet.tail()
        self.away()
        self.fleet.start(name)


def _writing(recorded: Recorded, folder: Path, turns: int) -> AbstractContextManager[list[Agent]]:
    """Agents that still write, mostly, when somebody is killed."""
    return agents(recorded, folder, seconds=turns * MOMENT, share=0)


@contextmanager
def trial(broker: Kafka, recorded: Recorded, rng: random.Random, folder: Path, turns: int) -> Iterator[Trial]:
    """All of them at work; behind the block all is published, taken and stored, and is what it must be."""
    settings = topics(broker, PARTITIONS)
    with fleet(broker, folder / "fleet", settings) as running, _writing(recorded, running.folder, turns) as writing:
        for name in (*HOSTS, *WORKERS):
            running.start(name)
        made = Trial(running, writing, rng, turns)
        yield made
        for agent in writing:
            agent.share = 1
        running.wait(lambda: all(each.written == each.host.frames for each in writing), "the spools to be written")
        running.drained()
        running.stop()
        print(f"{recorded.records} records, {len(recorded.wanted.documents)} documents")
        assert_same(running.kept(recorded), recorded.wanted, f"--faults-seed {recorded.seed}: {made.told}")


@pytest.fixture(scope="module")
def recorded(effort: Effort, seed: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """The spools of this run, recorded once, and what must come of them."""
    folder = tmp_path_factory.mktemp("recorded")
    found = record(folder, seed, (LONG if effort.long else SHORT)[1])
    assert found.records >= LEAST or not effort.long
    yield found
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def turns(effort: Effort) -> int:
    """How often something is done to somebody."""
    return (LONG if effort.long else SHORT)[0]


@pytest.fixture
def long(effort: Effort) -> None:
    """Only in the long form."""
    if not effort.long:
        pytest.skip("with --faults-long")


def everybody(rng: random.Random, turns: int, *names: str) -> list[str]:
    """Who is struck, in turn: everybody at least once."""
    found = [*names, *(rng.choice(names) for _ in range(turns - len(names)))]
    rng.shuffle(found)
    return found


def test_killed(own_broker: Kafka, recorded: Recorded, rng: random.Random, turns: int, tmp_path: Path) -> None:
    """After SIGKILLs of publishers, workers and the broker nothing is lost, nothing is there twice, nothing differs."""
    with trial(own_broker, recorded, rng, tmp_path, turns) as running:
        for name in everybody(rng, turns, *HOSTS, *WORKERS, BROKER):
            running.turn(name)
            running.kill(name)


@pytest.mark.usefixtures("long")
def test_ended(own_broker: Kafka, recorded: Recorded, rng: random.Random, turns: int, tmp_path: Path) -> None:
    """Publishers and workers are asked to end in mid-run: they do so well, and the next ones go on."""
    with trial(own_broker, recorded, rng, tmp_path, turns) as running:
        for name in everybody(rng, turns, *HOSTS, *WORKERS):
            running.turn(name)
            running.end(name)


@pytest.mark.usefixtures("long")
def test_stalled(own_broker: Kafka, recorded: Recorded, rng: random.Random, tmp_path: Path) -> None:
    """The broker stands still for a while, its connections stay."""
    with trial(own_broker, recorded, rng, tmp_path, len(STALLS)) as running:
        for seconds in STALLS:
            running.turn(f"stalled for {seconds} s")
            own_broker.pause()
            time.sleep(seconds)
            own_broker.resume()


@pytest.mark.usefixtures("long")
def test_rebalances(own_broker: Kafka, recorded: Recorded, rng: random.Random, turns: int, tmp_path: Path) -> None:
    """Further workers come and go all the time, well or killed: partitions change hands in the middle of everything."""
    with trial(own_broker, recorded, rng, tmp_path, turns) as running:
        for number in range(len(WORKERS), len(WORKERS) + turns):
            name = f"worker{number}"
            running.turn(f"{name} comes")
            running.fleet.start(name)
            time.sleep(rng.uniform(0, 2 * MOMENT))
            if rng.random() < 0.5:
                running.fleet.kill(name)
            else:
                assert running.fleet.kill(name, signal.SIGTERM) == 0, running.fleet.tail()
