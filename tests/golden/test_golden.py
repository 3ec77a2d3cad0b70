"""A spool that was recorded once makes the same documents for ever, ids included.

`spool/` holds what agents recorded of `cgtrail demo`, the newer one with a session; `documents.ndjson` what the worker
made of it. When documents are meant to change: `CGTRAIL_GOLDEN=write pytest tests/golden`, and read the difference
before committing it.
"""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from cgtrail.halves import worker_on
from enrich.sinks.memory import MemorySink

HERE = Path(__file__).parent
GOLDEN = HERE / "documents.ndjson"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with the recorded spool."""
    shutil.copytree(HERE / "spool", tmp_path / "spool")
    return tmp_path


def documents(data: Path) -> bytes:
    """What the worker makes of the recorded spool."""
    sink = MemorySink()
    with worker_on(data, "memory", sink, threading.Event()) as worker:
        worker.run(follow=False)
    return b"".join(document.encode() + b"\n" for document in sink.documents.values())


def test_golden(data: Path) -> None:
    """The recorded spool makes exactly the committed documents."""
    made = documents(data)
    if os.environ.get("CGTRAIL_GOLDEN") == "write":
        GOLDEN.write_bytes(made)
    assert made.decode().splitlines() == GOLDEN.read_text().splitlines()


def test_twice(data: Path) -> None:
    """A worker that starts again sends nothing of what was committed."""
    assert documents(data)
    assert documents(data) == b""
