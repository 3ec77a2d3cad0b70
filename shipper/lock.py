"""One process at a time per folder and role, by open file description locks (fcntl(2), F_OFD_SETLK)."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# struct flock of <fcntl.h> on x86-64: type, whence, start, length (0: to the end), pid.
_FLOCK = struct.Struct("hhqqi4x")


class AlreadyRunningError(RuntimeError):
    """Another process has this role in this folder; the message names it."""


@contextmanager
def only(file: Path, role: str) -> Iterator[None]:
    """Hold `file` while the role is filled. The kernel lets go of it when the process dies, however it dies."""
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _request())
        except (BlockingIOError, PermissionError):
            message = f"{role} {_pid(fd)} already works on {file.parent}; stop it, or choose another folder with --data"
            raise AlreadyRunningError(message) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


def holder(file: Path) -> int | None:
    """The process that holds a lock file now, None for nobody. Only asks: it never stands in anybody's way."""
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO in its place does not hang
    except FileNotFoundError:
        return None
    try:
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _request())
        return None if _FLOCK.unpack(answer)[0] == fcntl.F_UNLCK else _pid(fd)
    finally:
        os.close(fd)


def writer(file: Path, first: int, count: int) -> int | None:
    """The process that has locked some of a file's bytes for writing; None for nobody, or no such file.

    -1 where the kernel does not tell it. Like `holder` it only asks. Raises OSError.
    """
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _request(fcntl.F_RDLCK, first, count)))
        return None if kind == fcntl.F_UNLCK else int(pid)
    finally:
        os.close(fd)


def _request(kind: int = fcntl.F_WRLCK, first: int = 0, count: int = 0) -> bytes:
    return _FLOCK.pack(kind, os.SEEK_SET, first, count, 0)


def _pid(fd: int) -> int:
    """Its holder writes its process id into the file; 0 while it has not yet."""
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else 0
