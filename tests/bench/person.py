"""A person at bash in a container, whose session is recorded once and played again as many sessions as are wanted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from heapq import merge
from typing import Any

from bpf.enums import Change
from bpf.events import Header, Task, Terminal, TtyChange, TtyInput, TtyOutput, TtyWrite
from tests.bench.lab import Lab
from tests.kernel.capture import capturing, of
from tests.kernel.dockerd import Container
from tests.kernel.furnished import draining, furnished
from tests.kernel.terminals import Client, at_terminal, record_all
from tests.unit.stream import BOX

WORK = (
    "ls -la /",
    "cd /tmp",
    "echo hello > file",
    "cat file",
    "grep -n hello file",
    "ps",
    "cd /",
    "df -h",
    "uname -a",
    "head -20 /etc/passwd",
)
"""Lines of ordinary work, in turn."""
PROMPT = rb"bash-[0-9.]+# (\x1b\[\?2004h)?$"
PIDS = 1 << 16
"""So far apart are the process ids of two sessions that were one."""
STAGGER_NS = 1_000_000
"""So much later the next one begins."""
_PIDS = ("tgid", "ppid", "pgid", "sid", "leader", "foreground", "opener", "writer", "last_writer")


@contextmanager
def with_bash(lab: Lab) -> Iterator[Container]:
    """A container with this machine's programs."""
    with furnished(lab.daemon, {}, volumes=["/usr:/usr:ro"]) as made:
        yield made


@contextmanager
def at_bash(lab: Lab, box: Container) -> Iterator[Client]:
    """Somebody in front of bash's prompt."""
    with at_terminal(lab.daemon, "exec", "-it", box.id, "bash", "--norc", "--noprofile") as client:
        client.type(b"", PROMPT)
        yield client


def keys(client: Client, text: str) -> None:
    """Type key by key, each once the one before is shown."""
    for key in text.encode():
        client.type(bytes((key,)), rb"(?s).")


def enter(client: Client) -> None:
    """Type Return, and wait for the next prompt."""
    client.type(b"\r", PROMPT)


@dataclass
class Recorded:
    """The records of one session, in the order of the ring."""

    records: list[Header]
    lines: int

    @property
    def keys(self) -> int:
        """How many bytes were consumed."""
        return sum(record.size for record in of(self.records, TtyInput))

    @property
    def shown(self) -> int:
        """How many bytes of what was shown the records hold."""
        return sum(len(record.content) for record in of(self.records, TtyOutput))

    def idle(self) -> Recorded:
        """The same up to the last prompt: the shell waits for a line."""
        prompts = (number for number, record in enumerate(self.records) if _prompts(record))
        return Recorded(self.records[: max(prompts) + 1], self.lines - 1)

    def again(self, number: int) -> Iterator[Header]:
        """The same as another session: other processes, another terminal, a bit later."""
        return (_again(record, number) for record in self.records)

    def many(self, sessions: int) -> Iterator[Header]:
        """So many sessions at once, in the order of their records' times."""
        return merge(*(self.again(number) for number in range(sessions)), key=lambda record: record.time)


def _prompts(record: Header) -> bool:
    return isinstance(record, TtyWrite) and record.content.endswith(b"# ")


def _again(record: Header, number: int) -> Header:
    told = {name: getattr(record, name) for name in _PIDS if getattr(record, name, 0)}
    other: dict[str, Any] = {name: pid + number * PIDS for name, pid in told.items()}
    other |= {"time": record.time + number * STAGGER_NS, "cgroup_id": BOX, "owner": BOX, "sequence": 0}
    if isinstance(record, Terminal):
        other |= {"index": number, "home": BOX}
    elif isinstance(record, Task) and record.tty:
        other["tty"] = (record.tty & ~0xFFFFF) | number
    return dataclasses.replace(record, **other)


def recorded(lab: Lab, lines: Sequence[str]) -> Recorded:
    """What a person does at bash who types lines and leaves, which is one more."""
    with capturing() as capture, with_bash(lab) as box:
        record_all(capture, box)
        capture.drain()
        begin = len(capture.records)
        with draining(capture), at_bash(lab, box) as client:
            for text in lines:
                keys(client, text)
                enter(client)
            client.type(b"exit\r")
            client.end()
        mine = [r for r in capture.records[begin:] if box.cgroup_id in (r.cgroup_id, getattr(r, "home", 0))]
    assert any(isinstance(r, TtyChange) and r.change == Change.HANGUP for r in mine)
    return Recorded(mine, len(lines) + 1)
