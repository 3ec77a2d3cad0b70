"""Where a line ends in what a program got, its record has the program's working directory then."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from bpf.enums import ImageFlag, TerminalFlag
from bpf.events import TtyInput
from tests.kernel.capture import Capture, of
from tests.kernel.dockerd import Container, Dockerd, program
from tests.kernel.furnished import furnished, hang_ups
from tests.kernel.terminals import at_terminal, life, record_all

pytestmark = pytest.mark.kernel

SHELLS = {
    "bash": ("bash", "--norc"),
    "dash": ("dash",),
    "fish": ("fish", "--no-config", "-C", "function fish_prompt; echo -n '# '; end"),
    "ash": ("busybox", "ash"),
}
PROMPT = rb"# (?:\x1b[^#]*)?$"
"""Of fish, its right prompt and what it asks of the terminal follow."""
ODD = "/tmp/a\nb\x1b[31m\xe4 # $"
DEEP = "/tmp/" + "/".join(f"{level:02d}" + "x" * 247 for level in range(16))[:3995]
CHROOT = "busybox chroot /jail /bin/busybox ash"
OUTSIDE = "import os; os.chroot('/jail'); print('>', end='', flush=True); os.read(0, 100)"
TOO_DEEP = "import os; [(os.mkdir(n), os.chdir(n)) for n in ['y' * 250] * 20]; print('>', end='', flush=True); input()"
PIECES = "import os; print('>', end='', flush=True); os.readv(0, [bytearray(3), bytearray(0), bytearray(100)])"
CHUNK = "import os, tty; tty.setraw(0); print('>', end='', flush=True); print(len(os.read(0, 100)))"
Where = tuple[str, ImageFlag]
NONE, DELETED = ImageFlag(0), ImageFlag.CWD_DELETED


@pytest.fixture(scope="module")
def box(docker_daemon: Dockerd, capture: Capture) -> Iterator[Container]:
    """A container with all these shells and directories, of which everything is recorded."""
    files = {"deep": (DEEP.encode(), 0o644), "jail/bin/busybox": (Path(program("busybox")).read_bytes(), 0o755)}
    with furnished(docker_daemon, files) as made:
        made.run("busybox", "mkdir", "-p", ODD, DEEP, "/tmp/one/two")
        record_all(capture, made)
        yield made


def told(capture: Capture, box: Container, docker_daemon: Dockerd, argv: tuple[str, ...],
         typed: list[tuple[str, bytes]]) -> list[TtyInput]:  # fmt: skip
    """What the programs of a session got that had so much typed; each time, what is waited for then is shown."""
    begin = len(capture.records)
    words = ("exec", "-it", "-w", "/tmp", "-e", "PS1=# ", box.id, *argv)
    with at_terminal(docker_daemon, *words) as client:
        client.type(b"", PROMPT)
        client.settle()
        for keys, until in typed:
            client.type(keys.encode(), until)
        client.type(b"exit\r")
        client.end()
    capture.until(lambda: bool(hang_ups(capture, begin, box)), "the hang-up")
    (terminal,) = set(hang_ups(capture, begin, box))
    return [record for record in of(capture.records[begin:], TtyInput) if life(record) == terminal]


def where(records: list[TtyInput]) -> list[Where]:
    """The working directories at the ends of lines, in their order; no other record of so few bytes has one."""
    ends = [record for record in records if record.content.endswith((b"\r", b"\n", b"\x0f", b"#"))]
    assert [record.cwd for record in records if record not in ends and record.size <= 6 and record.cwd] == []
    return [(record.cwd.decode("utf-8", "surrogateescape"), ImageFlag(record.cwd_flags)) for record in ends]


@pytest.mark.parametrize("shell", SHELLS)
def test_shells(docker_daemon: Dockerd, capture: Capture, box: Container, shell: str) -> None:
    """A shell that goes to directories of all kinds, starts programs that go elsewhere, and has its own removed."""
    typed: list[tuple[str, bytes, list[Where]]] = [
        ("cd /tmp/one\r", PROMPT, [("/tmp", NONE)]),
        ("sh -c 'cd /usr/share; printf :; read x'\r", rb":$", [("/tmp/one", NONE)]),
        ("some data\r", PROMPT, [("/usr/share", NONE)]),
        ("cd two\r", PROMPT, [("/tmp/one", NONE)]),
        ("cd /tmp/a*\r", PROMPT, [("/tmp/one/two", NONE)]),
        ("cd $(cat /deep)\r", PROMPT, [(ODD, NONE)]),
        ("cd /\r", PROMPT, [(DEEP, NONE)]),
        (CHROOT + "\r", PROMPT, [("/", NONE)]),
        ("cd /inner\r", PROMPT, [("/", NONE)]),
        ("exit\r", PROMPT, [("/inner", NONE)]),
        ("mkdir /tmp/gone\r", PROMPT, [("/", NONE)]),
        ("cd /tmp/gone\r", PROMPT, [("/", NONE)]),
        ("rmdir /tmp/gone\r", PROMPT, [("/tmp/gone", NONE)]),
        ("echo still here\r", PROMPT, [("/tmp/gone", DELETED)]),
        ("cd /\r", PROMPT, [("/tmp/gone", DELETED)]),
    ]
    records = told(capture, box, docker_daemon, SHELLS[shell], [(keys, until) for keys, until, _ in typed])
    assert where(records) == [each for *_, expected in typed for each in expected] + [("/", NONE)]


@pytest.mark.parametrize("shell", SHELLS)
def test_paste(docker_daemon: Dockerd, capture: Capture, box: Container, shell: str) -> None:
    """Ten lines at once: each has the directory that those before it led to."""
    places = ["/tmp/one", "/usr/share", "/tmp/one/two", "/", "/usr/bin"] * 2
    paste = "".join(f"cd {place}\r" for place in places) + "echo the' 'end\r"
    records = told(capture, box, docker_daemon, SHELLS[shell], [(paste, rb"the end\r\n(?s:.*)" + PROMPT)])
    assert where(records) == [(place, NONE) for place in ("/tmp", *places, places[-1])]


def test_bracketed_paste(docker_daemon: Dockerd, capture: Capture, box: Container) -> None:
    """Of lines that an editor takes as one, each end has the directory."""
    records = told(
        capture, box, docker_daemon, SHELLS["bash"], [("\x1b[200~echo a\rcd /\recho b\x1b[201~\r", rb"b\r\n.*# ")]
    )
    assert where(records) == [("/tmp", NONE)] * 3 + [("/", NONE)]


def test_other_key(docker_daemon: Dockerd, capture: Capture, box: Container) -> None:
    """Ctrl-o takes a line, too, and M-# does, as a comment."""
    typed = [("cd /usr/share\x0f", PROMPT), ("cd /\x1b#", PROMPT)]
    records = told(capture, box, docker_daemon, SHELLS["bash"], typed)
    assert where(records) == [("/tmp", NONE), ("/usr/share", NONE), ("/usr/share", NONE)]


def test_outside(docker_daemon: Dockerd, capture: Capture, box: Container) -> None:
    """A program whose root directory is another one than the one it is in: its path is from where that is mounted."""
    command = shlex.join(["python3", "-c", OUTSIDE])
    records = told(capture, box, docker_daemon, SHELLS["bash"], [(command + "\r", rb"\r>"), ("x\r", PROMPT)])
    assert where(records)[1:2] == [("/tmp", ImageFlag.CWD_OUTSIDE)]


def test_too_deep(docker_daemon: Dockerd, capture: Capture, box: Container) -> None:
    """Of a path that has no room the first part is missing."""
    command = shlex.join(["python3", "-c", TOO_DEEP])
    records = told(capture, box, docker_daemon, SHELLS["bash"], [(command + "\r", rb"\r>"), ("x\r", PROMPT)])
    assert where(records)[1:2] == [("/" + "/".join(["y" * 250] * 16), ImageFlag.CWD_CUT)]


@pytest.mark.parametrize(("keys", "cwd"), [("012345", b""), ("0123456", b"/tmp")])
def test_chunks(docker_daemon: Dockerd, capture: Capture, box: Container, keys: str, cwd: bytes) -> None:
    """What is more than comes of a key may have the end of a line anywhere, and has the directory."""
    command = shlex.join(["python3", "-c", CHUNK])
    typed = [(command + "; stty sane\r", rb"\r>"), (keys, rb"\d+\r?\n(?s:.*)# ")]
    records = told(capture, box, docker_daemon, SHELLS["bash"], typed)
    assert [record.cwd for record in records if record.content == keys.encode()] == [cwd]


def test_behind_content(docker_daemon: Dockerd, capture: Capture, box: Container) -> None:
    """Behind what is as long as a line can be, the directory is whole."""
    line = "y" * 4000
    records = told(
        capture,
        box,
        docker_daemon,
        SHELLS["bash"],
        [("cat\r", rb"cat\r\n"), (line + "\r", rb"y\r\n"), ("\x04", PROMPT)],
    )
    found = [record for record in records if record.content == line.encode() + b"\n"]
    assert [(record.cwd, record.size) for record in found] == [(b"/tmp", 4001)]


def test_pieces(docker_daemon: Dockerd, capture: Capture, box: Container) -> None:
    """Behind what was read in pieces, too."""
    command = shlex.join(["python3", "-c", PIECES])
    records = told(capture, box, docker_daemon, SHELLS["bash"], [(command + "\r", rb"\r>"), ("in pieces\r", PROMPT)])
    assert [record.cwd for record in records if record.content == b"in pieces\n"] == [b"/tmp"]


def test_secret(docker_daemon: Dockerd, capture: Capture, box: Container) -> None:
    """Of a secret the record has neither content nor directory."""
    records = told(capture, box, docker_daemon, SHELLS["bash"], [("read -s -p: x\r", rb"\r:"), ("hidden\r", PROMPT)])
    secrets = [record for record in records if record.terminal_flags & TerminalFlag.SECRET]
    assert secrets
    assert {(record.content, record.cwd, record.cwd_flags) for record in secrets} == {(b"", b"", 0)}
