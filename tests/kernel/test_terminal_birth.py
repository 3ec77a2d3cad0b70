"""A container whose first program has a terminal is recorded from its first byte, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bpf.enums import EVERYTHING, Change, Policy
from bpf.events import CgroupMkdir, Header, Terminal, TtyChange, TtyOutput
from bpf.schema import decode
from shipper.wire.frame import Frame
from shipper.wire.reader import Reader
from shipper.wire.records import ContainerInfo, State
from shipper.wire.segment import streams
from tests.kernel.capture import capturing, of
from tests.kernel.dockerd import Dockerd
from tests.kernel.spine import spine
from tests.kernel.terminals import at_terminal, consumed, lives, screen

pytestmark = pytest.mark.kernel


@dataclass(frozen=True)
class Visit:
    """Somebody ran a shell in a container of its own."""

    received: bytes
    """What was shown there."""
    path: bytes
    """The end of the container's cgroup's path."""

    def cgroup(self, records: Sequence[Header]) -> int:
        """The container's topmost cgroup."""
        made = [r.cgroup_id for r in of(list(records), CgroupMkdir) if r.path.endswith(self.path)]
        return made[0] if made else 0


def visit(daemon: Dockerd, folder: Path) -> Visit:
    """Do so; `folder` is empty."""
    file = folder / "id"
    run = ("run", "--rm", "-it", "--network=none", f"--cidfile={file}", "busybox", "sh")
    with at_terminal(daemon, *run) as client:
        client.type(b"", rb"# ")
        client.type(b"echo one two\r", rb"two\r\n.*# ")
        client.type(b"exit\r")
        return Visit(client.end(), file.read_bytes())


def assert_whole(records: Sequence[Header], seen: Visit) -> None:
    """One terminal, of which nothing is missing."""
    cgroup = seen.cgroup(records)
    (terminal,) = lives(records, cgroup)
    first = next(record for record in of(list(records), TtyOutput) if record.cgroup_id == cgroup)
    shown = screen(records, terminal)
    assert (first.shown, shown.content, shown.skipped) == (0, seen.received, 0)
    assert consumed(records, terminal) == b"echo one two\nexit\n"


def test_from_the_first_byte(docker_daemon: Dockerd, tmp_path: Path) -> None:
    """The first prompt is there, though nobody has told the kernel of this container."""
    with capturing() as capture:
        capture.probes.birth_policy(EVERYTHING)
        seen = visit(docker_daemon, tmp_path)

        def hung_up() -> bool:
            mine = seen.cgroup(capture.records)
            return any(r.change == Change.HANGUP and r.home == mine for r in of(capture.records, TtyChange))

        capture.until(hung_up, "the hang-up")
    assert_whole(capture.records, seen)


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (Policy.EXEC, set()),
        (Policy.EXEC | Policy.TERMINAL, {"TtyInput", "TtyWrite", "TtyChange", "TtySignal"}),
        (Policy.EXEC | Policy.OUTPUT, {"TtyOutput", "TtyChange", "TtySignal"}),
    ],
)
def test_what_nobody_asks_for(docker_daemon: Dockerd, tmp_path: Path, policy: Policy, told: set[str]) -> None:
    """What the policy at birth lacks does not leave the kernel."""
    with capturing() as capture:
        capture.probes.birth_policy(policy)
        seen = visit(docker_daemon, tmp_path)
        capture.drain()
    mine = seen.cgroup(capture.records)
    assert mine
    found = {type(record).__name__ for record in of(capture.records, Terminal) if mine in {record.owner, record.home}}
    assert found <= told
    assert bool(found) == bool(told)


def spooled(data: Path) -> list[object]:
    """The records of a spool, in its order."""
    frames = [frame for stream in streams(data / "spool") for frame in Reader(stream, 0).read()]
    assert all(isinstance(frame, Frame) for frame in frames)
    whole = [frame for frame in frames if isinstance(frame, Frame)]
    return [decode(frame.payload, at, size) for frame in whole for _, at, size in frame.records()]


@pytest.mark.parametrize(
    ("unassigned", "policy"),
    [("exec,terminal,output", EVERYTHING), ("exec,output", Policy.EXEC | Policy.OUTPUT), ("exec", Policy.EXEC)],
)
def test_with_an_agent(docker_daemon: Dockerd, tmp_path: Path, unassigned: str, policy: Policy) -> None:
    """By default everything is there; of a terminal that nobody asks for, no byte; the stream says the same."""
    data = tmp_path / "data"
    (tmp_path / "box").mkdir()
    with spine(docker_daemon, data, settings={"CGTRAIL_TENANTS_UNASSIGNED": unassigned}) as running:
        seen = visit(docker_daemon, tmp_path / "box")
        running.settle()
    records = spooled(data)
    kernels = [record for record in records if isinstance(record, Header)]
    assert {r.policy for r in records if isinstance(r, ContainerInfo) and r.state == State.PENDING} <= {policy}
    if policy == EVERYTHING:
        assert_whole(kernels, seen)
    shown, typed = (any(type(r).__name__ == name for r in kernels) for name in ("TtyOutput", "TtyInput"))
    assert (shown, typed) == (bool(policy & Policy.OUTPUT), bool(policy & Policy.TERMINAL))
