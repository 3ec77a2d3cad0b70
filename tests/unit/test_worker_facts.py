"""What a worker tells of itself is so: that its loop turns, that its store takes nothing, and what it lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cgtrail.halves import worker_on
from cgtrail.metrics import WORKER
from cgtrail.serving import hangs
from enrich import delivery
from enrich.document import Document
from enrich.sinks import OK, Outcome, Sink, Status
from enrich.sinks.memory import MemorySink
from enrich.worker import Worker
from tests.kernel.dockerd import wait_until
from tests.unit.frames import HOST, ID, chained, commit, stream_in, write


class Store:
    """A store that answers as a test wants."""

    def __init__(self) -> None:
        self.answer, self.asked, self.outcome = threading.Event(), threading.Event(), OK

    def write(self, documents: Sequence[Document]) -> Sequence[Outcome]:
        """When it may."""
        self.asked.set()
        assert self.answer.wait(60)
        return [self.outcome] * len(documents)

    def close(self) -> None:
        """Nothing is open."""


def spool(data: Path) -> None:
    """A stream of which frame 1 is missing."""
    stream = stream_in(data / "spool")
    frames = chained(b"", b"", b"")
    write(stream, [frames[0]])
    write(stream, [frames[2]])
    commit(stream, 3)


@contextmanager
def at_work(data: Path, sink: Sink) -> Iterator[Worker]:
    """A worker that follows the spool in a thread."""
    stop = threading.Event()
    with worker_on(data, "memory", sink, stop) as worker:
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            yield worker
        finally:
            stop.set()
            thread.join(60)


def ready(worker: Worker) -> str | None:
    """Why it is not, as its probe says."""
    return WORKER.unready(worker.facts())


def test_losses_are_counted_by_cause(tmp_path: Path) -> None:
    """Of each document about a loss that the store took for the first time, and of each stream how many frames."""
    spool(tmp_path)
    with worker_on(tmp_path, "memory", MemorySink(), threading.Event()) as worker:
        worker.run(follow=False)
        facts = worker.facts()
    (lost,) = (metric.read(facts) for metric in WORKER.metrics if metric.name == "cgtrail_worker_losses")
    assert isinstance(lost, dict)
    assert lost["frame_missing"] == 1
    (stream,) = (partition["streams"][ID.hex()] for partition in facts["partitions"].values())
    assert (stream["host"], stream["frame"], stream["holes"], stream["refused"]) == (HOST.hex(), 3, 1, 0)


def test_a_store_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker is not ready, and alive: its loop turns beside the write; once it answers all is well."""
    monkeypatch.setattr(delivery, "SLOW_SECONDS", 0.1)
    spool(tmp_path)
    store = Store()
    with at_work(tmp_path, store) as worker:
        assert store.asked.wait(60)
        wait_until(lambda: ready(worker) is not None, "the probe to notice", 60)
        assert "a write goes on for" in str(ready(worker))
        before = worker.facts()["turned"]
        wait_until(lambda: worker.facts()["turned"] > before, "another turn", 60)
        assert hangs(worker.facts(), 0) is None
        store.answer.set()
        wait_until(lambda: ready(worker) is None, "the probe to notice the end", 60)


def test_a_store_that_takes_nothing(tmp_path: Path) -> None:
    """Its reason is told for as long as it holds."""
    spool(tmp_path)
    store = Store()
    store.outcome = Outcome(Status.RETRY, "the disk is full")
    store.answer.set()
    with at_work(tmp_path, store) as worker:
        wait_until(lambda: ready(worker) is not None, "a refusal", 60)
        assert ready(worker) == "the store takes nothing: the disk is full"
        store.outcome = OK
        wait_until(lambda: ready(worker) is None, "the store to take it", 60)


def test_what_can_not_be_noted_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that can't commit is not ready either."""
    spool(tmp_path)
    full: list[Any] = [OSError(28, "No space left on device")]
    with worker_on(tmp_path, "memory", MemorySink(), threading.Event()) as worker:
        commit_it = worker.source.commit

        def refused(*places: Any, **how: Any) -> None:
            if full:
                raise full[0]
            commit_it(*places, **how)

        monkeypatch.setattr(worker.source, "commit", refused)
        worker.stop.set()
        worker.run(follow=False)
        assert "No space left" in str(ready(worker))
        full.clear()
        worker.run(follow=False)
        assert ready(worker) is None
