"""The worker and a log of several hosts: whoever slows it down or takes a partition away, each document comes once."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cgtrail.halves import worker_with
from enrich import delivery
from enrich import worker as workers
from enrich.checkpoint import SqliteCheckpoints
from enrich.document import Document
from enrich.letters import DeadLetters
from enrich.mark import Mark
from enrich.sinks import Outcome, Sink, Status
from enrich.sinks.memory import MemorySink
from enrich.sources import Refused, SourceError, Taken, Taker
from enrich.worker import Worker
from shipper.wire.message import MessageError
from tests.unit.fickle import Fickle
from tests.unit.logged import NAME, Agent, LogSource, bodies, merged, partition, placed, take
from tests.unit.spooled import losses


@pytest.fixture
def log(tmp_path: Path) -> list[Taken | Refused]:
    """Three hosts' streams in one partition."""
    agents = [Agent(tmp_path, b"%d" % n * 16, b"%dh" % n * 8).programs(n + 2, 4 + n) for n in range(3)]
    return merged(*(agent.taken([*agent.pieces, agent.end]) for agent in agents))


@dataclass
class Own:
    """What outlives a worker."""

    folder: Path
    ahead: bool = False
    stack: ExitStack = field(default_factory=ExitStack)

    def worker(self, source: LogSource, sink: Sink, stop: threading.Event | None = None) -> Worker:
        """A worker that keeps a snapshot whenever it can."""
        checkpoints = self.stack.enter_context(closing(SqliteCheckpoints(self.folder / "state.db")))
        letters = self.stack.enter_context(closing(DeadLetters(self.folder / "letters.db")))
        mark = self.stack.enter_context(closing(Mark(self.folder / "mark", checkpoints)))
        stop = stop or threading.Event()
        return worker_with(source, checkpoints, letters, mark, sink, stop, snapshot_seconds=0, ahead=self.ahead)


@pytest.fixture(params=[False, True], ids=["", "ahead"])
def own(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Own]:
    """What outlives the workers of a test, which take pieces while they write, or not."""
    made = Own(tmp_path, request.param)
    with made.stack:
        yield made


def whole(log: list[Taken | Refused]) -> list[tuple[str, bytes]]:
    """The documents of an undisturbed run."""
    return sorted(bodies(take(partition(), log).made.documents))


class Slow(MemorySink):
    """Each write waits until somebody lets it end."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def write(self, batch: Sequence[Document]) -> list[Outcome]:
        """Waits as long as it takes."""
        assert self.go.wait(60)
        return super().write(batch)


def test_all_of_it(log: list[Taken | Refused], own: Own) -> None:
    """Every document is stored once, the last place is committed durably, and a snapshot is of that place."""
    source, sink = LogSource(log), MemorySink()
    worker = own.worker(source, sink)
    worker.run(follow=False)
    assert sorted(bodies(sink.documents.values())) == whole(log)
    assert worker.counts["duplicate"] == 0
    assert source.committed == len(log)
    assert (len(log), True) in source.commits
    assert worker.checkpoints.load(NAME, worker._schema, len(log))[0].position == len(log)


@pytest.mark.parametrize("each", [1, 5])
def test_taken_over_at_every_place(log: list[Taken | Refused], own: Own, each: int) -> None:
    """A worker that is gone without a word is followed by one that goes on at the last commit and snapshot."""
    sink = MemorySink()
    source = LogSource(log, each)
    while source.committed < len(log):
        worker = own.worker(source, sink)
        for _ in range(2):
            worker._round()
        source.at = -1
    assert sorted(bodies(sink.documents.values())) == whole(log)


def test_a_snapshot_waits_for_a_commit_that_nobody_waited_for(log: list[Taken | Refused], own: Own) -> None:
    """It may have failed: where nothing came since, the same place is committed surely before a snapshot is of it."""
    source = LogSource(log)
    worker = own.worker(source, MemorySink())
    worker.snapshot_seconds = 1e9
    while worker._round() or source.committed < len(log):
        pass
    assert {surely for _, surely in source.commits} == {False}
    worker.snapshot_seconds = worker._progress.committed = 0
    worker._round()
    assert source.commits[-2:] == [(len(log), True), (len(log), False)]
    assert worker.counts["snapshots"] == 1


def test_a_snapshot_is_stored_behind_a_durable_commit(log: list[Taken | Refused], own: Own) -> None:
    """No snapshot is of a place that is not surely committed."""
    source = LogSource(log)
    worker = own.worker(source, MemorySink())
    while worker._round():
        for snapshot in worker.checkpoints.load(NAME, worker._schema, 1 << 60):
            assert snapshot.position in {place for place, surely in source.commits if surely}


def test_a_slow_write(log: list[Taken | Refused], own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a write takes its time the source is told to wait, again and again, and nothing is committed."""
    monkeypatch.setattr(workers, "PATIENCE_SECONDS", 0)
    sink = Slow()

    def meanwhile(_: Taker) -> None:
        assert source.committed == 0
        if source.waits == 5:
            sink.go.set()

    source = LogSource(log, each=len(log), meanwhile=meanwhile)
    own.worker(source, sink).run(follow=False)
    assert source.waits >= 5
    assert sorted(bodies(sink.documents.values())) == whole(log)


@pytest.mark.parametrize("lost", [False, True])
def test_left_during_a_write(
    log: list[Taken | Refused], own: Own, monkeypatch: pytest.MonkeyPatch, *, lost: bool
) -> None:
    """A partition that goes while its documents are written is not committed; its next owner makes them again."""
    monkeypatch.setattr(workers, "PATIENCE_SECONDS", 0)
    monkeypatch.setattr(workers, "LEAVE_SECONDS", 0)
    sink = Slow()

    def meanwhile(taker: Taker) -> None:
        if source.waits == 2:
            source.left(taker, lost=lost)
        elif source.waits == 4:
            sink.go.set()

    source = LogSource(log, each=len(log) // 2, meanwhile=meanwhile)
    first = own.worker(source, sink)
    first.run(follow=False)
    assert (source.committed, first.partitions) == (0, {})
    second = own.worker(LogSource(log), sink)
    second.run(follow=False)
    assert second.counts["duplicate"] == first.counts["ok"] > 0
    assert sorted(bodies(sink.documents.values())) == whole(log)


@pytest.mark.parametrize("lost", [False, True])
def test_left_in_order(log: list[Taken | Refused], own: Own, *, lost: bool) -> None:
    """Who leaves stores, commits and keeps what is known, so that nothing is read or sent again; lost, he does not."""
    source, sink = LogSource(log, each=10), MemorySink()
    worker = own.worker(source, sink)
    worker.snapshot_seconds = 1e9
    worker.source.read(worker, 0)
    source.left(worker, lost=lost)
    assert source.committed == (0 if lost else 10)
    assert len(worker.checkpoints.load(NAME, worker._schema, 10)) == (0 if lost else 1)
    source.at = -1
    after = own.worker(source, sink)
    after.run(follow=False)
    assert after.counts["duplicate"] == 0
    assert after.counts["frames"] == sum(isinstance(each, Taken) for each in log[0 if lost else 10 :]) - 3
    assert sorted(bodies(sink.documents.values())) == whole(log)


def test_left_while_the_store_refuses(log: list[Taken | Refused], own: Own) -> None:
    """One more try, then the partition goes as it is; the worker goes on without it, and is no longer in trouble."""
    sink = Fickle(lambda *_: Status.RETRY)
    source = LogSource(log, each=10)
    source.meanwhile = source.left
    worker = own.worker(source, sink)
    worker.run(follow=False)
    assert (sink.calls, source.waits, source.committed, worker.partitions) == (2, 1, 0, {})
    assert worker.facts()["store_error"] is None


def test_a_commit_that_fails(log: list[Taken | Refused], own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again until it is done, and meanwhile nothing is read."""
    source, sink = LogSource(log), MemorySink()
    committed = LogSource.commit

    def commit(self: LogSource, places: dict[str, int], needs: dict[str, int], *, surely: bool) -> None:
        if self.waits < 3:
            raise SourceError("not now")
        committed(self, places, needs, surely=surely)

    monkeypatch.setattr(LogSource, "commit", commit)
    own.worker(source, sink).run(follow=False)
    assert source.waits == 3
    assert sorted(bodies(sink.documents.values())) == whole(log)


def test_bad_messages_hold_up_nothing(log: list[Taken | Refused], own: Own) -> None:
    """Garbage between pieces is kept among the dead letters before it is committed; the documents are the same."""
    error = MessageError("no header")
    with_garbage = [each for piece in log for each in (Refused(0, 1, error, b"garbage"), piece)]
    placed = merged(with_garbage)  # type: ignore[arg-type]  # of one stream, and of none
    source, sink = LogSource(placed), MemorySink()
    worker = own.worker(source, sink)
    worker.run(follow=False)
    assert sorted(bodies(sink.documents.values())) == whole(log)
    assert worker.counts["letters"] == len(log)
    assert source.committed == len(placed)


def test_facts(log: list[Taken | Refused], own: Own) -> None:
    """Partitions, places and streams, and what the source says."""
    source = LogSource(log, each=9)
    worker = own.worker(source, MemorySink())
    worker._round()
    facts = worker.facts()
    told = facts["partitions"][NAME]
    assert (told["place"], told["committed"]) == (9, 9)
    assert {each["host"] for each in told["streams"].values()} == {(b"%dh" % n * 8).hex() for n in range(3)}
    assert facts["accounts"].keys() == told["streams"].keys()
    assert facts["lag"] == {NAME: len(log) - 9}


def test_a_log_that_lost_its_end(log: list[Taken | Refused], own: Own) -> None:
    """What the brokers kept is dropped as sent again; what they lost is a gap of each stream, to the frame."""
    source, sink = LogSource(log[:12]), MemorySink()
    worker = own.worker(source, sink)
    while worker._round():
        pass
    cut = [each for each in log[9:15] if isinstance(each, Taken)] + [
        each for each in log[18:] if isinstance(each, Taken)
    ]
    source.log, source.at = placed(cut), worker.begin(NAME, 0, 0)
    worker.run(follow=False)
    assert source.committed == len(cut)
    gaps = [(each["cause"], each["frames"]) for each in losses(sink.documents).values()]
    assert gaps == [("frame_missing", 1)] * 3
    assert worker.counts["resent"] == 3


class Stepwise(MemorySink):
    """Writes when the test lets it, so many times."""

    def __init__(self) -> None:
        super().__init__()
        self.turns, self.sizes = threading.Semaphore(0), list[int]()

    def write(self, batch: Sequence[Document]) -> list[Outcome]:
        """Waits for its turn."""
        assert self.turns.acquire(timeout=60)
        self.sizes.append(len(batch))
        return super().write(batch)


@pytest.mark.parametrize("own", [True], indirect=True, ids=["ahead"])
def test_pieces_are_taken_during_a_write(log: list[Taken | Refused], own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than one more write waits meanwhile; and nothing is committed that is not stored."""
    monkeypatch.setattr(workers, "PATIENCE_SECONDS", 0)
    monkeypatch.setattr(delivery, "BATCH", 3)
    sink, taken = Stepwise(), list[int]()

    def meanwhile(_: Taker) -> None:
        taken.append(source.at)
        stored = set(sink.documents)
        behind = {each.id for each in take(partition(), log[: source.committed]).made.documents}
        assert behind <= stored
        sink.turns.release()

    source = LogSource(log, each=1, meanwhile=meanwhile)
    worker = own.worker(source, sink)
    worker.snapshot_seconds = 1e9
    worker.run(follow=False)
    assert taken[0] > 3
    assert sorted(bodies(sink.documents.values())) == whole(log)
    assert max(sink.sizes) == 3
    assert source.committed == len(log)


class Chancy(MemorySink):
    """Takes a document now or later, as chance has it, and any time it likes."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.rng = rng

    def write(self, batch: Sequence[Document]) -> list[Outcome]:
        """Some are to come again."""
        threading.Event().wait(self.rng.choice((0, 0, 0.002)))
        later = Outcome(Status.RETRY, "not now")
        return [later if self.rng.random() < 0.3 else super(Chancy, self).write([each])[0] for each in batch]


@pytest.mark.parametrize("own", [True], indirect=True, ids=["ahead"])
@pytest.mark.parametrize("seed", range(8))
def test_gone_anywhere_during_writes(
    log: list[Taken | Refused], own: Own, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Whoever goes without a word while he takes pieces and writes had committed nothing that is not stored."""
    monkeypatch.setattr(workers, "PATIENCE_SECONDS", 0)
    monkeypatch.setattr(delivery, "BATCH", 4)
    rng = random.Random(seed)  # noqa: S311  chance, no secret
    sink, source = Chancy(rng), LogSource(log, each=1)
    committed = LogSource.commit

    def commit(self: LogSource, places: dict[str, int], needs: dict[str, int], *, surely: bool) -> None:
        behind = {each.id for each in take(partition(), log[: places[NAME]]).made.documents}
        assert behind <= set(sink.documents)
        committed(self, places, needs, surely=surely)

    monkeypatch.setattr(LogSource, "commit", commit)
    places = set()
    for _ in range(6):
        worker = own.worker(source, sink)
        worker.snapshot_seconds = rng.choice((0, 0.01, 1e9))
        for _ in range(rng.randrange(1, 12)):
            source.each = rng.randrange(1, 4)
            worker._round()
        places.add(source.committed)
        source.at = -1
    own.worker(source, sink).run(follow=False)
    assert sorted(bodies(sink.documents.values())) == whole(log)
    assert source.committed == len(log)
    assert len(places) > 1
