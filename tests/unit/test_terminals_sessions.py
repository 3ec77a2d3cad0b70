"""Sessions: which life of which terminal, how it was entered, when it began and ended; wherever a worker is stopped."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest

from bpf.enums import Change, Policy, TerminalFlag
from bpf.events import SshLogin, TtySignal, TtyUring
from bpf.schema import Record
from enrich.document import Document
from enrich.enricher import Enricher
from enrich.snapshot import save
from enrich.steps.terminals import Terminals
from enrich.terminals import lives
from shipper.wire.frame import Frame, wrap
from shipper.wire.records import Clock, HostInfo, KeyframeBegin, KeyframeEnd, TenantInfo, Tick
from tests.unit.at_terminal import RAW, SHELL, SILENT, TTY, At, actions, begun, of, shell
from tests.unit.stream import (
    BOOT,
    SECOND,
    UNIX,
    Stream,
    container,
    end,
    exec_,
    fork,
    process,
    removed,
    running,
    undeclared,
)

ID = bytes(range(16))
FOUND = int(TerminalFlag.FOUND)


def test_begin_and_end() -> None:
    """A session has a document when its program starts and one at its end; its processes' documents name it."""
    stream, terminal = begun()
    opened, started = stream.documents
    assert (opened["event"]["action"], opened["event"]["type"]) == ("session_opened", ["start"])
    assert opened["event"]["category"] == ["session"]
    assert (opened["cgtrail"]["entry"], opened["process"]["name"]) == ("exec", "bash")
    assert (opened["cgtrail"]["session"]["tty"], "partial" in opened["cgtrail"]) == ("pts/0", False)
    session = opened["cgtrail"]["session"]
    assert started["cgtrail"]["session"] == session
    (program,) = stream.feed(exec_(21, SHELL, b"/bin/ls", tty=TTY, sid=SHELL))
    assert program["cgtrail"]["session"] == session
    (other,) = stream.feed(exec_(22, 1, b"/bin/ls", tty=TTY))
    assert "session" not in other["cgtrail"]
    told = stream.feed(terminal.output(b"bye"), end(SHELL, 1, tty=TTY), terminal.change(Change.HANGUP))
    assert actions(told) == ["end", "text_output", "session_closed"]
    closed = told[-1]
    assert closed["cgtrail"]["session"] == session | {
        "shown": 3, "skipped": 0, "consumed": 0, "typed": 0, "lines": 0, "reason": "leader_exited",
    }  # fmt: skip
    assert closed["event"]["duration"] > 0
    assert closed["event"]["end"] == closed["@timestamp"]
    for document in (opened, closed, program):
        assert undeclared(document) == set()


@pytest.mark.parametrize("reason", ["hangup", "leader_exited", "reused", "not_found", "container_died"])
def test_reasons(reason: str) -> None:
    """Whatever ends a session, it is told once, and why."""
    stream, terminal = begun()
    stream.feed(terminal.output(b"x"))
    match reason:
        case "hangup":
            stream.feed(terminal.any(TtySignal, signal=1, tgid=21), terminal.any(TtySignal, signal=2))
            assert not of(stream.documents, "session_closed")
            stream.feed(terminal.any(TtySignal, signal=1), end(SHELL, 1, tty=TTY))
            assert not of(stream.documents, "session_closed")
            stream.feed(terminal.change(Change.HANGUP))
        case "leader_exited":
            stream.feed(end(SHELL, 1, tty=TTY), terminal.output(b"y"))
            stream.wait(SECOND)
            stream.wait(SECOND)
        case "reused":
            stream.feed(At(generation=6, leader=40).change(Change.CONTROL))
        case "not_found":
            stream.feed(KeyframeBegin(), terminal.open(), KeyframeEnd())
            stream.feed(KeyframeBegin(), KeyframeEnd(incomplete=1))
            assert not of(stream.documents, "session_closed")
            stream.feed(KeyframeBegin(), KeyframeEnd())
        case _:
            stream.feed(removed())
            stream.wait(0)
    (closed,) = of(stream.documents, "session_closed")
    assert closed["cgtrail"]["session"]["reason"] == reason
    stream.feed(terminal.change(Change.HANGUP))
    stream.wait(9 * SECOND)
    assert len(of(stream.documents, "session_closed")) == 1


def test_reused_at_once() -> None:
    """The same index with another master is another session; what comes late of the first still is the first's."""
    stream, terminal = begun()
    after = At(generation=6, leader=40)
    stream.feed(terminal.output(b"first"), after.output(b"second"), terminal.change(Change.HANGUP, shown=5))
    stream.wait(2 * SECOND)
    told = of(stream.documents, "text_output")
    assert [d["process"]["io"]["text"] for d in told] == ["first", "second"]
    assert len({d["cgtrail"]["session"]["id"] for d in told}) == 2
    assert len(of(stream.documents, "session_closed")) == 1


def test_the_agent_starts_again() -> None:
    """It is the same session where its leader is the same, though the kernel counts anew; another leader's is not."""
    stream, terminal = begun()
    stream.feed(terminal.output(b"before"))
    again = At(generation=99, terminal_flags=FOUND)
    found = running(SHELL, 1, b"/bin/bash", tty=TTY)
    stream.feed(KeyframeBegin(), *container(), again.open(), found, KeyframeEnd(), again.output(b"after"))
    stream.wait(SECOND)
    first, second = of(stream.documents, "text_output")
    assert first["cgtrail"]["session"] == second["cgtrail"]["session"]
    assert ([second["cgtrail"]["terminal"][name] for name in ("number", "offset")]) == [2, 6]
    assert second["cgtrail"]["partial"] is True
    assert not of(stream.documents, "session_closed")
    stream.feed(At(generation=100, leader=50, terminal_flags=FOUND).output(b"x"))
    (closed,) = of(stream.documents, "session_closed")
    assert (closed["cgtrail"]["session"]["shown"], closed["cgtrail"]["session"]["skipped"]) == (11, 0)


def test_open_before() -> None:
    """A session that was open before it was recorded is told as such, and what it showed before is nobody's loss."""
    stream, terminal = Stream(), At(terminal_flags=FOUND)
    terminal.shown = 500
    stream.feed(*container(), KeyframeBegin(), terminal.open(), KeyframeEnd())
    (opened,) = stream.wait(2 * SECOND)
    assert opened["cgtrail"]["partial"] is True
    stream.feed(terminal.output(b"x"), terminal.change(Change.HANGUP))
    assert of(stream.documents, "session_closed")[0]["process"]["io"]["total_bytes_skipped"] == 0


def test_an_end_that_was_none() -> None:
    """A session that goes on after its end was told is told again, with the same id; long after, it is a new one."""
    stream, terminal = begun()
    stream.feed(terminal.change(Change.HANGUP), terminal.output(b"still here"))
    stream.wait(SECOND)
    first, second = of(stream.documents, "session_opened")
    assert first["cgtrail"]["session"] == second["cgtrail"]["session"]
    assert first["event"]["id"] != second["event"]["id"]
    assert second["cgtrail"]["partial"] is True
    stream.feed(terminal.change(Change.HANGUP))
    closed = of(stream.documents, "session_closed")
    assert [d["process"]["io"]["total_bytes_captured"] for d in closed] == [0, 10]


def test_nested() -> None:
    """script(1) opens a terminal within a session; tmux's server has none, and is named all the same."""
    stream, _ = begun()
    stream.feed(exec_(30, SHELL, b"/usr/bin/script", tty=TTY, sid=SHELL))
    stream.feed(exec_(31, SHELL, b"/usr/bin/tmux"))
    outer = of(stream.documents, "session_opened")[0]["cgtrail"]["session"]["id"]
    for opener, pid, name in ((30, 40, "script"), (31, 41, "tmux")):
        inner = At(pid, leader=pid, opener=opener, generation=pid)
        stream.feed(fork(pid, opener), inner.change(Change.CONTROL))
        stream.feed(exec_(pid, opener, b"/bin/sh", tty=TTY | pid))
        opened = of(stream.documents, "session_opened")[-1]
        assert opened["cgtrail"]["entry"] == "nested"
        assert opened["cgtrail"]["session"]["opener"] == name
        assert opened["cgtrail"]["session"].get("parent") == (outer if name == "script" else None)
        assert undeclared(opened) == set()


def test_ssh() -> None:
    """A login over SSH is no nested session; its claimed address stands in its documents."""
    stream = Stream()
    stream.feed(*container(), fork(10, 9, vpid=1), exec_(10, 9, b"/usr/sbin/sshd", vpid=1, mount_ns=1))
    stream.feed(fork(11, 10), fork(12, 11))
    inner = At(leader=12, opener=11)
    stream.feed(inner.change(Change.CONTROL), inner.output(b"motd"))
    login = process(SshLogin, 12, 11, tty=TTY, connection=b"192.0.2.1 5000 192.0.2.2 22")
    stream.feed(login, exec_(12, 11, b"/bin/bash", tty=TTY))
    (opened,) = of(stream.documents, "session_opened")
    assert (opened["cgtrail"]["entry"], opened["cgtrail"]["entry_claimed"]) == ("sshd", True)
    assert opened["process"]["entry_leader"]["entry_meta"]["source"] == {"ip": "192.0.2.1"}


def test_tenants() -> None:
    """Documents name those tenants that asked for what they tell."""
    stream = Stream()
    stream.feed(TenantInfo(tenant_id=b"a", policy=Policy.EXEC), TenantInfo(tenant_id=b"b", policy=Policy.TERMINAL))
    stream.feed(TenantInfo(tenant_id=b"c", policy=Policy.OUTPUT), *container(tenants=b"a\0b\0c"))
    terminal = At()
    shell(stream, terminal)
    stream.feed(terminal.input(b"ls\n"), terminal.output(b"x"), terminal.change(Change.HANGUP))
    asked = {d["event"]["action"]: d["cgtrail"]["tenant"].get("asked") for d in stream.documents}
    assert asked == {
        "exec": ["a"],
        "text_input": ["b"],
        "command_started": ["b"],
        "command_ended": ["b"],
        "text_output": ["c"],
        "session_opened": ["b", "c"],
        "session_closed": ["b", "c"],
    }
    assert {tuple(d["cgtrail"]["tenant"]["id"]) for d in stream.documents} == {("a", "b", "c")}


def test_lines_have_terminals_too() -> None:
    """A serial line has its device's number for a name."""
    stream = Stream()
    stream.feed(*container(), At(4 << 20 | 64, device=0, terminal_flags=int(TerminalFlag.LINE)).input(b"ls\n"))
    assert stream.documents[0]["cgtrail"]["session"]["tty"] == "tty 4:64"
    assert stream.documents[0]["process"]["tty"]["char_device"] == {"major": 4, "minor": 64}


def test_the_same_index_in_two_containers() -> None:
    """/dev/pts/0 of two containers is two sessions, and each process belongs to its own."""
    stream = Stream()
    stream.feed(*container(), *container(78))
    shell(stream, At())
    other = At(device=78, leader=50, generation=6, cgroup_id=78, home=78)
    stream.feed(fork(50, 1, vpid=1, parent_comm=b"runc", cgroup_id=78), other.change(Change.CONTROL))
    stream.feed(exec_(50, 1, b"/bin/sh", tty=TTY, cgroup_id=78))
    stream.feed(exec_(51, 50, b"/bin/ls", tty=TTY, cgroup_id=78, sid=50), At().output(b"a"), other.output(b"b"))
    stream.wait(SECOND)
    by_cgroup = {(d["cgtrail"]["cgroup"]["id"], d["cgtrail"]["session"]["id"]) for d in stream.documents}
    assert len(by_cgroup) == 2


def step_of(stream: Stream) -> Terminals:
    """The step that has the sessions."""
    return next(step for step in stream.steps if isinstance(step, Terminals))


def test_a_thousand_idle_sessions() -> None:
    """An idle session takes less than 4 KB of a snapshot's bytes, and no time at a tick."""
    stream = Stream()
    stream.feed(*container())
    before = len(save(stream.steps))
    for pid in range(1000, 2000):
        terminal = At(pid, leader=pid, generation=pid)
        shell(stream, terminal, pid)
        stream.feed(terminal.output(b"$ "), terminal.input(b"ls\n"))
    stream.wait(SECOND)
    stream.wait(SECOND)
    assert (len(save(stream.steps)) - before) / 1000 < 4000
    assert not step_of(stream)._lives.busy


def test_terminals_that_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many terminals somebody opens, and whether they end or not, so many are known and not more."""
    monkeypatch.setattr(lives, "MOST", 100)
    stream = Stream()
    stream.feed(*container())
    for number in range(2000):
        terminal = At(number, generation=number + 1, leader=0)
        stream.feed(terminal.output(b"x"), *([terminal.change(Change.HANGUP)] if number % 2 else []))
    known = step_of(stream)._lives
    assert len(known.newest) <= 100
    assert len(known.ended) <= 100
    stream.wait(9 * SECOND)
    assert len(of(stream.documents, "session_opened")) == 2000
    assert not known.ended


def a_life() -> list[Record]:
    """A stream with something of all that a session can have."""
    one, two = At(), At(1, leader=40, opener=30, generation=9)
    records: list[Record] = [*container(), fork(SHELL, 1, vpid=1, parent_comm=b"runc"), one.change(Change.CONTROL)]
    records += [exec_(SHELL, 1, b"/bin/bash", tty=TTY), one.output("a€".encode()[:3]), one.output(b"\xacb"), Tick()]
    records += [exec_(30, SHELL, b"/usr/bin/script", tty=TTY, sid=SHELL), fork(40, 30), two.change(Change.CONTROL)]
    records += [
        exec_(40, 30, b"/bin/sh", tty=TTY | 1),
        one.input(b"li"),
        one.input(b"ne\n"),
        one.input(b"pw\n", SILENT),
    ]
    records += [
        one.write(b"Password: ", tgid=30),
        one.input(b"s", RAW, tgid=30),
        Tick(),
        one.input(b"3\r", RAW, tgid=30),
    ]
    records += [one.change(Change.INJECTED), one.change(Change.INJECTED), one.any(TtyUring), two.output(b"x" * 20000)]
    one.skip(9)
    records += [
        one.output(b"c", size=4),
        one.change(Change.WINDOW, rows=9),
        two.output(b"ghp_0123456789abcdefgh"),
        Tick(),
    ]
    records += [two.output(b"ijABCDEFGHIJ012345 "), end(40, 30, tty=TTY | 1), Tick(), Tick()]
    again = At(generation=99, terminal_flags=FOUND)
    records += [
        KeyframeBegin(),
        again.open(),
        KeyframeEnd(),
        again.output(b"d"),
        Tick(),
        At(generation=101).output(b"e"),
    ]
    return [*records, again.change(Change.HANGUP), Tick(), KeyframeBegin(), KeyframeEnd(), Tick(), Tick()]


def frames() -> list[Frame]:
    """Each record in a frame of its own, 300 ms apart."""
    made = []
    now = 10 * SECOND
    for number, record in enumerate([HostInfo(host_name=b"node", boot_id=BOOT), Clock(), *a_life()]):
        record.time = now  # type: ignore[attr-defined]
        if isinstance(record, Clock):
            record.realtime = UNIX + now
        made.append(Frame(ID, ID, ID, number, 1, wrap(record.encode()), time=UNIX + now))
        now += 300_000_000
    return made


def told(documents: list[Document]) -> list[Any]:
    """Documents, to be compared to the byte."""
    return [(document.id, document.time, document.kind, document.encode()) for document in documents]


def test_stopped_anywhere() -> None:
    """A worker that is killed behind any record and restored, or takes it again quietly, makes the same documents."""
    stream, whole = frames(), Enricher(ID)
    saved, after = [whole.save()], []
    for frame in stream:
        output = whole.take(frame)
        assert not output.letters
        after.append(told(output.documents))
        saved.append(whole.save())
    after.append(told(whole.finish().documents))
    everything = list(chain.from_iterable(after))
    assert len({identity for identity, *_ in everything}) == len(everything)
    assert len([1 for each in everything if each[2] == "terminal"]) > 8
    for place, body in enumerate(saved):
        again = Enricher(ID)
        again.restore(body)
        rest = [told(again.take(frame).documents) for frame in stream[place:]]
        assert [*rest, told(again.finish().documents)] == after[place:]
        quiet = Enricher(ID)
        for frame in stream[:place]:
            quiet.take(frame, quiet=True)
        assert [told(quiet.take(frame).documents) for frame in stream[place:]] == after[place:-1]


def test_no_key_in_a_snapshot() -> None:
    """What was read key by key is not kept, not even until Return."""
    stream, terminal = begun()
    stream.feed(terminal.write(b"Password: ", tgid=30))
    for key in (b"Qz7x", b"WpL9"):
        stream.feed(terminal.input(key, RAW, tgid=30))
    assert step_of(stream).secret(terminal.input(b"v", RAW, tgid=30))
    body = save(stream.steps)
    assert b"Qz7x" not in body
    assert b"WpL9" not in body
