"""One process at a time per folder and role."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shipper.lock import AlreadyRunningError, holder, only

HOLD = """
import sys
from pathlib import Path
from shipper.lock import only
with only(Path(sys.argv[1]), "agent"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The lock's file, which doesn't exist yet."""
    return tmp_path / "agent.lock"


@contextmanager
def another_process(file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path.cwd()
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        try:
            yield process
        finally:
            process.kill()


def test_nobody_holds_what_is_not_there(file: Path) -> None:
    """Asking makes no file."""
    assert holder(file) is None
    assert not file.exists()


def test_its_holder_is_named_while_it_is_held(file: Path) -> None:
    """The process that holds it is told, and nobody afterwards."""
    with only(file, "agent"):
        assert holder(file) == os.getpid()
    assert holder(file) is None


def test_the_second_is_refused(file: Path) -> None:
    """The message names role, process and folder; the first is not disturbed."""
    with only(file, "agent"):
        expected = rf"agent {os.getpid()} already works on {file.parent}; .*--data"
        with pytest.raises(AlreadyRunningError, match=expected), only(file, "agent"):
            pytest.fail("held twice")
        assert holder(file) == os.getpid()


def test_another_process_is_refused(file: Path) -> None:
    """The lock holds between processes."""
    with another_process(file) as other:
        assert holder(file) == other.pid
        with pytest.raises(AlreadyRunningError, match=f"agent {other.pid} "), only(file, "agent"):
            pytest.fail("held twice")


def test_other_files_are_other_locks(file: Path) -> None:
    """Agent and worker of a folder don't exclude each other."""
    with only(file, "agent"), only(file.with_name("enrich.lock"), "worker"):
        assert holder(file) == os.getpid()


def test_a_killed_process_lets_go(file: Path) -> None:
    """After a SIGKILL the lock is free, and the dead process is not named."""
    with another_process(file) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert holder(file) is None
        with only(file, "agent"):
            assert holder(file) == os.getpid()


def test_an_error_lets_go(file: Path) -> None:
    """The lock is free after its holder failed."""
    with pytest.raises(ZeroDivisionError), only(file, "agent"):
        _ = 1 / 0
    assert holder(file) is None


def test_asking_stands_in_nobodys_way(file: Path) -> None:
    """Between two askers, and while somebody asks, the lock can be taken and the answer is right."""
    with only(file, "agent"):
        pass
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        assert holder(file) is None
        with only(file, "agent"):
            assert holder(file) == holder(file) == os.getpid()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_child_does_not_keep_it(file: Path) -> None:
    """A program that the holder started doesn't hold the lock when the holder is gone."""
    with only(file, "agent"):
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)
    with child:
        assert holder(file) is None
        assert child.poll() is None
        child.kill()


def test_only_its_owner_can_read_it(file: Path) -> None:
    """Its file has mode 0600."""
    with only(file, "agent"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
