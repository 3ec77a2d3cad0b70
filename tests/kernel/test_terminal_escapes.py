"""Programs that own both ends of a terminal, or act on it by ways that move bytes past us: each leaves an alarm."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bpf.enums import TerminalFlag
from bpf.events import Header, TtyInput, TtyOutput, TtyUring, TtyWrite
from tests.kernel.capture import Capture, of
from tests.kernel.conftest import FOREVER, GCC
from tests.kernel.dockerd import Container, Dockerd, busybox_archive, program
from tests.kernel.terminals import record_all

TEXT = b"what is moved through it"
MOVES = Path(__file__).parent / "moves" / "moves.c"
READ, WRITE = 22, 23
"""IORING_OP_READ, IORING_OP_WRITE (linux/io_uring.h)."""
PREAD, PWRITE = 256, 257
"""IOCB_CMD_PREAD and PWRITE (linux/aio_abi.h), as TtyUring has them."""
READS = {"uring": READ, "fixed": READ, "aio": PREAD}
WRITES = {"uring": WRITE, "fixed": WRITE, "aio": PWRITE}


@pytest.fixture(scope="module")
def box(docker_daemon: Dockerd, capture: Capture, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """A container with the program that moves bytes."""
    binary = tmp_path_factory.mktemp("moves") / "moves"
    subprocess.run([program("gcc"), *GCC, "-pthread", "-o", binary, MOVES], check=True)
    docker_daemon.add_image("moves", busybox_archive({"bin/moves": (binary.read_bytes(), 0o755)}))
    with docker_daemon.container("moves", *FOREVER, security_opt=["seccomp=unconfined"]) as made:
        record_all(capture, made)
        yield made


def moved(capture: Capture, box: Container, what: str, how: str) -> list[Header]:
    """What is recorded of one run, which moves all of the text."""
    capture.drain()
    begin = len(capture.records)
    assert box.run("moves", what, how, TEXT[::-1].decode()) == f"{len(TEXT)}\n".encode()
    capture.drain()
    return [record for record in capture.records[begin:] if record.cgroup_id == box.cgroup_id]


@pytest.mark.parametrize("how", ["call", "pieces"])
def test_seen(capture: Capture, box: Container, how: str) -> None:
    """What passes by read(2), write(2) and their like for pieces is recorded at both ends."""
    shown = of(moved(capture, box, "screen", how), TtyOutput)
    assert [record.content for record in shown] == [TEXT, TEXT[:3]]
    assert [record.drained for record in shown] == [len(TEXT), len(TEXT) + 3]
    assert [record.content for record in of(moved(capture, box, "write", how), TtyWrite)] == [TEXT]
    assert [record.content for record in of(moved(capture, box, "input", how), TtyInput)] == [TEXT]


@pytest.mark.parametrize(("how", "opcode"), READS.items(), ids=READS)
def test_screen_escapes(capture: Capture, box: Container, how: str, opcode: int) -> None:
    """A master that is read without a call that returns: an alarm, and the kernel's own count tells how much it was."""
    found = moved(capture, box, "screen", how)
    assert [record.opcode for record in of(found, TtyUring)] == [opcode]
    (record,) = of(found, TtyOutput)
    assert (record.shown, record.content) == (0, TEXT[:3])
    assert record.drained - (record.shown + record.size) == len(TEXT)


def test_screen_spliced(capture: Capture, box: Container) -> None:
    """What is spliced from a master lies in nobody's memory: it is counted, and marked as not readable."""
    first, second = of(moved(capture, box, "screen", "splice"), TtyOutput)
    assert (first.size, first.content, first.drained) == (len(TEXT), b"", len(TEXT))
    assert first.terminal_flags & TerminalFlag.UNREADABLE
    assert (second.shown, second.content) == (len(TEXT), TEXT[:3])


@pytest.mark.parametrize(("how", "opcode"), WRITES.items(), ids=WRITES)
def test_writer_escapes(capture: Capture, box: Container, how: str, opcode: int) -> None:
    """Who writes without a call that returns raises an alarm; what is shown is complete all the same."""
    found = moved(capture, box, "write", how)
    assert [record.opcode for record in of(found, TtyUring)] == [opcode]
    assert [(record.content, record.writers) for record in of(found, TtyOutput)] == [(TEXT, 0)]


@pytest.mark.parametrize("how", ["sendfile", "splice"])
def test_written_from_files(capture: Capture, box: Container, how: str) -> None:
    """Who writes by sendfile or splice is told as the writer of what is shown."""
    found = moved(capture, box, "write", how)
    assert [(record.content, record.writers) for record in of(found, TtyOutput)] == [(TEXT, 1)]


@pytest.mark.parametrize(("how", "opcode"), READS.items(), ids=READS)
def test_reader_escapes(capture: Capture, box: Container, how: str, opcode: int) -> None:
    """Who consumes what was typed without a call that returns raises an alarm."""
    assert [record.opcode for record in of(moved(capture, box, "input", how), TtyUring)] == [opcode]


def test_reader_splices(capture: Capture, box: Container) -> None:
    """What is spliced from a terminal is counted, and marked as not readable."""
    (record,) = of(moved(capture, box, "input", "splice"), TtyInput)
    assert (record.size, record.content) == (len(TEXT), b"")
    assert record.terminal_flags & TerminalFlag.UNREADABLE
