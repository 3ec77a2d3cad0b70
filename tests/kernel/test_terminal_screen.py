"""What is recorded of a terminal's screen is byte for byte what the client's own terminal got, whatever runs there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from bpf.enums import Change
from bpf.events import TtyChange
from tests.kernel.capture import Capture, of
from tests.kernel.dockerd import Container, Dockerd
from tests.kernel.furnished import draining, furnished, hang_ups, whole
from tests.kernel.terminals import at_terminal, lives, record_all, screen

pytestmark = pytest.mark.kernel

MANY = 10 << 20
PROMPT = rb"# "
LINES = b"".join(
    b"%07d the quick brown fox jumps over the lazy dog, again and again\n" % i for i in range(MANY // 73 + 1)
)
SETTLED = b""
SIZES = [(40, 132), (10, 20), (1000, 1000), (24, 80)]
Typed = list[tuple[bytes, bytes | None]]
"""Keys, and what is shown then (a regular expression); None: it ends."""
SESSIONS: dict[str, tuple[tuple[str, ...], Typed]] = {
    "ash": (("busybox", "ash"), [(b"", PROMPT), (b"echo one; ls /\r", rb"usr.*# "), (b"exit\r", None)]),
    "bash": (
        ("bash", "--norc"),
        [
            (b"", PROMPT),
            (b"echo one two\x02\x02\x02and \r", rb"\ntwo|and two\r\n.*# "),
            (b"\x12echo\x1b[C\r", rb"and two\r\n.*# "),
            (b"for i in 1 2 3; do\recho $i\rdone\r", rb"3\r\n.*# "),
            (b"printf '\\xc3\\xa4\\xe2\\x82\\xac\\xf0\\x9f\\x90\\xa7\\xff\\xfe\\0\\1\\2\\n'\r", rb"\x02\r\n.*# "),
            (b"exit\r", None),
        ],
    ),
    "less": (("less", "/lines"), [(b"", rb"/lines"), (b" ", rb"0000040"), (b"/0000100\r", rb"0000100"), (b"q", None)]),
    "vim": (
        ("vim", "-u", "NONE", "/tmp/v"),
        [(b"", rb"~"), (b"ihello\r\nworld \xc3\xa4\x1b", rb"world"), (b":wq\r", None)],
    ),
    "busybox vi": (
        ("busybox", "vi", "/tmp/b"),
        [(b"", rb"~"), (b"ihello\rworld\x1b", rb"world"), (b":wq\r", None)],
    ),
    "top": (("top", "-d", "2"), [(b"", rb"PID"), (b"", SETTLED), (b"M", SETTLED), (b" ", SETTLED), (b"q", None)]),
    "mc": (
        ("mc", "-x"),
        [(b"", SETTLED), (b"\x1bOB\x1bOB\t", SETTLED), (b"ls /lines\r", SETTLED), (b"\x1b[21~", None)],
    ),
    "mc without a subshell": (("mc", "-u"), [(b"", SETTLED), (b"\x1bOB\t", SETTLED), (b"\x1b[21~", None)]),
    "python": (
        ("python3", "-q"),
        [(b"", rb">>> "), (b"print('x' * 500)\r", rb"x{9}\r\n.*>>> "), (b"\x04", None)],
    ),
    "tmux": (
        ("tmux", "-f", "/dev/null", "new", "busybox ash"),
        [(b"", PROMPT), (b"echo a-b\r", rb"a-b.*# "), (b"exit\r", None)],
    ),
    "cat": (("busybox", "cat", "/short"), [(b"", None)]),
}


@pytest.fixture(scope="module")
def rich(docker_daemon: Dockerd, capture: Capture) -> Iterator[Container]:
    """A container with all these programs, of which everything is recorded."""
    files = {"lines": (LINES, 0o644), "short": (LINES[:4000], 0o644)}
    with furnished(docker_daemon, files) as made:
        record_all(capture, made)
        yield made


@pytest.mark.parametrize("name", SESSIONS)
def test_programs(docker_daemon: Dockerd, capture: Capture, rich: Container, name: str) -> None:
    """Shells, editors, pagers and menus of a whole session: the screen is what the client got."""
    argv, typed = SESSIONS[name]
    capture.drain()
    begin = len(capture.records)
    with draining(capture), at_terminal(docker_daemon, "exec", "-it", rich.id, *argv) as client:
        for keys, until in typed:
            client.type(keys, until or None)
            if until == SETTLED:
                client.settle()
        received = client.end()
    assert received in whole(capture, begin, rich).values()


def test_ten_megabytes(docker_daemon: Dockerd, capture: Capture, rich: Container) -> None:
    """A file of ten megabytes that is shown at once is recorded whole."""
    capture.drain()
    begin = len(capture.records)
    with draining(capture), at_terminal(docker_daemon, "exec", "-it", rich.id, "busybox", "cat", "/lines") as client:
        received = client.end()
    (screen,) = whole(capture, begin, rich).values()
    assert len(received) == len(LINES) + LINES.count(b"\n")
    assert hashlib.sha256(screen).digest() == hashlib.sha256(received).digest()


def test_attach(docker_daemon: Dockerd, capture: Capture, rich: Container) -> None:
    """What a client that attaches to a container's own terminal is shown, is in that terminal's screen."""
    argv = ["busybox", "ash"]
    with docker_daemon.container("furnished", *argv, tty=True, stdin_open=True) as made:
        record_all(capture, made)
        capture.drain()
        begin = len(capture.records)
        with draining(capture), at_terminal(docker_daemon, "attach", made.id) as client:
            client.type(b"", PROMPT)
            client.type(b"tty; echo to the end >/dev/console\r", rb"the end.*# ")
            client.type(b"exit\r")
            received = client.end()
        capture.until(lambda: bool(hang_ups(capture, begin, made)), "the hang-up")
        (terminal,) = lives(capture.records[begin:], made.cgroup_id)
    shown = screen(capture.records[begin:], terminal).content
    assert received in shown
    assert b"to the end\r\n" in received


def test_resize(docker_daemon: Dockerd, capture: Capture, rich: Container) -> None:
    """A window that changes while something is shown is told, each size at its place; the screen is whole."""
    capture.drain()
    begin = len(capture.records)
    with draining(capture), at_terminal(docker_daemon, "exec", "-it", rich.id, "vim", "-u", "NONE", "/lines") as client:
        client.type(b"", rb"0000005")
        for rows, columns in SIZES:
            client.resize(rows, columns)
            client.settle()
        client.type(b":q!\r")
        received = client.end()
    (shown,) = whole(capture, begin, rich).values()
    told = [(r.rows, r.columns) for r in of(capture.records[begin:], TtyChange) if r.change == Change.WINDOW]
    assert shown == received
    assert told[-len(SIZES) :] == SIZES
