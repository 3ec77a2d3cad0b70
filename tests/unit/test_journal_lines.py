"""Typed lines in a journal: a row for each, in the order in which they were typed, as text and for other platforms."""

from __future__ import annotations

import csv
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cgtrail import journal, journal_exports, journal_form, typed
from cgtrail.config import Config
from cgtrail.search import show as show_documents
from enrich.stores import StoreError, dayfile
from enrich.stores.sqlite import SqliteStore
from tests.unit.taped import NOON, SECOND, Tape

STYLE = re.compile("\x1b\\[[0-9;]*m")
HOSTILE = "\x1b[2J\x1b]0;x\x07\r\x00\x9b31m\u202e\u200b%|,\"'\\\n2026-11-22 12:00:00.000  web  root(0)"
SECONDS = 30
"""How long to wait for what must come."""
DAY = 86_400 * SECOND

Show = Callable[..., list[str]]


@pytest.fixture
def show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Show:
    """Shows a journal of what was stored: its lines without colours."""

    def shown(*, as_json: bool = False, **chosen: Any) -> list[str]:
        wanted = journal.Chosen(**({"container": "web"} | chosen))
        journal.run(Config(data=str(tmp_path)), wanted, as_json=as_json, follow=False)
        return STYLE.sub("", capsys.readouterr().out).split("\n")[:-1]

    return shown


def rows(lines: list[str]) -> list[str]:
    """What stands in the last column, and before it the exit code where there is one."""
    code, at = lines[0].index("EXIT"), lines[0].index("COMMAND")
    return [" ".join(filter(None, (line[code:at].strip(), line[at:]))) for line in lines[1:]]


def edurange(lines: list[str]) -> list[list[str]]:
    """The table as EDURange's web reader takes it: rows of eight columns."""
    reader = csv.reader(("\n".join(lines) + "\n").splitlines(keepends=True), delimiter="|", quotechar="%")
    return [row for row in reader if len(row) == 8]


# Rows


def test_a_line_is_a_row(tmp_path: Path, show: Show) -> None:
    """When, where, who, at which terminal, how it ended, in which directory, behind what ends its prompt."""
    tape = Tape()
    tape.command("ls -la", 1 * SECOND, 2 * SECOND, exit_code=0)
    tape.command("make", 3 * SECOND, 9 * SECOND, exit_code=2, cwd="/srv/app", prompt="\x1b[31malice@web\x1b[m$ ")
    tape.command("print(1)", 10 * SECOND, 11 * SECOND, prompt=">>> ", program="python3")
    tape.command("vim notes", 12 * SECOND, prompt="what?")
    tape.store(tmp_path)
    lines = show()
    assert lines[1].split() == [*lines[1].split()[:2], "web", "root(0)", "pts/0", "0", "/srv", "#", "ls", "-la"]
    assert rows(lines) == ["0 /srv # ls -la", "2 /srv/app $ make", "/srv >>> print(1)", "/srv > vim notes"]


def test_the_order_is_that_of_typing(tmp_path: Path, show: Show) -> None:
    """A line that took long stands where it was typed, whatever ended before."""
    tape = Tape()
    tape.command("long", 1 * SECOND, 50 * SECOND, exit_code=1)
    tape.command("short", 2 * SECOND, 3 * SECOND, exit_code=0)
    tape.store(tmp_path)
    lines = show()
    assert rows(lines) == ["1 /srv # long", "0 /srv # short"]
    assert lines[1][:23] < lines[2][:23]


def test_a_journal_without_anything_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped name is told from somebody who did nothing, losses that may be anybody's or not."""
    tape = Tape()
    tape.command("ls", 1 * SECOND)
    tape.store(tmp_path)
    for name, told in (("wbe", "nothing of container wbe is stored: `cgtrail containers`"), ("web", "")):
        wanted = journal.Chosen(container=name)
        journal.run(Config(data=str(tmp_path)), wanted, as_json=False, follow=False)
        shown = capsys.readouterr()
        assert told in shown.err
        assert bool(shown.out) is not bool(told)


def test_what_is_not_sure_has_a_question_mark(tmp_path: Path, show: Show) -> None:
    """A line of low confidence may have been another one, and nothing that is typed can hide that."""
    tape = Tape()
    tape.command("rm -rf b", 1 * SECOND, confidence="low")
    tape.command("data", 2 * SECOND, role="input", prompt="", confidence="low")
    tape.command("ls", 3 * SECOND)
    tape.store(tmp_path)
    assert rows(show(input=True)) == ["/srv ?# rm -rf b", "/srv ?< data", "/srv # ls"]


def test_lines_of_a_session_have_their_numbers(tmp_path: Path, show: Show) -> None:
    """Which `replay --command` takes, also in the tree; further lines count too."""
    tape = Tape().opened()
    first = tape.command("cat <<EOF", 1 * SECOND)
    tape.command("EOF", 2 * SECOND, continues=first, prompt="> ")
    tape.command("ls", 3 * SECOND)
    tape.store(tmp_path)
    for processes in (False, True):
        lines = show(container=None, session="3f2a", processes=processes)
        at = lines[0].index("LINE")
        assert [line[at : at + 4].strip() for line in lines[2:]] == ["1", "", "3"]
    assert "LINE" not in show()[0]


def test_further_lines_stand_below(tmp_path: Path, show: Show) -> None:
    """Those of a here-document, and those of one that was taken at once; of very many the first, unless asked."""
    tape = Tape()
    first = tape.command("cat <<EOF", 1 * SECOND)
    for number in range(30):
        tape.command(f"l{number}", 2 * SECOND + number, continues=first, prompt="> ")
    tape.command("for i in 1\ndo\n\techo\ndone", 9 * SECOND)
    tape.command("\n".join(f"m{number}" for number in range(50)), 10 * SECOND)
    tape.store(tmp_path)
    shown = rows(show())
    assert shown[:3] == ["/srv # cat <<EOF", "> l0", "> l1"]
    assert shown[20:23] == ["> l19", "… more lines: --input shows them", "/srv # for i in 1"]
    assert shown[23:26] == ["│ do", "│ \\x09echo", "│ done"]
    assert shown[-1] == "… 31 more lines"
    assert "> l29" in rows(show(input=True))


def test_a_further_line_elsewhere_has_a_row_of_its_own(tmp_path: Path, show: Show) -> None:
    """What two people type in turn isn't mixed up: below stands only what belongs to the row above."""
    one, other = Tape(), Tape(id="4b" * 8, user=("1000", "alice"))
    first = one.command("cat <<EOF", 1 * SECOND)
    other.command("id", 2 * SECOND)
    one.command("data", 3 * SECOND, continues=first, prompt="> ")
    one.store(tmp_path)
    other.store(tmp_path)
    lines = show()
    assert rows(lines) == ["/srv # cat <<EOF", "/srv # id", "/srv > data"]
    assert lines[3].startswith("2026-11-22")


def test_what_programs_read_is_noise_unless_asked(tmp_path: Path, show: Show) -> None:
    """Input has rows only with --input, in every form."""
    tape = Tape()
    tape.command("cat", 1 * SECOND)
    tape.command("some data", 2 * SECOND, role="input", program="cat", prompt="")
    tape.store(tmp_path)
    assert rows(show()) == ["/srv # cat"]
    assert rows(show(input=True)) == ["/srv # cat", "/srv < some data"]
    for form, many in (("csv", 3), ("json", 2)):
        assert len(show(format=form, input=True)) == len(show(format=form)) + 1 == many
    assert len(show(as_json=True)) == 1


def test_programs_of_lines_are_shown_on_demand(tmp_path: Path, show: Show) -> None:
    """A line's programs stand below it with --processes; those of no line always have their rows."""
    tape = Tape()
    command = tape.command("make", 1 * SECOND, 5 * SECOND, exit_code=2)
    tape.ran("make", 2 * SECOND, command, pid=21)
    tape.ran("cc x.c", 3 * SECOND, command, parent=21, pid=22)
    tape.ran("backup", 4 * SECOND, parent=1, pid=90, entry="cron")
    tape.store(tmp_path)
    lines = show()
    assert rows(lines) == ["2 /srv # make", "[n1] backup"]
    lines = show(processes=True)
    at = lines[0].index("COMMAND")
    assert [line[at:] for line in lines[1:]] == ["exit code 2: /srv # make", "└ make", "  └ cc x.c", "[n1] backup"]
    documents = [json.loads(line)["event"]["action"] for line in show(as_json=True)]
    assert documents == ["command_started", "exec", "command_ended"]
    assert len(show(as_json=True, processes=True)) == 5


def test_what_else_happens_keeps_its_rows(tmp_path: Path, show: Show) -> None:
    """Sessions' beginnings and ends and alerts stand between the lines."""
    tape = Tape().opened()
    tape.command("ls", 1 * SECOND, 2 * SECOND)
    tape.add("session", "echo_off", 3 * SECOND)
    tape.closed(4 * SECOND).store(tmp_path)
    lines = show()
    words = [line[43:].split()[:2] for line in lines[1:]]
    assert [words[0], words[2], words[3]] == [["session", "opened"], ["ECHO", "OFF"], ["session", "closed"]]
    assert rows(show(kind="command")) == ["/srv # ls"]


def test_a_session_has_its_own_journal(tmp_path: Path, show: Show) -> None:
    """Its lines, and those of sessions that were opened in it, at whatever depth; no other's."""
    one, other = Tape(), Tape(id="4b" * 8, start=NOON + SECOND)
    nested, deeper = Tape(id="5c" * 8, start=NOON + 2 * SECOND), Tape(id="6d" * 8, start=NOON + 3 * SECOND)
    nested.opened(cgtrail={"session": {"parent": one.id}})
    deeper.opened(cgtrail={"session": {"parent": nested.id}})
    for tape in (one.opened(), other.opened(), nested, deeper):
        tape.command(f"in {tape.id[:2]}", 10 * SECOND)
        tape.store(tmp_path)
    assert [row for row in rows(show(container=None, session="3f2a")) if "in " in row and "#" in row] == [
        "/srv # in 3f",
        "/srv # in 5c",
        "/srv # in 6d",
    ]
    assert [row for row in rows(show(container=None, session="4b")) if "#" in row] == ["/srv # in 4b"]


def test_lines_of_days_that_are_gone(tmp_path: Path, show: Show) -> None:
    """Where only a line's end is left it has its row, the first of all; with --since only what was typed since."""
    tape = Tape()
    tape.command("yesterday", 0, DAY, exit_code=0)
    tape.command("at night", DAY // 2 - SECOND, DAY // 2 + SECOND, exit_code=3)
    tape.store(tmp_path)
    (tmp_path / "store" / "2026-11-22.db").unlink()
    assert rows(show()) == ["0 /srv # yesterday", "3 /srv # at night"]
    assert rows(show(since=NOON + SECOND)) == ["3 /srv # at night"]
    assert show(since=NOON + DAY // 2) == []
    assert SqliteStore(tmp_path / "store").days() == [date(2026, 11, 23)]


def test_a_damaged_end_leaves_the_beginning(tmp_path: Path, show: Show) -> None:
    """A line whose end can't be read is one of which nobody knows how it ended; a damaged beginning is named."""
    tape = Tape()
    tape.command("one", 1 * SECOND, 2 * SECOND, exit_code=1)
    tape.command("two", 3 * SECOND, 4 * SECOND, exit_code=1)
    tape.store(tmp_path)
    with closing(dayfile.open_writer(tmp_path / "store", dayfile.day_of(NOON))) as db:
        for action, line in ((typed.ENDED, "one"), (typed.STARTED, "two")):
            db.execute(
                "UPDATE docs SET body = replace(body, '\"line\":', '\"line\";') WHERE event_action = ? AND body LIKE ?",
                (action, f'%"line":"{line}"%'),
            )
    with pytest.raises(StoreError, match="1 damaged documents"):
        show()


def test_hostile_lines_stay_rows(tmp_path: Path, show: Show) -> None:
    """Whatever was typed, at whatever prompt, where and to what: rows stay rows, and nothing raw is shown."""
    tape = Tape()
    for at, ended in ((1, None), (2, 3)):
        tape.command(
            HOSTILE, at * SECOND, ended and ended * SECOND, exit_code=1, prompt=HOSTILE, cwd=HOSTILE * 50,
            program=HOSTILE, tty=HOSTILE, output=HOSTILE,
        )  # fmt: skip
    tape.command("x" * 70_000, 4 * SECOND)
    tape.store(tmp_path)
    for chosen in ({}, {"processes": True}, {"format": "csv"}, {"format": "json"}):
        for line in show(**chosen):
            assert not [char for char in line if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    lines = show()
    assert len([line for line in lines if line.startswith("2026")]) == 3
    assert all(line.startswith(("TIME", "2026", " ")) for line in lines)
    assert max(map(len, lines)) < 1_200


def test_a_long_line_goes_on_below_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """On 80 columns no row is longer, and what goes on below can't pass for a row; of a very long line, a part."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    tape = Tape()
    tape.command("12:00:09  web  " * 100, SECOND)
    tape.command("\u4e2d" * 35, 2 * SECOND)
    form = journal_form.Form()
    lines = [line for one in tape.documents for line in STYLE.sub("", form.row(one.encode())).split("\n")]
    assert lines[0] == "2026-11-22"
    assert all(len(line) + line.count("\u4e2d") <= 80 for line in lines)
    assert [line[0] == " " for line in lines[1:]] == [False, True, True, True, True, False, True, True]
    assert lines[5].endswith("…")


# For other platforms


def test_edurange_reads_the_table(tmp_path: Path, show: Show) -> None:
    """Eight columns with its quotes: whatever was typed comes out of its reader as it went in, newlines included."""
    tape = Tape()
    tape.command("echo 100% | tee a|b, 'x'", 1 * SECOND, 2 * SECOND, output="%50\r\n\tmore|" + "x" * 600)
    tape.command("for i in 1\ndo", 3 * SECOND)
    tape.command("nmap 10.0.0.1", 4 * SECOND, 5 * SECOND, label="M3")
    tape.store(tmp_path)
    header, first, second, third = edurange(show(format="csv"))
    assert header[:7] == ["#INPUT", "uniqueID", "class", "time", "uid", "cwd", "node:input"]
    name = f"root-t1.{tape.id}"
    assert first[:6] == ["INPUT", f"{name}-1", "U", str(NOON // SECOND + 1), "root", "/srv"]
    assert first[6:] == ["web:echo 100% | tee a|b, 'x'", ("%50\n\tmore|" + "x" * 600)[:500]]
    assert second[6:] == ["web:for i in 1\ndo", ""]
    assert (second[1], third[1], third[2]) == (f"{name}-2", f"{name}-3", "M3")


@given(line=st.text(st.characters(codec="utf-8"), min_size=1, max_size=60))
@settings(deadline=None)
def test_any_line_is_eight_columns(line: str) -> None:
    """Whatever a line holds, its row has eight columns for who reads it, and no control characters but newlines."""
    tape = Tape()
    tape.command(line, SECOND)
    shown = journal_exports.Table(None, follow=False).row(tape.documents[0].encode())
    assert not [char for char in shown if unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t"]
    assert [len(row) for row in edurange([shown])] == [8]


def test_a_shared_container_has_a_row_for_each_tenant(tmp_path: Path, show: Show) -> None:
    """Each tenant has rows with ids of its own; who asks for one tenant gets its only."""
    tape = Tape()
    tape.command("id", 1 * SECOND, tenants=("red", "blue"))
    tape.command("ls", 2 * SECOND, tenants=())
    tape.store(tmp_path)
    ids = [row[1] for row in edurange(show(format="csv"))[1:]]
    assert ids == [f"root-red.{tape.id}-1", f"root-blue.{tape.id}-1", f"root-{tape.id}-2"]
    assert [row[1] for row in edurange(show(format="csv", tenant="blue"))[1:]] == [f"root-blue.{tape.id}-1"]
    assert [json.loads(line)["pool_id"] for line in show(format="json")] == ["red", "blue", ""]


def test_crczp_reads_the_rows(tmp_path: Path, show: Show) -> None:
    """Its names and forms, all texts, with the id and class of cgtrail."""
    tape = Tape(user=("1000", "alice"))
    name = tape.command("ls %\n|", 1 * SECOND + 123_456_789, 2 * SECOND, exit_code=0)
    tape.command("use exploit", 3 * SECOND, program="ruby", prompt="msf6 > ")
    tape.store(tmp_path)
    first, second = map(json.loads, show(format="json"))
    assert first == {
        "id": name,
        "cmd": "ls %\n|",
        "cmd_type": "bash-command",
        "wd": "/srv",
        "username": "alice",
        "timestamp_str": "2026-11-22T12:00:01.123Z",
        "hostname": "web",
        "ip": "",
        "sandbox_id": "cafe0123" * 8,
        "pool_id": "t1",
        "class": "unrelated",
    }
    assert second["cmd_type"] == "msf-command"


def test_a_container_without_a_name(tmp_path: Path, show: Show) -> None:
    """It is called by the beginning of its id, as its host name is."""
    tape = Tape(container="")
    tape.command("id", 1 * SECOND)
    tape.store(tmp_path)
    assert json.loads(show(format="json", container="cafe0123")[0])["hostname"] == "cafe0123cafe"
    assert edurange(show(format="csv", container="cafe0123"))[1][6] == "cafe0123cafe:id"


def test_formats_have_typed_lines_only(tmp_path: Path, show: Show) -> None:
    """What can't be shown in a format is an error that says what to leave out."""
    Tape().opened().store(tmp_path)
    with pytest.raises(click.UsageError, match="leave out --kind process"):
        show(format="csv", kind="process")
    with pytest.raises(click.UsageError, match="leave one of them out"):
        show(format="json", as_json=True)


# While it goes on


def start(data: Path, *arguments: str) -> subprocess.Popen[str]:
    """Runs the command in a process of its own."""
    argv = [sys.executable, "-m", "cgtrail", "journal", "--container", "web", "--follow", "--data", str(data)]
    return subprocess.Popen([*argv, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        ("text", ["/srv # before", "2 └ failed after 8.0 s: # before", "/srv # good", "/srv # bad", "1 └ failed"]),
        ("csv", ["web:before", "web:good", "web:bad"]),
        ("json", ["before", "good", "bad"]),
    ],
)
def test_following(tmp_path: Path, form: str, wanted: list[str]) -> None:
    """A line comes once it is typed, and again if it fails; of tables, whose rows have the output, once it is done."""
    tape = Tape()
    tape.command("before", 1 * SECOND, 9 * SECOND, exit_code=2)
    ended = tape.documents.pop()
    tape.store(tmp_path)
    with start(tmp_path, "--format", form) as process:
        assert process.stdout is not None
        told = ""
        while "\n" not in told:  # a header, or the row of what was typed before: it follows soon
            told += os.read(process.stdout.fileno(), 65_536).decode()
        tape.documents = [ended]
        tape.command("good", 10 * SECOND, 11 * SECOND, exit_code=0)
        tape.command("bad", 12 * SECOND, 13 * SECOND, exit_code=1)
        deadline = time.monotonic() + SECONDS
        tape.store(tmp_path)
        while wanted[-1] not in " ".join(told.split()) and time.monotonic() < deadline:
            if select.select([process.stdout], [], [], 1)[0]:
                told += os.read(process.stdout.fileno(), 65_536).decode()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=SECONDS)
    lines = [" ".join(line.split()) for line in told.splitlines()]
    found = [line for line in lines if any(words in line for words in wanted)]
    assert len(found) == len(wanted)
    assert all(words in line for words, line in zip(wanted, found, strict=True))


# Many, and damaged


def test_ends_are_looked_up_as_rows_are_wanted(tmp_path: Path) -> None:
    """However many lines there are, few of them are held at a time."""
    tape = Tape()
    for number in range(1_000):
        tape.command(f"c{number}", number * SECOND, number * SECOND + 1, exit_code=number % 3)
    tape.store(tmp_path)
    taken = 0

    def bodies() -> Iterator[bytes]:
        nonlocal taken
        for document in tape.documents:
            if document.source["event"]["action"] == typed.STARTED:
                taken += 1
                yield document.encode()

    settled = typed.settled(SqliteStore(tmp_path / "store"), bodies())
    assert json.loads(next(settled))["event"]["action"] == typed.ENDED
    assert taken <= 200
    assert [json.loads(body)["process"]["exit_code"] for body in settled] == [number % 3 for number in range(1, 1_000)]


@given(st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_flipped_bytes_end_nothing(data: st.DataObject) -> None:
    """Whatever became of a line's document on the disk, it has rows or is damaged, in every form."""
    tape = Tape()
    tape.command("ls -la", 1 * SECOND, 2 * SECOND, exit_code=1, output="x")
    raw = bytearray(data.draw(st.sampled_from([one.encode() for one in tape.documents])))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    for live in (False, True):
        forms: list[Any] = [journal_form.Form(), journal_form.Form(processes=True)]
        forms += [journal_exports.Table(None, follow=live), journal_exports.Rows(None)]
        for form in forms:
            form.live = live
            count, damaged = show_documents([bytes(raw)], as_json=False, header=False, form=form)
            assert (count, damaged in (0, 1)) == (1, True)
