"""The expendable child that reads arguments: process ids come on stdin, what /proc says of each goes to stdout.

It is started as a file, by `shipper.cmdlines`, and imports nothing of ours: a read that never returns costs this
process and nothing else. Every question has one answer, in order; of a process that is gone, an empty one.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys
from contextlib import suppress
from itertools import islice

QUESTION = struct.Struct("<I")
"""A process id."""
ANSWER = struct.Struct("<IIQI")
"""Process id, whether there was more, start in clock ticks since boot, and how many bytes of arguments follow."""
READY = 0
"""The process id of the first answer, to no question: the child has begun."""
BYTES = 4096
"""Of arguments."""
THREADS = 16
"""Of a process, at most so many are asked."""
_PR_SET_PDEATHSIG = 1
_START = 19
"""Place of the start in /proc/PID/stat, counted from behind the name (proc(5): field 22)."""


def answer(root: str, pid: int) -> bytes:
    """What is to be said of a process."""
    start, raw = 0, b""
    with suppress(OSError, ValueError, IndexError):
        folder = os.open(f"{root}/{pid}", os.O_PATH | os.O_DIRECTORY)
        try:  # below one folder both are of the same process, even if its number is used again meanwhile
            start = int(_read(folder, "stat", BYTES).rpartition(b") ")[2].split()[_START])
            raw = _read(folder, "cmdline", BYTES + 1) or _of_threads(folder)
        finally:
            os.close(folder)
    return ANSWER.pack(pid, len(raw) > BYTES, start, len(raw[:BYTES])) + raw[:BYTES]


def _of_threads(folder: int) -> bytes:
    """A first thread that has ended has no memory any more; the others do."""
    threads = os.open("task", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
    try:
        some = islice(os.listdir(threads), THREADS)
        return next(filter(None, (_read(threads, f"{thread}/cmdline", BYTES + 1) for thread in some)), b"")
    finally:
        os.close(threads)


def _read(folder: int, name: str, size: int) -> bytes:
    with open(os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder), "rb") as opened:
        return opened.read(size)


def main(root: str, agent: int) -> None:
    """Answer until stdin ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != agent:
        return
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    answers.write(ANSWER.pack(READY, 0, 0, 0))
    answers.flush()
    while len(question := questions.read(QUESTION.size)) == QUESTION.size:
        answers.write(answer(root, *QUESTION.unpack(question)))
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
