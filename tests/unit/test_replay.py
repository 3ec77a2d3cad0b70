"""History again: the same documents with the same ids, whatever part of it is asked for."""

from __future__ import annotations

import json
import threading
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bpf.schema import Record
from enrich.again import Making, deadly
from enrich.document import Document
from enrich.history import SLACK_NS, ReplayError, SpoolHistory
from enrich.replay import TRIES, Replay
from enrich.sinks import Status
from enrich.sinks.memory import MemorySink
from enrich.sinks.sqlite import SqliteSink
from enrich.statefile import own_file
from enrich.stores.query import All
from enrich.stores.sqlite import SqliteStore
from shipper.wire.records import KeyframeBegin, State
from tests.unit import spooled
from tests.unit.fickle import Fickle, Mending
from tests.unit.spooled import Spooled, garbage, work
from tests.unit.stream import SECOND, container, end, exec_, fork, running

EVER = 1 << 62
SECOND_BOX = 80


def replayed(data: Path, since: int = 0, until: int = EVER, **settings: Any) -> dict[str, Document]:
    """The documents of a time."""
    sink = MemorySink()
    spool = SpoolHistory(data / "spool")
    replay = Replay(spool, sink, threading.Event(), Making(**settings))
    replay.run(spool.stretches(since, until), since, until, lambda _: 0)
    return sink.documents


@pytest.fixture
def history(tmp_path: Path) -> Spooled:
    """Ten minutes of two containers: a keyframe each minute, programs that outlive them, and some that end."""
    stream = Spooled(tmp_path)
    alive: dict[int, Record] = {}
    for minute in range(10):
        began = stream.now
        found = [running(pid, 1, b"/bin/p%d" % pid) for pid in alive]
        stream.keyframe(*container(), *container(SECOND_BOX), *found, first=not minute)
        for second in range(0, 50, 10):
            pid = minute * 100 + second + 2
            stream.now = began + (second + 1) * SECOND
            parent = max(pid - 100, 1)
            stream.add(fork(pid, parent), exec_(pid, parent, b"/bin/p%d" % pid))
            alive[pid] = fork(pid, 1)
            if second == 20:
                stream.add(end(pid - 10, max(pid - 110, 1)))
                alive.pop(pid - 10)
            if second == 30:
                stream.add(*container(99, state=State.PENDING), exec_(pid + 1, 1, b"/bin/new", cgroup_id=99))
                stream.add(*container(99))
            stream.tick(2)
        stream.now = began + 60 * SECOND
    return stream


def past(history: Spooled) -> SpoolHistory:
    """Its spool."""
    return SpoolHistory(history.data / "spool")


def by_id(documents: dict[str, Document]) -> dict[str, Any]:
    """Documents as they would be stored."""
    return {name: json.loads(document.encode()) for name, document in documents.items()}


# What is asked for


def test_everything_again(history: Spooled) -> None:
    """The whole spool makes what the worker made of it: the same ids, the same bytes, the same order."""
    stored = work(history.data)
    assert len(stored) > 60
    again = replayed(history.data)
    assert list(again) == list(stored)
    assert by_id(again) == by_id(stored)


def test_a_store_that_was_deleted(history: Spooled) -> None:
    """A new store is filled with what the old one had; the worker's own files are as they were."""
    store = history.data / "store"
    with closing(SqliteSink(store, 36500)) as sink, spooled.worker(history.data, sink) as worker:
        worker.run(follow=False)
    before = sorted(SqliteStore(store).after({}, All(), limit=10_000)[0])
    for file in store.iterdir():
        file.unlink()
    kept = {path: path.read_bytes() for path in history.data.rglob("*") if path.is_file()}
    with closing(SqliteSink(store, 36500)) as sink:
        replay = Replay(past(history), sink, threading.Event())
        replay.run(past(history).stretches(0, EVER), 0, EVER, lambda _: 0)
        assert replay.counts["new"] == replay.counts["documents"] == len(before)
        replay.run(past(history).stretches(0, EVER), 0, EVER, lambda _: 0)
        assert replay.counts["new"] == len(before)
    assert sorted(SqliteStore(store).after({}, All(), limit=10_000)[0]) == before
    assert {
        path: path.read_bytes() for path in history.data.rglob("*") if path.is_file() and store not in path.parents
    } == kept


@pytest.mark.parametrize("minute", range(10))
def test_from_a_keyframe_on(history: Spooled, minute: int) -> None:
    """Documents of a part have the ids that they had, and differ only where they say that they may."""
    stored = work(history.data)
    since = history.unix - (10 - minute) * 60 * SECOND + 5 * SECOND
    again = replayed(history.data, since)
    assert set(again) == {name for name, document in stored.items() if document.time >= since}
    different = {name for name in again if by_id(again)[name] != by_id(stored)[name]}
    assert all(again[name].source["cgtrail"].get("partial") for name in different)
    assert len(different) < len(again)


def test_a_part_is_read_from_its_keyframe(history: Spooled) -> None:
    """What lies more than an interval before the time asked for is not read, nor what lies behind it."""
    intervals = history.stream.intervals()
    since = intervals[5].time + 30 * SECOND
    (stretch,) = past(history).stretches(since, since + SECOND)
    assert (stretch.place, stretch.last) == (intervals[5].first, intervals[5].first)
    assert stretch.size == intervals[5].size
    (stretch,) = past(history).stretches(intervals[5].time, EVER)
    assert (stretch.place, stretch.last) == (intervals[4].first, intervals[9].first)


def test_from_is_included_and_to_is_not(history: Spooled) -> None:
    """At the borders a document belongs to the time that begins with it."""
    times = sorted({document.time for document in replayed(history.data).values()})
    for since, until in ((times[3], times[9]), (times[0], times[-1]), (times[9], times[10]), (times[9], times[9])):
        found = {document.time for document in replayed(history.data, since, until).values()}
        assert found == {time for time in times if since <= time < until}


def test_parts_make_a_whole(history: Spooled) -> None:
    """Time cut into pieces misses nothing and gives nothing twice."""
    whole = replayed(history.data)
    times = [0, *(history.unix - seconds * SECOND for seconds in range(600, 0, -47)), EVER]
    parts = [replayed(history.data, since, until) for since, until in pairwise(times)]
    assert sum(map(len, parts)) == len(whole)
    assert {name for part in parts for name in part} == whole.keys()


def test_before_and_after_everything(history: Spooled) -> None:
    """A time without records has no documents; the oldest interval's time tells how far back the spool goes."""
    first = history.stream.intervals()[0].time
    assert past(history).oldest() == first
    assert replayed(history.data, 0, first - 60 * SECOND) == {}
    assert past(history).stretches(0, first - 60 * SECOND) == []
    assert replayed(history.data, history.unix + SLACK_NS, EVER) == {}


def test_no_spool(tmp_path: Path) -> None:
    """Where nothing was recorded the error names the folder and the option."""
    with pytest.raises(ReplayError, match=f"{tmp_path}/spool.*--data"):
        SpoolHistory(tmp_path / "spool").stretches(0, EVER)


# What the spool is like


def test_a_worker_at_work_is_not_disturbed(history: Spooled) -> None:
    """A replay beside a worker changes nothing of what the worker does."""
    sink = MemorySink()
    with spooled.worker(history.data, sink) as worker:
        worker.run(follow=False)
        replayed(history.data)
        history.add(exec_(5000, 1, b"/bin/last"))
        worker.run(follow=False)
    assert len(sink.documents) == len(replayed(history.data))


def test_what_waits_is_the_workers(history: Spooled) -> None:
    """A document whose container may still be told is left to the worker; once its stream has ended it is made."""
    last = history.add(*container(98, state=State.PENDING), exec_(5000, 1, b"/bin/last", cgroup_id=98))
    name = f"{spooled.ID.hex()}-{last}-2"
    assert name not in replayed(history.data)
    second = Spooled(history.data, b"2" * 16, history.opened + 1)
    second.keyframe(*container(), first=True)
    assert replayed(history.data)[name].source["cgtrail"]["attribution"] == "unknown"


def test_what_waited_beyond_the_end_is_made(history: Spooled) -> None:
    """A document of the time asked for that left only after a long silence is made all the same."""
    last = history.add(*container(98, state=State.PENDING), exec_(5000, 1, b"/bin/last", cgroup_id=98))
    until = history.unix
    history.now += 3600 * SECOND
    history.add(exec_(5001, 1, b"/bin/later"))
    history.keyframe(*container(), first=True)
    history.tick()
    assert f"{spooled.ID.hex()}-{last}-2" in replayed(history.data, until - SECOND, until)


def test_two_boots(history: Spooled) -> None:
    """A time over several streams is read of each."""
    second = Spooled(history.data, b"2" * 16, history.opened + 1, now=history.now + 60 * SECOND)
    second.keyframe(*container(), first=True)
    second.add(exec_(2, 1, b"/bin/second"))
    second.tick(2)
    assert by_id(replayed(history.data)) == by_id(work(history.data))
    names = replayed(history.data, second.unix - 90 * SECOND)
    assert {document.id.split("-")[0] for document in names.values()} == {spooled.ID.hex(), second.id.hex()}
    assert {d.id.split("-")[0] for d in replayed(history.data, second.unix - SECOND).values()} == {second.id.hex()}


def test_a_clock_that_was_set_back(tmp_path: Path) -> None:
    """No document is missed because a later keyframe claims an earlier time."""
    stream = Spooled(tmp_path)
    for minute in range(6):
        stream.keyframe(*container(), first=not minute)
        stream.add(exec_(minute + 2, 1, b"/bin/p"))
        stream.tick(3)
        stream.now += 60 * SECOND
        if minute == 2:
            stream.set_back += 3600 * SECOND
    everything = replayed(tmp_path)
    times = sorted(document.time for document in everything.values())
    assert len(times) == 6
    for since, until in zip(times, [*times[1:], EVER], strict=True):
        assert len(replayed(tmp_path, since, until)) == 1


def test_a_damaged_keyframe(history: Spooled) -> None:
    """From a keyframe that can't be read nobody can begin: the one before it serves, and containers are named."""
    stored = work(history.data)
    interval = history.stream.intervals()[6]
    history.damage(interval.first)
    again = replayed(history.data, interval.time + 20 * SECOND)
    assert all("container" in again[name].source for name in again if "container" in stored[name].source)
    assert past(history).stretches(interval.time + 20 * SECOND, EVER)[0].place < interval.first


def test_damage_is_told_again(history: Spooled) -> None:
    """What a replay can't read is told in the same loss as before."""
    intervals = history.stream.intervals()
    history.damage(intervals[4].first + 3)
    stored = work(history.data)
    again = replayed(history.data, intervals[4].time)
    lost = {name for name, document in stored.items() if document.kind == "loss"}
    assert lost == {f"{spooled.ID.hex()}-{intervals[4].first + 3}-gap"}
    assert lost <= set(again)


def test_what_was_removed_is_no_loss(history: Spooled) -> None:
    """Intervals that are gone because they are old are no gap to a replay of what is left."""
    stored = work(history.data)
    for interval in history.stream.intervals()[:3]:
        for segment in interval.segments:
            segment.path.unlink()
    again = replayed(history.data)
    assert set(again) <= set(stored)
    assert {document.kind for document in again.values()} == {"process"}


def test_deadly_records_are_passed_over(history: Spooled) -> None:
    """A record that workers died of kills no replay: it is told as the worker told it."""
    frame = history.add(exec_(666, 1, b"/bin/deadly"))
    history.tick()
    with spooled.worker(history.data, MemorySink()) as worker:
        for _ in range(3):
            worker.checkpoints.died(spooled.ID.hex(), frame, 0)
    stored = work(history.data)
    places = deadly(iter(spooled.letters(history.data)))
    assert places == {(spooled.ID.hex(), frame, 0)}
    assert by_id(replayed(history.data, deadly=places)) == by_id(stored)


# What the sink says


def test_a_sink_that_can_not_now(history: Spooled) -> None:
    """What is refused for now is sent again; rejected documents are counted, and the rest is stored."""
    first, second, *_ = replayed(history.data)
    sink = Fickle(
        lambda document, call: {first: Status.RETRY if call < 3 else None, second: Status.REJECTED}.get(document.id)
    )
    stop = Mending(lambda _: None)
    replay = Replay(past(history), sink, stop)
    replay.run(past(history).stretches(0, EVER), 0, EVER, lambda _: 0)
    assert stop.waits == 2
    assert len(sink.documents) == replay.counts["new"] == replay.counts["documents"] - 1
    assert replay.counts["rejected"] == 1


def test_a_sink_that_never_can(history: Spooled) -> None:
    """A store that takes nothing for long ends the replay, with its reason; one document taken counts anew."""
    first, *_ = replayed(history.data)
    for taken in (0, 5):
        sink = Fickle(lambda document, call: None if (call, document.id) == (taken, first) else Status.RETRY)  # noqa: B023
        stop = Mending(lambda _: None)
        with pytest.raises(ReplayError, match="because"):
            Replay(past(history), sink, stop).run(past(history).stretches(0, EVER), 0, EVER, lambda _: 0)
        assert sink.calls == TRIES + taken


def test_stopped(history: Spooled) -> None:
    """A stop ends a replay that waits for its sink, and what was not stored is not counted."""
    sink = Fickle(lambda *_: Status.RETRY)
    stop = Mending(lambda _: stop.set())
    replay = Replay(past(history), sink, stop)
    replay.run(past(history).stretches(0, EVER), 0, EVER, lambda _: 0)
    assert (stop.waits, sink.documents, replay.counts["documents"]) == (1, {}, 0)


def test_letters_are_counted(history: Spooled) -> None:
    """Records that make no document now either are counted, those of the time that is asked for."""
    history.add(garbage())
    since = history.unix + 1
    history.add(garbage(), KeyframeBegin())
    replay = Replay(past(history), MemorySink(), threading.Event())
    replay.run(past(history).stretches(since, EVER), since, EVER, lambda _: 0)
    assert replay.counts["letters"] == 1
    assert not own_file(history.data, "deadletters.db").exists()


def test_progress(history: Spooled) -> None:
    """Progress ends where the stretches end."""
    told: list[int] = []
    chosen = past(history).stretches(0, EVER)
    Replay(past(history), MemorySink(), threading.Event()).run(chosen, 0, EVER, told.append)
    assert sum(told) == sum(stretch.size for stretch in chosen)
