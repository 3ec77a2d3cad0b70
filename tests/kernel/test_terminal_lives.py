"""Each life of a terminal is one of its own, and all that changes in it is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bpf.enums import Change, TerminalFlag
from bpf.events import Header, Terminal, TtyChange, TtyInput, TtyOutput, TtySignal
from tests.kernel.capture import TRIGGER, Capture, of
from tests.kernel.dockerd import Container, Dockerd
from tests.kernel.furnished import draining, furnished
from tests.kernel.terminals import Life, consumed, life, record_all, screen

pytestmark = pytest.mark.kernel

PTYS = Path(__file__).parent / "ptys.py"


@pytest.fixture(scope="module")
def rich(docker_daemon: Dockerd, capture: Capture, trigger_programs: Path) -> Iterator[Container]:
    """A container with a program that opens terminals, of which everything is recorded."""
    files = {
        "ptys.py": (PTYS.read_bytes(), 0o644),
        "triggers/trigger": ((trigger_programs / "trigger").read_bytes(), 0o755),
    }
    with furnished(docker_daemon, files, cap_add=["SYS_ADMIN"]) as made:
        record_all(capture, made)
        yield made


def acted(capture: Capture, container: Container, *argv: str) -> tuple[dict[str, Any], list[Terminal]]:
    """What the program says that it did, and the records of terminals since it began."""
    return run(capture, container, "/usr/bin/python3", "-B", "/ptys.py", *argv)


def run(capture: Capture, container: Container, *argv: str) -> tuple[dict[str, Any], list[Terminal]]:
    """The same of any program that reports."""
    capture.drain()
    begin = len(capture.records)
    with draining(capture):
        output = container.run("busybox", "timeout", "15", *argv)
    report: dict[str, Any] = {}
    for line in output.splitlines():
        report |= json.loads(line)
    return report, [r for r in of(capture.records[begin:], Terminal) if r.home == container.cgroup_id]


def texts(records: list[Terminal]) -> dict[Life, bytes]:
    """The screen of each terminal, in the order in which they showed something first."""
    shown = dict.fromkeys(life(r) for r in of(list[Header](records), TtyOutput))
    screens = {each: screen(records, each) for each in shown}
    assert {found.skipped for found in screens.values()} <= {0}
    return {each: found.content for each, found in screens.items()}


def test_reused_at_once(capture: Capture, rich: Container) -> None:
    """An index that is used again within a millisecond is another terminal, and each shows its own text."""
    count = 2000
    report, records = acted(capture, rich, "lives", str(count))
    found = texts(records)
    assert report["indexes"] == [0]
    assert list(found.values()) == [b"life %d." % number for number in range(count)]
    assert len({generation for _, _, generation in found}) == count
    assert all(r.terminal_flags == 0 for r in records)
    assert all(r.writer == r.last_writer == r.opener for r in of(list[Header](records), TtyOutput))


def test_thousand_at_once(capture: Capture, rich: Container) -> None:
    """A thousand terminals that are open at once keep their generations."""
    report, records = acted(capture, rich, "idle", "1000")
    assert sorted(texts(records).values()) == sorted(b"%d.%d." % (i, i) for i in report["indexes"])


def test_sizes(capture: Capture, rich: Container) -> None:
    """Windows of every size are told, and what is shown comes with the size that it is shown at."""
    _, records = acted(capture, rich, "sizes")
    expected = [(0, 0), (1000, 1000), (65535, 65535), (24, 80)]
    assert [(r.rows, r.columns) for r in of(list[Header](records), TtyOutput)] == expected
    changes = [r for r in of(list[Header](records), TtyChange) if r.change == Change.WINDOW]
    assert [(r.rows, r.columns) for r in changes] == expected[1:]  # the first is what it had


def test_settings(capture: Capture, rich: Container) -> None:
    """Each change of settings is told with what holds afterwards."""
    _, records = acted(capture, rich, "settings")
    changes = [r for r in of(list[Header](records), TtyChange) if r.change == Change.TERMIOS]
    assert [bool(r.lflag & 8) for r in changes] == [False, True, False]


def test_packets(capture: Capture, rich: Container) -> None:
    """Of packets the first byte is no content."""
    report, records = acted(capture, rich, "packets")
    assert list(texts(records).values()) == [report["got"].encode()]


def test_pieces(capture: Capture, rich: Container) -> None:
    """What is read and written in pieces is whole, however many there are."""
    report, records = acted(capture, rich, "pieces")
    ((terminal, text),) = texts(records).items()
    assert text == b"writev." + b"12345678" * 20 + b"x" * 1000 + b"y" * 1000 + b"preadv2."
    assert consumed(records, terminal) == report["consumed"].encode() == b"keys"


def test_too_many_pieces(capture: Capture, rich: Container) -> None:
    """What is read in more pieces than are looked at is skipped to the byte, and nothing else is."""
    report, records = acted(capture, rich, "crumbs")
    ((terminal, *_),) = {(life(r),) for r in of(list[Header](records), TtyOutput)}
    found = screen(records, terminal)
    assert (found.content, found.skipped) == (b"the end.", report["got"]) == (b"the end.", 600)


def test_without_a_buffer(capture: Capture, rich: Container) -> None:
    """What sendfile and splice write is shown; what splice takes from a master is skipped to the byte."""
    report, records = acted(capture, rich, "unseen")
    ((terminal, *_),) = {(life(r),) for r in of(list[Header](records), TtyOutput)}
    found = screen(records, terminal)
    assert found.content == b"sendfile.splice.the end."
    assert found.skipped == len(report["spliced"])


def test_instance_of_its_own(capture: Capture, rich: Container) -> None:
    """A devpts that a container mounts itself is another device."""
    report, records = acted(capture, rich, "newinstance")
    (((_, index, _), text),) = texts(records).items()
    assert (index, text) == (report["index"], b"an instance of its own.") == (0, text)


def test_signals(capture: Capture, rich: Container) -> None:
    """Keys that leave no byte to be read are told by their signals, and with whom they reach."""
    report, records = acted(capture, rich, "signals")
    signals = of(list[Header](records), TtySignal)
    assert [r.signal for r in signals if r.signal != 1] == [20, 3, 2]
    assert len({r.tgid for r in signals if r.signal != 1}) == 1
    (control,) = [r for r in of(list[Header](records), TtyChange) if r.change == Change.CONTROL]
    assert control.leader == control.tgid
    assert report["child"]


def test_typed(capture: Capture, rich: Container) -> None:
    """Nothing that is read from a terminal has a life that no master began."""
    _, records = acted(capture, rich, "pieces")
    assert all(r.opener for r in of(list[Header](records), TtyInput))


def test_after_the_leader(capture: Capture, rich: Container) -> None:
    """What a process shows once its session's leader has ended is the same terminal's, and its hang-up is told once."""
    report, records = acted(capture, rich, "orphan")
    (text,) = texts(records).values()
    assert text == b"early.late."
    last = of(list[Header](records), TtyOutput)[-1]
    assert (last.leader, last.tgid, last.cgroup_id) == (0, 0, rich.cgroup_id)
    assert [r.change for r in of(list[Header](records), TtyChange)][-1:] == [Change.HANGUP]
    assert report["ended"]


def test_calls_of_32_bits(capture: Capture, rich: Container) -> None:
    """Calls of the 32-bit table are seen as any others; its writev moves what is shown all the same."""
    _, records = run(capture, rich, TRIGGER, "terminal-compat")
    ((terminal, text),) = texts(records).items()
    assert text == b"compat.compat."
    assert consumed(records, terminal) == b"com"
    assert [r.change for r in of(list[Header](records), TtyChange)] == [Change.TERMIOS, Change.WINDOW]
    assert (records[-1].rows, records[-1].columns) == (33, 44)
    assert {r.terminal_flags for r in records} == {0}


def test_opened_by_uring(capture: Capture, rich: Container) -> None:
    """A terminal whose opening no system call tells is found, and what it shows is whole."""
    _, records = run(capture, rich, TRIGGER, "terminal-uring")
    found = texts(records)
    assert b"".join(found.values()) == b"".join(b"life %d." % number for number in range(20))
    assert {r.terminal_flags for r in records} == {TerminalFlag.FOUND}


def test_written_by_uring(capture: Capture, rich: Container) -> None:
    """A terminal at which no system call acted before it is read from is the container's whose process reads it."""
    _, records = run(capture, rich, TRIGGER, "terminal-unseen")
    assert list(texts(records).values()) == [b"uring"]
