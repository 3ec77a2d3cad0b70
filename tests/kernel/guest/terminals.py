"""For a guest: somebody at a terminal in a watched cgroup, and what was recorded of it.

Prints one JSON object.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import struct
from pathlib import Path

from bpf.enums import EVERYTHING, Change
from bpf.events import TtyChange, TtyInput, TtyOpen, TtySignal, TtyUring
from tests.kernel.capture import Capture, capturing, cgroup, of
from tests.kernel.terminals import Client, at, consumed, life, lives, screen

FOLDER = Path("/sys/fs/cgroup/terminals")
SECRET = b"correct-horse-battery"
TYPED = b"echo one two\nstty -echo; echo ready; read x; stty echo; echo known\ncd /tmp\nsleep 1000\nexit\n"
TIMEOUT = 120.0
SETUP, ENTER = 425, 426
"""Numbers of io_uring_setup(2) and io_uring_enter(2)."""
SQES = 0x10000000
"""IORING_OFF_SQES of io_uring.h."""
FSYNC = 3
"""IORING_OP_FSYNC: of what needs a file, the least; a terminal refuses it."""


def ask(fd: int) -> None:
    """Ask io_uring to do something with a file."""
    libc, parameters = ctypes.CDLL(None, use_errno=True), ctypes.create_string_buffer(120)
    ring = libc.syscall(SETUP, 1, parameters)
    assert ring >= 0, os.strerror(ctypes.get_errno())
    _, tail, _, _, _, _, array, *_ = struct.unpack_from("<8I", parameters, 40)  # struct io_sqring_offsets
    with mmap.mmap(ring, mmap.PAGESIZE) as queue, mmap.mmap(ring, mmap.PAGESIZE, offset=SQES) as entries:
        entries[:8] = struct.pack("<BBHi", FSYNC, 0, 0, fd)
        queue[array : array + 4] = bytes(4)
        queue[tail : tail + 4] = struct.pack("<I", 1)
        assert libc.syscall(ENTER, ring, 1, 0, 0, None, 0) == 1
    os.close(ring)


def visit(client: Client) -> None:
    """Type commands and a password, and go elsewhere."""
    client.type(b"", rb"\$ ")
    client.type(b"echo one two\r", rb"two\r\n\$ ")
    client.type(b"stty -echo; echo ready; read x; stty echo; echo known\r", rb"\nready\r\n")
    client.type(SECRET + b"\r", rb"known\r\n\$ ")
    client.type(b"cd /tmp\r", rb"\$ ")
    client.type(b"sleep 1000\r", rb"1000\r\n")


def opened(capture: Capture) -> list[TtyOpen]:
    """What a keyframe tells."""
    capture.drain()
    begin = len(capture.records)
    capture.probes.snapshot()
    capture.drain()
    return of(capture.records[begin:], TtyOpen)


def main() -> None:
    """Do it all, and tell."""
    with capturing() as capture, cgroup(FOLDER) as made:
        assert capture.probes.watch(made, made, EVERYTHING)
        shell = ["-c", f"echo $$ >{FOLDER}/cgroup.procs; exec sh"]
        with at("/bin/sh", shell, {"PATH": os.environ["PATH"], "PS1": "$ "}, 30, 90, TIMEOUT) as client:
            visit(client)
            child = os.fork()
            if child == 0:
                (FOLDER / "cgroup.procs").write_text(str(os.getpid()))
                ask(client.child.child_fd)
                os._exit(0)
            os.waitpid(child, 0)
            found = opened(capture)
            client.type(b"\x03", rb"\$ ")
            client.type(b"exit\r")
            received = client.end()
        capture.until(lambda: any(r.change == Change.HANGUP for r in of(capture.records, TtyChange)), "the hang-up")
        (terminal,) = lives(capture.records, made)
        shown = screen(capture.records, terminal)
        told = {
            "refused": [attempt.program for attempt in capture.probes.refused()],
            "identical": shown.content == received,
            "skipped": shown.skipped,
            "typed": consumed(capture.records, terminal) == TYPED,
            "directories": [record.cwd.decode() for record in of(capture.records, TtyInput) if record.cwd],
            "secrets": sum(r.size for r in of(capture.records, TtyInput) if r.terminal_flags),
            "leaks": sum(SECRET in record.encode() for record in capture.records),
            "open": [(r.rows, r.columns, life(r) == terminal) for r in found],
            "changes": sorted({Change(r.change).name for r in of(capture.records, TtyChange)}),
            "signals": sorted({r.signal for r in of(capture.records, TtySignal)}),
            "uring": [r.opcode for r in of(capture.records, TtyUring) if life(r) == terminal],
            "complete": capture.probes.seen()[made] == sum(record.owner == made for record in capture.records),
            "losses": capture.losses(made),
        }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
