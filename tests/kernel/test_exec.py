"""A program that starts in a container is recorded once, with what the program itself sees."""

from __future__ import annotations

import os
import signal
from itertools import pairwise
from pathlib import Path

import pytest

from bpf.enums import ImageFlag
from bpf.events import Exec, Exit, Fork
from tests.kernel.capture import Capture, Seen, of
from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Container
from tests.kernel.oracle import arguments, image_of, image_told, plain, task_of, task_told

pytestmark = pytest.mark.kernel

ARGS_MAX = 65_535
"""Bytes of arguments that a record holds at most."""


def target(seen: Seen) -> Exec:
    """The record of the program that the trigger became: the second of exactly two."""
    trigger, record = seen.of(Exec)
    assert (trigger.filename, trigger.vpid, trigger.tgid) == (b"/triggers/trigger", record.vpid, record.tgid)
    return record


def test_static(capture: Capture, container: Container) -> None:
    """Every field of the record is what the started program reports of itself."""
    seen = capture.trigger(container, "exec-args", *(text.encode().hex() for text in ("shown", "one", "two words")))
    record = target(seen)
    assert image_of(record) == image_told(seen.report)
    assert record.filename == b"/triggers/report"
    assert record.args == b"shown\0one\0two words\0"
    assert record.cgroup_id == container.cgroup_id
    assert (record.host_uid, record.uid) == (0, 0)


@pytest.mark.parametrize(
    "args",
    [[b"\xff\xfe", b"line\nbreak", b"\x1b[2J", b"caf\xc3\xa9"], [b"", b"x"], [b"a", b"", b""], [b""], []],
    ids=["bytes", "empty first", "empty last", "one empty", "none"],
)
def test_args(capture: Capture, container: Container, args: list[bytes]) -> None:
    """Arguments are recorded byte by byte, empty ones and those that are no text included."""
    seen = capture.trigger(container, "exec-args", *(arg.hex() for arg in args))
    record = target(seen)
    assert image_of(record) == image_told(seen.report)
    assert record.args == b"".join(arg + b"\0" for arg in args or [b""])


@pytest.mark.parametrize("size", [20_000, 32_768, 60_000, ARGS_MAX])
def test_long_args(capture: Capture, container: Container, size: int) -> None:
    """Up to 65,535 bytes of arguments are recorded whole."""
    seen = capture.trigger(container, "exec-bytes", str(size))
    record = target(seen)
    assert record.args_bytes == len(record.args) == size
    assert record.args == arguments(seen.report)


@pytest.mark.parametrize("size", [ARGS_MAX + 1, 100_000, 200_000])
def test_longer_args(capture: Capture, container: Container, size: int) -> None:
    """Of longer arguments the first 65,535 bytes are recorded, and how many there were."""
    seen = capture.trigger(container, "exec-bytes", str(size))
    record = target(seen)
    assert record.args_bytes == size
    assert record.args == arguments(seen.report)[:ARGS_MAX]
    assert record.flags == 0


def test_script(capture: Capture, container: Container) -> None:
    """A #! script's record names the script, its interpreter, and the arguments that the interpreter got."""
    seen = capture.trigger(container, "exec-script")
    record = target(seen)
    assert image_of(record) == image_told(seen.report)
    assert (record.filename, record.exe, record.comm) == (b"/triggers/script", b"/triggers/report", b"script")
    assert record.args == b"/triggers/report\0-x\0/triggers/script\0one\0two words\0"


def test_memfd(capture: Capture, container: Container) -> None:
    """A program started from memory is marked and named after its memfd."""
    seen = capture.trigger(container, "exec-memfd")
    record = target(seen)
    told = image_told(seen.report)
    assert told["exe"] == b"/memfd:evil (deleted)"
    assert image_of(record) == told | {"exe": b"/memfd:evil", "flags": ImageFlag.MEMFD}


def test_unlinked(capture: Capture, container: Container) -> None:
    """A program whose file was unlinked is marked, and has the path that it had."""
    seen = capture.trigger(container, "exec-unlinked")
    record = target(seen)
    told = image_told(seen.report)
    assert told["exe"] == b"/tmp/unlinked (deleted)"
    assert image_of(record) == told | {"exe": b"/tmp/unlinked", "flags": ImageFlag.DELETED}


def test_thread(capture: Capture, container: Container) -> None:
    """A thread's exec is its process's: one record under the process's id, and one end, when the program ends."""
    seen = capture.trigger(container, "exec-thread")
    record = target(seen)
    assert image_of(record) == image_told(seen.report)
    (end,) = seen.of(Exit)
    assert (end.tgid, end.vpid, end.start, end.status) == (record.tgid, record.vpid, record.start, 0)
    assert end.time > record.time


def test_deep_directory(capture: Capture, container: Container) -> None:
    """A working directory 40 levels deep is recorded whole."""
    seen = capture.trigger(container, "exec-deep", "40")
    record = target(seen)
    assert record.cwd.count(b"/") == 40
    assert image_of(record) == image_told(seen.report)


def test_deeper_directory(capture: Capture, container: Container) -> None:
    """Of a working directory of over 128 levels the last ones are recorded, and that some are missing."""
    seen = capture.trigger(container, "exec-deep", "200")
    record = target(seen)
    whole = plain(seen.report["cwd"])
    assert whole.count(b"/") == 200
    assert record.flags == ImageFlag.CWD_CUT
    assert record.cwd == b"/" + b"/".join(whole.split(b"/")[-128:])


def test_longer_directory(capture: Capture, container: Container) -> None:
    """Of a working directory of over 4,095 bytes the last names that fit are recorded, and that some are missing."""
    record = target(capture.trigger(container, "exec-deep", "21", "250"))
    names = [f"level-{level}".ljust(250, "x").encode() for level in range(1, 21)]
    assert record.flags == ImageFlag.CWD_CUT
    assert record.cwd == b"/" + b"/".join(names[-(4095 // 251) :])


def test_removed_directory(capture: Capture, container: Container) -> None:
    """A working directory that was removed is marked, and has the path that it had."""
    seen = capture.trigger(container, "exec-removed")
    record = target(seen)
    assert seen.report["cwd"] is None
    assert image_of(record) == image_told(seen.report) | {"cwd": b"/tmp/removed", "flags": ImageFlag.CWD_DELETED}


def test_chroot(capture: Capture, container: Container) -> None:
    """Paths are seen from the process's own root directory."""
    seen = capture.trigger(container, "exec-chroot", "/inner")
    record = target(seen)
    assert plain(seen.report["cwd"]) == b"/inner"
    assert (record.cwd, record.exe, record.filename, record.flags) == (b"/inner", b"/report", b"/report", 0)


def test_outside_chroot(capture: Capture, container: Container) -> None:
    """A working directory outside the process's root directory is marked, and has its path below its mount."""
    seen = capture.trigger(container, "exec-outside", "/triggers")
    record = target(seen)
    assert seen.report["cwd"] is None
    assert (record.cwd, record.exe, record.flags) == (b"/triggers", b"/report", ImageFlag.CWD_OUTSIDE)


def test_chain(capture: Capture, container: Container) -> None:
    """In a chain of processes each record names its parent, by number, start and name."""
    seen = capture.trigger(container, "exec-chain", "5")
    execs = seen.of(Exec)
    assert [record.vpid for record in execs] == [report["pid"] for report in seen.reports]
    assert [record.args for record in execs] == [b"/triggers/trigger\0exec-chain\0%d\0" % n for n in (5, 4, 3, 2, 1)]
    assert len(seen.started(Fork)) == len(seen.started(Exit)) == 4
    for (parent, child), report in zip(pairwise(execs), seen.reports[1:], strict=True):
        assert (child.ppid, child.parent_start, child.parent_comm) == (parent.tgid, parent.start, b"trigger")
        assert report["ppid"] == parent.vpid


def test_first_program(capture: Capture, container: Container) -> None:
    """A container's first program is recorded under the host's process id that Docker tells, and as 1 inside."""
    (record,) = [r for r in of(capture.records, Exec) if r.pid_ns == container.pid_ns and r.vpid == 1]
    assert record.tgid == container.pid
    assert record.args == b"".join(os.fsencode(arg) + b"\0" for arg in FOREVER)
    assert record.exe == b"/bin/busybox"


def test_host_process_id(capture: Capture, container: Container) -> None:
    """The record's process id is the host's, its process id inside is what the host's /proc says of that one."""
    before = len(capture.records)
    container.handle.exec_run(["/triggers/report", "stay", "alive"], detach=True)

    def found() -> list[Exec]:
        return [r for r in of(capture.records[before:], Exec) if r.args == b"/triggers/report\0stay\0alive\0"]

    capture.until(lambda: bool(found()), "the program that stays")
    (record,) = found()
    status = Path(f"/proc/{record.tgid}/status").read_text()
    os.kill(record.tgid, signal.SIGKILL)
    assert f"NSpid:\t{record.tgid}\t{record.vpid}\n" in status


def test_user(capture: Capture, container: Container) -> None:
    """A program started as another user has that user's ids and no capabilities."""
    seen = capture.run(container, "/triggers/report", user="alice")
    (record,) = seen.of(Exec)
    assert task_of(record) == task_told(seen.report)
    assert (record.uid, record.gid, record.host_uid, record.capabilities) == (1000, 1000, 1000, 0)
