"""A container whose first program has a terminal is recorded from its first byte, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bpf.enums import EVERYTHING, Change, Policy
from bpf.events import Header, Terminal, TtyChange, TtyInput, TtyOutput
from bpf.schema import decode
from shipper.wire.reader import Reader
from shipper.wire.records import ContainerInfo, State
from shipper.wire.segment import streams
from tests.kernel.capture import Capture, capturing, of
from tests.kernel.dockerd import Dockerd
from tests.kernel.spine import spine
from tests.kernel.terminals import at_terminal, consumed, lives, screen

pytestmark = pytest.mark.kernel

RUN = ("run", "--rm", "-it", "--network=none")


def visit(daemon: Dockerd, *options: str) -> bytes:
    """Somebody runs a shell in a container of its own; what was shown there."""
    with at_terminal(daemon, *RUN, *options, "busybox", "sh") as client:
        client.type(b"", rb"# ")
        client.type(b"echo one two\r", rb"two\r\n.*# ")
        client.type(b"exit\r")
        return client.end()


def hung_up(capture: Capture, begin: int) -> Callable[[], bool]:
    """Whether a terminal has ended since."""
    return lambda: any(r.change == Change.HANGUP for r in of(capture.records[begin:], TtyChange))


def test_from_the_first_byte(docker_daemon: Dockerd) -> None:
    """The first prompt is there, though nobody has told the kernel of this container."""
    with capturing() as capture:
        capture.probes.birth_policy(EVERYTHING)
        received = visit(docker_daemon)
        capture.until(hung_up(capture, 0), "the hang-up")
    first = next(record for record in of(capture.records, TtyOutput) if record.content in received)
    (terminal,) = lives(capture.records, first.cgroup_id)
    shown = screen(capture.records, terminal)
    assert (first.shown, shown.content, shown.skipped) == (0, received, 0)
    assert consumed(capture.records, terminal) == b"echo one two\nexit\n"


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (Policy.EXEC, set()),
        (Policy.EXEC | Policy.TERMINAL, {"TtyInput", "TtyWrite", "TtyChange", "TtySignal"}),
        (Policy.EXEC | Policy.OUTPUT, {"TtyOutput", "TtyChange", "TtySignal"}),
    ],
)
def test_what_nobody_asks_for(docker_daemon: Dockerd, policy: Policy, told: set[str]) -> None:
    """What the policy at birth lacks does not leave the kernel."""
    with capturing() as capture:
        capture.probes.birth_policy(policy)
        visit(docker_daemon)
        capture.drain()
    found = {type(record).__name__ for record in of(capture.records, Terminal)}
    assert found <= told
    assert bool(found) == bool(told)
    assert not any(b"echo one two" in r.content for r in of(capture.records, TtyInput) if not policy & Policy.TERMINAL)


def spooled(data: Path) -> list[object]:
    """The records of a spool, in its order."""
    frames = [frame for stream in streams(data / "spool") for frame in Reader(stream, 0).read()]
    return [decode(frame.payload, at, size) for frame in frames for _, at, size in frame.records()]  # type: ignore[union-attr]


@pytest.mark.parametrize("unassigned", ["exec,terminal,output", "exec"])
def test_with_an_agent(docker_daemon: Dockerd, tmp_path: Path, unassigned: str) -> None:
    """By default everything is there; where containers without a tenant are not asked for, no byte of a terminal."""
    settings = {"CGTRAIL_TENANTS_UNASSIGNED": unassigned}
    data = tmp_path / "data"
    with spine(docker_daemon, data, settings=settings) as running:
        received = visit(docker_daemon)
        running.settle()
    records = [record for record in spooled(data) if isinstance(record, Header)]
    whose = {r.policy for r in spooled(data) if isinstance(r, ContainerInfo) and r.state == State.PENDING}
    if unassigned == "exec":
        assert of(records, Terminal) == []
        assert whose <= {Policy.EXEC}
        return
    first = next(record for record in of(records, TtyOutput) if record.content in received)
    (terminal,) = lives(records, first.cgroup_id)
    shown = screen(records, terminal)
    assert (first.shown, shown.content, shown.skipped) == (0, received, 0)
    assert whose <= {EVERYTHING}
