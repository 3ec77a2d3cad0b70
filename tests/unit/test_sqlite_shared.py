"""Several workers that write to one local store."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from enrich.document import Document
from enrich.sinks import Status
from enrich.sinks.sqlite import SqliteSink
from enrich.stores.values import timestamp

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
NOON = 1_795_305_600 * SECOND + DAY // 2
"""2026-11-22T12:00:00Z."""
WRITERS, ROUNDS, EACH = 3, 20, 25


def _document(name: str, time: int) -> Document:
    return Document(name, time, "process", {"@timestamp": timestamp(time), "event": {"id": name}})


def test_only_one_lets_days_go(tmp_path: Path) -> None:
    """The others leave old days alone, and take no documents of days that go at once either."""
    days = [_document(f"day{n}", NOON + n * DAY) for n in range(6)]
    with closing(SqliteSink(tmp_path, 9, clock=lambda: NOON / SECOND)) as before:
        assert {each.status for each in before.write(days)} == {Status.OK}
    then = (NOON + 6 * DAY) / SECOND
    with closing(SqliteSink(tmp_path, 2, clock=lambda: then, expires=False)) as second:
        assert second.write([_document("old", NOON)])[0].status is Status.REJECTED
        assert len(list(tmp_path.glob("*.db"))) == 6
        with closing(SqliteSink(tmp_path, 2, clock=lambda: then)) as first:
            assert first.write([]) == []
        assert sorted(path.stem for path in tmp_path.glob("*.db")) == ["2026-11-25", "2026-11-26", "2026-11-27"]
        assert second.write([_document("new", NOON + 5 * DAY)])[0].status is Status.OK


def test_all_at_once_from_the_first_moment(tmp_path: Path) -> None:
    """Processes that make the same files at the same time: each document is stored, and once, whoever brings it."""
    writers = [subprocess.Popen([sys.executable, __file__, str(tmp_path), str(n)], cwd=Path(__file__).parents[2])
               for n in range(WRITERS)]  # fmt: skip
    assert [each.wait(300) for each in writers] == [0] * WRITERS
    found: list[str] = []
    for path in tmp_path.glob("*.db"):
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            found += [name for (name,) in db.execute("SELECT id FROM docs")]
    shared = {f"shared-{turn}-{n}" for turn in range(ROUNDS) for n in range(EACH)}
    own = {f"{writer}-{turn}-{n}" for writer in range(WRITERS) for turn in range(ROUNDS) for n in range(EACH)}
    assert sorted(found) == sorted(shared | own)


def _write(folder: Path, writer: str) -> None:
    """What one process does: documents of its own and such as the others have too, a new day each second round."""
    with closing(SqliteSink(folder, 3650, clock=lambda: NOON / SECOND, expires=writer == "0")) as sink:
        for turn in range(ROUNDS):
            names = [f"{whose}-{turn}-{n}" for whose in (writer, "shared") for n in range(EACH)]
            left = [_document(name, NOON - turn // 2 * DAY) for name in names]
            while left:
                answers = sink.write(left)
                left = [each for each, answer in zip(left, answers, strict=True) if answer.status is Status.RETRY]


if __name__ == "__main__":
    _write(Path(sys.argv[1]), sys.argv[2])
