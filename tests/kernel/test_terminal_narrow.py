"""While the spool is nearly full, what terminals show is counted instead of recorded; all the rest is recorded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bpf.enums import Narrow
from bpf.events import Exec, Terminal, TtyInput, TtyOpen, TtyOutput
from tests.kernel.capture import Capture, of
from tests.kernel.dockerd import Container, Dockerd
from tests.kernel.terminals import Client, at_terminal, consumed, life, lives, record_all, screen

pytestmark = pytest.mark.kernel


@pytest.fixture(autouse=True)
def _wide_again(capture: Capture) -> Iterator[None]:
    yield
    capture.probes.narrow(Narrow.NONE)


def say(client: Client, number: int, size: int) -> None:
    """Let a shell show a line of so many bytes, and wait for the prompt behind it."""
    command = f"head -c {size} /dev/zero | tr '\\0' x; echo; echo end{number}"
    client.type(f"{command}\r".encode(), rf"\r\nend{number}\r\n.*# ".encode())


@pytest.mark.parametrize("level", [Narrow.OUTPUT, Narrow.ARGUMENTS, Narrow.FORKS])
def test_what_is_shown_is_counted(
    docker_daemon: Dockerd, capture: Capture, container: Container, level: Narrow
) -> None:
    """Recorded and left out come to what the client got, to the byte, and what is recorded stands at its place."""
    record_all(capture, container)
    capture.drain()
    begin = len(capture.records)
    with at_terminal(docker_daemon, "exec", "-it", container.id, "sh") as client:
        client.type(b"", rb"# ")
        say(client, 1, 3000)
        before = len(client.received)
        capture.drain()
        capture.probes.narrow(level)
        narrow = len(capture.records)
        say(client, 2, 5000)
        middle = len(client.received)
        capture.drain()
        capture.probes.narrow(Narrow.NONE)
        wide = len(capture.records)
        say(client, 3, 700)
        client.type(b"exit\r")
        received = client.end()
    capture.until(lambda: len(received) in ends(capture, begin, container), "the last of what was shown")
    records = capture.records[begin:]
    (terminal,) = lives(records, container.cgroup_id)
    shown = screen(records, terminal)
    assert (shown.skipped, shown.content) == (middle - before, received[:before] + received[middle:])
    left_out = [r for r in of(capture.records[narrow:wide], Terminal) if life(r) == terminal]
    assert of(list(left_out), TtyOutput) == []
    assert left_out[-1].shown > before
    typed = consumed(records, terminal)
    assert [f"end{number}".encode() in typed for number in (1, 2, 3)] == [True] * 3
    assert of(list(left_out), TtyInput)
    programs = {
        r.args.split(b"\0")[0] for r in of(capture.records[narrow:wide], Exec) if r.owner == container.cgroup_id
    }
    assert b"tr" in programs
    assert capture.losses(container.cgroup_id).get(TtyOutput.layout.number or 0, 0) == 0


def ends(capture: Capture, begin: int, container: Container) -> set[int]:
    """Up to where a container's terminals are recorded."""
    found = of(capture.records[begin:], TtyOutput)
    return {record.shown + record.size for record in found if record.cgroup_id == container.cgroup_id}


def test_a_keyframe_says_how_much_was_shown(docker_daemon: Dockerd, capture: Capture, container: Container) -> None:
    """Also of a terminal whose output was left out to the end."""
    record_all(capture, container)
    capture.probes.narrow(Narrow.OUTPUT)
    with at_terminal(docker_daemon, "exec", "-it", container.id, "sh") as client:
        client.type(b"", rb"# ")
        say(client, 1, 3000)
        capture.drain()
        begin = len(capture.records)
        capture.probes.snapshot()
        capture.drain()
        shown = [r.shown for r in of(capture.records[begin:], TtyOpen) if r.home == container.cgroup_id]
        assert shown == [len(client.received)]
