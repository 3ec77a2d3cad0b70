"""Sessions end once, when all that was shown has been taken; what outlives its leader is counted on."""

from __future__ import annotations

from bpf.enums import Change
from bpf.events import TtySignal
from tests.unit.at_terminal import SHELL, TTY, At, begun, of
from tests.unit.stream import SECOND, Stream, container, end, fork


def test_the_end_takes_a_moment() -> None:
    """A leader that exits hangs up itself: what it wrote and is shown then is no other session, and the end is then."""
    stream, terminal = begun()
    stream.feed(end(SHELL, 1, tty=TTY), terminal.any(TtySignal, signal=1))
    stream.wait(SECOND // 2)
    stream.feed(terminal.output(b"logout"))
    shown = stream.wait(SECOND // 2)
    assert not of(stream.documents, "session_closed")
    stream.wait(SECOND)
    stream.wait(9 * SECOND)
    (closed,) = of(stream.documents, "session_closed")
    assert len(of(stream.documents, "session_opened")) == 1
    assert closed["cgtrail"]["session"]["reason"] == "leader_exited"
    assert closed["process"]["io"] == {"total_bytes_captured": 6, "total_bytes_skipped": 0}
    (text,) = of(stream.documents, "text_output")
    assert not of(shown, "text_output")
    assert closed["event"]["end"][:23] == text["@timestamp"][:23]


def test_a_job_that_outlives_its_shell() -> None:
    """What it shows now and then is the same session, whose pieces are counted on; it is not told each time."""
    stream, terminal = begun()
    stream.feed(terminal.output(b"$ "), end(SHELL, 1, tty=TTY))
    for _ in range(40):
        for _ in range(6):
            stream.wait(SECOND)
        stream.feed(terminal.output(b"still here\r\n", leader=0))
    for _ in range(40):
        stream.wait(SECOND)
    numbers = [d["cgtrail"]["terminal"]["number"] for d in of(stream.documents, "text_output")]
    assert numbers == list(range(1, 42))
    assert len({d["cgtrail"]["session"]["id"] for d in stream.documents if "session" in d["cgtrail"]}) == 1
    assert len(of(stream.documents, "session_opened")) == len(of(stream.documents, "session_closed")) <= 5


def test_another_leader() -> None:
    """A terminal that another process leads once its leader is gone lives on."""
    stream, terminal = begun()
    stream.feed(terminal.any(TtySignal, signal=1), terminal.change(Change.CONTROL, leader=40))
    stream.wait(9 * SECOND)
    assert not of(stream.documents, "session_closed")
    stream.feed(terminal.output(b"x", leader=40))
    stream.wait(9 * SECOND)
    assert not of(stream.documents, "session_closed")


def test_the_beginning_comes_first() -> None:
    """What is shown before it is known how a session was entered has a later time than its beginning."""
    stream, terminal = Stream(), At()
    stream.feed(*container(), fork(SHELL, 1, vpid=1, parent_comm=b"runc"))
    stream.feed(terminal.output(b"a", writer=99), terminal.output(b"b", writer=98), terminal.change(Change.CONTROL))
    stream.wait(2 * SECOND)
    stream.feed(terminal.change(Change.HANGUP), terminal.output(b"c"), terminal.change(Change.HANGUP))
    told = [(d["@timestamp"], d["event"]["action"]) for d in stream.documents]
    assert [action for _, action in sorted(told)] == [
        *("session_opened", "text_output", "session_closed", "session_opened", "text_output", "session_closed"),
    ]
    assert len({time for time, _ in told}) == len(told)
