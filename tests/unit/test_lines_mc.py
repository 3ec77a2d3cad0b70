"""What Midnight Commander types to its subshell is told as what was typed to it, or as data."""

from __future__ import annotations

import pytest

from bpf.enums import Change
from enrich.lines.mc import what_was_typed
from enrich.lines.typed import Role
from tests.unit.at_terminal import ECHOED
from tests.unit.test_lines_editors import Desk


@pytest.mark.parametrize(
    "line",
    [
        ' mc_print_command_buffer () { printf "%s\\\\n" "$READLINE_LINE" >&11; }',
        ' bind -x \'"\\e_":"mc_print_command_buffer"\'',
        ' bind -x \'"\\e+":"echo $BASH_VERSINFO:$READLINE_POINT >&11"\'',
        " PROMPT_COMMAND=${PROMPT_COMMAND:+$PROMPT_COMMAND",
        "}'pwd>&9;kill -STOP $$'",
        " cd \"`printf '%b' '\\0057usr'`\"",
    ],
)
def test_its_own(line: str) -> None:
    """Its hooks, and where the shell is already."""
    assert what_was_typed(line, b"/usr") == (line, True)
    desk = Desk()
    desk.line("ls")
    desk.ask()
    desk.keys(line)
    desk.paint(line)
    desk.keys("\r")
    desk.paint("\n")
    desk.take(desk.at.change(Change.TERMIOS, lflag=ECHOED, **desk.fields))
    assert [each.role for each in desk.typed] == [Role.COMMAND, Role.COMMAND if "cd" in line else Role.INPUT]


def test_cd() -> None:
    """A folder that was gone to."""
    assert what_was_typed(" cd \"`printf '%b' '\\0057a\\0040b'`\"", b"/usr") == ("cd /a b", False)


@pytest.mark.parametrize("line", ["ls", " cd /usr", "precmd() { ls; }", "} ", "cd \"`printf '%b' '$(id)'`\"; id"])
def test_somebodys(line: str) -> None:
    """What only looks like it."""
    assert what_was_typed(line, b"/usr") == (line, False)
