"""What /proc says of a process's arguments: asked in a child (`shipper.expendable_child`), by `shipper.cmdlines`.

Imports nothing of ours: it is loaded as a file. Of a process that is gone the answer has no start and no arguments.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from itertools import islice

QUESTION = struct.Struct("<I")
"""A process id."""
ANSWER = struct.Struct("<IQ")
"""Whether there was more, and the start in clock ticks since boot; arguments follow."""
BYTES = 4096
"""Of arguments."""
THREADS = 16
"""Of a process, at most so many are asked."""
_START = 19
"""Place of the start in /proc/PID/stat, counted from behind the name (proc(5): field 22)."""


def answer(question: bytes, root: str) -> bytes:
    """What is to be said of a process. `root`: /proc."""
    start, raw = 0, b""
    with suppress(OSError, ValueError, IndexError):
        folder = os.open(f"{root}/{QUESTION.unpack(question)[0]}", os.O_PATH | os.O_DIRECTORY)
        try:  # below one folder both are of the same process, even if its number is used again meanwhile
            start = int(_read(folder, "stat", BYTES).rpartition(b") ")[2].split()[_START])
            raw = _read(folder, "cmdline", BYTES + 1) or _of_threads(folder)
        finally:
            os.close(folder)
    return ANSWER.pack(len(raw) > BYTES, start) + raw[:BYTES]


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
