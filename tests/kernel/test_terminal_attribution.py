"""Each byte of a terminal is told of the container and the process that it is from, however terminals are mixed."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bpf.events import Exec, Header, Terminal, TtyInput, TtyOutput, TtyWrite
from tests.kernel.capture import Capture, of
from tests.kernel.dockerd import Container, Dockerd
from tests.kernel.furnished import draining, furnished, whole
from tests.kernel.terminals import Client, Life, at_terminal, life, lives, record_all, screen

pytestmark = pytest.mark.kernel

PTYS = Path(__file__).parent / "ptys.py"
PROMPT = rb"# "


@pytest.fixture(scope="module")
def rich(docker_daemon: Dockerd, capture: Capture) -> Iterator[Container]:
    """A container with this machine's programs, of which everything is recorded."""
    with furnished(docker_daemon, {"short": (b"a line\n" * 500, 0o644)}) as made:
        record_all(capture, made)
        yield made


def sessions(daemon: Dockerd, containers: list[Container]) -> list[bytes]:
    """What clients at terminals of these containers are shown, all at once."""
    with ExitStack() as stack:
        clients: list[Client] = []
        for container in containers:
            client = stack.enter_context(at_terminal(daemon, "exec", "-it", container.id, "busybox", "ash"))
            clients.append(client)
        for client in clients:
            client.type(b"", PROMPT)
        for number, client in enumerate(clients):
            client.type(b"echo this is session $((0 + %d))\r" % number)
        for number, client in enumerate(clients):
            client.type(b"tty\r", rb"session %d\r\n.*pts/\d+\r\n.*# " % number)
        for client in clients:
            client.type(b"exit\r")
        return [client.end() for client in clients]


@pytest.mark.parametrize("count", [2, 5])
def test_sessions_at_once(docker_daemon: Dockerd, capture: Capture, rich: Container, count: int) -> None:
    """Sessions of one container at the same time: each screen is its client's, each with a leader of its own."""
    capture.drain()
    begin = len(capture.records)
    with draining(capture):
        received = sessions(docker_daemon, [rich] * count)
    screens = whole(capture, begin, rich, hung_up=count)
    assert sorted(screens.values()) == sorted(received)
    assert sorted(index for _, index, _ in screens) == list(range(count))
    typed = {
        (life(r), r.tgid, r.leader, r.foreground)
        for r in of(capture.records[begin:], TtyInput)
        if r.home == rich.cgroup_id
    }
    assert {each for each, *_ in typed} == set(screens)
    assert len({who for _, who, *_ in typed}) == count
    assert all(who == leader == foreground for _, who, leader, foreground in typed)


def test_same_index(docker_daemon: Dockerd, capture: Capture) -> None:
    """The terminals /dev/pts/0 of three containers at the same time are three."""
    with ExitStack() as stack:
        made = [stack.enter_context(furnished(docker_daemon, {})) for _ in range(3)]
        for container in made:
            record_all(capture, container)
        capture.drain()
        begin = len(capture.records)
        with draining(capture):
            received = sessions(docker_daemon, made)
        screens = [whole(capture, begin, container) for container in made]
    assert [list(found.values()) for found in screens] == [[text] for text in received]
    terminals = [terminal for found in screens for terminal in found]
    assert [index for _, index, _ in terminals] == [0, 0, 0]
    assert len({device for device, *_ in terminals}) == 3


@pytest.mark.parametrize(
    ("opener", "command"),
    [
        ("script", b"script -q -c 'busybox ash' /dev/null"),
        ("tmux", b"tmux -f /dev/null new 'busybox ash'"),
        ("sudo", b"sudo -u alice busybox ash"),
        ("su", b"/usr/bin/su --pty alice"),
    ],
)
def test_nested(docker_daemon: Dockerd, capture: Capture, rich: Container, opener: str, command: bytes) -> None:
    """A terminal in a terminal: both are whole, the inner one says who opened it."""
    capture.drain()
    begin = len(capture.records)
    with draining(capture), at_terminal(docker_daemon, "exec", "-it", rich.id, "busybox", "ash") as client:
        client.type(b"", PROMPT)
        client.type(command + b"\r", rb"\r\n.*[$#] ")
        client.settle()
        client.type(b"echo in'ner'\r", rb"\ninner|inner\x1b|inner\r")
        client.type(b"exit\r", PROMPT)
        client.settle()
        client.type(b"exit\r")
        received = client.end()
    screens = whole(capture, begin, rich)
    (outer,) = [each for each, text in screens.items() if text == received]
    (inner,) = set(screens) - {outer}
    assert b"inner\r\n" in screens[inner]
    records = [r for r in of(capture.records[begin:], Terminal) if life(r) == inner]
    opened_by = {r.opener for r in records}
    started = {r.tgid: r.exe for r in of(capture.records[begin:], Exec)}
    assert len(opened_by) == 1
    assert opener == "tmux" or {started[pid].rsplit(b"/", 1)[-1].decode() for pid in opened_by} == {opener}
    assert {r.leader for r in records if r.leader}.isdisjoint(
        r.leader for r in of(capture.records, Terminal) if life(r) == outer
    )


def test_terminal_of_another(docker_daemon: Dockerd, capture: Capture) -> None:
    """A process at another container's terminal: what it does is its own's, the terminal the other's."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        files = {"ptys.py": (PTYS.read_bytes(), 0o644)}
        one, other = (stack.enter_context(furnished(docker_daemon, files, shared=folder)) for _ in range(2))
        for container in (one, other):
            record_all(capture, container)
        capture.drain()
        begin = len(capture.records)
        argv = ["docker", "exec", one.id, "timeout", "15", "python3", "-B", "/ptys.py", "give", "/shared/socket"]
        with draining(capture), subprocess.Popen(argv, env=docker_daemon.environment, stdout=subprocess.PIPE) as giver:
            other.run("sh", "-c", "while [ ! -S /shared/socket ]; do sleep 0.1; done")
            taken = json.loads(other.run("timeout", "15", "python3", "-B", "/ptys.py", "take", "/shared/socket"))
            assert giver.stdout
            given = json.loads(giver.stdout.read())
    records = of(capture.records[begin:], Terminal)
    acting = [r for r in records if r.cgroup_id == other.cgroup_id]
    assert {r.home for r in acting} == {one.cgroup_id}
    assert [r.content for r in acting if isinstance(r, TtyWrite)] == [given["got"].encode()]
    assert [r.content for r in acting if isinstance(r, TtyInput)] == [taken["answer"].encode()]
    shown = [r for r in of(list[Header](records), TtyOutput) if r.cgroup_id == one.cgroup_id]
    assert b"".join(r.content for r in shown) == given["got"].encode()
    assert {r.writer for r in shown} <= {0, *(r.tgid for r in acting)}
    assert len({life(r) for r in [*shown, *acting]}) == 1


def test_names_of_a_terminal(docker_daemon: Dockerd, capture: Capture, rich: Container) -> None:
    """What is written to /dev/tty is the session's terminal's."""
    capture.drain()
    begin = len(capture.records)
    command = "printf one >/dev/tty; printf two >/dev/pts/0; printf three >/proc/self/fd/0"
    with draining(capture), at_terminal(docker_daemon, "exec", "-it", rich.id, "sh", "-c", command) as client:
        received = client.end()
    screens = whole(capture, begin, rich)
    assert list(screens.values()) == [received] == [b"onetwothree"]
    written = [r for r in of(capture.records[begin:], TtyWrite) if r.home == rich.cgroup_id]
    assert [r.content for r in written] == [b"one", b"two", b"three"]
    assert {life(r) for r in written} == set(screens)


def test_console(docker_daemon: Dockerd, capture: Capture, rich: Container) -> None:
    """/dev/console of a container with a terminal is that terminal, also for those who enter without one."""
    with docker_daemon.container("furnished", "tail", "-f", "/dev/null", tty=True) as made:
        record_all(capture, made)
        capture.drain()
        begin = len(capture.records)
        made.run("sh", "-c", "printf mark >/dev/console")
        made.run("sh", "-c", "printf more >/dev/console")
        capture.until(lambda: len(screen_of(capture, begin, made)) >= 8, "what was written")
        assert screen_of(capture, begin, made) == b"markmore"
    written = [r for r in of(capture.records[begin:], TtyWrite) if r.cgroup_id == made.cgroup_id]
    assert [r.content for r in written] == [b"mark", b"more"]
    assert len({r.tgid for r in written}) == 2
    assert not {r.tgid for r in written} & {r.leader for r in written}


def screen_of(capture: Capture, begin: int, container: Container) -> bytes:
    """What the only terminal of a container shows."""
    records = capture.records[begin:]
    found: list[Life] = lives(records, container.cgroup_id)
    return b"".join(screen(records, each).content for each in found)


def test_nested_cgroup(docker_daemon: Dockerd, capture: Capture, rich: Container) -> None:
    """Who moves to a cgroup below its container's acts in that one, and is the container's still."""
    capture.drain()
    begin = len(capture.records)
    below = rich.cgroup / "below"
    below.mkdir()
    number = below.stat().st_ino
    try:
        with draining(capture), at_terminal(docker_daemon, "exec", "-it", rich.id, "busybox", "ash") as client:
            client.type(b"", PROMPT)
            client.type(b"echo before\r", rb"\nbefore\r\n.*# ")
            (leader,) = {r.tgid for r in of(capture.records[begin:], TtyInput) if r.home == rich.cgroup_id}
            (below / "cgroup.procs").write_text(str(leader))
            client.type(b"echo after\r", rb"\nafter\r\n.*# ")
            client.type(b"exit\r")
            received = client.end()
        owned = [r for r in of(capture.records[begin:], Terminal) if r.owner == rich.cgroup_id]
        shown = [r for r in owned if isinstance(r, TtyOutput)]
        assert b"".join(r.content for r in shown) == received
        assert len({life(r) for r in owned}) == 1
        assert {r.cgroup_id for r in owned if isinstance(r, TtyInput)} == {rich.cgroup_id, number}
    finally:
        below.rmdir()


def test_who_wrote(docker_daemon: Dockerd, capture: Capture, rich: Container) -> None:
    """Who wrote what is shown is told where its write has returned, and echo is nobody's."""
    capture.drain()
    begin = len(capture.records)
    with draining(capture), at_terminal(docker_daemon, "exec", "-it", rich.id, "busybox", "ash") as client:
        client.type(b"", PROMPT)
        client.type(b"/usr/bin/cat\r", rb"\r\n")
        client.settle()
        client.type(b"typed\r", rb"typed\r\ntyped\r\n")
        client.settle()
        client.type(b"\x04", PROMPT)
        client.type(b"exit\r")
        client.end()
    whole(capture, begin, rich)
    started = {r.tgid: r.exe for r in of(capture.records[begin:], Exec)}
    shown = [r for r in of(capture.records[begin:], TtyOutput) if r.home == rich.cgroup_id]
    writers = {r.writer for r in shown if re.fullmatch(rb"typed\r\n", r.content)} - {0}
    assert all(started[writer].endswith(b"/cat") for writer in writers)
    assert {r.writer for r in shown if r.writers == 0} <= {0}
