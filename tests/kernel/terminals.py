"""People at terminals: a client with a pty of its own, as of `docker exec -it`, and what was recorded of a terminal."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pexpect

from bpf.enums import EVERYTHING
from bpf.events import Header, Terminal, TtyInput, TtyOutput
from tests.kernel.capture import Capture, of
from tests.kernel.dockerd import DEADLINE, Container, Dockerd, program

Life = tuple[int, int, int]
"""A terminal's device, index and generation."""


def life(record: Terminal) -> Life:
    """Which terminal a record is about."""
    return record.device, record.index, record.generation


@dataclass
class Client:
    """Somebody at a terminal. What the client's own pty showed is in `received`, byte for byte."""

    child: pexpect.spawn[Any]
    log: io.BytesIO = field(default_factory=io.BytesIO)

    def __post_init__(self) -> None:
        """Everything that is read is kept."""
        self.child.logfile_read = self.log

    @property
    def received(self) -> bytes:
        """What was shown so far, as far as it was waited for."""
        return self.log.getvalue()

    def type(self, keys: bytes, until: bytes | None = None) -> None:
        """Type, and wait until something is shown (a regular expression)."""
        self.child.send(keys)
        if until is not None:
            self.child.expect(until)

    def settle(self) -> None:
        """Wait until nothing is shown for a while: some programs throw away what is typed before they are ready."""
        while self.child.expect([rb"(?s).+", pexpect.TIMEOUT], timeout=0.5) == 0:
            pass

    def resize(self, rows: int, columns: int) -> None:
        """The client's window gets another size."""
        self.child.setwinsize(rows, columns)

    def end(self) -> bytes:
        """Wait until the client ends; everything that it was shown."""
        self.child.expect(pexpect.EOF)
        self.child.wait()
        return self.received


@contextmanager
def at_terminal(
    daemon: Dockerd, *docker: str, rows: int = 24, columns: int = 80, timeout: float = DEADLINE
) -> Iterator[Client]:
    """A client of the `docker` command: `at_terminal(daemon, "exec", "-it", container.id, "sh")`."""
    with at(program("docker"), list(docker), daemon.environment, rows, columns, timeout) as client:
        yield client


@contextmanager
def at(
    binary: str, argv: Sequence[str], environment: dict[str, str], rows: int, columns: int, timeout: float
) -> Iterator[Client]:
    """Any program at a terminal. Its own pty is in raw mode before it starts, so that nothing is changed or echoed."""
    size = (rows, columns)
    child = pexpect.spawn(binary, list(argv), env=environment, timeout=timeout, dimensions=size, maxread=65536)
    child.delaybeforesend = None
    try:
        yield Client(child)
    finally:
        child.close(force=True)


def record_all(capture: Capture, container: Container) -> None:
    """Everything of a container from now on: what is typed and what is shown, too."""
    assert capture.probes.watch(container.cgroup_id, container.cgroup_id, EVERYTHING)
    assert capture.probes.set_policy(container.cgroup_id, EVERYTHING)


@dataclass(frozen=True)
class Screen:
    """What was recorded of what one terminal showed."""

    content: bytes
    skipped: int
    """Bytes that no record holds, up to the end of the last."""


def screen(records: Sequence[Header], terminal: Life) -> Screen:
    """The screen of a terminal from its records, each at its place."""
    content, skipped, at = bytearray(), 0, None
    for record in of(list(records), TtyOutput):
        if life(record) != terminal:
            continue
        skipped += record.shown - at if at is not None else record.shown
        skipped += record.size - len(record.content)
        content += record.content
        at = record.shown + record.size
    return Screen(bytes(content), skipped)


def consumed(records: Sequence[Header], terminal: Life) -> bytes:
    """What programs read from a terminal, as far as it was not secret."""
    return b"".join(record.content for record in of(list(records), TtyInput) if life(record) == terminal)


def lives(records: Sequence[Header], cgroup_id: int) -> list[Life]:
    """The terminals of a cgroup, in the order in which they showed something first."""
    shown = (record for record in of(list(records), TtyOutput) if record.cgroup_id == cgroup_id)
    return list(dict.fromkeys(life(record) for record in shown))
