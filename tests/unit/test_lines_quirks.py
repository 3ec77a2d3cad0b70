"""What is painted between keys and lines that is no part of a line: asides, notices, questions, data."""

from __future__ import annotations

import pytest

from enrich.lines.typed import Confidence, Prompt, Reason, Role
from tests.unit.at_terminal import ECHOED
from tests.unit.test_lines_editors import EDITING, Desk

_ASIDE = "\x1b7\x1b[58C[00:11] #\x1b8"
"""A right prompt: it is painted with the cursor's place kept."""


def test_an_aside_over_a_line() -> None:
    """A prompt that is painted again with its right side hides nothing of the line that goes on below that."""
    desk = Desk(columns=70)
    desk.ask(f"{_ASIDE}$ ")
    text = "x" * 60 + " end"
    desk.echo(text)
    desk.paint(f"\r{_ASIDE}$ \x1b[64C")
    desk.returned()
    assert desk.lines == [text]


def test_what_was_erased_in_an_aside() -> None:
    """What is cleared between keeping the cursor's place and going back there stays so."""
    desk = Desk()
    desk.ask()
    desk.echo("echo gone")
    desk.paint("\r\x1b[6C\x1b7\x1b[K\x1b8")
    desk.returned()
    assert desk.lines == ["echo"]


@pytest.mark.parametrize("text", ["echo told so", "echo told[1]+  x"])
def test_a_notice_in_the_middle(text: str) -> None:
    """What a shell says of jobs in the middle of a line (`set -b`) is no part of it."""
    desk = Desk()
    desk.ask()
    desk.echo(text[:9])
    desk.paint("[1]+  Done                    sleep 0.3\r\n")
    desk.echo(text[9:])
    desk.returned()
    assert desk.lines == [text]
    assert desk.typed[0].confidence == Confidence.MEDIUM


def test_a_line_that_is_painted_once_more() -> None:
    """A shell that tells of a job as it takes a line paints both again before it goes: it asks for none by that."""
    desk = Desk("zsh")
    desk.ask()
    desk.echo("ls")
    desk.keys("\n")
    desk.paint("\r\n[1]  + done       sleep 0.4\n")
    desk.raw()
    before = len(desk.told)
    desk.paint("\x1b[J$ ", "ls\x1b[K", "\x1b[?2004l", "\r\n")
    desk.cooked()
    assert desk.lines == ["ls"]
    assert not [each for each in desk.told[before:] if isinstance(each, Prompt)]
    desk.ask()
    assert isinstance(desk.told[-1], Prompt)


def test_rows_of_the_line_itself() -> None:
    """Rows that were typed with Returns among them are the line's."""
    desk = Desk("ipython3")
    desk.ask("In [1]: ")
    desk.echo("if x:")
    desk.keys("\r")
    desk.paint("\r\n   ...:     ")
    desk.echo("y")
    desk.keys("\r")
    desk.paint("\r\n")
    desk.cooked()
    assert desk.lines == ["if x:\n    y"]


def test_typed_ahead_and_wrapped() -> None:
    """ipython paints what was typed ahead with its prompt, in several rows, before it reads a key."""
    desk = Desk("ipython3", columns=20)
    desk.ask("In [1]: ")
    desk.echo("1")
    desk.keys("\r2 + 3333333333333")
    desk.paint("\r\n")
    desk.cooked()
    desk.raw()
    desk.paint("In [2]: 2 + 33333333\r\n   ...: 33333")
    desk.keys("\x1b[5;1R", "4", "\r")
    desk.paint("4\r\n")
    desk.cooked()
    assert desk.lines == ["1", "2 + 33333333333334"]


def test_where_the_terminal_says_ipython_is() -> None:
    """The kernel's echo of what was typed ahead moved the cursor, but ipython takes no notice of that."""
    desk = Desk("ipython3")
    desk.ask("In [1]: ")
    desk.keys("if x:\x1b[40;10R")
    desk.paint("if x:")
    desk.keys("\r")
    desk.paint("\r\n   ...:     y")
    desk.keys("\r")
    desk.paint("\r\n")
    desk.cooked()
    assert desk.lines == ["if x:\n    y"]


def test_a_question_behind_a_line() -> None:
    """Zsh asks whether to correct a line before it has that done: neither the question nor its answer is a line."""
    desk = Desk("zsh")
    desk.raw()
    desk.paint("% ")
    desk.echo("unaem -m")
    desk.keys("\n")
    desk.paint("\r\r\n", "zsh: correct 'unaem' to 'uname' [nyae]? ")
    desk.raw()
    desk.keys("n")
    desk.paint("n\r\n")
    desk.cooked()
    desk.raw()
    desk.paint("% ")
    desk.echo("id")
    desk.keys("\n")
    desk.paint("\r\r\n")
    desk.cooked()
    assert desk.lines == ["unaem -m", "id"]


def test_a_client_that_ends() -> None:
    """What the other side says while it closes is no part of the last line."""
    desk = Desk("ssh", oflag=0)
    desk.raw()
    desk.paint("bob@far:~$ ")
    desk.echo("exit")
    desk.keys("\r")
    desk.paint("\r\n\x1b[?2004l\rlogout\r\n")
    desk.cooked()
    assert desk.lines == ["exit"]


def test_an_editor_that_lost_its_place() -> None:
    """Of a line that fills the window and more, an editor may leave the cursor at its top: then the keys tell."""
    desk = Desk(columns=30, rows=6)
    desk.ask()
    desk.echo("true " + "y" * 300)
    desk.keys("\x01")
    desk.paint("\x1b[A" * 10 + "\b" * 5, "echo true " + "y" * 13 + "\x1b[12Cyyyyy\x1b[A")
    desk.keys("echo ", "\r")
    desk.paint("\n")
    desk.cooked()
    assert desk.lines == ["echo true " + "y" * 300]
    assert desk.typed[0].reasons == (Reason.KEYS,)


def test_a_list_longer_than_the_window() -> None:
    """Completions that fill the window are no part of the line, which is whole behind them."""
    desk = Desk(rows=6)
    desk.ask()
    desk.echo("ls fi")
    desk.keys("\t")
    desk.paint("\n", *(f"file{number}\r\n" for number in range(9)), "$ ls file")
    desk.echo("1")
    desk.returned()
    assert [(each.line, each.confidence) for each in desk.typed] == [("ls file1", Confidence.HIGH)]


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("echo a\tb\x01\x0b\x19\x19", "echo a\tbecho a\tb"),
        ("a b\tc\x17\x17x \x19", "x a b\tc"),
        ("\ta b\x15c\x19", "c\ta b"),
    ],
)
def test_what_was_killed(keys: str, line: str) -> None:
    """What was killed at once is yanked as one, with its tabs: they are painted as blanks."""
    desk = Desk()
    desk.ask()
    desk.keys(*keys.replace("\t", "\x16\t"))
    desk.paint(f"$ {line}".expandtabs(8)[2:])
    desk.returned()
    assert desk.lines == [line]


@pytest.mark.parametrize(("prompt", "role"), [("in$ ", Role.INPUT), (">>> ", Role.COMMAND), ("... ", Role.COMMAND)])
def test_input_of_python(prompt: str, role: Role) -> None:
    """What a program in Python asks for is data, whatever it looks like."""
    desk = Desk("python3", oflag=EDITING)
    desk.paint(prompt, lflag=ECHOED)
    desk.take(desk.at.input(b"ls -l\n", ECHOED, **desk.fields))
    assert [(each.line, each.role) for each in desk.typed] == [("ls -l", role)]
