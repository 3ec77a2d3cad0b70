"""A program that could not be started is recorded once, with what was tried and the error that the caller got."""

from __future__ import annotations

import errno

import pytest

from bpf.enums import ImageFlag
from bpf.events import Exec, ExecFailed
from tests.kernel.capture import Capture, Seen
from tests.kernel.dockerd import Container
from tests.kernel.oracle import arguments, plain

pytestmark = pytest.mark.kernel


def failure(seen: Seen) -> ExecFailed:
    """The record of the one attempt, checked against the caller's own view of itself."""
    (start,) = seen.of(Exec)
    (record,) = seen.of(ExecFailed)
    assert (record.vpid, record.tgid, record.start) == (seen.report["pid"], start.tgid, start.start)
    assert (record.comm, record.cwd, record.exe, record.cgroup_id) == (b"trigger", b"/", b"", start.cgroup_id)
    assert record.error == -seen.report["error"]
    return record


@pytest.mark.parametrize(
    ("trigger", "error"),
    [
        ("fail-enoent", errno.ENOENT),
        ("fail-eacces", errno.EACCES),
        ("fail-enoexec", errno.ENOEXEC),
        ("fail-badfd", errno.EBADF),
        ("fail-memory", errno.EFAULT),
        ("fail-null", errno.ENOENT),
    ],
)
def test_error(capture: Capture, container: Container, trigger: str, error: int) -> None:
    """The record has the path, the arguments and the error of the failed call, and the caller's own identity."""
    seen = capture.trigger(container, trigger)
    record = failure(seen)
    assert record.error == -error
    assert record.filename == plain(seen.report["filename"])
    assert record.args == arguments(seen.report)
    assert record.args_bytes == len(record.args)
    assert record.flags == 0


@pytest.mark.parametrize(
    ("trigger", "size"),
    [("fail-long", 4095), ("fail-long", 4096), ("fail-long", 8190), ("fail-long", 60_000), ("fail-many", 200)],
)
def test_args(capture: Capture, container: Container, trigger: str, size: int) -> None:
    """Many and long arguments are recorded whole."""
    seen = capture.trigger(container, trigger, str(size))
    record = failure(seen)
    assert record.args == arguments(seen.report)
    assert record.args_bytes == len(record.args)
    assert record.flags == 0


@pytest.mark.parametrize(("trigger", "size"), [("fail-long", 100_000), ("fail-many", 1000)])
def test_more_args(capture: Capture, container: Container, trigger: str, size: int) -> None:
    """More and longer arguments are cut, and the record says that some are missing."""
    seen = capture.trigger(container, trigger, str(size))
    record = failure(seen)
    assert arguments(seen.report).startswith(record.args)
    assert record.args_bytes > len(record.args)
    assert record.flags == 0


def test_untouched_args(capture: Capture, container: Container) -> None:
    """Where an argument lies in memory that can't be read, the record has those before it and says so."""
    seen = capture.trigger(container, "fail-untouched")
    record = failure(seen)
    assert record.args == b"first\0"
    assert record.args_bytes > len(record.args)
    assert record.flags == ImageFlag.ARGS_UNREADABLE


def test_shell(capture: Capture, container: Container) -> None:
    """A shell's search along PATH for a command that does not exist is recorded try by try."""
    before = len(capture.records)
    output = container.run("env", "PATH=/sbin:/usr/bin", "/bin/env", "nothing-of-the-kind", "-x", expect=127)
    assert output == b""

    def found() -> list[ExecFailed]:
        tried = (r for r in capture.records[before:] if isinstance(r, ExecFailed) and r.pid_ns == container.pid_ns)
        return [r for r in tried if r.args == b"nothing-of-the-kind\0-x\0"]

    capture.until(lambda: len(found()) >= 2, "two attempts")
    assert [r.filename for r in found()] == [b"/sbin/nothing-of-the-kind", b"/usr/bin/nothing-of-the-kind"]
    assert {r.error for r in found()} == {-errno.ENOENT}
