"""`cgtrail export`: each format says what was recorded, and what reads it gets that."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cgtrail import session_commands
from cgtrail.recordings import transcript
from cgtrail.recordings.events import Shown
from cgtrail.recordings.export import FORMATS
from cgtrail.recordings.find import Session
from enrich.stores.values import timestamp
from tests.unit.ran import Run
from tests.unit.taped import ID, NOON, SECOND, Tape

HOSTILE = 'a\x1b]0;t\x07\x1b[31mb\x9b\u202e\x00\x7f\ufffd字👩\U0010ffff\\"\x08'
PLAYS_SECONDS = 60
TLOG_END = "\x1b[0m\x1b[?25h\r\n\0"
"""What tlog-play writes when it ends."""


def session() -> Tape:
    """A session with all that there can be in one."""
    tape = Tape().opened().shown("$ ls\r\nabc", 0, "=80x24>2+250>8")
    tape.typed("ls\n", SECOND).shown(HOSTILE, 2 * SECOND, skipped=((2, 500),)).masked("1-8", 3 * SECOND)
    tape.lost(2, 77).shown("\r\nbye\r\n", 4 * SECOND, "=100x50+500>7")
    tape.add("session", "echo_off", 5 * SECOND)
    return tape.closed(6 * SECOND)


def everything(tape: Tape) -> str:
    """The text that a tape has."""
    return "".join(
        document.source["process"]["io"]["text"]
        for document in tape.documents
        if document.source["event"]["action"] == "text_output"
    )


def test_asciicast(run: Run, tmp_path: Path) -> None:
    """Version 3: seconds between events; resizes, input, gaps and alerts have events of their own."""
    session().store(tmp_path)
    header, *events = map(json.loads, run("export", ID[:5]).out.splitlines())
    assert header == {
        "version": 3,
        "term": {"cols": 80, "rows": 24},
        "timestamp": NOON // SECOND,
        "title": f"cgtrail {ID}, web",
    }
    assert events == [
        [0, "o", "$ "],
        [0.25, "o", "ls\r\nabc"],
        [0.75, "i", "ls\n"],
        [1, "o", HOSTILE[:2]],
        [0, "m", "[… 500 bytes skipped …]"],
        [0, "o", HOSTILE[2:]],
        [1, "m", "a password of 1-8 characters was typed"],
        [1, "m", "[… 2 documents missing, 77 bytes skipped …]"],
        [0, "r", "100x50"],
        [0.5, "o", "\r\nbye\r\n"],
        [0.5, "m", "echo is off over several lines"],
    ]


def test_commands_are_markers(run: Run, tmp_path: Path) -> None:
    """Each typed line is a marker where it was typed, also within what one document shows, and safe to be shown."""
    tape = Tape().opened().shown("$ ls\r\nabc", 0, ">2+2000>8")
    first = tape.command("ls \x1b[2J\u202e", SECOND, 2 * SECOND, prompt="$ ")
    tape.command("more", SECOND + SECOND // 2, continues=first)
    tape.command("data", SECOND + SECOND // 2, role="input")
    tape.closed(6 * SECOND).store(tmp_path)
    _, *events = map(json.loads, run("export", ID, "--format", "asciicast2").out.splitlines())
    assert events == [[0, "o", "$ "], [1, "m", "$ ls \\x1b[2J\\u202e"], [2, "o", "ls\r\nabc"]]
    assert b"ls" in run("export", ID, "--format", "txt").out.encode()
    assert "202e" not in run("export", ID, "--format", "tlog").out


def test_asciicast2(run: Run, tmp_path: Path) -> None:
    """Version 2: seconds since the beginning."""
    session().store(tmp_path)
    header, *events = map(json.loads, run("export", ID, "--format", "asciicast2").out.splitlines())
    assert (header["version"], header["width"], header["height"]) == (2, 80, 24)
    assert [at for at, _, _ in events] == [0, 0.25, 1, 2, 2, 2, 3, 4, 4, 4.5, 5]
    assert "".join(data for _, code, data in events if code == "o") == everything(session())


def test_asciinema_reads_it(run: Run, tmp_path: Path) -> None:
    """asciinema's own program prints what was shown."""
    tape = session().store(tmp_path)
    file = tmp_path / "session.cast"
    assert run("export", ID, "--format", "asciicast2", "-o", file).code == 0
    command = [sys.executable, "-m", "asciinema", "cat", str(file)]
    read = subprocess.run(command, check=True, capture_output=True, timeout=PLAYS_SECONDS)
    assert read.stdout.decode() == everything(tape)


def test_tlog_plays_it(run: Run, tmp_path: Path) -> None:
    """tlog-play prints what was shown, in messages of its own format."""
    tape = session()
    for number in range(50):
        tape.shown(f"line {number} é字 " * 50, (7 + number) * SECOND)
    tape.store(tmp_path)
    file = tmp_path / "session.json"
    assert run("export", ID, "--format", "tlog", "-o", file).code == 0
    assert played_by_tlog(file) == everything(tape)
    messages = [json.loads(line) for line in file.read_text().splitlines()]
    assert [message["id"] for message in messages] == list(range(1, len(messages) + 1))
    assert {(message["ver"], message["rec"], message["user"], message["host"]) for message in messages} == {
        ("2.3", ID, "root", "lab")
    }


def played_by_tlog(file: Path) -> str:
    """What tlog-play writes of a recording to a terminal."""
    player = shutil.which("tlog-play")
    assert player, "tlog-play is missing: apt-get install tlog"
    arguments = ["-r", "file", f"--file-path={file}", "--goto=end"]
    inherited = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm"}
    child = pexpect.spawn(player, arguments, timeout=PLAYS_SECONDS, env=inherited, encoding="utf-8")
    child.expect(pexpect.EOF)
    child.wait()
    assert child.exitstatus == 0
    return str(child.before).removesuffix(TLOG_END)


@pytest.mark.parametrize(
    ("shown", "lines"),
    [
        ("$ ls\r\na  b\r\n$ ", ["$ ls", "a  b", "$"]),
        ("lx\bs\r\n\x1b[1mbold\x1b[m\r\n", ["ls", "bold"]),
        ("1%\r50%\r100%\r\n", ["100%"]),
        ("one\r\ntwo\x1b[H\x1b[2J\x1b[3Jthree", ["one", "two", "three"]),
        ("a\r\n\x1b[?1049h\x1b[Heditor\x1b[2Jtext\x1b[?1049lb\r\n", ["a", "[… a full-screen program …]", "b"]),
        ("a\r\nb\x1b[?1049hx\x1b[?1049l\r\nc\r\n\x1b[?1049hx\x1b[?1049ld",
         ["a", "[… a full-screen program …]", "b", "c", "[… a full-screen program …]", "d"]),
        ("a\r\n\r\n\r\nb", ["a", "", "", "b"]),
        (HOSTILE, ['ab�字👩�\\"']),
    ],
)  # fmt: skip
def test_txt(shown: str, lines: list[str]) -> None:
    """Lines as somebody would have read them; what was written over is gone, full-screen programs are marked."""
    assert read(shown) == lines


def test_a_long_transcript() -> None:
    """All lines that went over the screen are there, each once."""
    assert read("".join(f"{number}\r\n" for number in range(1000))) == [str(number) for number in range(1000)]


def read(shown: str) -> list[str]:
    """The transcript of a session that showed this in a window of 80 columns and 24 rows."""
    opened = {"process": {"tty": {"columns": 80, "rows": 24}}, "@timestamp": timestamp(NOON)}
    made = transcript.lines(Session(ID, json.dumps(opened).encode()), [Shown(0, shown)])
    return b"".join(made).decode().splitlines()


def test_txt_tells_of_gaps_and_alerts(run: Run, tmp_path: Path) -> None:
    """What is missing, and what there is to know, are lines of their own; standard error counts it."""
    session().store(tmp_path)
    result = run("export", ID, "--format", "txt")
    lines = result.out.splitlines()
    assert lines[0] == "$ ls"
    assert "[… 500 bytes skipped …]" in lines
    assert "[a password of 1-8 characters was typed]" in lines
    assert "[… 2 documents missing, 77 bytes skipped …]" in lines
    assert lines[-1] == "[echo is off over several lines]"
    assert "2 documents of the recording are not in the store" in result.err
    assert "577 bytes were shown" in result.err


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60), gaps=st.lists(st.integers(0, 200), max_size=3)
)
def test_nothing_is_changed(tmp_path_factory: pytest.TempPathFactory, text: str, gaps: list[int]) -> None:
    """Whatever was recorded, players get it to the character; a transcript has nothing that drives a terminal."""
    folder = tmp_path_factory.mktemp("data")
    recording = Tape().opened().shown(text, skipped=tuple((offset, 1) for offset in gaps)).recording(folder)
    made = {form: b"".join(FORMATS[form](recording.session, recording.events())).decode() for form in FORMATS}
    for form in ("asciicast", "asciicast2"):
        events = [json.loads(line) for line in made[form].splitlines()[1:]]
        assert "".join(event[2] for event in events if event[1] == "o") == text
        assert sum(event[1] == "m" for event in events) == len(gaps)
    messages = [json.loads(line) for line in made["tlog"].splitlines()]
    assert "".join(message["out_txt"] for message in messages) == text
    assert not set(made["txt"]) & set(map(chr, [*range(10), *range(11, 32), *range(127, 160)]))
    assert recording.skipped == len(gaps)


def test_timing_that_makes_no_sense(tmp_path: Path) -> None:
    """Text of which a timing says nothing, or too much, is there all the same, and is counted."""
    tape = Tape().opened().shown("abc", 0, ">1x").shown("def", 1, ">99").shown("ghi", 2, "")
    recording = tape.recording(tmp_path)
    assert "".join(event.text for event in recording.events() if isinstance(event, Shown)) == "abcdefghi"
    assert recording.damaged == 2


def test_a_session_that_is_open(run: Run, tmp_path: Path) -> None:
    """What is there so far is written, and that more may come is said."""
    Tape().opened(cgtrail={"partial": True}).shown("abc").store(tmp_path)
    result = run("export", ID, "--format", "txt")
    assert (result.code, result.out) == (0, "abc\n")
    assert "is still open" in result.err
    assert "its beginning is missing" in result.err


def test_without_its_beginning_and_end(run: Run, tmp_path: Path) -> None:
    """Where the store has only a part of a recording, that part is written for the whole id."""
    Tape().lost(5, 100).shown("abc").store(tmp_path)
    result = run("export", ID, "--format", "txt")
    assert result.out.splitlines() == ["[… 5 documents missing, 100 bytes skipped …]", "abc"]


def test_documents_that_stand_twice(tmp_path: Path) -> None:
    """A number that was there already is left out, and counted."""
    tape = Tape().opened().shown("a").shown("b", 1)
    tape.number = 1
    recording = tape.shown("b", 2).shown("c", 3).recording(tmp_path)
    assert "".join(event.text for event in recording.events() if isinstance(event, Shown)) == "abc"
    assert recording.damaged == 1


def test_files(run: Run, tmp_path: Path) -> None:
    """A file is for its owner only; one that is there stays but with --force; no part of one is ever left."""
    session().store(tmp_path)
    file = tmp_path / "out.cast"
    assert run("export", ID, "-o", file).code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("mine")
    result = run("export", ID, "-o", file)
    assert (result.code, file.read_text()) == (1, "mine")
    assert "exists already: choose another name, or add --force" in result.err
    assert run("export", ID, "-o", file, "--force").code == 0
    assert file.read_text().startswith('{"version":3')
    link = tmp_path / "link"
    link.symlink_to(file)
    assert "no regular file" in run("export", ID, "-o", link, "--force").err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "out.cast", "store"]
    assert run("export", ID, "-o", tmp_path / "none" / "out").code == 1


def test_formats_are_those_of_the_command() -> None:
    """The command line names each format that there is."""
    assert set(FORMATS) == set(session_commands.FORMATS)
