"""A half's status file, written while it works: `cgtrail status` reads it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from shipper.status import write_status

STATUS_SECONDS = 1.0


@contextmanager
def reporting(file: Path, facts: Callable[[], dict[str, Any]]) -> Iterator[None]:
    """Write what is so to a file each second, from a thread of its own, and once more at the end."""
    done = threading.Event()

    def report() -> None:
        ended = False
        while not ended:
            ended = done.is_set()
            with suppress(OSError):  # a full disk: who works on it says so
                write_status(file, {"pid": os.getpid(), "time": time.time_ns()} | facts())
            done.wait(STATUS_SECONDS)

    thread = threading.Thread(target=report, name="status", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
