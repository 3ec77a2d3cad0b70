"""The worker loses nothing and doubles nothing, whatever becomes of its own files and of the disk."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cgtrail import errors
from enrich.checkpoint import SqliteCheckpoints
from enrich.letters import DeadLetters
from enrich.sinks.memory import MemorySink
from enrich.statefile import StateError, damage_named, own_file
from shipper.wire.position import Position, position_file
from tests.unit import spooled
from tests.unit.fickle import Fickle, Mending
from tests.unit.spooled import FIVE, Spooled, garbage, letters, losses, no_position, position, programs, work
from tests.unit.stream import BOX, container, end, exec_, fork

ID = spooled.ID.hex()


def ruined(path: Path, how: str) -> None:
    """A file that is gone, or holds nonsense."""
    path.unlink()
    if how == "damaged":
        path.write_bytes(b"\xff nonsense" * 500)
    for log in path.parent.glob(f"{path.name}-*"):
        log.unlink()


@pytest.mark.parametrize("how", ["deleted", "damaged"])
def test_the_position_is_lost(spool: Spooled, how: str) -> None:
    """Everything is sent again with the same ids, which the store has already; snapshots ahead of it are not used."""
    sink = MemorySink()
    work(spool.data, sink)
    stored = dict(sink.documents)
    ruined(position_file(spool.data / "spool", "sqlite").path, how)
    with spooled.worker(spool.data, sink) as worker:
        worker.run(follow=False)
        assert (worker.counts["duplicate"], worker.counts["ok"]) == (len(stored), 0)
    assert sink.documents == stored
    assert position(spool).next == spool.number
    assert position(spool).needs <= spool.number


@pytest.mark.parametrize("how", ["deleted", "damaged"])
@pytest.mark.parametrize("what", ["state.db", "mark", "deadletters.db"])
def test_a_file_of_its_own_is_lost(spool: Spooled, what: str, how: str) -> None:
    """Without one of its files the worker goes on where it was: nothing is sent twice, nothing is missed."""
    assert programs(work(spool.data)) == FIVE
    ruined(own_file(spool.data, what), how)
    spool.add(exec_(8, 2, b"/bin/p8"))
    documents = work(spool.data)
    assert programs(documents) == ["p8"]
    (document,) = documents.values()
    assert document.source["process"]["parent"]["name"] == "p2"


def taken_again(spool: Spooled, up_to: int) -> int:
    """How many of the frames below a position a worker that starts now takes again."""
    with spooled.worker(spool.data, MemorySink()) as worker:
        worker.run(follow=False)
        return worker.counts["frames"] - (spool.number - up_to)


def test_snapshots_spare_reading(spool: Spooled) -> None:
    """A worker goes on at its snapshot, at the one before when that is damaged, and without any at the beginning."""
    work(spool.data)
    first = spool.number
    spool.tick(4)
    work(spool.data)
    second = spool.number
    assert position(spool) == Position(second, first)
    state = own_file(spool.data, "state.db")
    for damaged, expected in ((second + 1, 0), (second, second - first), (0, second)):
        with closing(sqlite3.connect(state)) as db, db:
            db.execute("UPDATE snapshots SET crc = -1 WHERE position >= ?", (damaged,))
        saved = state.read_bytes()
        assert taken_again(spool, second) == expected
        state.write_bytes(saved)


def test_what_was_stored_and_removed_is_no_gap(spool: Spooled) -> None:
    """Frames that were stored may be removed; who reads again without a snapshot misses nothing."""
    assert programs(work(spool.data)) == FIVE
    spool.keyframe(*container())
    spool.add(exec_(8, 1, b"/bin/p8"))
    assert programs(work(spool.data)) == ["p8"]
    spool.segment(0).path.unlink()
    ruined(own_file(spool.data, "state.db"), "deleted")
    spool.add(end(8, 1))
    documents = work(spool.data)
    assert losses(documents) == {}
    assert programs(documents) == ["p8"]


@pytest.mark.parametrize("snapshots", [True, False])
def test_what_was_removed_before_it_was_read_is_a_gap(spool: Spooled, snapshots: bool) -> None:
    """What a worker comes too late for is told, from its position on."""
    assert programs(work(spool.data)) == FIVE
    read = spool.number
    spool.add(exec_(8, 1, b"/bin/missed", owner=BOX, sequence=1))
    spool.keyframe(*container())
    spool.segment(0).path.unlink()
    if not snapshots:
        ruined(own_file(spool.data, "state.db"), "deleted")
    spool.add(fork(9, 1, owner=BOX, sequence=2))
    spool.tick(3)
    told = losses(work(spool.data))
    assert told.pop(f"{ID}-{read}-gap") == {"cause": "frame_expired", "frames": 1}
    assert [loss["count"] for loss in told.values()] == ([1] if snapshots else [])  # the ledger knows the number


# Full disks


def test_a_full_disk_for_the_position(spool: Spooled) -> None:
    """While the position can't be written the worker tries again; then all is committed, and was stored once."""
    readers = spool.data / "spool/readers"
    readers.mkdir()
    (readers / "sqlite.new").symlink_to("/dev/full")
    sink = Fickle(lambda *_: None)
    stop = Mending(lambda waits: (readers / "sqlite.new").unlink() if waits == 3 else None)
    with spooled.worker(spool.data, sink, stop) as worker:
        worker.run(follow=False)
    assert stop.waits == 3
    assert (programs(sink.documents), len(sink.asked)) == (FIVE, len(FIVE))
    assert position(spool).next == spool.number


def database(own: object) -> sqlite3.Connection:
    """The database of a worker's dead letters or checkpoints."""
    assert isinstance(own, DeadLetters | SqliteCheckpoints)
    return own._db


def small(db: sqlite3.Connection) -> None:
    """No more room for a database than it has."""
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages}")


def large(db: sqlite3.Connection) -> None:
    """Room again."""
    db.execute("PRAGMA max_page_count = 100000")


def test_a_full_disk_for_dead_letters(spool: Spooled) -> None:
    """No position is committed before a dead letter is kept."""
    frame = spool.add(garbage(body=os.urandom(100_000)))
    sink = MemorySink()

    def mend(waits: int) -> None:
        no_position(spool)
        if waits == 2:
            large(database(worker.letters))

    with spooled.worker(spool.data, sink, Mending(mend)) as worker:
        small(database(worker.letters))
        worker.run(follow=False)
    assert [letter.frame for letter in letters(spool.data)] == [frame]
    assert position(spool).next == spool.number


def test_stopped_while_dead_letters_find_no_room(spool: Spooled) -> None:
    """A stop does not commit past a dead letter that was not kept: the next worker meets it again."""
    frame = spool.add(garbage(body=os.urandom(100_000)))
    stop = Mending(lambda _: stop.set())
    with spooled.worker(spool.data, MemorySink(), stop) as worker:
        small(database(worker.letters))
        worker.run()
    no_position(spool)
    work(spool.data)
    assert [letter.frame for letter in letters(spool.data)] == [frame]


def test_a_full_disk_for_snapshots(spool: Spooled) -> None:
    """Without room for a snapshot everything else goes on; a restart only reads more."""
    for pid in range(100, 400):
        spool.add(fork(pid, 1, comm=os.urandom(8).hex().encode()[:15]))
    sink = MemorySink()
    with spooled.worker(spool.data, sink) as worker:
        small(database(worker.checkpoints))
        worker.run(follow=False)
        assert worker.counts["snapshots"] == 0
    assert programs(sink.documents) == FIVE
    assert position(spool) == Position(spool.number, 0)
    spool.add(exec_(8, 2, b"/bin/p8"))
    assert programs(work(spool.data)) == ["p8"]


def test_damage_in_use_is_named(tmp_path: Path) -> None:
    """A worker whose own database breaks under it ends with the file's name and what to do, not a traceback."""
    with (
        pytest.raises(StateError, match=r"enrich\.sqlite\.state\.db .* start the worker again"),
        damage_named(tmp_path, "sqlite"),
    ):
        raise sqlite3.DatabaseError("database disk image is malformed")
    assert errors.expected(StateError("x")) == 1
