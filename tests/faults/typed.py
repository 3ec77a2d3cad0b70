"""Two people who type in a container while an agent records it: keys one by one, in shells and REPLs of all kinds."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bpf.events import Header, TtyInput
from bpf.schema import decode
from shipper.wire.frame import Frame, walk
from shipper.wire.reader import Reader
from tests.faults.kept import Kept, undisturbed
from tests.faults.live import rig
from tests.faults.writer import begun
from tests.kernel.dockerd import Container, Dockerd
from tests.kernel.furnished import furnished
from tests.kernel.terminals import Client, at_terminal

PROMPT = rb"[#>] (?:\x1b[^#>]*)?$"
NAME = "typed"
"""Of the container."""
BASH = ("bash", "--norc")
FISH = "fish --no-config -C 'function fish_prompt; echo -n \"# \"; end'"
SCRIPT = "script -q -c 'bash --norc' /dev/null"
KEY = re.compile(rb"\x1b\[[0-9;]*[A-Za-z~]|.", re.DOTALL)
PACE = 0.015
"""Seconds between two keys: a frame ends in nearly every line, and in some of them more than one."""
HIDDEN = "pY5nH8cL3sG6fD1r"
Step = tuple[str, str | None, bytes]
"""Keys, the line that they make, and what is shown then (a regular expression)."""
EDITED: list[Step] = [
    ("echo one\r", "echo one", PROMPT),
    ("echp\x7fo two\x1b[D\x1b[D\x1b[DX\r", "echo Xtwo", PROMPT),
    ("\x1b[A\x15ls /\r", "ls /", PROMPT),
    ("\x12one\r", "echo one", PROMPT),
    ("for i in 1 2; do\r", "for i in 1 2; do", PROMPT),
    ("echo $i\r", "echo $i", PROMPT),
    ("done\r", "done", PROMPT),
    ("cat <<EOF\r", "cat <<EOF", PROMPT),
    ("some text\r", "some text", PROMPT),
    ("EOF\r", "EOF", PROMPT),
    ('(sleep 0.3; echo noi""se) &\r', '(sleep 0.3; echo noi""se) &', PROMPT),
    ("echo in the mid", None, b"noise"),
    ("dle\r", "echo in the middle", PROMPT),
    ("echo given up\x03", None, PROMPT),
]
READ: list[Step] = [
    ("read -s -p: x\r", "read -s -p: x", rb"\r:"),
    (HIDDEN + "\r", None, PROMPT),
    ("cat\r", "cat", rb"cat\r\n"),
    ("some data\r", "some data", rb"data\r\n(?s:.*)data"),
    ("\x04", None, PROMPT),
]
NESTED: list[Step] = [
    ("python3 -q\r", "python3 -q", rb">>> $"),
    ("print(1 + 1)\r", "print(1 + 1)", rb">>> $"),
    ("\x04", None, PROMPT),
    ("busybox ash\r", "busybox ash", PROMPT),
    ("echo in ash\r", "echo in ash", PROMPT),
    ("exit\r", "exit", PROMPT),
    ("dash\r", "dash", PROMPT),
    ("echo in dash\r", "echo in dash", PROMPT),
    ("exit\r", "exit", PROMPT),
    (FISH + "\r", FISH, PROMPT),
    ("echo in fish\r", "echo in fish", PROMPT),
    ("exit\r", "exit", PROMPT),
    (SCRIPT + "\r", SCRIPT, PROMPT),
    ("echo in a terminal of its own\r", "echo in a terminal of its own", PROMPT),
    ("exit\r", "exit", PROMPT),
    ("vim -u NONE /tmp/v\r", "vim -u NONE /tmp/v", b"~"),
    (":q\r", None, PROMPT),
]
PASTED = ["cd /usr", "echo pasted one", "cd /tmp", "echo pasted two"]


@dataclass(frozen=True, slots=True)
class Typed:
    """A spool with what two people typed, and what comes of it."""

    data: Path
    lines: list[str]
    """That the shells and REPLs were given, in no order."""
    home: int
    """Their container's cgroup: others may be at terminals on this host, too."""
    wanted: Kept

    def frames(self) -> list[Frame]:
        """All of its one stream."""
        (stream,) = begun(self.data / "spool")
        return [piece for piece in Reader(stream).read() if isinstance(piece, Frame)]

    def keys(self, frame: Frame) -> list[TtyInput]:
        """What was consumed of what they typed."""
        found = (record for _, record in records(frame) if isinstance(record, TtyInput))
        return [record for record in found if record.home == self.home]

    def in_mid_line(self) -> list[int]:
        """The frames whose last key ends no line."""
        told = {frame.number: self.keys(frame) for frame in self.frames()}
        return [number for number, keys in told.items() if keys and not keys[-1].cwd]


def records(frame: Frame) -> Iterator[tuple[bytes, Header]]:
    """Every record of a frame as bytes and as what it says."""
    for offset, length in walk(frame.payload):
        found = decode(frame.payload, offset, length)
        assert isinstance(found, Header)
        yield frame.payload[offset : offset + length], found


def slowly(client: Client, keys: str, until: bytes) -> None:
    """Type key by key."""
    for key in KEY.findall(keys.encode()):
        client.type(key)
        time.sleep(PACE)
    client.type(b"", until)


@contextmanager
def person(daemon: Dockerd, box: Container) -> Iterator[Client]:
    """Somebody at a shell that is ready."""
    with at_terminal(daemon, "exec", "-it", "-e", "PS1=# ", box.id, *BASH) as client:
        client.type(b"", PROMPT)
        client.settle()
        yield client
        client.type(b"exit\r")
        client.end()


def session(daemon: Dockerd, box: Container) -> list[str]:
    """What two people type, the second while the first is in the middle of a line; returns the lines."""
    lines = ["exit", "exit"]
    with person(daemon, box) as first, person(daemon, box) as second:
        for steps in (EDITED, READ):
            slowly(second, "echo the oth", b"th$")
            for keys, line, until in steps:
                slowly(first, keys, until)
                lines += [line] if line else []
            slowly(second, "er one\r", PROMPT)
            lines.append("echo the other one")
        for keys, line, until in NESTED:
            slowly(first, keys, until)
            lines += [line] if line else []
        slowly(first, "echo wi", b"wi$")
        first.resize(30, 60)
        slowly(first, "de\r", PROMPT)
        second.type("".join(f"{line}\r" for line in PASTED).encode(), rb"\rpasted two\r\n(?s:.*)" + PROMPT)
        lines += ["echo wide", *PASTED]
    return lines


def recording(daemon: Dockerd, folder: Path) -> Typed:
    """Record them, and see what an undisturbed worker makes of it."""
    with rig(daemon, folder, spool_keyframe_seconds=5) as live:
        live.start_agent()
        with furnished(daemon, {}, name=NAME) as box:
            lines, home = session(daemon, box), box.cgroup_id
            live.written()
        live.stop(live.agent)
    return Typed(live.data, lines, home, undisturbed(live.data, folder / "memory"))
