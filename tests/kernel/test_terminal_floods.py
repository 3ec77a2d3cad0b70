"""Floods through terminals: what is recorded and what is skipped is what was shown, to the byte, and all is bounded."""

from __future__ import annotations

import os
import select
import subprocess
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from bpf.enums import Change
from bpf.events import Header, Terminal, TtyChange, TtyInput, TtyOpen, TtyOutput, TtyWrite
from tests.kernel.capture import Capture, of
from tests.kernel.conftest import FOREVER, GCC
from tests.kernel.dockerd import DEADLINE, Container, Dockerd, busybox_archive, program
from tests.kernel.terminals import Client, Life, at_terminal, consumed, life, lives, record_all, screen

MIB = 1 << 20
SESSION, SESSION_RATE = 16 * MIB, 1e9 / 2**12
"""Bytes of records that a terminal may show at once, and a second (bpf/passage.h)."""
CONTAINER, CONTAINER_RATE = 64 * MIB, 1e9 / 2**10
EVENTS = MIB
INPUT, WRITE, CHANGE = 11, 12, 13
"""Numbers of records (bpf/events.py)."""
MOVES = Path(__file__).parent / "moves" / "moves.c"
PROMPT = b"@@ "
CURSOR = b"\x1b[6n"


@pytest.fixture(scope="module")
def image(docker_daemon: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Busybox with the program that moves bytes."""
    binary = tmp_path_factory.mktemp("moves") / "moves"
    subprocess.run([program("gcc"), *GCC, "-pthread", "-o", binary, MOVES], check=True)
    docker_daemon.add_image("moves", busybox_archive({"bin/moves": (binary.read_bytes(), 0o755)}))
    return "moves"


@pytest.fixture
def box(docker_daemon: Dockerd, capture: Capture, image: str) -> Iterator[Container]:
    """A container whose budget is untouched."""
    with docker_daemon.container(image, *FOREVER) as made:
        record_all(capture, made)
        yield made


def drink(client: Client, capture: Capture, typed: bytes = b"", until: bytes | None = None) -> bytes:
    """Everything that a client is shown until it ends, or until it is shown something last, while it types.

    Behind a prompt, busybox may ask the terminal where its cursor is.
    """
    shown, fd, end = bytearray(), client.child.child_fd, time.monotonic() + 10 * DEADLINE
    while until is None or until not in shown[-len(until) - len(CURSOR) :]:
        assert time.monotonic() < end, f"no end after {len(shown)} bytes: {bytes(shown[-80:])!r}"
        ready, room, _ = select.select([fd], [fd] if typed else [], [], 0.05)
        if room:
            typed = typed[os.write(fd, typed[:2048]) :]
        if ready:
            try:
                shown += os.read(fd, 1 << 20)
            except OSError:
                break
        capture.drain()
    return bytes(shown)


def at_shell(daemon: Dockerd, box: Container) -> Sequence[str]:
    """Arguments of docker for a shell whose prompt nothing else prints."""
    return ("exec", "-it", "-e", f"PS1={PROMPT.decode()}", box.id, "sh")


def closed(capture: Capture, begin: int, box: Container) -> tuple[Life, TtyChange]:
    """The first terminal of a container, and its hang-up."""

    def hung_up() -> list[TtyChange]:
        changes = of(capture.records[begin:], TtyChange)
        return [r for r in changes if r.change == Change.HANGUP and r.cgroup_id == box.cgroup_id]

    capture.until(lambda: bool(hung_up()), "the hang-up")
    (last,) = hung_up()
    return life(last), last


def assert_exact(records: Sequence[Header], terminal: Life, received: bytes) -> int:
    """Each record has what the client got at its place; how many bytes the records have."""
    recorded = 0
    for record in of(list(records), TtyOutput):
        if life(record) == terminal:
            end = record.shown + record.size
            assert received[end - len(record.content) : end] == record.content
            recorded += len(record.content)
    return recorded


def assert_bounded(records: Sequence[Header], burst: int, rate: float, processors: int = 2) -> None:
    """Records of a kind hold no more than a burst and what runs off."""
    took = (records[-1].time - records[0].time) / 1e9
    assert sum(record.length for record in records) <= burst + rate * took + processors * 65536


FLOODS = {
    "yes": "yes | head -c 600000",
    "random": "head -c 24000000 /dev/urandom | tr '\\n' x",
    "raw": "stty raw; head -c 24000000 /dev/urandom; stty sane",
    "small": "dd if=/dev/zero bs=7 count=100000 2>/dev/null",
    "large": "dd if=/dev/zero bs=1M count=24 2>/dev/null",
}


@pytest.mark.parametrize("command", FLOODS.values(), ids=FLOODS)
def test_flood(docker_daemon: Dockerd, capture: Capture, box: Container, command: str) -> None:
    """Recorded and skipped is received; the records are bounded; the prompt and what follows it are complete."""
    begin = len(capture.records)
    with at_terminal(docker_daemon, *at_shell(docker_daemon, box)) as client:
        received = drink(client, capture, until=PROMPT)
        received += drink(client, capture, f"{command}; echo; echo over\r".encode(), b"\nover\r\n" + PROMPT)
        flooded = len(received)
        received += drink(client, capture, b"seq 100\r", b"\r\n100\r\n" + PROMPT)
        received += drink(client, capture, b"exit\r")
    terminal, last = closed(capture, begin, box)
    records = capture.records[begin:]
    shown = [r for r in of(records, TtyOutput) if life(r) == terminal]
    recorded = assert_exact(records, terminal, received)
    skipped = screen(records, terminal).skipped
    assert last.shown == len(received)
    assert recorded + skipped == len(received)
    assert shown[-1].drained == len(received)
    assert_bounded(shown, SESSION, SESSION_RATE)
    after = [r for r in shown if r.shown + r.size > flooded - len(b"\nover\r\n" + PROMPT)]
    assert sum(len(r.content) for r in after) >= len(received) - flooded
    assert after[-1].shown + after[-1].size == len(received)
    wrote = [r for r in of(records, TtyWrite) if life(r) == terminal]
    assert_bounded(wrote, 4 * MIB, SESSION_RATE)
    lost = capture.losses(box.cgroup_id)
    assert last.unwritten == lost.get(WRITE, 0)
    assert set(lost) <= {WRITE}


def test_paste(docker_daemon: Dockerd, capture: Capture, box: Container) -> None:
    """Megabytes that are pasted into a raw terminal and come back: the input is bounded, and its gaps are known.

    Docker's client detaches at ctrl-p ctrl-q.
    """
    size, begin = 5_000_000, len(capture.records)
    with at_terminal(docker_daemon, *at_shell(docker_daemon, box)) as client:
        received = drink(client, capture, until=PROMPT)
        received += drink(client, capture, f"stty raw -echo; echo go; head -c {size}; stty sane\r".encode(), b"go\n")
        sent = os.urandom(MIB).replace(b"\x10", b"x").replace(b"@", b"x") * (size // MIB + 1)
        received += drink(client, capture, sent[:size], PROMPT)
        received += drink(client, capture, b"exit\r")
    terminal, last = closed(capture, begin, box)
    records = capture.records[begin:]
    assert last.shown == len(received) == assert_exact(records, terminal, received) + screen(records, terminal).skipped
    read = [r for r in of(records, TtyInput) if life(r) == terminal]
    assert_bounded(read, SESSION, SESSION_RATE)
    gaps = [b.consumed - a.consumed - a.size for a, b in pairwise(read)]
    assert all(gap >= 0 for gap in gaps)
    assert sum(r.size for r in read) + sum(gaps) == last.consumed
    assert consumed(records, terminal).endswith(b"exit\n")
    lost = capture.losses(box.cgroup_id)
    assert (sum(gaps) > 0) == (INPUT in lost)


def test_many_sessions(capture: Capture, box: Container) -> None:
    """Twenty terminals of a container flood at once: what is recorded of all of them is bounded, too."""
    begin, each = len(capture.records), 8
    thread = threading.Thread(
        target=box.run, args=("sh", "-c", f"for i in $(seq 20); do moves flood call x {each} & done; wait")
    )
    thread.start()
    while thread.is_alive():
        capture.drain()
    thread.join()
    capture.drain()
    shown = [r for r in of(capture.records[begin:], TtyOutput) if r.cgroup_id == box.cgroup_id]
    assert len({life(r) for r in shown}) == 20
    assert_bounded(shown, CONTAINER, CONTAINER_RATE)
    assert sum(len(r.content) for r in shown) > MIB


def test_quiet_neighbour(docker_daemon: Dockerd, capture: Capture, box: Container, image: str) -> None:
    """While one container floods, a session in another one is recorded whole, each line as soon as it was shown."""
    with docker_daemon.container(image, *FOREVER) as quiet:
        record_all(capture, quiet)
        begin = len(capture.records)
        flood = threading.Thread(
            target=box.run, args=("sh", "-c", "for i in 1 2 3; do moves flood call x 200 & done; wait")
        )
        with at_terminal(docker_daemon, *at_shell(docker_daemon, quiet)) as client:
            received = drink(client, capture, until=PROMPT)
            flood.start()
            for number in range(60):
                received += drink(client, capture, b"echo line %d\r" % number, b"\r\nline %d\r\n%s" % (number, PROMPT))
                capture.drain()
                (terminal,) = lives(capture.records[begin:], quiet.cgroup_id)
                assert screen(capture.records[begin:], terminal).content == received
            received += drink(client, capture, b"exit\r")
        while flood.is_alive():
            capture.drain()
        flood.join()
    records = capture.records[begin:]
    assert (screen(records, terminal).content, screen(records, terminal).skipped) == (received, 0)
    assert consumed(records, terminal) == b"".join(b"echo line %d\n" % i for i in range(60)) + b"exit\n"
    assert capture.losses(quiet.cgroup_id) == {}


def test_settings(capture: Capture, box: Container) -> None:
    """Settings that change all the time are bounded; each change is told or counted, the last is told; no repeat is.

    What is set back to what was told last is a repeat: so is what follows each that was left out.
    """
    begin, rounds = len(capture.records), 20_000
    box.run("moves", "settings", "call", "x", str(rounds))
    capture.drain()
    changes = [r for r in of(capture.records[begin:], TtyChange) if r.change == Change.TERMIOS]
    assert_bounded(changes, EVENTS, SESSION_RATE, processors=0)
    assert all(one.lflag != other.lflag for one, other in pairwise(changes))
    assert changes[-1].lflag & (termios.ICANON | termios.ECHO) == 0
    lost = capture.losses(box.cgroup_id)[CHANGE]
    assert lost > 0
    assert len(changes) - 1 + 2 * lost == rounds


def test_injected(docker_daemon: Dockerd, capture: Capture, box: Container) -> None:
    """TIOCSTI in a loop is bounded and counted."""
    begin, rounds = len(capture.records), 10_000
    with at_terminal(docker_daemon, "exec", "-it", box.id, "moves", "inject", "call", "x", str(rounds)) as client:
        drink(client, capture)
    closed(capture, begin, box)
    told = [r for r in of(capture.records[begin:], TtyChange) if r.change == Change.INJECTED]
    assert_bounded(told, EVENTS, SESSION_RATE, processors=0)
    assert len(told) + capture.losses(box.cgroup_id)[CHANGE] >= 2 * rounds


def test_opened(docker_daemon: Dockerd, capture: Capture, box: Container) -> None:
    """A session that rests keeps its life while another one opens a hundred thousand terminals."""
    begin = len(capture.records)
    with at_terminal(docker_daemon, *at_shell(docker_daemon, box)) as client:
        received = drink(client, capture, until=PROMPT)
        box.run("moves", "open", "call", "x", "100000")
        received += drink(client, capture, b"exit\r")
    terminal, last = closed(capture, begin, box)
    records = [r for r in capture.records[begin:] if isinstance(r, Terminal) and not isinstance(r, TtyOpen)]
    assert {life(r) for r in records} == {terminal}
    assert last.shown == len(received)
    assert screen(records, terminal).content == received
