"""One process at a time per folder and role."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class AlreadyRunningError(RuntimeError):
    """Another process has this role in this folder; the message names it."""


@contextmanager
def only(file: Path, role: str) -> Iterator[None]:
    """Hold `file` while the role is filled. The kernel lets go of it when the process dies, however it dies."""
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = (
                f"{role} {_holder(fd)} already works on {file.parent}; stop it, or choose another folder with --data"
            )
            raise AlreadyRunningError(message) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


def holder(file: Path) -> int | None:
    """The process that holds a lock file now, None for nobody."""
    try:
        fd = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(_holder(fd) or 0)
    else:
        return None
    finally:
        os.close(fd)


def _holder(fd: int) -> str:
    return os.pread(fd, 32, 0).decode(errors="replace").strip()
