"""Typed lines in `cgtrail search` and its table: found by their words, and first of what is found."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cgtrail import table
from tests.unit.ran import Run
from tests.unit.taped import SECOND, Tape

STYLE = re.compile("\x1b\\[[0-9;]*m")


@pytest.fixture
def tape(tmp_path: Path) -> Tape:
    """Two lines, one of which starts programs, and a program that none started."""
    tape = Tape().opened()
    command = tape.command("make test", 1 * SECOND, 9 * SECOND, exit_code=2)
    tape.ran("make test", 1 * SECOND, command, pid=21)
    tape.ran("cc -c make.c", 2 * SECOND, command, parent=21, pid=22)
    tape.command("cd /srv/app", 10 * SECOND)
    tape.ran("cron make", 11 * SECOND, pid=90)
    return tape.store(tmp_path)


def shown(run: Run, *asked: str) -> list[str]:
    """What stands in the table's last column."""
    lines = STYLE.sub("", run("search", *asked).out).splitlines()
    at = lines[0].index("ARGS") if lines else 0
    return [line[at:] for line in lines[1:]]


def test_typed_lines_come_first(run: Run, tape: Tape) -> None:
    """In a table they stand above the programs, each in the order that is asked for; JSON goes by time alone."""
    assert tape.lines
    newest = ["# make test", "# make test", "cron make", "cc -c make.c", "make test"]
    assert shown(run, "make") == newest
    assert shown(run, "make", "--sort", "asc") == [*newest[:2], *reversed(newest[2:])]
    found = [json.loads(line) for line in run("search", "make", "--json", "--sort", "asc").out.splitlines()]
    assert [one["event"]["action"] for one in found] == [
        "command_started", "exec", "exec", "command_ended", "exec",
    ]  # fmt: skip


def test_a_row_of_a_line_is_recognised(run: Run, tape: Tape) -> None:
    """It says that it was typed or is done, to which program, and with what it ended."""
    assert tape.lines
    done, began = STYLE.sub("", run("search", "--kind", "command", "make").out).splitlines()[1:]
    assert done.split() == [done.split()[0], "web", "root", "done", "bash", "7", "2", "#", "make", "test"]
    assert began.split() == [began.split()[0], "web", "root", "typed", "bash", "7", "#", "make", "test"]


def test_the_limit_is_that_of_all(run: Run, tape: Tape) -> None:
    """Lines count as any other document; a kind has its own alone."""
    assert tape.lines
    assert shown(run, "make", "--limit", "3") == ["# make test", "# make test", "cron make"]
    assert shown(run, "make", "--limit", "1") == ["# make test"]
    assert shown(run, "make", "--kind", "process", "--limit", "2") == ["cron make", "cc -c make.c"]
    assert shown(run, "make", "--kind", "command", "--limit", "1") == ["# make test"]


def test_words_and_fields_find_lines(run: Run, tape: Tape) -> None:
    """A bare word, a phrase and the field itself, also where no program has the words: builtins start none."""
    assert tape.lines
    for query in ("srv/app", '"cd /srv"', "cgtrail.command.line:cd*app", "CD"):
        assert shown(run, query) == ["# cd /srv/app"]


@given(line=st.text(st.characters(codec="utf-8"), max_size=200), prompt=st.text(max_size=20))
@settings(deadline=None)
def test_any_line_is_one_row(line: str, prompt: str) -> None:
    """Whatever was typed at whatever prompt is one row that a terminal can show."""
    tape = Tape()
    tape.command(line, 1 * SECOND, 2 * SECOND, exit_code=1, prompt=prompt)
    for document in tape.documents:
        row = STYLE.sub("", table.row(document.encode()))
        assert not [char for char in row if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
