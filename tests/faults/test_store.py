"""The local store's file is damaged or deleted: the worker says what to do, and the spool makes it again."""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from shipper.wire.position import position_file
from tests.faults.conftest import Effort, Recorded
from tests.faults.kept import assert_documents, assert_same, kept, named, rows
from tests.faults.processes import Processes, halt, kill, processes

pytestmark = pytest.mark.faults

PAUSE = 0.002
"""Seconds between two frames."""
Damage = Callable[[Path, random.Random], None]


def overwritten(file: Path, rng: random.Random) -> None:
    """Other bytes stand in the file, its log and the log's index: without that one SQLite may live on its cache."""
    for each in (file, *(file.with_name(file.name + end) for end in ("-wal", "-shm"))):
        if each.exists():
            with each.open("r+b") as opened:
                opened.write(rng.randbytes(each.stat().st_size))


def cut(file: Path, _: random.Random) -> None:
    """Half of the file and all of its log are gone."""
    os.truncate(file, file.stat().st_size // 2 // 4096 * 4096)
    file.with_name(file.name + "-wal").unlink(missing_ok=True)


def newest(data: Path) -> Path:
    """The day file that was written last."""
    return max((data / "store").glob("*.db"))


def forget(data: Path) -> None:
    """Let the worker begin anew: nothing was stored; what it knows of later frames is of no use."""
    position_file(data / "spool", "sqlite").path.unlink(missing_ok=True)


def move_away(running: Processes, file: Path) -> None:
    """Do what the worker says: the file alone is moved, not its log."""
    running.wait(lambda: f"{file}: damaged" in running.tail(), "the advice")
    assert "move it away" in running.tail()
    file.rename(running.data / "damaged.db")


@pytest.mark.parametrize(("damage", "alive"), [(overwritten, True), (cut, False), (overwritten, False), (cut, True)])
def test_damaged(
    recorded: Recorded, effort: Effort, rng: random.Random, tmp_path: Path, damage: Damage, *, alive: bool
) -> None:
    """A damaged day file stops nothing: once it is moved away a new one is made, and the spool holds what it held."""
    if alive == (damage is cut) and not effort.long:
        pytest.skip("with --faults-long")
    (tmp_path / "data").mkdir()
    with processes(tmp_path / "data") as running:
        writer, worker = running.writer(recorded.seed, recorded.ticks, PAUSE), running.worker()
        running.wait_frame(worker, rng.randrange(recorded.frames // 2, recorded.frames * 3 // 4))
        halt(worker)
        file = newest(running.data)
        held = {ident for ident, _ in rows(file)}
        damage(file, rng)
        if alive:
            worker.send_signal(signal.SIGCONT)
        else:
            kill(worker)
            worker = running.worker()
        move_away(running, file)
        running.wait(file.exists, "a new file")
        assert writer.wait(600) == 0
        assert kill(worker) == -signal.SIGKILL, running.tail()
        running.finish()
        missing = recorded.wanted.documents.keys() - kept(running.data).documents.keys()
        gone = named(running.data, dict.fromkeys(held, "")).keys()
        # One that lives may have written to the damaged file before it noticed.
        assert missing >= gone if alive else missing == gone, f"seed {recorded.seed}"
        running.replay()
        assert_same(kept(running.data), recorded.wanted, f"seed {recorded.seed}")


def test_deleted(recorded: Recorded, rng: random.Random, tmp_path: Path) -> None:
    """A store that was deleted is made again from the spool, by a replay or by a worker that begins anew."""
    with processes(recorded.copy(tmp_path)) as running:
        worker = running.worker()
        running.wait_frame(worker, rng.randrange(recorded.frames))
        kill(worker)
        shutil.rmtree(running.data / "store", ignore_errors=True)  # it may have stored nothing yet
        forget(running.data)
        running.finish()
        assert_same(kept(running.data), recorded.wanted, f"seed {recorded.seed}, begun anew")
        shutil.rmtree(running.data / "store")
        running.replay()
        assert_documents(kept(running.data).documents, recorded.wanted.documents, f"seed {recorded.seed}, replayed")
