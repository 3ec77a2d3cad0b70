"""Opens files that anybody may have put something else in the place of."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

_NOT_THE_FILES = {errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


def open_regular(file: Path) -> BinaryIO:
    """Open a file for reading; a FIFO does not make it hang. Raises OSError, also for what is no regular file."""
    with ExitStack() as stack:
        opened = stack.enter_context(open(file, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)))
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(file))
        stack.pop_all()
        return opened


def reason(error: OSError) -> str:
    """Why a file can't be read. Raises the error again where the file is not to blame: rights, memory, open files."""
    if error.errno in _NOT_THE_FILES:
        raise error
    return error.strerror or str(error)
