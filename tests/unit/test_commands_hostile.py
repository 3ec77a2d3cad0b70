"""Terminals of those who mean no good: what is known of them stays small, and each record costs the same."""

from __future__ import annotations

import pytest

from bpf.enums import Change
from enrich.commands.command import PROGRAMS
from enrich.snapshot import save
from enrich.steps import commands
from tests.unit.at_shell import Lab, Shell
from tests.unit.at_terminal import SHELL
from tests.unit.stream import SECOND

CAT = {"tgid": 30, "start": 30_000_000}


def size(lab: Lab) -> int:
    """Bytes of the worker's state."""
    return len(save(lab.stream.steps))


def test_a_shell_that_never_prompts_again() -> None:
    """Line after line without a prompt: each replaces the one before, and nothing piles up."""
    lab = Lab()
    shell = lab.shell()
    lab.feed(*shell.line(b"cat"))
    lab.run(SHELL, b"/bin/cat", pid=30)
    lab.feed(shell.terminal.input(b"x\n", **CAT))
    before = size(lab)
    lab.stream.documents.clear()
    for _ in range(2000):
        lab.feed(shell.terminal.input(b"x\n", **CAT))
    lab.wait()
    assert size(lab) < before + 2000
    assert len(lab.started()) == 2000


def test_children_without_end() -> None:
    """A line that starts one process after the other keeps little of them."""
    lab = Lab()
    shell = lab.shell()
    lab.feed(*shell.line(b"storm"))
    for number in range(400):
        lab.run(SHELL, b"/bin/x%d" % number, pid=1000 + number)
        lab.done(1000 + number, SHELL)
    before = size(lab)
    for number in range(2000):
        lab.done(lab.run(SHELL, b"/bin/y%d" % number, pid=2000 + number), SHELL)
    assert size(lab) < before + 1000


def test_many_that_take_lines() -> None:
    """Of too many programs of one session that take lines, the least recently used one's are over."""
    lab = Lab()
    shell = lab.shell()
    lab.feed(*shell.line(b"storm"))
    for number in range(PROGRAMS + 10):
        other = Shell(shell.terminal, 1000 + number)
        lab.feed(*other.prompt(), *other.line(b"line %d" % number))
    assert len(lab.of("command_started")) == PROGRAMS + 11
    assert [each["cgtrail"]["command"]["line"] for each in lab.of("command_ended")][:2] == ["storm", "line 0"]
    lab.feed(*shell.prompt())
    assert len(lab.of("command_ended")) == 12


def test_what_ended_is_forgotten() -> None:
    """Sessions come and go, each with lines and programs, and leave nothing."""
    lab = Lab(output="all")

    def visit(number: int) -> None:
        shell = lab.shell(1000 + number, number)
        lab.feed(*shell.line(b"ls"), shell.terminal.output(b"x" * 1000))
        lab.done(lab.run(shell.pid, b"/bin/ls"), shell.pid)
        lab.feed(*shell.prompt(), *shell.line(b"exit"))
        lab.done(shell.pid, 1)
        lab.feed(shell.terminal.change(Change.HANGUP))

    def settled() -> int:
        for _ in range(5):
            lab.stream.wait(3 * SECOND)
        return size(lab)

    visit(0)
    before = settled()
    for number in range(1, 40):
        visit(number)
    assert settled() < before + 1000


def test_an_idle_session_is_small() -> None:
    """A shell at its prompt that has done something costs at most 20 KB of state."""
    lab = Lab()
    lab.shell(40, 1)
    before = size(lab)
    shell = lab.shell(41, 2)
    for _ in range(5):
        lab.feed(*shell.line(b"ls -l /somewhere"))
        lab.done(lab.run(41, b"/bin/ls"), 41)
        lab.feed(*shell.prompt())
    assert size(lab) - before < 20_000


@pytest.mark.parametrize("output", ["none", "all"])
def test_a_paste_of_many_lines(output: str) -> None:
    """Each line of a long paste costs what the first ones do, in records of documents and in state."""
    lab = Lab(output=output)
    shell = lab.shell()
    lab.feed(*shell.line(b"cat > x <<E"))
    for number in range(300):
        lab.feed(*shell.prompt(b"> "), *shell.line(b"line %d" % number))
    before = size(lab)
    for number in range(300, 1000):
        lab.feed(*shell.prompt(b"> "), *shell.line(b"line %d" % number))
    assert size(lab) < before + 5000
    lab.feed(*shell.prompt(b"> "), *shell.line(b"E"), *shell.prompt())
    lab.wait()
    assert len(lab.started()) == len(lab.of("command_ended")) == 1002
    first, *others = (document["cgtrail"]["command"] for document in lab.of("command_started"))
    assert {other["continues"] for other in others} == {first["id"]}


def test_no_room_for_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where lines that are not over take too much room, further ones are whole at their start, cut at their end."""
    monkeypatch.setattr(commands, "_LINES", 3000)
    lab = Lab()
    shells = [lab.shell(40 + number, number) for number in range(3)]
    for shell in shells:
        lab.feed(*shell.line(b"x" * 2000))
    assert [len(line) for line in lab.started()] == [2000] * 3
    for shell in shells:
        lab.feed(*shell.prompt())
    told = [document["cgtrail"]["command"] for document in lab.of("command_ended")]
    assert [len(each["line"]) for each in told] == [2000, 1024, 1024]
    assert ["cut" in each["reasons"] for each in told] == [False, True, True]
    lab.feed(*shells[0].line(b"y" * 2000), *shells[0].prompt())
    assert len(lab.of("command_ended")[-1]["cgtrail"]["command"]["line"]) == 2000
