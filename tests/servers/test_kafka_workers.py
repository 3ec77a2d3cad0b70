"""Workers of a real broker's topic make exactly the documents that workers beside the spools make."""

from __future__ import annotations

import os
import random
import signal
import threading
from functools import partial
from pathlib import Path

import pytest

from tests.servers.crew import Hosts, crew, hosts
from tests.servers.kafka import Kafka, topics


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Hosts:
    """Three hosts."""
    return hosts(tmp_path_factory.mktemp("hosts"), 3, 60)


@pytest.mark.parametrize(("partitions", "workers"), [(1, 1), (4, 3), (100, 3)])
def test_several_workers_one_store(broker: Kafka, some: Hosts, tmp_path: Path, partitions: int, workers: int) -> None:
    """`enrich --workers N --once`: all is stored, once, by so many processes in one store."""
    settings = topics(broker, partitions)
    with crew(broker, settings, tmp_path / "data", "cgtrail") as own:
        own.feed(some, partitions)
        process = own.run("--once", "--workers", str(workers))
        assert process.wait(180) == 0, own.tail()
        own.assert_all(some)


def test_workers_that_are_killed(broker: Kafka, some: Hosts, tmp_path: Path) -> None:
    """SIGKILL, SIGTERM and SIGSTOP at random moments while records come: the same documents, each once."""
    rng = random.Random(11)  # noqa: S311  chance, no secret
    settings = topics(broker, 4)
    with crew(broker, settings, tmp_path / "data") as own:
        for number in range(3):
            own.start(number)
        feeding = threading.Thread(target=lambda: own.feed(some, 4, 0.5, 10))
        feeding.start()
        own.until(lambda: own.status(0).get("assigned"), "a first partition")
        for _ in range(8):
            number = rng.randrange(3)
            how = rng.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP))
            threading.Event().wait(rng.uniform(0.2, 2))
            if how is signal.SIGSTOP:  # longer than its session: others go on, and then it wakes up
                own.running[number].send_signal(how)
                threading.Event().wait(4)
                own.running[number].send_signal(signal.SIGCONT)
            else:
                code = own.end(number, how)
                assert code in {0, -how}, own.tail()  # who has only just begun knows no signals yet
                own.start(number)
        feeding.join()
        own.until(lambda: all(map(own.status, range(3))), "all at work")
        codes = [own.end(number) for number in range(3)]
        own.finish()
        own.assert_all(some, "seed 11")
        assert codes == [0, 0, 0], own.tail()


def test_a_storm_of_rebalances(broker: Kafka, some: Hosts, tmp_path: Path) -> None:
    """Members come and go all the time, without names: nobody waits for them."""
    settings = topics(broker, 4)
    with crew(broker, settings, tmp_path / "data") as own:
        own.start(0)
        feeding = threading.Thread(target=lambda: own.feed(some, 4, 0.5, 10))
        feeding.start()
        for turn in range(6):
            own.start(1 + turn % 3, CGTRAIL_KAFKA_INSTANCE=f"turn{turn}")
            own.until(partial(own.status, 1 + turn % 3), "its status")
            if turn:
                assert own.end(1 + (turn - 1) % 3) == 0, own.tail()
        feeding.join()
        for number in list(own.running):
            assert own.end(number) == 0, own.tail()
        own.finish()
        own.assert_all(some)


def test_a_worker_that_dies_is_started_again(broker: Kafka, some: Hosts, tmp_path: Path) -> None:
    """`enrich --workers`: the child is killed, another one takes its place; SIGTERM ends all in order."""
    settings = topics(broker, 2)
    with crew(broker, settings, tmp_path / "data", "cgtrail") as own:
        parent = own.run("--workers", "2")
        own.running[99] = parent
        feeding = threading.Thread(target=lambda: own.feed(some, 2, 0.2))
        feeding.start()

        def child(number: int) -> int:
            file = own.data / f"enrich.sqlite{f'.{number}' if number else ''}.lock"
            text = file.read_text().strip() if file.exists() else ""
            return int(text) if text.isdigit() else 0

        own.until(lambda: child(0) and child(1), "two workers")
        first = child(1)
        os.kill(first, signal.SIGKILL)
        own.until(lambda: own.said("a worker ended; it is started again"), "the parent's notice")
        own.until(lambda: child(1) not in {0, first}, "another worker")
        feeding.join()
        assert own.end(99) == 0, own.tail()
        with pytest.raises(ProcessLookupError):
            os.kill(child(1), 0)
        own.finish()
        own.assert_all(some)
