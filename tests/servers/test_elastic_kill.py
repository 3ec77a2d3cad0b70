"""Publishers, workers, the broker and Elasticsearch are killed: in the index stands what would be there without.

As test_kafka_kill.py, with three workers that store in one Elasticsearch: it is killed, stalled and made read-only, and
backing indices are rolled over in the middle of everything. What a worker beside each spool makes undisturbed is the
truth. A key that may only create can't see what stands in older backing indices: there the bound is tested.
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.conftest import Effort, effort, rng, seed
from tests.faults.kept import assert_same
from tests.faults.processes import EAGER
from tests.servers.elastic import Elastic, elastic
from tests.servers.fleet import HOSTS, WORKERS, published
from tests.servers.hasty import NO_LOOK_UP, SENT_IS_STORED
from tests.servers.indexed import TIMEOUT_SECONDS, Indexing, block, indexing, rollover
from tests.servers.kafka import Kafka, topics
from tests.servers.recorded import Recorded, agents, record
from tests.servers.test_kafka_kill import BROKER, MOMENT, PARTITIONS, Trial, everybody

__all__ = ["effort", "rng", "seed"]  # fixtures

pytestmark = [pytest.mark.faults, pytest.mark.kafka, pytest.mark.elasticsearch]

SHORT, LONG = (10, 60), (40, 700)
"""Turns, and ticks of each host's storm."""
NODE, STALL, ROLLOVER, READ_ONLY = "elasticsearch", "stall", "rollover", "read-only"
STALLS = (1, TIMEOUT_SECONDS + 1.5)
"""Seconds for which Elasticsearch stands still: briefly, and longer than a request may take."""
WORKER = WORKERS[1]
"""Who commits all the time."""
BATCH = 150
"""Documents in one write of such a worker."""
BOUND = 2 * BATCH
"""Documents that may be there twice for each rollover in doubt: the write without an answer, and of what was answered
before it, what comes of the piece in whose middle the write begins: a piece is committed when all of it is stored."""
ROLLOVERS = 2
HASTY = "tests.servers.hasty"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elastic]:
    """An Elasticsearch of these tests' own, which they kill and stall; a namespace is a test's own."""
    with elastic(tmp_path_factory.mktemp("elastic")) as own:
        yield own


@pytest.fixture(scope="module")
def recorded(effort: Effort, seed: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """The spools of this run, recorded once, and what must come of them."""
    folder = tmp_path_factory.mktemp("recorded")
    yield record(folder, seed, (LONG if effort.long else SHORT)[1])
    shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Siege(Trial):
    """All of them at work, Elasticsearch too."""

    def strike(self, name: str) -> None:
        """Do to somebody what the name says."""
        assert isinstance(self.fleet, Indexing)
        es, namespace = self.fleet.node, self.fleet.namespace
        match name:
            case "elasticsearch":
                es.kill()
                self._another()
                es.start()
            case "stall":
                seconds = self.rng.choice(STALLS)
                es.pause()
                if self.rng.random() < 0.5:
                    self._another()
                time.sleep(seconds)
                es.resume()
            case "rollover":
                rollover(es, namespace)
            case "read-only":
                block(es, namespace, writes=True)
                self._another()
                self.away()
                block(es, namespace, writes=False)
            case _:
                self.kill(name)

    def _another(self) -> None:
        """A worker is killed meanwhile."""
        worker = self.rng.choice(WORKERS)
        self.told.append(f"{worker} meanwhile")
        self.kill(worker)


@contextmanager
def siege(
    broker: Kafka, es: Elastic, recorded: Recorded, rng: random.Random, folder: Path, turns: int
) -> Iterator[Siege]:
    """All of them at work; behind the block all is published, taken and stored, and is what it must be."""
    with (
        indexing(broker, es, folder / "fleet", topics(broker, PARTITIONS)) as running,
        agents(recorded, running.folder, seconds=turns * MOMENT, share=0) as writing,
    ):
        for name in (*HOSTS, *WORKERS):
            running.start(name)
        made = Siege(running, writing, rng, turns)
        yield made
        for agent in writing:
            agent.share = 1
        running.wait(lambda: all(each.written == each.host.frames for each in writing), "the spools to be written")
        running.drained()
        running.stop()
        print(f"{recorded.records} records, {len(recorded.wanted.documents)} documents")
        assert_same(running.kept(recorded), recorded.wanted, f"--faults-seed {recorded.seed}: {made.told}")


@contextmanager
def doubt(
    broker: Kafka,
    es: Elastic,
    recorded: Recorded,
    folder: Path,
    *,
    reads: bool = True,
    hasty: str = "",
    rollovers: int = ROLLOVERS,
) -> Iterator[Indexing]:
    """A worker is killed whose write has no answer, and indices are rolled over; so some times, then all is stored.

    Each time it first takes a share of what the hosts record, and then has more to write than was answered for.
    """
    settings = topics(broker) | {"HASTY": hasty}
    module = HASTY if hasty else EAGER
    with (
        indexing(broker, es, folder / "fleet", settings, reads=reads, module=module) as running,
        agents(recorded, running.folder, share=0) as writing,
    ):
        for name in HOSTS:
            running.start(name)
        shares = iter(range(1, 2 * rollovers + 2))

        def more() -> None:
            share = next(shares) / (2 * rollovers + 1)
            for each in writing:
                each.share = share

        for _ in range(rollovers):
            more()
            running.start(WORKER)
            running.wait(lambda: all(each.written >= each.share * each.host.frames for each in writing), "the hosts")
            running.drained()
            in_doubt(running, more)
            rollover(es, running.namespace)
        more()
        running.start(WORKER)
        running.wait(lambda: all(each.written == each.host.frames for each in writing), "the spools to be written")
        running.drained()
        running.stop()
        yield running


def in_doubt(running: Indexing, more: Callable[[], None]) -> None:
    """The worker is killed when it waits for an answer, and what it has sent is stored, as far as it goes."""
    running.node.pause()
    try:
        since = time.time_ns()
        more()

        def waits() -> bool:
            told = running.status(WORKER)
            return bool(told and told["time"] > since and told["sink"]["in_flight"])

        running.wait(waits, "a request without an answer")
        running.kill(WORKER)
    finally:
        running.node.resume()
    running.settled()


def test_killed(
    own_broker: Kafka, node: Elastic, recorded: Recorded, rng: random.Random, effort: Effort, tmp_path: Path
) -> None:
    """After SIGKILLs, stalls, a full disk and rollovers nothing is lost, nothing is there twice, nothing differs."""
    turns = (LONG if effort.long else SHORT)[0]
    with siege(own_broker, node, recorded, rng, tmp_path, turns) as running:
        struck = (*HOSTS[:1], *WORKERS, BROKER, NODE, STALL, ROLLOVER, ROLLOVER, READ_ONLY)
        for name in everybody(rng, turns, *struck):
            running.turn(name)
            running.strike(name)


def test_a_rollover_in_doubt(broker: Kafka, node: Elastic, recorded: Recorded, tmp_path: Path) -> None:
    """A key that may read finds what is stored already in the backing indices before: nothing is there twice."""
    with doubt(broker, node, recorded, tmp_path, rollovers=1) as running:
        assert_same(running.kept(recorded), recorded.wanted, f"--faults-seed {recorded.seed}")


def test_a_rollover_in_doubt_with_a_key_that_may_only_create(
    broker: Kafka, node: Elastic, recorded: Recorded, tmp_path: Path
) -> None:
    """Nothing is lost or changed; what was in doubt at a rollover is there twice, and no more than the bound."""
    with doubt(broker, node, recorded, tmp_path, reads=False) as running:
        found = running.copies()
        assert all(len(set(bodies)) == 1 for bodies in found.values()), "two copies differ"
        once = {ident: bodies[0] for ident, bodies in found.items()}
        assert_same(running.called(recorded, once), recorded.wanted, f"--faults-seed {recorded.seed}")
        twice = sum(len(bodies) - 1 for bodies in found.values())
        print(f"{twice} of {len(found)} documents are there twice, after {ROLLOVERS} rollovers in doubt")
        assert 0 < twice <= ROLLOVERS * BOUND
        assert "may not look up what is stored" in running.log.read_text()


def test_a_sink_without_a_look_up_is_noticed(broker: Kafka, node: Elastic, recorded: Recorded, tmp_path: Path) -> None:
    """What it sent before a rollover, without an answer, it sends again: the index has it twice."""
    with (
        doubt(broker, node, recorded, tmp_path, hasty=NO_LOOK_UP, rollovers=1) as running,
        pytest.raises(AssertionError, match="are there twice"),
    ):
        running.kept(recorded)


def test_a_sink_that_counts_sent_as_stored_is_noticed(
    broker: Kafka, node: Elastic, recorded: Recorded, tmp_path: Path
) -> None:
    """What the index refused while it was read-only is lost."""
    settings = topics(broker) | {"HASTY": SENT_IS_STORED}
    with (
        indexing(broker, node, tmp_path / "fleet", settings, module=HASTY) as running,
        agents(recorded, running.folder) as writing,
    ):
        running.wait(lambda: all(each.written == each.host.frames for each in writing), "the spools to be written")
        running.start(HOSTS[0])
        running.wait(lambda: running.group.lag() > 0, "something to be published")
        running.start(WORKER)
        running.wait(lambda: published(running.folder / HOSTS[0] / "spool"), "a host's spool to be published")
        running.wait(lambda: running.group.lag() == 0, "it to be taken")
        block(node, running.namespace, writes=True)
        for name in HOSTS[1:]:
            running.start(name)
        running.drained()
        block(node, running.namespace, writes=False)
        running.stop()
        with pytest.raises(AssertionError, match="documents are lost"):
            assert_same(running.kept(recorded), recorded.wanted, "")
