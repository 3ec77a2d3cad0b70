"""What a terminal shows becomes a recording: in order, to the byte, with its timing."""

from __future__ import annotations

import re

from bpf.enums import Change, Policy, TerminalFlag
from tests.unit.at_terminal import SHELL, TTY, At, begun, of
from tests.unit.stream import SECOND, Stream, container, end, exec_, undeclared


def test_text_and_timing() -> None:
    """A second after its first byte, what was shown is a document that says what came when, and in what window."""
    stream, terminal = begun()
    assert stream.feed(terminal.output(b"one ")) == []
    stream.now += 99_000_000
    stream.feed(terminal.output("zwölf".encode()), terminal.output(b"\r\n"))
    (told,) = stream.wait(SECOND)
    assert told["process"]["io"] == {
        "type": "tty",
        "text": "one zwölf\r\n",
        "total_bytes_captured": 12,
        "total_bytes_skipped": 0,
    }
    assert told["cgtrail"]["terminal"] == {"number": 1, "timing": "=80x24>4+100>5+1>2", "offset": 0}
    assert told["process"]["tty"] == {"char_device": {"major": 136, "minor": 0}, "rows": 24, "columns": 80}
    assert (told["process"]["name"], told["cgtrail"]["entry"], told["container"]["name"]) == ("bash", "exec", "lab")
    assert undeclared(told) == set()


def test_windows() -> None:
    """A window that changes within a document stands in its timing, one that changed before at its beginning."""
    stream, terminal = begun()
    stream.feed(terminal.output(b"a"))
    terminal.fields |= {"rows": 1000, "columns": 1001}
    stream.feed(terminal.change(Change.WINDOW), terminal.output(b"b"))
    terminal.fields |= {"rows": 0, "columns": 0}
    (first,) = stream.wait(SECOND)
    stream.feed(terminal.change(Change.WINDOW), terminal.output(b"c"))
    (second,) = stream.wait(SECOND)
    assert first["cgtrail"]["terminal"]["timing"] == "=80x24>1+1=1001x1000+1>1"
    assert second["cgtrail"]["terminal"]["timing"] == "=0x0>1"


def test_order() -> None:
    """Numbers are dense and times rise, also where the clock is set back; the text is all that was shown."""
    stream, terminal = begun()
    shown = b""
    for number in range(200):
        piece = b"%d " % number * (number % 50 * 40)
        shown += piece
        stream.feed(terminal.output(piece))
        if number % 7 == 0:
            stream.wait(SECOND)
    stream.wait(2 * SECOND)
    told = of(stream.documents, "text_output")
    assert [d["cgtrail"]["terminal"]["number"] for d in told] == list(range(1, len(told) + 1))
    stamps = [d["@timestamp"] for d in told]
    assert stamps == sorted(set(stamps))
    assert len({d["event"]["id"] for d in told}) == len(told)
    assert "".join(d["process"]["io"]["text"] for d in told).encode() == shown
    assert max(d["process"]["io"]["total_bytes_captured"] for d in told) == 16384
    at = 0
    for document in told:
        assert document["cgtrail"]["terminal"]["offset"] == at
        at += document["process"]["io"]["total_bytes_captured"]
        timed = sum(int(n) for n in re.findall(r">(\d+)", document["cgtrail"]["terminal"]["timing"]))
        assert timed == len(document["process"]["io"]["text"])


def test_gaps_to_the_byte() -> None:
    """What no record holds is counted where it was: before a record, in its beginning, and behind the last."""
    stream, terminal = begun()
    stream.feed(terminal.output(b"abc"))
    terminal.skip(1000)
    stream.feed(terminal.output(b"def", size=103))
    terminal.skip(7)
    (told,) = stream.wait(SECOND)
    io = told["process"]["io"]
    assert (io["text"], io["total_bytes_captured"], io["total_bytes_skipped"]) == ("abcdef", 6, 1100)
    assert io["bytes_skipped"] == [{"offset": 3, "length": 1100}]
    (closed,) = of(stream.feed(terminal.change(Change.HANGUP)), "session_closed")
    assert closed["process"]["io"] == {"total_bytes_captured": 6, "total_bytes_skipped": 1107}
    assert (closed["cgtrail"]["session"]["shown"], closed["cgtrail"]["session"]["skipped"]) == (1113, 1107)


def test_characters_across_records() -> None:
    """A character whose bytes come apart is one; what is none shows as U+FFFD; one that a gap cuts is none."""
    stream, terminal = begun()
    euro = "€".encode()
    stream.feed(*(terminal.output(bytes([byte])) for byte in euro + b"\xff" + euro))
    stream.feed(terminal.output(euro[:2]))
    terminal.skip(1)
    stream.feed(terminal.output(b"x"))
    (told,) = stream.wait(SECOND)
    assert told["process"]["io"]["text"] == "€\ufffd€\ufffdx"
    assert told["process"]["io"]["bytes_skipped"] == [{"offset": 12, "length": 1}]


def test_who_wrote() -> None:
    """A document has one writer: the one that wrote, also when it has ended, else the foreground's, else the shell."""
    stream, terminal = begun()
    stream.feed(exec_(21, SHELL, b"/bin/ls", tty=TTY, sid=SHELL), exec_(22, SHELL, b"/bin/cat", tty=TTY, sid=SHELL))
    stream.feed(terminal.output(b"$ "), end(21, SHELL, tty=TTY, sid=SHELL))
    stream.feed(terminal.output(b"files", writer=21), terminal.output(b"cat", writers=0, writer=0, foreground=22))
    stream.feed(terminal.output(b"both", writer=21, last_writer=22, writers=2, foreground=99))
    stream.wait(SECOND)
    told = [(d["process"]["name"], d["process"]["io"]["text"]) for d in of(stream.documents, "text_output")]
    assert told == [("bash", "$ "), ("ls", "files"), ("cat", "cat"), ("bash", "both")]
    assert of(stream.documents, "text_output")[-1]["cgtrail"]["terminal"]["writers"] == [21, 22]


def test_what_nobody_asked_for() -> None:
    """Without the policy for output none is a document, and it is counted as skipped; its tenants are those asking."""
    stream, terminal = begun(policy=Policy.EXEC | Policy.TERMINAL)
    stream.feed(terminal.output(b"abc"), terminal.input(b"ls\n"))
    stream.wait(SECOND)
    assert not of(stream.documents, "text_output")
    assert len(of(stream.documents, "text_input")) == 1
    (closed,) = of(stream.feed(terminal.change(Change.HANGUP)), "session_closed")
    assert closed["process"]["io"] == {"total_bytes_captured": 0, "total_bytes_skipped": 3}


def test_policy_told_behind() -> None:
    """What was recorded before the container was told of is dropped where its policy proves to lack it."""
    for policy, kept in ((Policy.OUTPUT, ["session_opened", "text_output"]), (Policy.EXEC, [])):
        stream, terminal = Stream(), At()
        stream.feed(terminal.output(b"abc"), terminal.change(Change.TERMIOS))
        stream.now += 400_000_000
        told = stream.feed(*container(policy=policy)) + stream.wait(SECOND)
        assert [d["event"]["action"] for d in told] == kept


def test_unreadable_bytes_are_an_alarm() -> None:
    """What sendfile took from a master is skipped to the byte, and somebody is told."""
    stream, terminal = begun()
    flags = int(TerminalFlag.UNREADABLE)
    (alarm,) = of(stream.feed(terminal.output(b"", size=50, terminal_flags=flags)), "output_escaped")
    assert (alarm["cgtrail"]["session"]["skipped"], alarm["cgtrail"]["session"]["uring"]) == (50, 0)


def test_bytes_that_passed_by() -> None:
    """What the kernel's own count has and no record accounts for has escaped; one record's word is not enough."""
    stream, terminal = begun()
    stream.feed(terminal.output(b"a"))
    terminal.drained += 30
    assert not of(stream.feed(terminal.output(b"b")), "output_escaped")
    (alarm,) = of(stream.feed(terminal.output(b"c")), "output_escaped")
    assert alarm["cgtrail"]["session"]["escaped"] == 30
    assert not of(stream.feed(terminal.output(b"d"), terminal.output(b"e")), "output_escaped")


def test_a_secret_across_records() -> None:
    """A token whose pieces come apart, and across documents, is masked."""
    stream, terminal = begun()
    token = b"ghp_" + b"0123456789abcdefghijABCDEFGHIJ012345"
    for byte in b"x" * 16370 + b" " + token + b" \r\n":
        stream.feed(terminal.output(bytes([byte])))
    stream.feed(terminal.change(Change.HANGUP))
    told = of(stream.documents, "text_output")
    assert len(told) > 1
    assert b"0123456789abcdefghij" not in repr(told).encode()
