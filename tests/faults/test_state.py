"""The worker's own state is of another version, damaged or gone, or its configuration changes: documents do not."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import struct
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from enrich.enricher import Enricher
from enrich.statefile import own_file
from shipper.wire.position import position_file
from shipper.wire.reader import Reader
from shipper.wire.segment import Stream
from tests.faults.conftest import Effort, Recorded
from tests.faults.kept import assert_documents, assert_same, kept, named
from tests.faults.processes import kill, processes
from tests.faults.writer import begun

pytestmark = pytest.mark.faults

Change = Callable[[Path, random.Random], None]


def changed(data: Path, sql: str, *values: object) -> None:
    """Write to the worker's database behind its back."""
    with closing(sqlite3.connect(own_file(data, "state.db"))) as db, db:
        assert db.execute(sql, values).rowcount


def older_schema(data: Path, rng: random.Random) -> None:
    """Snapshots of another version, to which the state meant something else."""
    with closing(sqlite3.connect(own_file(data, "state.db"))) as db:
        stream, position = db.execute("SELECT stream, max(position) FROM snapshots").fetchone()
    empty = Enricher(bytes.fromhex(stream))
    empty.number = position
    changed(data, "UPDATE snapshots SET schema = ?", rng.randbytes(16).hex())
    _body(data, zlib.compress(empty.save()))


def older_format(data: Path, _: random.Random) -> None:
    """A database that another version made, with other tables."""
    with closing(sqlite3.connect(own_file(data, "state.db"))) as db:
        db.executescript("DROP TABLE snapshots; CREATE TABLE snapshots (place INTEGER); PRAGMA user_version = 9;")


def no_zlib(data: Path, rng: random.Random) -> None:
    """A snapshot that is no compressed data, with the right checksum."""
    _body(data, rng.randbytes(5000))


def no_pickle(data: Path, rng: random.Random) -> None:
    """A snapshot that is no pickle, with the right checksum."""
    _body(data, zlib.compress(rng.randbytes(5000)))


def other_pickle(data: Path, _: random.Random) -> None:
    """A snapshot that would make something else than a worker's state."""
    _body(data, zlib.compress(b"cos\nsystem\n(S'touch cgtrail-was-here'\ntR."))


def cut_pickle(data: Path, rng: random.Random) -> None:
    """A snapshot whose end is missing, with the right checksum."""
    with closing(sqlite3.connect(own_file(data, "state.db"))) as db:
        body = zlib.decompress(max(db.execute("SELECT position, body FROM snapshots").fetchall())[1])
    _body(data, zlib.compress(body[: rng.randrange(len(body))]))


def flipped(data: Path, rng: random.Random) -> None:
    """The newest snapshot has a damaged byte."""
    with closing(sqlite3.connect(own_file(data, "state.db"))) as db, db:
        position, body = max(db.execute("SELECT position, body FROM snapshots").fetchall())
        at = rng.randrange(len(body))
        damaged = body[:at] + bytes([body[at] ^ 0x10]) + body[at + 1 :]
        db.execute("UPDATE snapshots SET body = ? WHERE position = ?", (damaged, position))


def garbage(data: Path, rng: random.Random) -> None:
    """The database is none any more."""
    own_file(data, "state.db").write_bytes(rng.randbytes(20_000))


def gone(data: Path, _: random.Random) -> None:
    """The database was removed, its log was not."""
    own_file(data, "state.db").unlink()


def mark_of_nobody(data: Path, rng: random.Random) -> None:
    """The mark says that a worker died of a record that cannot be."""
    own_file(data, "mark").write_bytes(struct.pack("<16sQIi", rng.randbytes(16), (1 << 64) - 1, (1 << 32) - 1, 1))


def mark_cut(data: Path, _: random.Random) -> None:
    """The mark is only partly there."""
    os.truncate(own_file(data, "mark"), 7)


def no_position(data: Path, _: random.Random) -> None:
    """How far the worker was is forgotten."""
    position_file(data / "spool", "sqlite").path.unlink()


def no_json(data: Path, rng: random.Random) -> None:
    """How far the worker was can't be read."""
    position_file(data / "spool", "sqlite").path.write_bytes(rng.randbytes(40))


CHANGES: list[Change] = [
    older_schema, older_format, no_zlib, no_pickle, other_pickle, cut_pickle, flipped, garbage, gone, mark_of_nobody,
    mark_cut, no_position, no_json,
]  # fmt: skip


def _body(data: Path, body: bytes) -> None:
    changed(data, "UPDATE snapshots SET body = ?, crc = ?", body, zlib.crc32(body))


def test_state_changed(recorded: Recorded, effort: Effort, rng: random.Random, tmp_path: Path) -> None:
    """Whatever a worker finds where its state was, the documents are the same."""
    changes = [change for _ in range(7 if effort.long else 1) for change in rng.sample(CHANGES, len(CHANGES))]
    with processes(recorded.copy(tmp_path)) as running:
        for place, change in enumerate(changes, 1):
            worker = running.worker()
            running.wait_snapshot(worker, recorded.frames * place // (len(changes) + 1))
            assert kill(worker) == -signal.SIGKILL, f"it had ended by itself:\n{running.tail()}"
            change(running.data, rng)
        running.finish()
        told = f"seed {recorded.seed}, {[change.__name__ for change in changes]}"
        assert_same(kept(running.data), recorded.wanted, told)
        assert not Path("cgtrail-was-here").exists()


def released(stream: Stream, *, forks: bool, ended: bool) -> list[tuple[int, str, str]]:
    """Of every document of a stream: the frame at which it leaves, its id and body."""
    enricher, found = Enricher(stream.id, forks=forks), []
    for piece in Reader(stream).read():
        found += [(piece.number, each.id, each.encode().decode()) for each in enricher.take(piece).documents]
    if ended:
        found += [(enricher.number, each.id, each.encode().decode()) for each in enricher.finish().documents]
    return found


def test_forks_from_now_on(recorded: Recorded, rng: random.Random, tmp_path: Path) -> None:
    """With another configuration, what was not stored yet becomes the new one's documents; what was stays."""
    with processes(recorded.copy(tmp_path)) as running:
        data = running.data
        worker = running.worker()
        running.wait_snapshot(worker, rng.randrange(len(recorded.boots[0].frames) // 2))
        kill(worker)
        first, second = begun(data / "spool")
        committed = position_file(data / "spool", "sqlite").load()[first.id.hex()].next
        running.finish(CGTRAIL_DOCUMENTS_FORKS="true")
        before, after = (released(first, forks=forks, ended=True) for forks in (False, True))
        wanted = {ident: body for frame, ident, body in before if frame < committed}
        wanted |= {ident: body for frame, ident, body in after if frame >= committed}
        wanted |= {ident: body for _, ident, body in released(second, forks=True, ended=False)}
        assert len(wanted) > len(recorded.wanted.documents)
        assert_documents(kept(data).documents, named(data, wanted), f"seed {recorded.seed}, committed {committed}")
