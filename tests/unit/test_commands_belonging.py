"""Which programs belong to which typed line, and how it ended."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from bpf.schema import Record
from tests.unit.at_shell import Lab, Shell
from tests.unit.at_terminal import SHELL, TTY
from tests.unit.stream import end, exec_, fork


def command_of(document: dict[str, Any]) -> str | None:
    """The line that a document belongs to."""
    found: str | None = document["cgtrail"].get("command", {}).get("id")
    return found


def test_a_pipeline_and_what_it_starts() -> None:
    """Programs of a pipeline belong to its line, and so do their children, in any group and session."""
    lab = Lab()
    shell = lab.shell()
    lab.feed(*shell.line(b"make | tee log; (ls) & nohup setsid x"))
    make = lab.run(SHELL, b"/bin/make", pgid=100)
    lab.run(SHELL, b"/bin/tee", pgid=make)
    lab.run(lab.run(make, b"/bin/sh", pgid=make), b"/bin/cc", pgid=make)
    lab.run(lab.fork(SHELL, pgid=200), b"/bin/ls")
    lab.run(SHELL, b"/usr/bin/setsid", sid=300)
    line = "make | tee log; (ls) & nohup setsid x"
    assert lab.programs(line) == ["make", "tee", "sh", "cc", "ls", "setsid"]


def test_what_goes_on_in_the_background() -> None:
    """A process belongs to the line that it was started by, whatever is typed or has ended since."""
    lab = Lab()
    shell = lab.shell()
    lab.feed(*shell.line(b"daemon &"))
    daemon = lab.run(SHELL, b"/bin/daemon")
    lab.feed(*shell.prompt(), *shell.line(b"vim"))
    lab.run(SHELL, b"/bin/vim")
    lab.run(daemon, b"/bin/worker")
    lab.feed(end(daemon, SHELL), *shell.prompt())
    lab.feed(exec_(lab.next - 1, 1, b"/bin/orphan"))
    assert lab.programs("daemon &") == ["daemon", "worker", "orphan"]
    assert lab.programs("vim") == ["vim"]
    assert lab.command("daemon &")["cgtrail"]["command"]["execs_count"] == 1


def test_what_completes_a_line_is_not_the_line_s() -> None:
    """Programs that a shell starts while a line is typed belong to none: to what the shell itself belongs to."""
    lab = Lab()
    shell = lab.shell()
    lab.feed(*shell.line(b"sudo -i"))
    inner = Shell(shell.terminal, lab.run(SHELL, b"/bin/bash"), prompt=b"# ")
    lab.feed(*inner.prompt(), *inner.keys(b"git ch"))
    lab.run(inner.pid, b"/usr/bin/git", b"for-each-ref")
    lab.feed(*inner.keys(b"eckout"), *inner.accept())
    lab.run(inner.pid, b"/usr/bin/git", b"checkout")
    lab.feed(*inner.prompt())
    assert lab.programs("sudo -i") == ["bash", "git"]
    assert lab.programs("git checkout") == ["git"]
    assert lab.command("git checkout")["cgtrail"]["command"]["execs_count"] == 1


@pytest.mark.parametrize("learned", ["before the first prompt", "behind an empty line"])
@pytest.mark.parametrize("substituted", [False, True])
def test_programs_of_a_prompt(learned: str, *, substituted: bool) -> None:
    """What a shell starts at each prompt is no line's, and does not hide how the line ended."""
    lab = Lab()
    shell = lab.shell(ready=False)

    def prompt() -> None:
        parent = lab.fork(SHELL, pgid=SHELL) if substituted else SHELL
        pid = lab.fork(parent, pgid=SHELL) if substituted else lab.fork(SHELL, pgid=lab.next)
        group = SHELL if substituted else pid
        lab.feed(exec_(pid, parent, b"/usr/bin/git", b"branch", b"--x", pgid=group, tty=TTY, sid=SHELL))
        lab.feed(end(pid, parent, tty=TTY, sid=SHELL))
        lab.feed(*shell.prompt())

    if learned == "before the first prompt":
        prompt()
    else:
        lab.feed(*shell.prompt(), *shell.line(b""))
        prompt()
    for line, code in ((b"cd /", None), (b"grep x y", 1), (b"git branch", 0)):
        lab.feed(*shell.line(line))
        if code is not None:
            pid = lab.run(SHELL, *line.split(), pgid=lab.next, tty=TTY, sid=SHELL)
            lab.feed(end(pid, SHELL, code << 8, tty=TTY, sid=SHELL))
        prompt()
    assert lab.programs("cd /") == []
    assert lab.programs("grep x y") == ["grep"]
    over = lab.command("grep x y")
    assert (over["process"]["exit_code"], over["event"]["outcome"]) == (1, "failure")
    assert "git" in lab.programs("git branch")


def test_the_shell_becomes_another() -> None:
    """What a shell turns into belongs to the line that said so, which its next prompt ends."""
    lab = Lab()
    shell = lab.shell()
    lab.feed(*shell.line(b"exec zsh"), exec_(SHELL, 1, b"/bin/zsh", tty=TTY))
    lab.feed(*shell.prompt(b"% "), *shell.line(b"ls"))
    lab.run(SHELL, b"/bin/ls")
    assert lab.programs("exec zsh") == ["zsh"]
    assert lab.programs("ls") == ["ls"]
    assert lab.command("exec zsh")["cgtrail"]["command"]["ended"] == "prompt"


def test_shells_in_a_shell() -> None:
    """Each shell of a session has its line: the outer one's ends when its own prompt is back."""
    lab = Lab()
    shell = lab.shell()
    lab.feed(*shell.line(b"su bob"))
    su = lab.run(SHELL, b"/bin/su")
    inner = Shell(shell.terminal, lab.run(su, b"/bin/sh"), prompt=b"# ")
    lab.feed(*inner.prompt(), *inner.line(b"python3"))
    snake = Shell(shell.terminal, lab.run(inner.pid, b"/usr/bin/python3"), prompt=b">>> ")
    lab.feed(*snake.prompt(), *snake.line(b"os.system('id')"))
    lab.run(lab.run(snake.pid, b"/bin/sh"), b"/usr/bin/id")
    assert not lab.of("command_ended")
    lab.feed(*snake.prompt())
    lab.done(snake.pid, inner.pid)
    lab.feed(*inner.prompt(), *inner.line(b"exit"))
    lab.done(inner.pid, su)
    lab.done(su, SHELL, 1)
    lab.feed(*shell.prompt())
    ended = [each["cgtrail"]["command"] for each in lab.of("command_ended")]
    assert [(each["line"], each["ended"]) for each in ended] == [
        ("os.system('id')", "prompt"),
        ("python3", "prompt"),
        ("exit", "exited"),
        ("su bob", "prompt"),
    ]
    assert lab.programs("os.system('id')") == ["sh", "id"]
    assert lab.command("su bob")["process"]["exit_code"] == 1


def test_another_process_of_the_same_id() -> None:
    """An id that is given again is another process, with nothing of what the first one was told."""
    lab = Lab()
    shell = lab.shell()
    lab.feed(*shell.line(b"sleep 1 &"))
    lab.run(SHELL, b"/bin/sleep", pid=300)
    lab.feed(*shell.prompt())
    lab.done(300, SHELL)
    again = {"start": 999_000_000}
    lab.feed(fork(300, 1, **again), exec_(300, 1, b"/bin/other", **again))
    assert command_of(lab.of("exec")[-1]) is None
    lab.feed(*shell.line(b"x"), fork(301, SHELL, parent_start=77), exec_(301, SHELL, b"/bin/y", parent_start=77))
    assert command_of(lab.of("exec")[-1]) is None


@pytest.mark.parametrize(
    ("line", "names", "status", "code"),
    [
        (b"ls -l", ["ls"], 2 << 8, 2),
        (b"X=1 /bin/ls 2>/dev/null", ["ls"], 2 << 8, 2),
        (b"sleep 9", ["sleep"], 9, 137),
        (b"cat x | grep y", ["cat", "grep"], 1 << 8, 1),
        (b"grep y | cd", ["grep"], 1 << 8, None),
        (b"ls; true", ["ls"], 2 << 8, None),
        (b"ls && cat", ["ls"], 2 << 8, None),
        (b"ls &", ["ls"], 2 << 8, None),
        (b"! ls", ["ls"], 0, None),
        (b"echo $(ls)", ["ls"], 2 << 8, None),
        (b"ll", ["ls"], 2 << 8, None),
        (b"cd /nowhere", [], 0, None),
    ],
)
def test_exit_codes(line: bytes, names: list[str], status: int, code: int | None) -> None:
    """A line has the exit code of its last program where a shell would say so, and else none."""
    lab = Lab()
    shell = lab.shell()
    lab.feed(*shell.line(line))
    pids = [lab.run(SHELL, b"/bin/" + name.encode()) for name in names]
    for pid in reversed(pids):
        lab.feed(end(pid, SHELL, status if pid == pids[-1] else 0))
    lab.feed(*shell.prompt())
    over = lab.command(line.decode())
    assert over["process"].get("exit_code") == code
    assert over["event"].get("outcome") == (None if code is None else "failure" if code else "success")


@pytest.mark.parametrize(
    ("line", "status", "code"), [(b"unaem -m", 127, 127), (b"./x", 126, 126), (b"f", 1, None), (b"(x)", 127, None)]
)
def test_no_such_program(line: bytes, status: int, code: int | None) -> None:
    """A child that starts nothing tells that a name is nobody's, and else nothing."""
    lab = Lab()
    shell = lab.shell()
    lab.feed(*shell.line(line), fork(400, SHELL), end(400, SHELL, status << 8))
    lab.feed(*shell.prompt())
    assert lab.command(line.decode())["process"].get("exit_code") == code


def test_a_login() -> None:
    """A server belongs to the line that started it; who logs in there does not."""
    lab = Lab()
    shell = lab.shell()
    lab.feed(*shell.line(b"/usr/sbin/sshd"))
    server = lab.run(SHELL, b"/usr/sbin/sshd", sid=300)
    session = lab.run(server, b"/usr/sbin/sshd-session", sid=300)
    lab.feed(fork(300, session, sid=300), exec_(300, session, b"/bin/sh", b"-c", b"date", sid=300))
    lab.run(300, b"/bin/date", sid=300)
    assert lab.programs("/usr/sbin/sshd") == ["sshd", "sshd-session"]


def test_many_programs() -> None:
    """A line names its first 256 programs, and counts all."""
    lab = Lab()
    shell = lab.shell()
    lab.feed(*shell.line(b"make"))
    for _ in range(300):
        lab.done(lab.run(SHELL, b"/bin/cc"), SHELL)
    lab.feed(*shell.prompt())
    told = lab.command("make")["cgtrail"]["command"]
    assert (len(told["execs"]), told["execs_count"]) == (256, 300)
    assert told["execs"] == [document["event"]["id"] for document in lab.of("exec")[1:257]]


def people(lab: Lab, count: int) -> list[list[Sequence[Record]]]:
    """What each of several people does in one container: a line, its program, its end, a second line."""
    stories: list[list[Sequence[Record]]] = []
    for number in range(count):
        pid, child = 20 + number, 500 + number
        shell = lab.shell(pid, number)
        tty = {"tty": TTY | number, "sid": pid}
        stories.append(
            [
                shell.line(b"first %d" % number),
                [fork(child, pid, **tty), exec_(child, pid, b"/bin/p%d" % number, **tty)],
                [end(child, pid, number << 8, **tty), *shell.prompt()],
                shell.line(b"second %d" % number),
            ]
        )
    return stories


def check_people(lab: Lab, count: int) -> None:
    """Each has a session with two lines and a program, and nothing of the others'."""
    for number in range(count):
        first, second = (
            next(each for each in lab.of("command_started") if each["cgtrail"]["command"]["line"] == f"{name} {number}")
            for name in ("first", "second")
        )
        assert first["cgtrail"]["session"] == second["cgtrail"]["session"]
        assert first["cgtrail"]["session"]["tty"] == f"pts/{number}"
        assert [each["cgtrail"]["command"]["number"] for each in (first, second)] == [1, 2]
        assert lab.programs(f"first {number}") == [f"p{number}"]
        assert not lab.programs(f"second {number}")
        assert lab.command(f"first {number}")["cgtrail"]["command"]["execs_count"] == 1
    sessions = {each["cgtrail"]["session"]["id"] for each in lab.of("command_started")}
    assert len(sessions) == count


def test_two_people_in_every_order() -> None:
    """Whatever two people in one container do in between, each one's story is the same."""
    for order in sorted(set(itertools.permutations([0, 0, 0, 0, 1, 1, 1, 1]))):
        lab = Lab()
        stories = [iter(story) for story in people(lab, 2)]
        for turn in order:
            lab.feed(*next(stories[turn]))
        check_people(lab, 2)


def test_five_people_key_by_key() -> None:
    """Five people in one container who type at once have five stories, each with its own numbers."""
    lab = Lab()
    stories = people(lab, 5)
    for step in range(4):
        for records in itertools.zip_longest(*(story[step] for story in stories)):
            lab.feed(*(record for record in records if record is not None))
    check_people(lab, 5)


def test_who_opened_another_terminal_takes_no_lines() -> None:
    """Lines that go through script(1) are told once: where they are typed to a shell."""
    lab = Lab()
    shell = lab.shell()
    lab.feed(*shell.line(b"script"))
    lab.run(SHELL, b"/usr/bin/script", pid=60, tty=TTY, sid=SHELL)
    inner = lab.shell(61, 1, opener=60)
    outer = Shell(shell.terminal, 60)
    for pair in zip(outer.line(b"ls"), inner.line(b"ls"), strict=True):
        lab.feed(*pair)
    assert lab.started() == ["script", "ls"]
    assert lab.of("command_started")[1]["process"]["pid"] == 61


@pytest.mark.parametrize("first", [0, 1])
def test_exit_code_whoever_is_first(first: int) -> None:
    """It is the last program's of a pipeline, whichever of them gets to run or ends first."""
    lab = Lab()
    shell = lab.shell()
    lab.feed(*shell.line(b"ls | sort"))
    pids = [lab.fork(SHELL), lab.fork(SHELL)]
    for number in (first, 1 - first):
        lab.feed(exec_(pids[number], SHELL, (b"/bin/ls", b"/usr/bin/sort")[number]))
    for number in (1 - first, first):
        lab.done(pids[number], SHELL, number + 1)
    lab.feed(*shell.prompt())
    assert lab.command("ls | sort")["process"]["exit_code"] == 2
