"""Terminals whose numbers nobody would believe: nothing raises, nothing grows without bound, no alarm is false."""

from __future__ import annotations

import pytest

from bpf.enums import Change, TerminalFlag
from bpf.events import TtySignal
from enrich.steps.terminals import Terminals
from enrich.terminals.lives import MOST
from tests.unit.at_terminal import SHELL, TTY, At, begun, of
from tests.unit.stream import SECOND, Stream, container, end, exec_, fork, undeclared

FOUND = int(TerminalFlag.FOUND)
U64 = 2**64 - 1


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (0, 80), (65535, 65535)])
def test_windows(rows: int, columns: int) -> None:
    """A window of any size is told as it is; of none nothing is said."""
    stream, terminal = begun()
    stream.feed(terminal.output(b"a"), terminal.change(Change.WINDOW, rows=rows, columns=columns))
    stream.feed(terminal.output(b"b", rows=rows, columns=columns))
    stream.wait(SECOND)
    (text,) = of(stream.documents, "text_output")
    assert text["cgtrail"]["terminal"]["timing"] == f"=80x24>1+1={columns}x{rows}+1>1"
    assert undeclared(text) == set()


@pytest.mark.parametrize("jump", [2**31, 2**63, U64 - 5])
def test_counts_that_jump(jump: int) -> None:
    """A position that runs far ahead or back is a gap at most; totals fit a document."""
    stream, terminal = begun()
    for shown in (0, jump, 3, jump, 0, U64):
        stream.feed(terminal.output(b"x", shown=shown, consumed=shown, typed=shown, drained=shown))
        stream.feed(terminal.input(b"l\n", shown=shown, consumed=shown))
    stream.feed(terminal.change(Change.HANGUP, shown=0))
    (closed,) = of(stream.documents, "session_closed")
    assert closed["process"]["io"]["total_bytes_captured"] == 6
    for value in (*closed["cgtrail"]["session"].values(), *closed["process"]["io"].values()):
        assert not isinstance(value, int) or 0 <= value < 2**63


def test_a_flushed_master_lets_nothing_escape() -> None:
    """TCFLSH on a master sets the kernel's own count anew; only what runs ahead after that counts."""
    stream, terminal = begun()
    for drained in (0, 0, 0, 7, 7, 7):
        terminal.drained = drained
        stream.feed(terminal.output(b"1234567"))
        stream.wait(SECOND)
    assert not of(stream.documents, "output_escaped")


def test_a_generation_of_the_future() -> None:
    """It is another life; what still comes of the one before belongs to that one, and neither is told twice."""
    stream, terminal = begun()
    later = At(generation=U64, leader=40)
    stream.feed(terminal.output(b"a"), later.output(b"b"), terminal.output(b"c"), later.output(b"d"))
    stream.feed(terminal.change(Change.HANGUP), later.change(Change.HANGUP))
    stream.wait(9 * SECOND)
    assert len({d["cgtrail"]["session"]["id"] for d in of(stream.documents, "session_closed")}) == 2


def test_a_leaders_id_that_is_used_again() -> None:
    """Another process with a leader's id is no leader of the session that it once led."""
    stream, terminal = begun()
    first = of(stream.documents, "session_opened")[0]["cgtrail"]["session"]["id"]
    stream.feed(end(SHELL, 1, tty=TTY), terminal.any(TtySignal, signal=1), terminal.change(Change.HANGUP))
    stream.wait(SECOND)
    other = At(1, generation=9)
    stream.feed(fork(SHELL, 1, start=99, vpid=1, parent_comm=b"runc"), other.change(Change.CONTROL))
    (document,) = [d for d in stream.feed(exec_(SHELL, 1, b"/bin/sh", start=99, tty=TTY | 1)) if "args" in d["process"]]
    assert document["cgtrail"]["session"]["id"] != first
    assert of(stream.documents, "session_opened")[-1]["cgtrail"]["session"]["tty"] == "pts/1"
    stream.feed(end(SHELL, 1, start=99, tty=TTY | 1), other.change(Change.HANGUP))
    assert len(of(stream.documents, "session_closed")) == 2


def test_many_terminals() -> None:
    """However many are opened, so many are known and not more, and each is told."""
    stream = Stream()
    stream.feed(*container())
    for number in range(20_000):
        stream.feed(At(number, generation=number + 1, leader=0).output(b"x"))
    stream.wait(2 * SECOND)
    step = next(step for step in stream.steps if isinstance(step, Terminals))
    assert len(step._lives.newest) <= MOST
    assert len(step._lives.ended) <= 1024
    assert len(of(stream.documents, "session_opened")) == 20_000
