"""What the documents about typed lines say, and when they are made."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from bpf.enums import Change, Policy
from bpf.schema import Record
from enrich.snapshot import restore, save
from shipper.wire.records import UserNames
from tests.unit.at_shell import Lab, Shell
from tests.unit.at_terminal import ECHOED, SHELL, At
from tests.unit.stream import STREAM, cgroup, contained, undeclared


def told(document: dict[str, Any]) -> dict[str, Any]:
    """cgtrail.command of a document."""
    found: dict[str, Any] = document["cgtrail"]["command"]
    return found


def test_a_line_begins_and_ends() -> None:
    """Return makes a document at once, the next prompt another: the same and how it went."""
    lab = Lab()
    shell = lab.shell()
    lab.feed(*shell.keys(b"ls -l"))
    assert not lab.started()
    typed = lab.stream.index
    lab.feed(*shell.accept(b"/srv"))
    (start,) = lab.of("command_started")
    ls = lab.run(SHELL, b"/bin/ls", b"-l", pgid=100)
    lab.done(ls, SHELL, 2)
    lab.feed(*shell.prompt())
    (over,) = lab.of("command_ended")
    session = start["cgtrail"]["session"]["id"]
    assert start["event"]["id"] == f"{STREAM}-0-{typed}-{session}-command"
    assert over["event"]["id"] == f"{start['event']['id']}-end"
    assert told(start) == {
        "id": f"{session}-0-{typed}",
        "line": "ls -l",
        "number": 1,
        "prompt": "$ ",
        "role": "command",
        "class": "unrelated",
        "confidence": told(start)["confidence"],
        "reasons": told(start)["reasons"],
    }
    assert told(over) == told(start) | {
        "ended": "prompt",
        "execs": [document["event"]["id"] for document in lab.of("exec")[-1:]],
        "execs_count": 1,
        "confidence": "high",
        "reasons": [*told(start)["reasons"], "started"],
    }
    assert start["event"]["type"] == ["start"]
    assert over["event"]["type"] == ["end"]
    assert over["event"]["start"] == start["@timestamp"] < over["@timestamp"] == over["event"]["end"]
    assert over["process"] == start["process"] | {"exit_code": 2}
    assert start["process"]["pid"] == SHELL
    assert start["process"]["name"] == "bash"
    assert start["process"]["working_directory"] == "/srv"
    assert start["process"]["interactive"]
    assert start["process"]["tty"]["char_device"] == {"major": 136, "minor": 0}
    assert start["cgtrail"]["entry"] == "exec"
    assert start["container"]["name"] == "lab"
    assert not undeclared(start) | undeclared(over)


def test_who_and_where_are_as_of_its_return() -> None:
    """User, directory and what is wrong with it are the shell's when it took the line, with the container's name."""
    lab = Lab()
    lab.feed(UserNames(key=b"docker/77", users=b"0:root\0001000:alice\0"))
    shell = lab.shell()
    lab.feed(*shell.line(b"pwd", b"/home/alice", uid=1000, cwd_flags=16), *shell.prompt())
    for document in lab.of("command_started") + lab.of("command_ended"):
        assert document["user"] == document["process"]["user"] == {"id": "1000", "name": "alice"}
        assert document["process"]["working_directory"] == "/home/alice"
        assert document["cgtrail"]["cwd"] == {"deleted": True}


def test_lines_are_numbered() -> None:
    """Each line of a session has a number, whatever takes it; an empty one has none."""
    lab = Lab()
    shell = lab.shell()
    cat = {"tgid": 30, "start": 30_000_000}
    lab.feed(*shell.line(b"cat"))
    lab.run(SHELL, b"/bin/cat", pid=30)
    lab.feed(shell.terminal.input(b"data\n", ECHOED, **cat))
    lab.done(30, SHELL)
    lab.feed(*shell.prompt(), *shell.line(b""), *shell.prompt(), *shell.line(b"id"))
    starts = [(told(document)["line"], told(document)["number"]) for document in lab.of("command_started")]
    assert starts == [("cat", 1), ("data", 2), ("id", 3)]
    assert told(lab.of("command_started")[1])["role"] == "input"


def test_what_takes_the_line_ends() -> None:
    """The end of the shell ends what it was told to do, and the end of the session does."""
    lab = Lab()
    shell = lab.shell()
    lab.feed(*shell.line(b"exit 3"))
    lab.done(SHELL, 1, 3)
    assert told(lab.command("exit 3"))["ended"] == "exited"
    lab.wait()
    other = lab.shell(40, 1)
    lab.feed(*other.line(b"sleep 9"), other.terminal.change(Change.HANGUP))
    assert told(lab.command("sleep 9"))["ended"] == "session"
    actions = [document["event"]["action"] for document in lab.stream.documents]
    assert actions[-2:] == ["command_ended", "session_closed"]


def test_two_lines_without_a_prompt_between() -> None:
    """A line that comes while the one before is not known to be over replaces it."""
    lab = Lab()
    shell = lab.shell()
    lab.feed(*shell.line(b"a"))
    lab.feed(shell.terminal.change(Change.TERMIOS, **shell.fields | {"lflag": 1}), *shell.line(b"b"))
    assert lab.started() == ["a", "b"]
    assert len(lab.of("command_ended")) == 1


def test_the_start_stands_before_what_is_started() -> None:
    """In the order of documents, a line comes before its programs, and its end behind them."""
    lab = Lab()
    shell = lab.shell()
    lab.feed(*shell.line(b"true"))
    lab.done(lab.run(SHELL, b"/bin/true"), SHELL)
    lab.feed(*shell.prompt())
    actions = [document["event"]["action"] for document in lab.stream.documents]
    assert actions[-4:] == ["command_started", "exec", "end", "command_ended"]


def test_without_a_policy_there_is_none() -> None:
    """Of a container whose terminals nobody asked for, no line is told; its programs are."""
    lab = Lab(policy=Policy.EXEC)
    shell = lab.shell()
    lab.feed(*shell.line(b"ls"))
    lab.run(SHELL, b"/bin/ls")
    lab.feed(*shell.prompt())
    assert not lab.of("command_started") + lab.of("command_ended")
    assert "command" not in lab.of("exec")[-1]["cgtrail"]


def test_a_container_that_is_told_late() -> None:
    """Lines wait for their container as all documents do, and go where nobody wants them."""
    for policy, attribution in ((int(Policy.TERMINAL), ["late", "late"]), (int(Policy.OUTPUT), [])):
        lab = Lab(known=False)
        shell = lab.shell()
        lab.feed(*shell.line(b"ls"), *shell.prompt())
        assert not lab.started()
        lab.feed(contained(policy=policy), cgroup())
        found = lab.of("command_started") + lab.of("command_ended")
        assert [document["cgtrail"]["attribution"] for document in found] == attribution


def test_an_unknown_container() -> None:
    """Where no container is told, the documents come without one after a second."""
    lab = Lab(known=False)
    shell = lab.shell()
    lab.feed(*shell.line(b"ls"))
    lab.wait()
    (start,) = lab.of("command_started")
    assert start["cgtrail"]["attribution"] == "unknown"


def test_who_was_there_before_us() -> None:
    """A shell that is only known by its terminal has its lines told, with its process id."""
    lab = Lab()
    shell = Shell(At())
    lab.feed(*shell.prompt(), *shell.line(b"ls"), *shell.prompt())
    (start,) = lab.of("command_started")
    assert start["process"]["pid"] == SHELL
    assert "entity_id" not in start["process"]
    assert lab.command("ls")


def scene(lab: Lab) -> list[Record]:
    """Somebody's session, record by record."""
    taken: list[Record] = []
    feed, lab.stream.feed = lab.stream.feed, lambda *records: taken.extend(records) or []  # type: ignore[method-assign, func-returns-value]
    shell = lab.shell()
    lab.feed(*shell.line(b"make -s | tee log"))
    make, tee = lab.run(SHELL, b"/usr/bin/make", pgid=100), lab.run(SHELL, b"/usr/bin/tee", pgid=100)
    lab.done(lab.run(make, b"/usr/bin/cc"), make)
    lab.done(make, SHELL)
    lab.done(tee, SHELL, 1)
    lab.feed(shell.terminal.output(b"done\r\n"), *shell.prompt())
    lab.feed(*shell.line(b"cat <<E"), *shell.prompt(b"> "), *shell.line(b"x"), *shell.prompt(b"> "), *shell.line(b"E"))
    lab.feed(*shell.prompt(), *shell.line(b"sh"))
    inner = Shell(shell.terminal, lab.run(SHELL, b"/bin/sh"), prompt=b"# ")
    lab.feed(*inner.prompt(), *inner.line(b"id"))
    lab.done(lab.run(inner.pid, b"/usr/bin/id"), inner.pid)
    lab.feed(*inner.prompt(), *inner.line(b"exit"))
    lab.done(inner.pid, SHELL)
    lab.feed(*shell.prompt(), shell.terminal.change(Change.HANGUP))
    lab.stream.feed = feed  # type: ignore[method-assign]
    return taken


@pytest.mark.parametrize("output", ["none", "all"])
def test_a_restart_anywhere_changes_nothing(output: str) -> None:
    """A worker that starts again at any record makes the same documents, ids included."""
    plain = Lab(output=output)
    records = scene(plain)
    plain.feed(*map(dataclasses.replace, records))
    restarted = Lab(output=output)
    for record in records:
        restarted.feed(dataclasses.replace(record))
        data = save(restarted.stream.steps)
        fresh = Lab(output=output).stream.steps
        restore(data, fresh)
        restarted.stream.steps = fresh
    assert plain.stream.documents == restarted.stream.documents
    assert len(plain.of("command_ended")) == 7
