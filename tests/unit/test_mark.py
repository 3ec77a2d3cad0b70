"""A record that kills the worker kills it three times, and is passed over on the fourth start."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from enrich.checkpoint import SqliteCheckpoints
from enrich.item import Item
from enrich.letters import LetterKind
from enrich.mark import DEADLY, Mark
from enrich.sinks.memory import MemorySink
from enrich.sinks.sqlite import SqliteSink
from enrich.statefile import own_file
from enrich.steps.processes import ProcessTree
from tests.unit import spooled
from tests.unit.spooled import Spooled
from tests.unit.stream import container, exec_

STREAM = spooled.ID.hex()
DEATH = 9
"""The exit code of a worker that a record has killed."""


@contextmanager
def marked(folder: Path) -> Iterator[tuple[Mark, SqliteCheckpoints]]:
    """A mark and its database; the mark ends as one of a killed process does."""
    with closing(SqliteCheckpoints(folder / "state.db")) as checkpoints:
        yield Mark(folder / "mark", checkpoints), checkpoints


def in_a_child(work: Callable[[], object]) -> int:
    """Run something in a child process; returns its exit code, or minus the signal that killed it."""
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def deadly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spooled:
    """A spool in which one record kills whoever takes it."""
    stream = Spooled(tmp_path)
    stream.keyframe(*container(), first=True)
    stream.add(exec_(2, 1, b"/bin/before"))
    stream.add(exec_(3, 1, b"/bin/beside"), exec_(666, 1, b"/bin/deadly"), exec_(4, 1, b"/bin/behind"))
    stream.add(exec_(5, 1, b"/bin/after"))
    stream.tick(3)
    taken = ProcessTree.__call__

    def kill(self: ProcessTree, item: Item) -> None:
        if getattr(item.record, "tgid", 0) == 666:
            os._exit(DEATH)
        taken(self, item)

    monkeypatch.setattr(ProcessTree, "__call__", kill)
    return stream


def work_in_a_child(data: Path) -> int:
    """A worker on the local store, in a process of its own."""

    def work() -> None:
        with closing(SqliteSink(data / "store", 36500)) as sink, spooled.worker(data, sink) as worker:
            worker.run(follow=False)

    return in_a_child(work)


def names(data: Path) -> set[str]:
    """The programs of all documents that the spool makes for a worker that goes on here, from its beginning."""
    sink = MemorySink()
    own = data / "spool/readers/sqlite.json"
    own.unlink(missing_ok=True)
    spooled.work(data, sink)
    return {document.source["process"]["name"] for document in sink.documents.values() if document.kind == "process"}


def test_passed_over_on_the_fourth_start(deadly: Spooled) -> None:
    """Three deaths at one record; the fourth worker leaves it alone, keeps its bytes, and goes on behind it."""
    assert [work_in_a_child(deadly.data) for _ in range(DEADLY + 1)] == [DEATH] * DEADLY + [0]
    (letter,) = spooled.letters(deadly.data)
    assert (letter.id, letter.kind, letter.frame, letter.index) == (f"{STREAM}-2-1", LetterKind.RECORD, 2, 1)
    assert letter.deadly
    assert b"/bin/deadly" in letter.body
    assert names(deadly.data) == {"before", "beside", "behind", "after"}


def test_the_loss_is_a_document(deadly: Spooled) -> None:
    """Who searches finds that one record is missing, of which type, and why."""
    for _ in range(DEADLY):
        assert work_in_a_child(deadly.data) == DEATH
    lost = spooled.work(deadly.data)[f"{STREAM}-2-1-lost"]
    assert lost.kind == "loss"
    assert lost.source["cgtrail"]["loss"] == {"cause": "deadly", "count": 1, "record": "Exec"}


def test_other_deaths_of_other_records_do_not_add_up(deadly: Spooled) -> None:
    """Two deaths here and one there pass nothing over."""
    with marked(deadly.data) as (_, checkpoints):
        for index in (0, 1, 1, 2):
            checkpoints.died(STREAM, 2, index)
    with spooled.worker(deadly.data, MemorySink()) as worker:
        watch = worker.mark.watch(STREAM)
        assert not any(watch.begins(2, index) for index in range(4))


def test_killed_at_work(tmp_path: Path) -> None:
    """The next mark counts the record that the last one stood at, once."""
    with marked(tmp_path) as (mark, _):
        watch = mark.watch(STREAM)
        watch.begins(7, 3)
    for _ in range(2):
        with marked(tmp_path) as (_, checkpoints):
            assert checkpoints.deaths(STREAM) == {(7, 3): 1}


def test_killed_at_rest(tmp_path: Path) -> None:
    """A worker that is killed while it waits or writes blames no record."""
    with marked(tmp_path) as (mark, _):
        watch = mark.watch(STREAM)
        watch.begins(7, 3)
        mark.rest()
    with marked(tmp_path) as (_, checkpoints):
        assert checkpoints.deaths(STREAM) == {}


def test_killed_from_outside(tmp_path: Path) -> None:
    """The mark outlives SIGKILL, which no program hears."""

    def work() -> None:
        with marked(tmp_path) as (mark, _):
            watch = mark.watch(STREAM)
            watch.begins(1 << 40, (1 << 20) - 1)
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_a_child(work) == -signal.SIGKILL
    with marked(tmp_path) as (_, checkpoints):
        assert checkpoints.deaths(STREAM) == {(1 << 40, (1 << 20) - 1): 1}


def test_ended_by_itself(tmp_path: Path) -> None:
    """A worker that ends by an error of ours, or by a stop, blames no record."""
    with (
        closing(SqliteCheckpoints(tmp_path / "state.db")) as checkpoints,
        closing(Mark(tmp_path / "mark", checkpoints)) as mark,
    ):
        watch = mark.watch(STREAM)
        watch.begins(7, 3)
    with marked(tmp_path) as (_, checkpoints):
        assert checkpoints.deaths(STREAM) == {}


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 31, b"\xff" * 200])
def test_a_mark_that_is_none(tmp_path: Path, content: bytes) -> None:
    """A mark file of another size was not ours: it says nothing, and works from now on."""
    (tmp_path / "mark").write_bytes(content)
    with marked(tmp_path) as (mark, checkpoints):
        watch = mark.watch(STREAM)
        watch.begins(1, 1)
        assert checkpoints.deaths(STREAM) == {}
    with marked(tmp_path) as (_, checkpoints):
        assert checkpoints.deaths(STREAM) == {(1, 1): 1}


def test_its_files_are_the_sinks_own(tmp_path: Path) -> None:
    """Workers of two sinks on one spool blame no record for each other's deaths."""
    assert own_file(tmp_path, "mark", "stdout") != own_file(tmp_path, "mark")
