"""What every sink promises, and what the local store promises beyond it.

Elasticsearch's case stands where its server is: tests/servers/test_elastic_sink.py.
"""

from __future__ import annotations

import io
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from enrich.document import Document
from enrich.sinks import DUPLICATE, OK, Outcome, Sink, Status
from enrich.sinks.memory import MemorySink
from enrich.sinks.sqlite import SqliteSink
from enrich.sinks.stdout import StdoutSink
from enrich.stores import StoreError, dayfile
from enrich.stores.query import All
from enrich.stores.sqlite import SqliteStore
from enrich.stores.values import timestamp

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
NOON = 1_795_305_600 * SECOND + DAY // 2
"""2026-11-22T12:00:00Z."""
HOSTILE = "\x00\x1b]0;x\x07\x7f\x9b\u202e\u200b\u2028\ufeff\"'\\\n\r\t%s{}[]*?é漢😀\U000e0041 -- '; DROP TABLE docs"


class Case:
    """A sink, and how to read back what it has taken."""

    def __init__(self, sink: Sink, read: Callable[[], list[Any]], *, tells_repeats: bool) -> None:
        self.sink, self.read, self.tells_repeats = sink, read, tells_repeats


def memory(_: Path) -> Case:
    """Case of the memory sink."""
    sink = MemorySink()
    return Case(sink, lambda: [json.loads(d.encode()) for d in sink.documents.values()], tells_repeats=True)


def sqlite(folder: Path) -> Case:
    """Case of the local store."""
    store = SqliteStore(folder / "store")
    sink = SqliteSink(folder / "store", 7, clock=lambda: NOON / SECOND)
    return Case(sink, lambda: [json.loads(body) for body in store.after({}, All())[0]], tells_repeats=True)


def stdout(_: Path) -> Case:
    """Case of NDJSON on a stream."""
    stream = io.BytesIO()
    return Case(
        StdoutSink(stream), lambda: [json.loads(line) for line in stream.getvalue().splitlines()], tells_repeats=False
    )


@pytest.fixture(params=[memory, sqlite, stdout], ids=lambda make: make.__name__)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    """Each sink in turn."""
    made: Case = request.param(tmp_path)
    yield made
    made.sink.close()


def document(name: str, time: int = NOON, **process: Any) -> Document:
    """A small document."""
    source = {"@timestamp": timestamp(time), "event": {"id": name}, "process": {"name": "ls", **process}}
    return Document(name, time, "process", source)


def test_one_answer_per_document_in_order(case: Case) -> None:
    """Good and bad documents are answered one by one, where they stand in the batch."""
    bad = Document("bad", NOON, "process", {"process": {"args": [1 << 70]}})
    torn = Document("torn", NOON, "process", {"process": {"args": ["\ud800"]}})
    answers = case.sink.write([document("a"), bad, document("b"), torn, document("c")])
    assert [answer.status for answer in answers] == [Status.OK, Status.REJECTED] * 2 + [Status.OK]
    assert [
        name for name, answer in zip(["a", "bad", "b", "torn", "c"], answers, strict=True) if name in answer.reason
    ] == [
        "bad",
        "torn",
    ]
    assert [found["event"]["id"] for found in case.read()] == ["a", "b", "c"]


def test_nothing_to_write(case: Case) -> None:
    """An empty batch has no answers."""
    assert list(case.sink.write([])) == []
    assert case.read() == []


def test_repeats_are_harmless(case: Case) -> None:
    """A document that comes again, in the same batch or later, is told as a duplicate where the store can tell."""
    repeated = [*case.sink.write([document("a"), document("a")]), *case.sink.write([document("b"), document("a")])]
    ids = [found["event"]["id"] for found in case.read()]
    if case.tells_repeats:
        assert repeated == [OK, DUPLICATE, OK, DUPLICATE]
        assert ids == ["a", "b"]
    else:
        assert repeated == [OK] * 4
        assert set(ids) == {"a", "b"}


def test_hostile_text_comes_back(case: Case) -> None:
    """Whatever a container put into a document is read back as it was."""
    sent = document("a", args=[HOSTILE, HOSTILE * 1000], command_line=HOSTILE, executable=HOSTILE)
    assert list(case.sink.write([sent])) == [OK]
    assert case.read() == [sent.source]


def test_nothing_is_held_after_close(case: Case) -> None:
    """A closed sink holds no file, and may be closed again."""
    before = set(os.listdir("/proc/self/fd"))
    case.sink.write([document("a"), document("b", NOON - DAY)])
    case.sink.close()
    case.sink.close()
    assert set(os.listdir("/proc/self/fd")) <= before


def test_lines_are_whole_and_safe() -> None:
    """On a stream that takes a few bytes at a time, every line arrives whole, and none of it moves a terminal."""

    class Slow(io.RawIOBase):
        taken = b""

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.taken += bytes(data[:7])
            return min(len(data), 7)

    stream = Slow()
    sink = StdoutSink(stream)  # type: ignore[arg-type]
    assert sink.write([document("a", args=[HOSTILE]), document("b")]) == [OK, OK]
    lines = stream.taken.decode().split("\n")
    assert [json.loads(line)["event"]["id"] for line in lines[:-1]] == ["a", "b"]
    assert lines[-1] == ""
    assert not set("\x00\x1b\x7f\x9b\u202e\u200b\u2028") & set(stream.taken.decode())


def test_a_torn_line_is_ended_before_the_next() -> None:
    """After a write that failed half-way, what is sent again begins on a line of its own."""

    class Full(io.RawIOBase):
        taken, room = b"", 10

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            if not self.room:
                raise OSError(28, "No space left on device")
            part = bytes(data[: self.room])
            self.taken, self.room = self.taken + part, self.room - len(part)
            return len(part)

    stream = Full()
    sink = StdoutSink(stream)  # type: ignore[arg-type]
    assert [answer.status for answer in sink.write([document("a")])] == [Status.RETRY]
    stream.room = 10_000
    assert sink.write([document("a")]) == [OK]
    assert json.loads(stream.taken.decode().split("\n")[1]) == document("a").source


def test_nobody_reads() -> None:
    """A closed pipe is the caller's to handle: it never heals."""
    read, write = os.pipe()
    os.close(read)
    with open(write, "wb", buffering=0) as stream, pytest.raises(BrokenPipeError):
        StdoutSink(stream).write([document("a")])


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Document("x", -1, "process", {}), "1970"),
        (Document("x", 1 << 63, "process", {}), "2262"),
        (Document("x", NOON, "process", {"event": {"sequence": 1 << 63}}), "event.sequence"),
        (Document("x", NOON, "process", {"event": {"sequence": "1"}}), "event.sequence"),
        (Document("x", NOON, "process", {"container": {"name": ["a", "b"]}}), "container.name is a list"),
        (Document("x", NOON, "process", {"user": {"id": 0}}), "user.id is a int"),
        (Document("\ud800", NOON, "process", {}), "JSON"),
    ],
)
def test_what_the_store_never_takes(tmp_path: Path, bad: Document, reason: str) -> None:
    """A document that does not fit the store is rejected with the reason, and its neighbours are stored."""
    case = sqlite(tmp_path)
    answers = case.sink.write([document("a"), bad, document("b")])
    case.sink.close()
    assert [answer.status for answer in answers] == [Status.OK, Status.REJECTED, Status.OK]
    assert reason in answers[1].reason


def test_a_full_disk_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full nothing of the day's batch is stored, other days are, and the same batch succeeds later."""
    opened = dayfile.open_writer

    def small(folder: Path, day: date) -> sqlite3.Connection:
        db = opened(folder, day)
        if day == date(2026, 11, 22):
            db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0] + 2}")
        return db

    monkeypatch.setattr(dayfile, "open_writer", small)
    case = sqlite(tmp_path)
    batch = [document("a"), document("b", NOON - DAY), document("c", args=["x" * 100_000])]
    answers = case.sink.write(batch)
    assert [answer.status for answer in answers] == [Status.RETRY, Status.OK, Status.RETRY]
    assert "2026-11-22.db" in answers[0].reason
    assert "full" in answers[0].reason
    assert len(case.read()) == 1
    monkeypatch.setattr(dayfile, "open_writer", opened)
    assert list(case.sink.write(batch)) == [OK, DUPLICATE, OK]
    case.sink.close()


def test_a_locked_file_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process writes, the batch is to be sent again; then it is stored."""
    monkeypatch.setattr(dayfile, "BUSY_MS", 1)
    case = sqlite(tmp_path)
    case.sink.write([document("a")])
    with closing(sqlite3.connect(tmp_path / "store/2026-11-22.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answers = case.sink.write([document("b")])
        assert answers == [Outcome(Status.RETRY, answers[0].reason)]
        assert "locked" in answers[0].reason
    assert list(case.sink.write([document("b")])) == [OK]
    case.sink.close()


@pytest.mark.parametrize("newer", [True, False])
def test_a_file_that_is_not_ours(tmp_path: Path, newer: bool) -> None:
    """A day file of a newer format, or a foreign one, is left alone and named, with what to do."""
    (tmp_path / "store").mkdir()
    path = tmp_path / "store/2026-11-22.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {dayfile.FORMAT + 1}")
        db.execute(f"PRAGMA application_id = {dayfile.APPLICATION_ID if newer else 1}")
    before = path.read_bytes()
    case = sqlite(tmp_path)
    (answer,) = case.sink.write([document("a")])
    case.sink.close()
    assert answer.status is Status.RETRY
    assert (
        f"{path}: " + (f"format {dayfile.FORMAT + 1}" if newer else "a database that cgtrail did not make")
        in answer.reason
    )
    assert "move it" in answer.reason
    assert path.read_bytes() == before
    with pytest.raises(StoreError, match="move it"):
        case.read()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """Documents for a damaged day file wait, and the reason says what to do; once it is moved away they are stored."""
    case = sqlite(tmp_path)
    path = tmp_path / "store/2026-11-22.db"
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    (answer,) = case.sink.write([document("a")])
    assert answer.status is Status.RETRY
    assert f"{path}: damaged" in answer.reason
    path.rename(tmp_path / "away")
    assert list(case.sink.write([document("a")])) == [OK]
    case.sink.close()


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    """What people typed is readable by the store's owner alone: folder, files and their logs."""
    case = sqlite(tmp_path)
    case.sink.write([document("a")])
    modes = {path.name: path.stat().st_mode & 0o777 for path in [tmp_path / "store", *(tmp_path / "store").iterdir()]}
    case.sink.close()
    assert modes == {"store": 0o700} | {f"2026-11-22.db{end}": 0o600 for end in ("", "-wal", "-shm")}


def test_stored_means_synced(tmp_path: Path) -> None:
    """A file is written with a log that is synced at each commit."""
    db = dayfile.open_writer(tmp_path, date(2026, 11, 22))
    with closing(db):
        assert [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")] == ["wal", 2]


class Host:
    """A host's two clocks, and its store."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now, self.up = folder, NOON, 0

    def pass_days(self, days: int = 1) -> None:
        """Days go by; `now` alone is what somebody sets."""
        self.now += days * DAY
        self.up += days * DAY

    def sink(self, retention_days: int) -> SqliteSink:
        """A writer that goes by these clocks."""
        return SqliteSink(self.folder, retention_days, lambda: self.now / SECOND, lambda: self.up / SECOND)

    def fill(self, days: int, gap: int = 0) -> None:
        """A store of so many days, the newest `gap` days ago."""
        with closing(SqliteSink(self.folder, 999, lambda: self.now / SECOND)) as sink:
            sink.write([document(f"d{n}", self.now - n * DAY) for n in range(gap, gap + days)])

    def days(self) -> list[int]:
        """The days that are stored, counted back from the test's first."""
        return sorted((date(2026, 11, 22) - day).days for day in dayfile.days(self.folder))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host without a store yet."""
    return Host(tmp_path / "store")


def test_old_days_go(host: Host) -> None:
    """A day beyond the retention goes as days pass, what cgtrail did not make never; each removal is told."""
    host.fill(3)
    (host.folder / "notes.txt").touch()
    (host.folder / "2020-02-30.db").touch()
    (host.folder / "2020-01-01.db").write_bytes(b"mine" * 100)
    with closing(sqlite3.connect(host.folder / "2020-01-02.db")) as db:
        db.execute("CREATE TABLE mine (a)")
    foreign = {"notes.txt", "2020-02-30.db", "2020-01-01.db", "2020-01-02.db"}
    with closing(host.sink(2)) as sink, capture_logs() as told:
        host.pass_days()
        assert list(sink.write([])) == []
    assert {path.name for path in host.folder.iterdir()} == foreign | {"2026-11-22.db", "2026-11-21.db"}
    assert [(Path(line["file"]).name, line["age_days"], line["retention_days"]) for line in told] == [
        ("2026-11-20.db", 3, 2)
    ]


def test_the_next_day_pushes_the_oldest_out(host: Host) -> None:
    """Also where no process runs for a whole day: as many days stay as are kept, and the one of now."""
    host.fill(3)
    for _ in range(4):
        host.now += DAY
        with closing(host.sink(2)) as sink:
            sink.write([document(f"{host.now}", host.now)])
    assert host.days() == [-4, -3, -2, -1]
    host.sink(2).close()
    assert host.days() == [-4, -3, -2]


def test_a_lowered_retention_counts_at_once(host: Host) -> None:
    """The next start removes all that is beyond it, and documents of such days are rejected."""
    host.fill(30)
    with closing(host.sink(7)) as sink:
        assert host.days() == list(range(8))
        kept, refused = sink.write([document(f"{n}", NOON - n * DAY) for n in (7, 8)])
    assert (kept.status, refused.status) == (Status.OK, Status.REJECTED)
    assert "older than the 7 days" in refused.reason


@pytest.mark.parametrize("gap", [1, 40, 400, 40_000])
def test_a_clock_that_jumps_removes_no_history(host: Host, gap: int) -> None:
    """While it is ahead a day goes each day; what it wrote stands beside the rest; real dates are always taken."""
    host.fill(31)
    with closing(host.sink(30)) as sink:
        host.pass_days(0)
        host.now += gap * DAY
        ahead = [document("ahead", host.now), document("real", NOON)]
        assert [answer.status for answer in sink.write(ahead)] == [Status.OK] * 2
        sink.write([])
        assert host.days() == [-gap, *range(31)]
        host.pass_days()
        sink.write([])
        assert set(range(30)) <= set(host.days())
    for _ in range(3):
        host.sink(30).close()
    assert set(range(30)) <= set(host.days())
    host.now = NOON + DAY
    with closing(host.sink(30)) as sink:
        assert [answer.status for answer in sink.write([document("back", NOON + DAY)])] == [Status.OK]
    assert set(range(30)) <= set(host.days())


def test_a_jump_after_long_running_has_nothing_saved_up(host: Host) -> None:
    """Days in which nothing was old allow no more removals later."""
    host.fill(10)
    with closing(host.sink(30)) as sink:
        host.pass_days(10)
        sink.write([])
        host.now += 400 * DAY
        sink.write([])
    assert host.days() == list(range(9))


def test_a_host_that_was_off_loses_a_day_each_day(host: Host) -> None:
    """Its history is not gone when it comes back, and goes in time."""
    host.fill(20, gap=60)
    with closing(host.sink(30)) as sink:
        assert len(host.days()) == 20
        for left in range(19, -1, -1):
            host.pass_days()
            sink.write([])
            assert len(host.days()) == left


def test_a_store_keeps_a_day_at_least(tmp_path: Path) -> None:
    """A retention of no days is an error that says so."""
    with pytest.raises(ValueError, match="one day at least"):
        SqliteSink(tmp_path, 0)
